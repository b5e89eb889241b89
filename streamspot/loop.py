"""The event loop of the program: on every system MQTT works on it, and signals are heard."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run_to_end(main: Coroutine[Any, Any, T]) -> T:
    """Do what ``asyncio.run`` does, on a loop that can watch sockets, as aiomqtt must; Windows' default cannot."""
    factory = asyncio.SelectorEventLoop if sys.platform == "win32" else None
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)


def on_signals(act: Callable[[], object]) -> None:
    """Call ``act`` at Ctrl-C, SIGTERM and, unless that is ignored (``nohup``), at the end of the terminal."""
    loop = asyncio.get_running_loop()

    def told(*_: object) -> None:
        if loop.is_closed():
            raise KeyboardInterrupt
        loop.call_soon_threadsafe(act)

    numbers = [signal.SIGINT, signal.SIGTERM]
    if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    for number in numbers:
        try:
            loop.add_signal_handler(number, act)
        except NotImplementedError:  # Windows' loops have none
            signal.signal(number, told)


def watches_sockets() -> bool:
    """Tell whether the running loop can call back when a socket has something to read."""
    return type(asyncio.get_running_loop()).add_reader is not asyncio.AbstractEventLoop.add_reader
