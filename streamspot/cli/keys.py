"""Single keys from the terminal and one line on it; it is as it was afterwards however the program ends."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from types import FrameType
from typing import Any, Self, TextIO

from streamspot.errors import SettingsError


class Keys:
    """Reads keys as they are pressed, without Enter and without waiting, until the block ends.

    They come from standard input, or from the terminal of the process if that is something else. Ctrl-C stays
    Ctrl-C; a termination signal ends the block in an orderly way.

    Raises:
        SettingsError: There is no terminal.

    Example:
        >>> with Keys() as pressed:  # doctest: +SKIP
        ...     print(pressed())
    """

    def __init__(self) -> None:
        self._fd = -1
        self._own = False
        self._before: list[Any] = []
        self._handler: Any = None

    def __enter__(self) -> Self:
        """Switch the terminal to single keys."""
        remedy = "labels are given by keys: run streamspot label in a terminal"
        try:
            import termios  # noqa: PLC0415 - not on Windows
            import tty  # noqa: PLC0415
        except ModuleNotFoundError:
            raise SettingsError(f"this system's terminal gives no single keys; {remedy} of Linux") from None
        try:
            if sys.stdin is not None and sys.stdin.isatty():
                self._fd = sys.stdin.fileno()
            else:
                self._fd, self._own = os.open("/dev/tty", os.O_RDONLY), True
            self._before = termios.tcgetattr(self._fd)
        except (OSError, ValueError, termios.error):
            raise SettingsError(f"there is no terminal; {remedy}") from None
        self._handler = signal.signal(signal.SIGTERM, _leave)
        tty.setcbreak(self._fd)
        return self

    def __call__(self) -> str:
        """Return the keys pressed since the last call; ``q`` if the terminal has gone."""
        pressed = b""
        while select.select([self._fd], [], [], 0)[0]:
            try:
                read = os.read(self._fd, 1024)
            except OSError:
                read = b""
            if not read:
                return "q"
            pressed += read
        return pressed.decode("utf-8", "ignore").lower()

    def __exit__(self, *_: object) -> None:
        """Restore the terminal."""
        import termios  # noqa: PLC0415

        with contextlib.suppress(termios.error):  # it has gone
            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)
        signal.signal(signal.SIGTERM, self._handler)
        if self._own:
            os.close(self._fd)


class Line:
    """One line of a terminal, drawn over and over; nothing where there is none.

    Args:
        screen: Where to draw.
    """

    def __init__(self, screen: TextIO) -> None:
        self._screen = screen
        self._drawn = -1.0
        self._said = ""

    def __call__(self, text: str, said: str) -> None:
        """Draw ``text`` and then ``said``, at most 20 times a second unless ``said`` is new."""
        now = time.monotonic()
        if not self._screen.isatty() or (now - self._drawn < 0.05 and said == self._said):
            return
        self._drawn, self._said = now, said
        width = os.get_terminal_size(self._screen.fileno()).columns or 80  # the return counts as one
        self._screen.write(f"\r{text}  {said}"[:width] + "\x1b[K")
        self._screen.flush()


def _leave(_: int, __: FrameType | None) -> None:
    sys.exit(143)
