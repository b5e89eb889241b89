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
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from streamspot.errors import BrokerError
from streamspot.events import CONTENT_TYPE, encode, topic_name
from streamspot.mqtt.address import Broker
from streamspot.mqtt.channel import JSON, TEXT, Channel
from streamspot.mqtt.connection import Connection, Dialler, RefusedError, backoff
from streamspot.mqtt.journal import Journal
from streamspot.mqtt.paho import quiet_loop
from streamspot.mqtt.resend import event_topic
from streamspot.mqtt.tasks import cancel_all, run_until_first
from streamspot.stats import Delivery
from streamspot.types import Update

_BATCH = 0.1  # s between two messages of curve
_REPEAT = 10.0  # s after which state and stats are published again
_LOOK = 1.0  # s between two looks at the journal's file
_FAREWELL = 0.3  # s of the end that are kept for taking leave of a broker that is slow


class Publisher:
    """Delivers events to a broker; one that is away, frozen or restarted costs no event.

    ``take`` returns once the events are in the journal; a task of its own publishes. On leaving, what is still
    queued gets ``drain`` seconds; the rest goes out when the same journal is opened again.

    Args:
        url: Address of the broker, see ``Broker.parse``.
        node: Name of this machine or installation; its own for each process.
        channels: Its streams; they share the connection and the journal.
        journal: Folder of the journal, or its file.
        delivery: Kept current here.
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
        channels: Sequence[Channel],
        journal: Path,
        delivery: Delivery,
        drain: float = 3.0,
        fsync: float = 1.0,
        left: Callable[[], float] = lambda: math.inf,
        client_id: str | None = None,
    ) -> None:
        broker = Broker.parse(url)
        broker.tls()
        self._dialler = Dialler(broker) if client_id is None else Dialler(broker, client_id)
        self._node = topic_name(node)
        self._base = f"streamspot/{self._node}"
        self._channels = {channel.stream: channel for channel in channels}
        for channel in channels:
            channel.below(self._node)
        self._journal = Journal(journal, fsync=fsync)
        self._look = min(fsync, _LOOK) or _LOOK
        self._delivery = delivery
        first, *others = self._channels
        delivery.address, delivery.topics = broker.address, self._base if others else f"{self._base}/{first}"
        self._births = 0
        self._trouble = ""  # of the journal
        self._shared = False
        self._forged: set[str] = set()  # topics of ours on which somebody said what is not so
        self._drain = drain
        self._left = left
        self._queued = asyncio.Event()
        self._closing = asyncio.Event()
        self._hurry = asyncio.Event()  # no time is left for what is queued
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
            await asyncio.wait({self._tasks[0]}, timeout=min(patience, max(0.1, self._left() - _FAREWELL)))
        finally:
            self._hurry.set()
            try:
                await asyncio.wait({self._tasks[0]}, timeout=_FAREWELL)
            finally:
                await cancel_all(self._tasks)
            self._count()
            self._delivery.state = "stopped"
            self._open.close()

    async def take(self, stream: str, update: Update) -> None:
        """Take an update of a stream; its events survive the death of this process when this returns."""
        for event in update.events:
            decided = datetime.fromisoformat(event.decided_at.time).timestamp()
            self._journal.append(encode(event, node=self._node), decided)
        channel = self._channels[topic_name(stream)]
        channel.take(update)
        if update.events:
            self._count()
        if update.events or channel.messages:
            self._queued.set()

    def complain(self, message: str) -> None:
        """Publish a sentence on every stream's ``…/error``; in any thread."""
        for channel in self._channels.values():
            channel.complain(message)

    def _count(self) -> None:
        """Take over the journal's counts and its trouble."""
        self._delivery.queued, self._delivery.lost = self._journal.queued, self._journal.lost
        while self._journal.messages:
            self._delivery.messages.append(message := self._journal.messages.popleft())
            self.complain(message)
        if self._journal.error == self._trouble:
            return
        if self._delivery.error == self._trouble:  # it is over, and nothing else has come since
            self._delivery.error = ""
        self._trouble = self._journal.error
        if self._trouble:
            self._delivery.error = self._trouble
            self.complain(self._trouble)

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
                        self._deliver(connection),
                        self._listen(connection),
                        self._report(connection),
                        self._hurry.wait(),
                    )
                    await run_until_first(self._farewell(connection, qos=1), self._hurry.wait())
                    if self._hurry.is_set():  # else the status might stay "online"
                        await self._farewell(connection, qos=0)
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
        await connection.client.subscribe(f"{self._base}/status", qos=1)
        for channel in self._channels.values():
            await channel.birth(connection)
        await connection.publish(f"{self._base}/status", b"online", retain=True, kind=TEXT)

    async def _farewell(self, connection: Connection, qos: int) -> None:
        """Announce a clean end; at QoS 0 without waiting for the broker."""
        for channel in self._channels.values():
            await channel.farewell(connection, qos)
        await connection.publish(f"{self._base}/status", b"stopped", qos=qos, retain=True, kind=TEXT)

    async def _deliver(self, connection: Connection) -> None:
        """Publish events, one by one so that the order stays, then what bridges say; return when leaving, all out."""
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
            for messages in (channel.messages for channel in self._channels.values()):
                while messages and self._journal.peek() is None:
                    message = messages[0]
                    await connection.publish(message.topic, message.payload, retain=message.retain, kind=JSON)
                    with contextlib.suppress(ValueError):  # dropped meanwhile to make room
                        messages.remove(message)
            if self._journal.peek() is not None:
                continue
            if self._closing.is_set():
                return
            await self._queued.wait()

    async def _listen(self, connection: Connection) -> None:
        """Obey commands and guard our status until the connection breaks."""
        commanded = {channel.topic("set"): channel for channel in self._channels.values()}
        async for message in connection.client.messages:
            topic, payload = str(message.topic), message.payload
            if topic.endswith("/status"):
                if not message.retain and payload != self._status(topic):
                    self._forged.add(topic)
                elif message.retain and payload == b"online" and topic == f"{self._base}/status":
                    self._warn_of_another()
            elif topic in commanded and not message.retain and payload:
                # a retained command was meant for another time, and an empty one deletes that
                commanded[topic].obey(payload)

    def _status(self, topic: str) -> bytes:
        """Return what a topic of ours, the node's or a stream's, has to say."""
        said = (one.status for one in self._channels.values() if one.topic("status") == topic)
        return next(said, b"online")

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
        channels, published = list(self._channels.values()), time.monotonic()
        for channel in channels:
            await channel.publish_stats(connection, self._delivery)
        while True:
            await asyncio.sleep(_BATCH)
            due = time.monotonic() - published >= _REPEAT
            for channel in channels:
                await channel.report(connection, due=due)
            while self._forged:  # by another process of the node, its will, or anybody
                topic = self._forged.pop()
                await connection.publish(topic, self._status(topic), retain=True, kind=TEXT)
            if due:
                published = time.monotonic()
                for channel in channels:
                    await channel.publish_stats(connection, self._delivery)
