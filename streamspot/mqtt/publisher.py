"""Events to an MQTT broker: journal first, then one message in flight at QoS 1 until the broker has it.

Topics, below ``streamspot/<node>``: ``status`` (retained: ``online``, ``stopped``, ``offline``; the last by
will) and for each stream ``status``, ``event``, ``state`` (retained), ``intensity`` (QoS 0, batched),
``stats``, ``error`` and, to be written by others, ``set``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from streamspot.commands import Command, parse
from streamspot.errors import BrokerError, SettingsError, StreamspotError
from streamspot.events import CONTENT_TYPE, encode, topic_name
from streamspot.mqtt import payloads
from streamspot.mqtt.bridges import Bridge, Note
from streamspot.mqtt.connection import (
    Broker,
    Connection,
    Dialler,
    RefusedError,
    backoff,
    quiet_loop,
    redacted,
)
from streamspot.mqtt.journal import Journal
from streamspot.stats import Delivery, Stats
from streamspot.types import Score, Update

_BATCH = 0.1  # s between two messages of curve
_REPEAT = 10.0  # s after which state and stats are said again
_CURVE = 1000  # ticks kept for sending, the latest
_JSON = "application/json"


class Publisher:
    """Delivers events to a broker, whatever happens to the broker in between.

    ``take`` returns once the events are in the journal; a task of its own publishes. On leaving, what is still
    queued gets ``drain`` seconds; the rest goes out when the same journal is opened again.

    Args:
        url: Address of the broker, see ``Broker.parse``.
        node: Name of this machine or installation; its own for each process.
        stream: Name of the source.
        journal: Folder of the journal.
        measured: What the stream measures of itself, for ``stats``.
        delivery: Kept current here.
        on_command: Called, in the event loop, with each command that arrives.
        bridges: What else to publish.
        drain: Seconds to wait for the broker on leaving.
        fsync: Policy of the journal.

    Raises:
        SettingsError: The address or the journal cannot be used.
    """

    def __init__(
        self,
        url: str,
        *,
        node: str,
        stream: str,
        journal: Path,
        measured: Stats,
        delivery: Delivery,
        on_command: Callable[[Command], None] | None = None,
        bridges: Sequence[Bridge] = (),
        drain: float = 3.0,
        fsync: float = 1.0,
    ) -> None:
        broker = Broker.parse(url)
        broker.tls()
        self._dialler = Dialler(broker)
        self._node, self._stream = topic_name(node), topic_name(stream)
        self._base = f"streamspot/{self._node}"
        self._journal = Journal(journal, fsync=fsync)
        self._measured = measured
        self._delivery = delivery
        delivery.address = broker.address
        self._births = 0
        self._shared = False
        self._on_command = on_command
        self._bridges = bridges
        self._notes: deque[Note] = deque(maxlen=200)
        self.drain = drain
        self._last = Update()
        self._told: object = None  # what ``state`` said last
        self._curve: deque[tuple[int, Score]] = deque(maxlen=_CURVE)
        self._errors: deque[str] = deque(maxlen=20)
        self._queued = asyncio.Event()
        self._closing = asyncio.Event()
        self._open = contextlib.ExitStack()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._open.enter_context(self._journal)
        self._open.enter_context(quiet_loop())
        self._note()
        self._tasks = [
            asyncio.create_task(self._run(), name="mqtt"),
            asyncio.create_task(self._sync(), name="mqtt-journal"),
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._queued.set()
        away = self._delivery.state in {"retrying", "refused"}
        try:  # a broker that was away a moment ago gets one more try, but does not hold up a Ctrl-C
            await asyncio.wait({self._tasks[0]}, timeout=min(self.drain, 0.5) if away else self.drain)
        finally:
            await _end(self._tasks)
            self._note()
            self._delivery.state = "stopped"
            self._open.close()

    async def take(self, update: Update) -> None:
        """Take an update; its events survive the death of this process when this returns."""
        for event in update.events:
            self._journal.append(encode(event, node=self._node))
            for bridge in self._bridges:
                self._notes.extend(bridge.event(event))
        self._curve.extend(update.scores)
        self._errors.extend(redacted(message) for message in update.messages)
        self._last = update
        if not update.events:
            return
        if self._journal.fsync == 0:
            await self._journal.sync()
        self._note()
        self._queued.set()

    def _say(self, message: str) -> None:
        """Tell subscribers of ``…/error`` a sentence; without credentials, and the last 20 only."""
        self._errors.append(redacted(message))

    def _topic(self, name: str) -> str:
        return f"{self._base}/{self._stream}/{name}"

    def _note(self) -> None:
        self._delivery.queued, self._delivery.lost = self._journal.queued, self._journal.lost
        if self._journal.error and self._journal.error != self._delivery.error:
            self._delivery.error = self._journal.error
            self._say(self._journal.error)

    async def _sync(self) -> None:
        while True:
            await asyncio.sleep(self._journal.fsync or 1.0)
            await self._journal.sync()
            self._note()

    async def _run(self) -> None:
        """Connect, deliver, and begin again whenever that ends."""
        self._delivery.state = "connecting"
        attempt = 0
        while True:
            closing = self._closing.is_set()
            try:
                async with self._dialler.connect(will=(f"{self._base}/status", b"offline")) as connection:
                    await self._birth(connection)
                    attempt = 0
                    self._delivery.state, self._delivery.error = "online", self._journal.error
                    await _first(
                        self._deliver(connection), self._listen(connection), self._report(connection)
                    )
                    await self._farewell(connection)
                    return
            except BrokerError as error:
                attempt += 1
                refused = isinstance(error, RefusedError)
                self._delivery.state = "refused" if refused else "retrying"
                if self._delivery.error != str(error):
                    self._delivery.messages.append(str(error))
                self._delivery.error = str(error)
                if closing:
                    return
                with contextlib.suppress(TimeoutError):  # leaving cuts the wait short, for one last attempt
                    await asyncio.wait_for(self._closing.wait(), 30.0 if refused else backoff(attempt))
            except Exception as error:  # noqa: BLE001  (no fault in a callback or of ours may end the delivery)
                self._delivery.state, self._delivery.error = (
                    "retrying",
                    f"delivery stumbled over {error!r}; report this",
                )
                if closing:
                    return
                await asyncio.sleep(backoff(attempt := attempt + 1))

    async def _birth(self, connection: Connection) -> None:
        """Announce everything: a restarted broker may have forgotten it all. The node's status is last."""
        self._births += 1
        await connection.client.subscribe(f"{self._base}/status", qos=1)
        await connection.client.subscribe(self._topic("set"), qos=1)
        await self._publish_state(connection)
        for bridge in self._bridges:
            self._notes.extendleft(bridge.announce())
        await connection.publish(self._topic("status"), b"online", retain=True)
        await connection.publish(f"{self._base}/status", b"online", retain=True)

    async def _farewell(self, connection: Connection) -> None:
        self._last = replace(self._last, faces={})
        await self._publish_state(connection)
        await connection.publish(self._topic("status"), b"stopped", retain=True)
        await connection.publish(f"{self._base}/status", b"stopped", retain=True)

    async def _deliver(self, connection: Connection) -> None:
        """Publish the journal, one by one so that the order stays; return when leaving and all is out."""
        while True:
            self._queued.clear()
            while (payload := self._journal.peek()) is not None:
                if self._journal.fsync == 0:
                    await self._journal.sync()
                if topic := event_topic(payload):
                    await connection.publish(topic, payload, kind=CONTENT_TYPE)
                    self._delivery.acknowledged += 1
                else:
                    self._say("a line of the journal was damaged and has been passed over; check the disk")
                self._journal.ack(payload)
                self._note()
            while self._notes:
                note = self._notes[0]
                await connection.publish(note.topic, note.payload, retain=note.retain, kind=_JSON)
                with contextlib.suppress(IndexError):  # dropped meanwhile to make room
                    self._notes.remove(note)
            if self._closing.is_set():
                return
            await self._queued.wait()

    async def _listen(self, connection: Connection) -> None:
        async for message in connection.client.messages:
            if str(message.topic) == f"{self._base}/status":
                await self._meet(connection, message.payload, before=message.retain)
                continue
            if message.retain or not isinstance(message.payload, bytes):
                continue  # a command from before is none for now
            try:
                command = parse(message.payload)
                if self._on_command is not None:
                    self._on_command(command)
            except StreamspotError as error:
                self._say(str(error))

    async def _meet(self, connection: Connection, status: object, *, before: bool) -> None:
        """Answer what is said of our node: it is online while any process of that name is."""
        if before:  # what held when we subscribed; after a broken connection that may be our own word
            if status == b"online" and self._births == 1 and not self._shared:
                self._shared = True
                self._delivery.messages.append(
                    f"the node {self._node} is online at the broker already; if another process has that name, give "
                    "each its own with --node, or nobody learns which of them has vanished"
                )
        elif status in {b"offline", b"stopped"}:
            await connection.publish(f"{self._base}/status", b"online", retain=True)

    async def _report(self, connection: Connection) -> None:
        said = time.monotonic()
        await self._publish_stats(connection)
        while True:
            await asyncio.sleep(_BATCH)
            due = time.monotonic() - said >= _REPEAT
            if self._curve:
                payload = payloads.intensity(self._curve)
                self._curve.clear()
                await connection.publish(self._topic("intensity"), payload, qos=0, kind=_JSON, expiry=5)
            if due or payloads.state_key(self._last) != self._told:
                await self._publish_state(connection)
            while self._errors:
                message = payloads.error(self._errors[0])
                await connection.publish(self._topic("error"), message, kind=_JSON)
                self._errors.popleft()
            if due:
                said = time.monotonic()
                await self._publish_stats(connection)

    async def _publish_state(self, connection: Connection) -> None:
        self._told = payloads.state_key(self._last)
        await connection.publish(self._topic("state"), payloads.state(self._last), retain=True, kind=_JSON)

    async def _publish_stats(self, connection: Connection) -> None:
        payload = payloads.stats(self._measured, self._delivery)
        await connection.publish(self._topic("stats"), payload, kind=_JSON, expiry=60)


