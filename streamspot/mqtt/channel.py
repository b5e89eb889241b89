"""One stream at a broker: its topics, and what is published there beside the events."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from streamspot.commands import Command, parse
from streamspot.credentials import redacted
from streamspot.errors import StreamspotError
from streamspot.events import topic_name
from streamspot.mqtt import payloads
from streamspot.mqtt.bridges import Bridge, Message
from streamspot.mqtt.connection import Connection, RefusedError
from streamspot.stats import Delivery, Stats
from streamspot.types import Controls, Score, Update

_CURVE = 1000  # ticks kept until they are published, the latest
_MESSAGES = 200  # of bridges, that wait for a broker, the latest
JSON = "application/json"
TEXT = "text/plain"


class Channel:
    """What is published of one stream beside its events: ``status``, ``state``, ``intensity``, ``stats``, ``error``.

    Args:
        stream: Name of the stream.
        measured: What the stream measures of itself, for ``stats``.
        controls: The settings in force before the first update.
        on_command: Called, in the event loop, with each command that arrives; None obeys nobody.
        bridges: What else to publish.

    Attributes:
        messages: What bridges publish; if many wait, the oldest goes.
    """

    def __init__(
        self,
        stream: str,
        measured: Stats,
        *,
        controls: Controls = Controls(),  # noqa: B008 - frozen
        on_command: Callable[[Command], None] | None = None,
        bridges: Sequence[Bridge] = (),
    ) -> None:
        self.stream = topic_name(stream)
        self.messages: deque[Message] = deque(maxlen=_MESSAGES)
        self._measured = measured
        self._on_command = on_command
        self._bridges = bridges
        self._last = Update(controls=controls)
        self._published: object = None  # what was last published on ``state``
        self._announced = b""  # and on ``status``
        self._curve: deque[tuple[int, Score]] = deque(maxlen=_CURVE)
        self._errors: deque[str] = deque(maxlen=20)
        self._base = ""

    def below(self, node: str) -> None:
        """Take the place of its topics: below the node's."""
        self._base = f"streamspot/{node}/{self.stream}"

    def topic(self, name: str) -> str:
        """Return one of its topics."""
        return f"{self._base}/{name}"

    @property
    def status(self) -> bytes:
        """What its ``status`` says now."""
        return self._last.status.encode()

    def take(self, update: Update) -> None:
        """Take an update; its events are for others."""
        for bridge in self._bridges:
            self.messages.extend(bridge.update(update))
        self._curve.extend(update.scores)
        self._errors.extend(redacted(message) for message in update.messages)
        self._last = update

    def complain(self, message: str) -> None:
        """Publish a sentence on ``…/error``; the same once, and if many wait the oldest goes. In any thread."""
        if (message := redacted(message)) not in self._errors:
            self._errors.append(message)

    def obey(self, payload: object) -> None:
        """Hand on a command that has arrived."""
        try:
            command = parse(payload if isinstance(payload, bytes) else b"")
            if self._on_command is not None:
                self._on_command(command)
        except StreamspotError as error:
            self.complain(str(error))

    async def birth(self, connection: Connection) -> None:
        """Publish state, what bridges announce and status, which a restarted broker may have forgotten."""
        await connection.client.subscribe(self.topic("status"), qos=1)
        if self._on_command is not None:
            try:
                await connection.subscribe(self.topic("set"), marked=True)
            except RefusedError as error:
                self.complain(f"no command will be heard: {error}")
        await self._publish_state(connection)
        for message in [message for bridge in self._bridges for message in bridge.announce()]:
            try:
                await connection.publish(message.topic, message.payload, retain=message.retain, kind=JSON)
            except RefusedError as error:
                self.complain(str(error))
        await self._publish_status(connection)

    async def farewell(self, connection: Connection, qos: int) -> None:
        """Announce a clean end, unless it failed before."""
        self._last = replace(
            self._last, faces={}, status="stopped" if self._last.status == "online" else self._last.status
        )
        await self._publish_state(connection, qos)
        await self._publish_status(connection, qos)

    async def report(self, connection: Connection, *, due: bool) -> None:
        """Publish the curve, the state if it has changed or is due again, errors, and that the stream is over."""
        while self._curve:
            part = [self._curve.popleft() for _ in range(min(len(self._curve), payloads.TICKS))]
            payload = payloads.intensity(part)
            await connection.publish(self.topic("intensity"), payload, qos=0, kind=JSON, expiry=5)
        if due or payloads.state_key(self._last) != self._published:
            await self._publish_state(connection)
        while self._errors:
            message = payloads.error(self._errors[0])
            await connection.publish(self.topic("error"), message, kind=JSON)
            self._errors.popleft()
        if self.status != self._announced:
            await self._publish_status(connection)

    async def publish_stats(self, connection: Connection, delivery: Delivery) -> None:
        """Publish what the stream measures of itself."""
        payload = payloads.stats(self._measured, delivery)
        await connection.publish(self.topic("stats"), payload, kind=JSON, expiry=60)

    async def _publish_status(self, connection: Connection, qos: int = 1) -> None:
        self._announced = self.status
        await connection.publish(self.topic("status"), self._announced, qos=qos, retain=True, kind=TEXT)

    async def _publish_state(self, connection: Connection, qos: int = 1) -> None:
        self._published, payload = payloads.state_key(self._last), payloads.state(self._last)
        await connection.publish(self.topic("state"), payload, qos=qos, retain=True, kind=JSON)
