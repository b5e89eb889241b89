"""A connection to a broker, whatever the transport and the MQTT version.

What aiomqtt leaves to its user is done here: giving up in seconds, closing half-open connections, telling a refused
message from an accepted one, and turning failures into sentences; what of that depends on the inside of aiomqtt and
paho-mqtt stands in ``paho.py``.

MQTT 5 is spoken on request only. Trying it first does not work: amqtt 0.12 misreads a CONNECT of version 5 with a
will and waits for ever instead of refusing it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import re
import secrets
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import aiomqtt
from aiomqtt.exceptions import MqttConnectError
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from streamspot.credentials import MQTT_PASSWORD
from streamspot.errors import BrokerError
from streamspot.loop import watches_sockets
from streamspot.mqtt.address import Broker
from streamspot.mqtt.paho import close, hear_refusals, paho_of, second_handle, write_at_once

TIMEOUT = 4.0
"""Seconds for any answer of the broker; after it the connection is given up and made anew."""
KEEPALIVE = 10
"""Seconds of silence after which client and broker ask each other whether they are still there."""

_LINGER = 0.5
"""Seconds that a broker has, once we have left, to read what was sent before."""

_MAX_PACKET = 128 * 1024
"""Bytes of the longest packet that a broker may send us, told on MQTT 5; no event and no command is near it."""

_FAILED = 0x80
"""Codes of a broker's answer from which on it is a refusal."""

_FOR_NOW = {136, 137, 159}
"""Codes of a refusal that passes: the broker is not ready, busy, or asked too often."""

_REMEDIES: dict[Any, str] = {
    132: "add ?version=5 to its address, or take it away",
    133: "give another --client-id",
    **dict.fromkeys((134, 135), f"check user and password ({MQTT_PASSWORD})"),
    154: "let it take retained messages (mosquitto: retain_available true)",
    155: "let it take messages at QoS 1 (mosquitto: max_qos 1)",
}
"""What to do about other refusals, by their code; of MQTT 3.1.1 paho-mqtt makes those of MQTT 5."""

_QUIET = logging.getLogger(__name__)
_QUIET.setLevel(logging.CRITICAL)
"""Takes what aiomqtt logs of a connection that breaks; the publisher says it in its own words."""


class RefusedError(BrokerError):
    """The broker answered, and does not want us; trying again soon is of no use."""


@dataclass(slots=True)
class Connection:
    """An open connection; every method raises aiomqtt.MqttError once it is broken."""

    client: aiomqtt.Client
    v5: bool
    _refusals: dict[object, str]
    """Task that waits for a message's acknowledgement → why the broker dropped the message."""

    async def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 1,
        retain: bool = False,
        kind: str = "",
        expiry: int = 0,
    ) -> None:
        """Publish, and at QoS 1 wait for the acknowledgement.

        Args:
            topic: Where to.
            payload: What.
            qos: 0 or 1.
            retain: Whether the broker keeps it for later subscribers.
            kind: Content type, told on MQTT 5.
            expiry: Seconds after which it is of no use any more (0: never), told on MQTT 5.

        Raises:
            BrokerError: The broker took the message and says that it dropped it (MQTT 5).
        """
        properties = _told(kind, expiry) if self.v5 and (kind or expiry) else None
        self._refusals.pop(sender := asyncio.current_task(), None)
        await self.client.publish(topic, payload, qos, retain, properties)
        if refusal := self._refusals.pop(sender, ""):
            raise RefusedError(f"the broker refuses messages to {topic} ({refusal}); check its access rules")

    async def subscribe(self, topic: str, *, marked: bool = False) -> None:
        """Subscribe; if ``marked``, on MQTT 5 a retained message keeps its mark, without which a new one has none.

        Raises:
            RefusedError: The broker says that it does not allow it.
        """
        if marked and self.v5:
            options = SubscribeOptions(qos=1, retainAsPublished=True)
            granted = await self.client.subscribe(topic, options=options)
        else:
            granted = await self.client.subscribe(topic, qos=1)
        codes = [one.value if isinstance(one, ReasonCode) else int(one) for one in granted]
        if any(code >= _FAILED for code in codes):
            raise RefusedError(f"the broker refuses a subscription to {topic}; check its access rules")


