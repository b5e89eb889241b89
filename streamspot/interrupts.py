"""The termination signal, where nothing else handles it."""

import contextlib
import signal
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def terminated_in_order() -> Iterator[None]:
    """Let a termination signal leave the block as an exception, with exit code 143, so that all is put in order."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
