"""The terminal: who may draw on it, and where native libraries' chatter goes meanwhile."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Self

from rich.console import Console

from streamspot.files import make_private
from streamspot.settings import state_folder

_LOG_BYTES = 1 << 20
"""The log of native messages never grows far beyond one mebibyte."""
_TRIM_S = 5.0
"""Seconds between two looks at how large it is."""
_TAKES = 0.3
"""Seconds after which a terminal that has taken nothing is one that has stopped."""


def can_draw(console: Console) -> bool:
    """Tell whether a dashboard makes sense there: a terminal that can place the cursor and show braille."""
    return (
        console.is_terminal
        and not console.is_dumb_terminal
        and not console.legacy_windows
        and console.encoding.lower().replace("-", "") == "utf8"
        and os.environ.get("TERM", "") != "linux"  # the kernel's own console has no braille in its font
    )


def terminal_size(console: Console) -> tuple[int, int]:
    """Return (columns, rows) of the terminal behind ``console``, whatever the standard streams point to."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        size = os.get_terminal_size(console.file.fileno())
        if size.columns > 0 and size.lines > 0:
            return size.columns, size.lines
    return console.width, console.height


def unless_it_hangs(act: Callable[[], object]) -> None:
    """Do something with a terminal that may have stopped (Ctrl-S, nobody reads it); what hangs is left behind."""

    def work() -> None:
        with contextlib.suppress(OSError, ValueError):
            act()

    thread = threading.Thread(target=work, name="terminal", daemon=True)
    thread.start()
    thread.join(_TAKES)


@contextlib.contextmanager
def suspendable(leave: Callable[[], None], come_back: Callable[[], None]) -> Iterator[None]:
    """Give the terminal back while Ctrl-Z has stopped the process.

    Where signals cannot be handled, on Windows and in other threads than the first, nothing is done.

    Args:
        leave: Called before the process stops.
        come_back: Called when it goes on.
    """
    if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        leave()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTSTP)  # and here it goes on
        signal.signal(signal.SIGTSTP, stop)
        come_back()

    before = signal.signal(signal.SIGTSTP, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTSTP, before)


def debugging() -> bool:
    """Tell whether ``--debug`` was given."""
    return bool(os.environ.get("STREAMSPOT_DEBUG"))


class QuietStderr:
    """Keeps file descriptor 2 out of the picture: while entered it leads to a log file, which it keeps bounded.

    MediaPipe, OpenCV and FFmpeg write there from C and C++, which no Python-level redirection catches. A
    plain file and not a pipe: a full pipe would stop a library that holds the interpreter lock. The
    descriptor is restored however the block ends. With ``--debug`` it stays where it is.

    Attributes:
        path: The log. If it cannot be written it is replaced by one in the temporary directory.
        console: Draws on a private copy of the real stderr, or of stdout when only that is a terminal.

    Example:
        >>> with QuietStderr() as quiet:
        ...     quiet.console.print("still visible")  # doctest: +SKIP
    """

    def __init__(self) -> None:
        self.path = Path(os.devnull)
        self.console: Console
        self._terminal: IO[str]
        self._saved = -1
        self._start = 0
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        with contextlib.suppress(AttributeError, OSError, ValueError):
            sys.stderr.flush()
        log = os.dup(2) if debugging() else self._open()
        try:
            self._start = os.fstat(log).st_size
            self._saved = os.dup(2)
            # stdout is for data, unless only that is a terminal
            screen = 1 if os.isatty(1) and not os.isatty(2) else 2
            self._terminal = os.fdopen(os.dup(screen), "w", encoding="utf-8", errors="replace")
            self.console = Console(file=self._terminal, highlight=False, markup=False, emoji=False)
            os.dup2(log, 2)
        finally:
            os.close(log)
        threading.Thread(target=self._keep_bounded, name="native-log", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        with contextlib.suppress(AttributeError, OSError, ValueError):
            sys.stderr.flush()
        os.dup2(self._saved, 2)
        os.close(self._saved)
        unless_it_hangs(self._terminal.close)

    @property
    def written(self) -> bool:
        """Whether anything was caught since the block began."""
        with contextlib.suppress(OSError):
            return self.path.stat().st_size > self._start
        return False

    def _keep_bounded(self) -> None:
        while not self._ended.wait(_TRIM_S):
            self._trim()

    def _trim(self) -> None:
        """Forget the older half of a log that outgrew its limit."""
        with contextlib.suppress(OSError):
            if self.path.stat().st_size <= _LOG_BYTES:
                return
            with self.path.open("rb+") as log:  # written with O_APPEND: the writer follows a truncation
                log.seek(-(_LOG_BYTES // 2), os.SEEK_END)
                tail = log.read()
                log.seek(0)
                log.write(tail)
                log.truncate()
            self._start = 0

    def _open(self) -> int:
        for path in (
            state_folder() / "native.log",
            Path(tempfile.gettempdir()) / f"streamspot-{os.getpid()}.log",
        ):
            with contextlib.suppress(OSError):
                make_private(path.parent)
                log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
                self.path = path
                self._trim()  # an earlier run may have ended with much to say
                started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
                os.write(log, f"--- streamspot, process {os.getpid()}, {started}\n".encode())
                return log
        return os.open(os.devnull, os.O_WRONLY)


def _fitting(parts: Sequence[str], width: int) -> str:
    """Return the last parts that fit into a line, or the last words of the very last."""
    for gap, pieces in (("  ", parts), (" ", parts[-1].split())):
        for first in range(len(pieces)):
            if len(line := gap.join(pieces[first:])) <= width:
                return line
    return ""


class StatusLine:
    """One line of a terminal, drawn over and over; nothing where there is none."""

    def __init__(self, screen: IO[str]) -> None:
        self._screen = screen
        self._drawn = -1.0
        self._said = ""

    def __call__(self, parts: Sequence[str], said: str) -> None:
        """Draw the parts and then ``said``, at most 20 times a second unless ``said`` is new.

        Where they do not fit the first ones are left out, whole, so that no number is cut.
        """
        now = time.monotonic()
        if self._screen.isatty() and (now - self._drawn >= 0.05 or said != self._said):
            self._drawn, self._said = now, said
            width = os.get_terminal_size(self._screen.fileno()).columns or 80  # the return counts as one
            self._screen.write(f"\r{_fitting([*parts, said], width - 1)}\x1b[K")
            self._screen.flush()
