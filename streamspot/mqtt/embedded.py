"""A broker inside this process, for a first look without setting anything up; not for production."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator

from streamspot.errors import BrokerError

_HOST = "127.0.0.1"
USUAL_PORT = 1883
"""The port at which subscribers expect a broker."""
_PATIENCE = 0.5
"""Seconds the broker is given to end."""


@contextlib.asynccontextmanager
async def embedded_broker(port: int | None = 0) -> AsyncIterator[str]:
    """Run an MQTT 3.1.1 broker on this machine's loopback and yield its address.

    Args:
        port: 0 takes a free one, None the usual one, 1883, if it is free and another if not.

    Raises:
        BrokerError: The port is taken.
    """
    from amqtt.broker import Broker  # noqa: PLC0415 - takes a while, and few runs need it

    for name in ("amqtt", "transitions"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if port is None:
        port = USUAL_PORT if _is_free(USUAL_PORT) else 0
    if not port:
        with socket.socket() as probe:
            probe.bind((_HOST, 0))
            port = probe.getsockname()[1]
    broker = Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"{_HOST}:{port}"}},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
    )
    try:
        await broker.start()
    except Exception as error:  # noqa: BLE001  (amqtt wraps whatever happened)
        raise BrokerError(
            f"the demo broker cannot listen on {_HOST}:{port} ({error}); choose another"
        ) from None
    try:
        yield f"mqtt://{_HOST}:{port}"
    finally:
        # amqtt never closes a connection on which nothing was said, and Python 3.12's servers wait for their last one
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await broker.shutdown()


def _is_free(port: int) -> bool:
    try:
        socket.create_server((_HOST, port)).close()
    except OSError:
        return False
    return True
