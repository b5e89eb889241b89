"""Ctrl-C while the program is still starting, and the termination signal where nothing else handles it."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def ending_at_once() -> Iterator[None]:
    """Let Ctrl-C end the process without a word, with exit code 130, while modules are imported.

    A KeyboardInterrupt there may come out as anything: numpy's native modules turn it into an ImportError.
    A Ctrl-C that is ignored (``nohup``) or handled by somebody else stays so.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextlib.contextmanager
def terminated_in_order() -> Iterator[None]:
    """Let a termination signal leave the block as an exception, with exit code 143, so that all is put in order."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
