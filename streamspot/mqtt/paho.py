"""What depends on the inside of aiomqtt 2.5.1 and paho-mqtt 2.2.0, which is why both are pinned exactly."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import aiomqtt
from paho.mqtt.client import Client as Paho
from paho.mqtt.reasoncodes import ReasonCode


def paho_of(client: aiomqtt.Client) -> Paho:
    """Return the client of paho-mqtt below, for which aiomqtt has no public name."""
    return client._client  # noqa: SLF001


def close(client: aiomqtt.Client) -> None:
    """Close what aiomqtt leaves open when a broker accepts and never answers: the socket, an unread future."""
    paho_of(client)._sock_close()  # noqa: SLF001
    if client._disconnected.done():  # noqa: SLF001
        client._disconnected.exception()  # noqa: SLF001


def second_handle(client: aiomqtt.Client) -> socket.socket:
    """Return another handle of the connection's socket, which keeps it open when the first is closed."""
    first: Any = paho_of(client).socket()
    return socket.socket() if first is None else socket.socket(fileno=socket.dup(first.fileno()))


def write_at_once(client: aiomqtt.Client) -> None:
    """Send a packet as soon as it is made; aiomqtt waits for the socket to say, in the loop, that it is writable."""
    paho: Any = paho_of(client)
    thread, wait = threading.get_ident(), paho.on_socket_register_write

    def register(_: Any, data: Any, sock: Any) -> None:
        if threading.get_ident() == thread:
            with contextlib.suppress(OSError):  # shows again when the loop reads or writes
                paho.loop_write()
        if paho.want_write() and sock.fileno() >= 0:
            wait(paho, data, sock)

    paho.on_socket_register_write = register


def hear_refusals(client: aiomqtt.Client) -> dict[object, str]:
    """Return why the broker dropped a message, by the task that waits for its acknowledgement, as soon as it says so.

    aiomqtt takes a refusal for an acknowledgement.
    """
    paho: Any = paho_of(client)
    publish, published = paho.publish, paho.on_publish
    senders: dict[int, object] = {}  # number of a message in flight → the task that waits
    refusals: dict[object, str] = {}

    def on_publish(a: Any, b: Any, mid: int, reason: ReasonCode, properties: Any) -> None:
        sender = senders.pop(mid, None)
        if reason.is_failure:
            refusals[sender] = str(reason).lower()
        published(a, b, mid, reason, properties)

    def publishing(topic: str, payload: bytes, qos: int, *rest: Any) -> Any:
        sent = publish(topic, payload, qos, *rest)
        if qos:
            senders[sent.mid] = asyncio.current_task()
        return sent

    paho.publish, paho.on_publish = publishing, on_publish
    return refusals


@contextlib.contextmanager
def quiet_loop() -> Iterator[None]:
    """Keep aiomqtt's harmless complaint about a socket that closed under it off the terminal.

    Uses may overlap in any order: the first installs the loop's handler, the last puts back what was there before.
    """
    loop = asyncio.get_running_loop()
    quiet = _KEPT_QUIET.setdefault(loop, _Quiet(loop.get_exception_handler()))
    if quiet.uses == 0:
        loop.set_exception_handler(quiet)
    quiet.uses += 1
    try:
        yield
    finally:
        quiet.uses -= 1
        if quiet.uses == 0:
            loop.set_exception_handler(_KEPT_QUIET.pop(loop).before)


@dataclass(slots=True)
class _Quiet:
    """Handles what nobody has caught in a loop, as the handler before did, but for what is harmless."""

    before: Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object] | None
    uses: int = 0

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error, text = context.get("exception"), str(context.get("message"))
        if isinstance(error, OSError | ValueError) and re.search("add_(reader|writer)", text):
            return
        if self.before is not None:
            self.before(loop, context)
        else:
            loop.default_exception_handler(context)


_KEPT_QUIET: WeakKeyDictionary[asyncio.AbstractEventLoop, _Quiet] = WeakKeyDictionary()
"""The loops that are kept quiet."""
