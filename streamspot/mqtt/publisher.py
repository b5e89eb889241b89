"""Events to an MQTT broker: journal first, then one message in flight at QoS 1 until the broker has it.

Topics, below ``streamspot/<node>``: ``status`` (retained: ``online``, ``stopped``, ``offline``; the last by
will) and for each stream ``status``, ``event``, ``state`` (retained), ``intensity`` (QoS 0, batched),
``stats``, ``error`` and, to be written by others, ``set``.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from streamspot.commands import Command, parse
from streamspot.credentials import redacted
from streamspot.errors import BrokerError, StreamspotError
from streamspot.events import CONTENT_TYPE, encode, topic_name
from streamspot.mqtt import payloads
from streamspot.mqtt.address import Broker
from streamspot.mqtt.bridges import Bridge, Message
from streamspot.mqtt.connection import Connection, Dialler, RefusedError, backoff, quiet_loop
from streamspot.mqtt.journal import Journal
from streamspot.mqtt.resend import event_topic
from streamspot.mqtt.tasks import cancel_all, run_until_first
from streamspot.stats import Delivery, Stats
from streamspot.types import Controls, Score, Update

_BATCH = 0.1  # s between two messages of curve
_REPEAT = 10.0  # s after which state and stats are published again
_CURVE = 1000  # ticks kept until they are published, the latest
_LOOK = 1.0  # s between two looks at the journal's file
_JSON = "application/json"
_TEXT = "text/plain"


class Publisher:
    """Delivers events to a broker; one that is away, frozen or restarted costs no event.

    ``take`` returns once the events are in the journal; a task of its own publishes. On leaving, what is still
    queued gets ``drain`` seconds; the rest goes out when the same journal is opened again.

    Args:
        url: Address of the broker, see ``Broker.parse``.
        node: Name of this machine or installation; its own for each process.
        stream: Name of the source.
        journal: Folder of the journal, or its file.
        measured: What the stream measures of itself, for ``stats``.
        delivery: Kept current here.
        controls: The settings in force before the first update.
        on_command: Called, in the event loop, with each command that arrives; None obeys nobody.
        bridges: What else to publish.
        drain: Seconds to wait for the broker on leaving.
        left: Seconds until the run has to be over, infinite while it goes on.
        fsync: Policy of the journal.
        client_id: Name of the MQTT session: a broker ends an older connection of that name. A random one if None.

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
        controls: Controls = Controls(),  # noqa: B008 - frozen
        on_command: Callable[[Command], None] | None = None,
        bridges: Sequence[Bridge] = (),
        drain: float = 3.0,
        fsync: float = 1.0,
        left: Callable[[], float] = lambda: math.inf,
        client_id: str | None = None,
    ) -> None:
        broker = Broker.parse(url)
        broker.tls()
        self._dialler = Dialler(broker) if client_id is None else Dialler(broker, client_id)
        self._node, self._stream = topic_name(node), topic_name(stream)
        self._base = f"streamspot/{self._node}"
        self._journal = Journal(journal, fsync=fsync)
        self._look = min(fsync, _LOOK) or _LOOK
        self._measured = measured
        self._delivery = delivery
        delivery.address = broker.address
        self._births = 0
        self._shared = False
        self._on_command = on_command
        self._forged: set[str] = set()  # topics of ours on which somebody said that we are not online
        self._bridges = bridges
        self._messages: deque[Message] = deque(maxlen=200)
        self._drain = drain
        self._left = left
        self._last = Update(controls=controls)
        self._published: object = None  # what was last published on ``state``
        self._curve: deque[tuple[int, Score]] = deque(maxlen=_CURVE)
        self._errors: deque[str] = deque(maxlen=20)
        self._queued = asyncio.Event()
        self._closing = asyncio.Event()
        self._open = contextlib.ExitStack()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._open.enter_context(self._journal)
        self._open.enter_context(quiet_loop())
        self._count()
        self._tasks = [
            asyncio.create_task(self._run(), name="mqtt"),
            asyncio.create_task(self._keep(), name="mqtt-journal"),
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._queued.set()
        away = self._delivery.state in {"retrying", "refused"}
        patience = min(self._drain, 0.5) if away else self._drain  # for one more try
        try:
            await asyncio.wait({self._tasks[0]}, timeout=min(patience, max(0.1, self._left())))
        finally:
            await cancel_all(self._tasks)
            self._count()
            self._delivery.state = "stopped"
            self._open.close()

    async def take(self, update: Update) -> None:
        """Take an update; its events survive the death of this process when this returns."""
        for event in update.events:
            decided = datetime.fromisoformat(event.decided_at.time).timestamp()
            self._journal.append(encode(event, node=self._node), decided)
        for bridge in self._bridges:
            self._messages.extend(bridge.update(update))
        self._curve.extend(update.scores)
        self._errors.extend(redacted(message) for message in update.messages)
        self._last = update
        if update.events:
            self._count()
        if update.events or self._messages:
            self._queued.set()

    def complain(self, message: str) -> None:
        """Publish a sentence on ``…/error``; the same once, and if many wait the oldest goes. In any thread."""
        if (message := redacted(message)) not in self._errors:
            self._errors.append(message)

    def _topic(self, name: str) -> str:
        return f"{self._base}/{self._stream}/{name}"

    def _count(self) -> None:
        """Take over the journal's counts and its trouble."""
        self._delivery.queued, self._delivery.lost = self._journal.queued, self._journal.lost
        while self._journal.messages:
            self._delivery.messages.append(message := self._journal.messages.popleft())
            self.complain(message)
        if self._journal.error and self._journal.error != self._delivery.error:
            self._delivery.error = self._journal.error
            self.complain(self._journal.error)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(self._look)
            await self._journal.keep()
            self._count()
            if self._journal.queued:
                self._queued.set()

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
                    await run_until_first(
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
                    f"the delivery failed with {error!r} and is tried again; report this",
                )
                if closing:
                    return
                await asyncio.sleep(backoff(attempt := attempt + 1))

    async def _birth(self, connection: Connection) -> None:
        """Publish state, bridges and status, which a restarted broker may have forgotten; the node's status last."""
        self._births += 1
        for topic in (f"{self._base}/status", self._topic("status")):
            await connection.client.subscribe(topic, qos=1)
        if self._on_command is not None:
            await connection.subscribe_unretained(self._topic("set"))
        await self._publish_state(connection)
        for bridge in self._bridges:
            self._messages.extendleft(bridge.announce())
        await connection.publish(self._topic("status"), b"online", retain=True, kind=_TEXT)
        await connection.publish(f"{self._base}/status", b"online", retain=True, kind=_TEXT)

    async def _farewell(self, connection: Connection) -> None:
        """Announce a clean end."""
        self._last = replace(self._last, faces={})
        await self._publish_state(connection)
        await connection.publish(self._topic("status"), b"stopped", retain=True, kind=_TEXT)
        await connection.publish(f"{self._base}/status", b"stopped", retain=True, kind=_TEXT)

    async def _deliver(self, connection: Connection) -> None:
        """Publish the journal, one by one so that the order stays; return when leaving and all is out."""
        while True:
            self._queued.clear()
            while (payload := self._journal.peek()) is not None:
                if topic := event_topic(payload):
                    await connection.publish(topic, payload, kind=CONTENT_TYPE)
                    self._delivery.acknowledged += 1
                else:
                    self.complain("a line of the journal is damaged and was left out; check the disk")
                self._journal.ack(payload)
                self._count()
            while self._messages:
                message = self._messages[0]
                await connection.publish(message.topic, message.payload, retain=message.retain, kind=_JSON)
                with contextlib.suppress(ValueError):  # dropped meanwhile to make room
                    self._messages.remove(message)
            if self._closing.is_set():
                return
            await self._queued.wait()

    async def _listen(self, connection: Connection) -> None:
        """Obey commands and guard our status until the connection breaks."""
        async for message in connection.client.messages:
            topic, payload = str(message.topic), message.payload
            if topic.endswith("/status"):
                if not message.retain and payload != b"online":
                    self._forged.add(topic)
                elif message.retain and payload == b"online" and topic == f"{self._base}/status":
                    self._warn_of_another()
            elif topic == self._topic("set") and not message.retain and payload:
                # a retained command was meant for another time, and an empty one deletes that
                self._obey(payload)

    def _obey(self, payload: object) -> None:
        try:
            command = parse(payload if isinstance(payload, bytes) else b"")
            if self._on_command is not None:
                self._on_command(command)
        except StreamspotError as error:
            self.complain(str(error))

    def _warn_of_another(self) -> None:
        """Say, once, that the node was online before our first birth; later we may hear ourselves."""
        if self._births == 1 and not self._shared:
            self._shared = True
            self._delivery.messages.append(
                f"the node {self._node} is online at the broker already; if another process has that name, give "
                "each its own with --node, or nobody learns which of them has vanished"
            )

    async def _report(self, connection: Connection) -> None:
        """Publish curve, state, errors and stats until the connection breaks."""
        published = time.monotonic()
        await self._publish_stats(connection)
        while True:
            await asyncio.sleep(_BATCH)
            due = time.monotonic() - published >= _REPEAT
            while self._curve:
                part = [self._curve.popleft() for _ in range(min(len(self._curve), payloads.TICKS))]
                payload = payloads.intensity(part)
                await connection.publish(self._topic("intensity"), payload, qos=0, kind=_JSON, expiry=5)
            if due or payloads.state_key(self._last) != self._published:
                await self._publish_state(connection)
            while self._forged:  # by another process of the node, its will, or anybody
                await connection.publish(self._forged.pop(), b"online", retain=True, kind=_TEXT)
            while self._errors:
                message = payloads.error(self._errors[0])
                await connection.publish(self._topic("error"), message, kind=_JSON)
                self._errors.popleft()
            if due:
                published = time.monotonic()
                await self._publish_stats(connection)

    async def _publish_state(self, connection: Connection) -> None:
        self._published = payloads.state_key(self._last)
        await connection.publish(self._topic("state"), payloads.state(self._last), retain=True, kind=_JSON)

    async def _publish_stats(self, connection: Connection) -> None:
        payload = payloads.stats(self._measured, self._delivery)
        await connection.publish(self._topic("stats"), payload, kind=_JSON, expiry=60)
