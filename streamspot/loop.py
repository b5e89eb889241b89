"""The event loop of the program, on which MQTT works on every system."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run_to_end(main: Coroutine[Any, Any, T]) -> T:
    """Do what ``asyncio.run`` does, on a loop that can watch sockets, as aiomqtt must; Windows' default cannot."""
    factory = asyncio.SelectorEventLoop if sys.platform == "win32" else None
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)


def watches_sockets() -> bool:
    """Tell whether the running loop can call back when a socket has something to read."""
    return type(asyncio.get_running_loop()).add_reader is not asyncio.AbstractEventLoop.add_reader
