"""A broker's address and a connection to it, whatever the transport and the MQTT version.

What aiomqtt 2.5 leaves to its user is done here: giving up in seconds, closing half-open connections, telling
a refused message from an accepted one, and turning failures into sentences.

MQTT 5 is spoken on request only. Trying it first does not work: amqtt 0.12 misreads a CONNECT of version 5
with a will and waits for ever instead of refusing it.
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
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import aiomqtt
from aiomqtt.exceptions import MqttConnectError
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from streamspot.errors import BrokerError, SettingsError

TIMEOUT = 4.0
"""Seconds for any answer of the broker; after it the connection is given up and made anew."""
KEEPALIVE = 10
PASSWORD = "STREAMSPOT_MQTT_PASSWORD"  # noqa: S105  (the name of the variable, not its value)

_QUIET = logging.getLogger(__name__)
_QUIET.setLevel(logging.CRITICAL)
"""What MQTT's own library logs of a connection that breaks; the sink says it in its own words."""

_PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}
_FILES = ("cafile", "certfile", "keyfile")
_CREDENTIALS = re.compile(r"//[^/@\s]*@")


def redacted(text: str) -> str:
    """Return text with user and password taken out of every address in it."""
    return _CREDENTIALS.sub("//", text)


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is and how to log in; see ``parse``."""

    scheme: str
    host: str
    port: int
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    path: str = "/mqtt"
    cafile: str | None = None
    certfile: str | None = None
    keyfile: str | None = None
    v5: bool = False

    @classmethod
    def parse(cls, url: str) -> Broker:
        """Return the broker of an address.

        ``mqtt[s]://[user@]host[:port]`` or ``ws[s]://[user@]host[:port]/path``; for TLS
        ``?cafile=…&certfile=…&keyfile=…`` name PEM files. ``?version=5`` speaks MQTT 5 instead of 3.1.1,
        which every broker knows. The password comes from the environment variable
        STREAMSPOT_MQTT_PASSWORD or from the file that STREAMSPOT_MQTT_PASSWORD_FILE names.

        Raises:
            SettingsError: The address makes no sense, or holds a password.
        """
        shown = redacted(url)
        try:
            parts = urlsplit(url if "://" in url else f"mqtt://{url}")
            port = parts.port
        except ValueError:
            raise SettingsError(f"{shown!r} is no broker address; write mqtt://host:1883") from None
        if parts.scheme not in _PORTS or not parts.hostname:
            raise SettingsError(
                f"{shown!r} is no broker address; write mqtt://host:1883, mqtts://, ws:// or wss://"
            )
        if parts.password is not None:
            raise SettingsError(
                f"the address of {parts.hostname} holds a password, which others on this machine could read; "
                f"write mqtt://user@host and put the password into the environment variable {PASSWORD}"
            )
        query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        version = query.pop("version", "3.1.1")
        if version not in {"3.1.1", "5"}:
            raise SettingsError(f"{version!r} is no version of MQTT known here; write version=5 or nothing")
        if unknown := sorted(set(query) - set(_FILES)):
            known = ", ".join(("version", *_FILES))
            raise SettingsError(f"a broker address knows no {unknown[0]!r}; choose from {known}")
        if query and parts.scheme not in {"mqtts", "wss"}:
            raise SettingsError(
                f"{shown!r} names certificates but is not encrypted; write mqtts:// or wss://"
            )
        for key, file in query.items():
            if not Path(file).is_file():
                raise SettingsError(f"the {key} {file} does not exist; name a PEM file")
        return cls(
            scheme=parts.scheme,
            host=parts.hostname,
            port=port or _PORTS[parts.scheme],
            user=unquote(parts.username) if parts.username else None,
            password=_password() if parts.username else None,
            path=parts.path or "/mqtt",
            v5=version == "5",
            **query,
        )

    @property
    def address(self) -> str:
        """The address as it may be shown: without user and password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    def tls(self) -> ssl.SSLContext | None:
        """Return the TLS context, None for plain connections.

        Raises:
            SettingsError: A certificate cannot be used.
        """
        if self.scheme not in {"mqtts", "wss"}:
            return None
        try:
            context = ssl.create_default_context(cafile=self.cafile)
            if self.certfile:
                context.load_cert_chain(self.certfile, self.keyfile)
        except (ssl.SSLError, OSError) as error:
            raise SettingsError(
                f"the certificates for {self.address} are unusable ({error}); check them"
            ) from None
        return context


def _password() -> str | None:
    if name := os.environ.get(f"{PASSWORD}_FILE"):
        try:
            return Path(name).read_text().rstrip("\r\n")
        except OSError as error:
            raise SettingsError(
                f"the password file {name} is unreadable ({error.strerror}); name another"
            ) from None
    return os.environ.get(PASSWORD)


class RefusedError(BrokerError):
    """The broker answered, and does not want us; trying again soon is of no use."""


