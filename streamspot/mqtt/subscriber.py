"""Receive events from a broker: ``async for received in subscribe("mqtt://host")``."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections import OrderedDict
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Self, TypeVar

import aiomqtt

from streamspot.errors import BrokerError, SettingsError, StreamspotError
from streamspot.events import decode, topic_name
from streamspot.mqtt.address import Broker
from streamspot.mqtt.connection import Connection, Dialler, backoff
from streamspot.mqtt.paho import quiet_loop
from streamspot.types import Event

T = TypeVar("T")

_RUNS = 256
"""Streams (node, run, stream) that are remembered; beyond them, the one silent for longest is forgotten."""


@dataclass(frozen=True, slots=True)
class Received:
    """An event as it arrived, for the first time.

    Attributes:
        event: What happened.
        node: Machine or installation that published it.
        missed: How many events of this run, directly before this one, have not arrived.
        payload: The message, with what a later version may have added.
    """

    event: Event
    node: str
    missed: int
    payload: bytes


class Seen:
    """Remembers which numbers have come, in memory that grows with gaps and not with time."""

    def __init__(self) -> None:
        self._spans: list[list[int]] = []  # inclusive, ascending, never touching

    def add(self, number: int) -> int | None:
        """Return how many numbers are missing directly before this new one; None if it came before.

        Before the first number nothing counts as missing.
        """
        spans = self._spans
        for place in range(len(spans) - 1, -1, -1):
            low, high = spans[place]
            if low <= number <= high:
                return None
            if number > high:
                break
        else:
            place = -1
        missing = number - spans[place][1] - 1 if place >= 0 else 0
        following = spans[place + 1][0] if place + 1 < len(spans) else None
        if missing == 0 and place >= 0:
            spans[place][1] = number
        else:
            place += 1
            spans.insert(place, [number, number])
        if following == number + 1:
            spans[place][1] = spans.pop(place + 1)[1]
        del spans[:-1000]
        return missing


class Incoming(ABC, Generic[T]):
    """What comes from a broker on some topics, understood; a connection that breaks is made anew.

    Attributes:
        refused: Messages that were not understood.

    Args:
        dialler: Connects to the broker.
        topics: Their filters.
    """

    def __init__(self, dialler: Dialler, *topics: str) -> None:
        self.refused = 0
        self._dialler = dialler
        self._topics = topics
        self._open: contextlib.AsyncExitStack | None = None
        self._connection: Connection

    @abstractmethod
    def _take(self, topic: str, payload: bytes) -> T | None:
        """Return what a message says, None if nothing new; raises StreamspotError if it is not understood."""

    async def __aenter__(self) -> Self:
        await self._connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._disconnect()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        if self._open is None:
            await self._connect()
        while True:
            try:
                message = await anext(self._connection.client.messages)
            except aiomqtt.MqttError:
                await self.reconnect()
                continue
            if not any(map(message.topic.matches, self._topics)):
                continue  # amqtt 0.12 sends a new client the retained messages of everybody's subscriptions
            try:
                taken = self._take(
                    str(message.topic), message.payload if isinstance(message.payload, bytes) else b""
                )
            except StreamspotError:
                self.refused += 1
                continue
            if taken is not None:
                return taken

    async def _connect(self) -> None:
        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(quiet_loop())
            self._connection = await stack.enter_async_context(self._dialler.connect())
            for topic in self._topics:
                await self._connection.subscribe(topic)
            self._open = stack.pop_all()

    async def _disconnect(self) -> None:
        stack, self._open = self._open, None
        if stack is not None:
            with contextlib.suppress(BrokerError, aiomqtt.MqttError):
                await stack.aclose()

    async def reconnect(self) -> None:
        """Make the connection anew, however long that takes."""
        await self._disconnect()
        attempt = 0
        while True:
            try:
                await self._connect()
            except BrokerError:
                attempt += 1
                await asyncio.sleep(backoff(attempt))
            else:
                return


class Subscription(Incoming[Received]):
    """Events of a broker, each once, in the order of arrival; see ``subscribe``."""

    def __init__(self, dialler: Dialler, topic: str) -> None:
        super().__init__(dialler, topic)
        self.duplicates = 0
        self._seen: OrderedDict[tuple[str, str, str], Seen] = OrderedDict()  # by node, run, stream

    def _take(self, topic: str, payload: bytes) -> Received | None:
        event = decode(payload)
        node = topic.split("/")[1]
        key = (node, event.run, event.stream)
        seen = self._seen.setdefault(key, Seen())
        self._seen.move_to_end(key)
        if len(self._seen) > _RUNS:
            self._seen.popitem(last=False)
        missed = seen.add(event.seq)
        if missed is None:
            self.duplicates += 1
            return None
        return Received(event, node, missed, payload)


def filter_of(node: str, stream: str, last: str) -> str:
    """Return the filter of a topic of one or all nodes (``+``) and streams.

    Raises:
        SettingsError: A name is none.
    """
    for level in (node, stream):
        if level != "+" and topic_name(level) != level:
            raise SettingsError(f"{level!r} is no name of a node or stream; give one name, or + for all")
    return f"streamspot/{node}/{stream}/{last}"


def subscribe(url: str, *, node: str = "+", stream: str = "+", client_id: str | None = None) -> Subscription:
    """Return the events of a broker as an asynchronous iterator: duplicates dropped, gaps counted, for ever.

    ``async with subscribe(url) as events`` is connected and subscribed from its first line on and disconnects
    at the end; a bare ``async for`` connects at the first step. A connection that breaks is made anew.

    Args:
        url: ``mqtt[s]://[user@]host[:port]`` or ``ws[s]://…``; password from STREAMSPOT_MQTT_PASSWORD.
        node: Only this machine or installation.
        stream: Only this source.
        client_id: A name of your own makes the broker keep events for you while you are away.

    Raises:
        BrokerError: The first connection fails (on entering or at the first step).
        SettingsError: The address makes no sense, or a name is none.
    """
    topic, broker = filter_of(node, stream, "event"), Broker.parse(url)
    dialler = Dialler(broker) if client_id is None else Dialler(broker, client_id, persistent=True)
    return Subscription(dialler, topic)