@dataclass(slots=True)
class Dialler:
    """Makes connections to one broker.

    Attributes:
        broker: Where to.
        client_id: Name of the MQTT session. It stays the same from connection to connection: a broker that
            has not noticed the end of the old one would publish its will after the new one's birth.
        persistent: The broker keeps the session's messages while we are away.
    """

    broker: Broker
    client_id: str = field(default_factory=lambda: f"streamspot-{secrets.token_hex(6)}")
    persistent: bool = False

    @contextlib.asynccontextmanager
    async def connect(self, *, will: tuple[str, bytes] | None = None) -> AsyncIterator[Connection]:
        """Connect, and disconnect at the end.

        Args:
            will: Topic and payload, plain text, that the broker publishes, retained, if we vanish or fail.

        Raises:
            RefusedError: Credentials, certificate or version are not accepted.
            BrokerError: There is no such broker, it does not answer, or the connection broke.
        """
        with _sentences(self.broker):
            async with self._connection(will) as connection:
                yield connection

    @contextlib.asynccontextmanager
    async def _connection(self, will: tuple[str, bytes] | None) -> AsyncIterator[Connection]:
        if not watches_sockets():
            raise BrokerError(
                "MQTT does not work on this event loop, the default of Windows; give asyncio.Runner "
                "loop_factory=asyncio.SelectorEventLoop"
            )
        await self._reach()
        web = self.broker.scheme in {"ws", "wss"}
        client = aiomqtt.Client(
            self.broker.host,
            self.broker.port,
            username=self.broker.user,
            password=self.broker.password,
            identifier=self.client_id,
            protocol=aiomqtt.ProtocolVersion.V5 if self.broker.v5 else aiomqtt.ProtocolVersion.V311,
            will=self._will(*will) if will else None,
            transport="websockets" if web else "tcp",
            websocket_path=self.broker.path if web else None,
            tls_context=self.broker.tls(),
            timeout=TIMEOUT,
            keepalive=KEEPALIVE,
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
            logger=_QUIET,
            **self._session(),
        )
        paho_of(client).connect_timeout = TIMEOUT
        write_at_once(client)
        connection = Connection(client, self.broker.v5, hear_refusals(client))
        with contextlib.ExitStack() as stack:
            stack.callback(close, client)
            async with contextlib.AsyncExitStack() as leaving:
                with _answering(self.broker):
                    await leaving.enter_async_context(client)
                try:
                    yield connection
                except BaseException:
                    if will is not None:  # which a broker of whom we take leave does not publish
                        close(client)
                    raise
                second = stack.enter_context(second_handle(client))
            await _until_closed(second)

    async def _reach(self) -> None:
        """Fail now if nobody listens: aiomqtt connects in a thread that nothing could interrupt."""
        host, port = self.broker.host, self.broker.port
        try:
            async with asyncio.timeout(TIMEOUT):
                _, writer = await asyncio.open_connection(host, port)
        except (OSError, TimeoutError) as error:
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
            raise aiomqtt.MqttError(reason or "no answer") from None
        writer.close()

    def _will(self, topic: str, payload: bytes) -> aiomqtt.Will:
        properties = None
        if self.broker.v5:
            properties = Properties(PacketTypes.WILLMESSAGE)  # type: ignore[no-untyped-call]
            properties.ContentType = "text/plain"
        return aiomqtt.Will(topic, payload, qos=1, retain=True, properties=properties)

    def _session(self) -> dict[str, Any]:
        if not self.broker.v5:
            return {"clean_session": not self.persistent}
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.MaximumPacketSize = _MAX_PACKET
        if self.persistent:
            properties.SessionExpiryInterval = 7 * 86400
        return {"clean_start": not self.persistent, "properties": properties}


@cache
def _told(kind: str, expiry: int) -> Properties:
    """Return what is told of a message; making it takes as long as packing the whole message."""
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    if kind:
        properties.ContentType = kind
    if expiry:
        properties.MessageExpiryInterval = expiry
    return properties


async def _until_closed(second: socket.socket) -> None:
    """Wait until the broker closes a connection that we have left.

    A broker that is behind would otherwise answer to a closed socket what was sent before, take us for dead and
    publish the will after the farewell.
    """
    second.setblocking(False)
    with contextlib.suppress(OSError, TimeoutError):
        second.shutdown(socket.SHUT_WR)
        async with asyncio.timeout(_LINGER):
            while await asyncio.get_running_loop().sock_recv(second, 1 << 16):
                pass


@contextlib.contextmanager
def _sentences(broker: Broker) -> Iterator[None]:
    """Turn the failures of a connection into errors of one sentence."""
    try:
        yield
    except MqttConnectError as error:
        code = getattr(error.rc, "value", error.rc)
        sentence = f"the broker {broker.address} refuses us ({_words(error)}); "
        if code in _FOR_NOW:
            raise BrokerError(sentence + "wait until it is ready") from None
        raise RefusedError(sentence + _REMEDIES.get(code, "its log says more")) from None
    except aiomqtt.MqttError as error:
        if isinstance(tls := error.__context__, ssl.SSLCertVerificationError):
            raise RefusedError(
                f"the certificate of {broker.address} cannot be trusted ({tls.verify_message}); "
                "name its authority with ?cafile=FILE"
            ) from None
        remedy = "check the name" if isinstance(error.__context__, socket.gaierror) else "start it"
        raise BrokerError(
            f"the broker {broker.address} is not there or went away ({_words(error)}); {remedy}"
        ) from None


@contextlib.contextmanager
def _answering(broker: Broker) -> Iterator[None]:
    """Say what to look at where something listens that does not answer as a broker does."""
    try:
        yield
    except aiomqtt.MqttError as error:
        if isinstance(error, MqttConnectError) or isinstance(error.__context__, ssl.SSLCertVerificationError):
            raise
        own = broker.scheme in {"mqtts", "wss"} and not broker.certfile
        asked = (
            ", or give it the certificate that it asks for with ?certfile=FILE&keyfile=FILE" if own else ""
        )
        raise BrokerError(
            f"{broker.address} is reached but gives no answer of a broker ({_words(error)}); "
            f"check scheme and port{asked}"
        ) from None


def _words(error: Exception) -> str:
    return re.sub(r"^\[(code|Errno)[^\]]*\] *", "", str(error)).strip().lower() or "no answer"


def backoff(attempt: int) -> float:
    """Return the seconds to wait before an attempt (1, 2, ...): 1 s doubling to 60 s, with full jitter."""
    return random.uniform(0.1, min(60.0, 2.0 ** min(attempt - 1, 10)))