@dataclass(slots=True)
class Connection:
    """An open connection; every method raises aiomqtt.MqttError once it is broken."""

    client: aiomqtt.Client
    v5: bool
    _refusal: str = ""

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
        properties = None
        if self.v5 and (kind or expiry):
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            if kind:
                properties.ContentType = kind
            if expiry:
                properties.MessageExpiryInterval = expiry
        self._refusal = ""
        await self.client.publish(topic, payload, qos, retain, properties)
        if qos and self._refusal:
            raise RefusedError(
                f"the broker refuses messages to {topic} ({self._refusal}); check its access rules"
            )

    def note(self, reason: ReasonCode) -> None:
        """Remember why the broker dropped a message; aiomqtt 2.5 takes a refusal for an acknowledgement."""
        if reason.is_failure:
            self._refusal = str(reason).lower()


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
            will: Topic and payload the broker publishes, retained, if we vanish.

        Raises:
            RefusedError: Credentials, certificate or version are not accepted.
            BrokerError: There is no such broker, it does not answer, or the connection broke.
        """
        with _sentences(self.broker):
            async with self._connection(will) as connection:
                yield connection

    @contextlib.asynccontextmanager
    async def _connection(self, will: tuple[str, bytes] | None) -> AsyncIterator[Connection]:
        await self._reach()
        web = self.broker.scheme in {"ws", "wss"}
        client = aiomqtt.Client(
            self.broker.host,
            self.broker.port,
            username=self.broker.user,
            password=self.broker.password,
            identifier=self.client_id,
            protocol=aiomqtt.ProtocolVersion.V5 if self.broker.v5 else aiomqtt.ProtocolVersion.V311,
            will=aiomqtt.Will(*will, qos=1, retain=True) if will else None,
            transport="websockets" if web else "tcp",
            websocket_path=self.broker.path if web else None,
            tls_context=self.broker.tls(),
            timeout=TIMEOUT,
            keepalive=KEEPALIVE,
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
            logger=_QUIET,
            **self._session(),
        )
        connection = Connection(client, self.broker.v5)
        paho = client._client  # noqa: SLF001
        paho.connect_timeout = TIMEOUT
        published = paho.on_publish

        def on_publish(a: Any, b: Any, mid: int, reason: ReasonCode, properties: Any) -> None:
            connection.note(reason)
            published(a, b, mid, reason, properties)  # type: ignore[misc,call-arg]

        paho.on_publish = on_publish
        _write_at_once(paho)
        try:
            async with client:
                yield connection
        finally:
            # aiomqtt leaves the socket open when the broker accepts and never answers, and its future unread.
            paho._sock_close()  # noqa: SLF001
            if client._disconnected.done():  # noqa: SLF001
                client._disconnected.exception()  # noqa: SLF001

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

    def _session(self) -> dict[str, Any]:
        if not self.broker.v5:
            return {"clean_session": not self.persistent}
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        if self.persistent:
            properties.SessionExpiryInterval = 7 * 86400
        return {"clean_start": not self.persistent, "properties": properties}


def _write_at_once(paho: Any) -> None:
    """Send a packet in the next step of the loop; aiomqtt waits two more for the socket to say it is writable."""
    loop, thread, wait = asyncio.get_running_loop(), threading.get_ident(), paho.on_socket_register_write

    def register(client: Any, data: Any, sock: Any) -> None:
        if threading.get_ident() == thread:
            loop.call_soon(write, client, data, sock)
        else:
            wait(client, data, sock)

    def write(client: Any, data: Any, sock: Any) -> None:
        with contextlib.suppress(OSError):  # shows again when the loop reads or writes
            client.loop_write()
        if client.want_write() and sock.fileno() >= 0:
            wait(client, data, sock)

    paho.on_socket_register_write = register


@contextlib.contextmanager
def _sentences(broker: Broker) -> Iterator[None]:
    try:
        yield
    except MqttConnectError as error:
        raise RefusedError(
            f"the broker {broker.address} refuses us ({_words(error)}); check user and password ({PASSWORD})"
        ) from None
    except aiomqtt.MqttError as error:
        if isinstance(tls := error.__context__, ssl.SSLError):
            reason = getattr(tls, "verify_message", tls.reason)
            raise RefusedError(
                f"the certificate of {broker.address} cannot be trusted ({reason}); "
                "name its authority with ?cafile=FILE"
            ) from None
        raise BrokerError(
            f"the broker {broker.address} is not there or went away ({_words(error)}); start it"
        ) from None


def _words(error: Exception) -> str:
    return re.sub(r"^\[(code|Errno)[^\]]*\] *", "", str(error)).strip().lower() or "no answer"


def backoff(attempt: int, *, longest: float = 60.0) -> float:
    """Return the seconds to wait before an attempt (1, 2, ...): 1 s doubling to 60 s, with full jitter."""
    return random.uniform(0.1, min(longest, 2.0 ** min(attempt - 1, 10)))


@contextlib.contextmanager
def quiet_loop() -> Iterator[None]:
    """Keep aiomqtt's harmless complaint about a socket that closed under it off the terminal."""
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error, text = context.get("exception"), str(context.get("message"))
        if isinstance(error, OSError | ValueError) and re.search("add_(reader|writer)", text):
            return
        if before is not None:
            before(loop, context)
        else:
            loop.default_exception_handler(context)

    loop.set_exception_handler(handle)
    try:
        yield
    finally:
        loop.set_exception_handler(before)