async def resend(url: str, journal: Path, *, since: str = "") -> int:
    """Publish again what a journal holds, beside a running stream, and return how many events that were.

    Args:
        url: Address of the broker.
        journal: Folder of the journal.
        since: RFC 3339 time in UTC; earlier events are left out.

    Raises:
        BrokerError: The broker cannot be reached or went away.
        SettingsError: There is no such journal.
    """
    if not journal.is_dir():  # noqa: ASYNC240
        raise SettingsError(f"there is no journal {journal}; name the folder that the stream was run with")
    count = 0
    with quiet_loop():
        async with Dialler(Broker.parse(url)).connect() as connection:
            for payload in Journal.read(journal, since):
                if topic := event_topic(payload):
                    await connection.publish(topic, payload, kind=CONTENT_TYPE)
                    count += 1
    return count


def event_topic(payload: bytes) -> str:
    """Return the topic a journalled event belongs to; nothing if the payload is damaged."""
    try:
        source = str(json.loads(payload)["source"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return f"{source}/event" if re.fullmatch(r"streamspot/[^/+#]+/[^/+#]+", source) else ""


async def _first(*parts: Coroutine[Any, Any, None]) -> None:
    """Run parts until the first ends or fails, then cancel the others."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await _end(tasks)


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel tasks until they are gone: Python 3.11's wait_for swallows a cancellation that meets its result."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=0.1)
    await asyncio.gather(
        *tasks, return_exceptions=True
    )  # takes note of their errors, or the loop would log them
