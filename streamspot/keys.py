"""Single keys from the terminal, which is as it was afterwards; what was typed meanwhile never reaches the shell."""

from __future__ import annotations

import contextlib
import os
import select
import sys
from typing import Any, Self

from streamspot.errors import SettingsError

_NO_TERMINAL = "keys are read from a terminal and there is none; run this in a terminal"


class Keys:
    """Reads keys as they are pressed, without Enter and without waiting, until the block ends.

    They come from standard input, or from the terminal of the process if that is something else. Ctrl-C stays
    Ctrl-C. While the process is in the background it neither reads nor changes the terminal.

    Args:
        gone: What to return once the terminal has gone.

    Raises:
        SettingsError: There is no terminal (on entering).

    Example:
        >>> with Keys() as pressed:  # doctest: +SKIP
        ...     print(pressed())
    """

    def __init__(self, *, gone: str = "") -> None:
        self._gone = gone
        self._terminal: _Windows | _Posix | None = None

    def __enter__(self) -> Self:
        self._terminal = _Windows() if sys.platform == "win32" else _Posix()
        return self

    def __call__(self) -> str:
        """Return the keys pressed since the last call, in small letters."""
        if self._terminal is None:
            return ""
        try:
            return self._terminal.pressed().lower()
        except OSError:
            return self._gone

    def __exit__(self, *_: object) -> None:
        self.restore()

    def restore(self) -> None:
        """Make the terminal as it was and forget what has been typed; once is enough."""
        terminal, self._terminal = self._terminal, None
        if terminal is not None:
            terminal.restore()


class _Windows:
    """The console of Windows, which gives single keys without being switched."""

    def __init__(self) -> None:
        if sys.stdin is None or not sys.stdin.isatty():
            raise SettingsError(_NO_TERMINAL)

    def pressed(self) -> str:
        """Return the keys pressed since the last call."""
        import msvcrt  # noqa: PLC0415 - only there

        console: Any = msvcrt  # its functions are unknown to type checkers elsewhere
        keys = ""
        while console.kbhit():
            keys += console.getwch()
        return keys

    def restore(self) -> None:
        """Forget what has been typed."""
        self.pressed()


class _Posix:
    """A terminal whose line discipline is switched off, but for signals, while this process is in the foreground."""

    def __init__(self) -> None:
        self._before: list[Any] = []
        try:
            if sys.stdin is not None and sys.stdin.isatty():
                self._fd = os.dup(sys.stdin.fileno())
            else:
                self._fd = os.open("/dev/tty", os.O_RDONLY)
            self._switch()
        except (OSError, ValueError):
            raise SettingsError(_NO_TERMINAL) from None

    def pressed(self) -> str:
        """Return the keys pressed since the last call; an OSError says that the terminal has gone."""
        self._switch()
        keys = b""
        while self._foreground() and select.select([self._fd], [], [], 0)[0]:
            read = os.read(self._fd, 1024)
            if not read:
                raise OSError
            keys += read
        return keys.decode("utf-8", "ignore")

    def restore(self) -> None:
        """Make the terminal as it was and forget what has been typed."""
        import termios  # noqa: PLC0415 - not on Windows

        with contextlib.suppress(OSError, termios.error):  # it has gone
            if self._foreground():
                if self._before:
                    termios.tcsetattr(self._fd, termios.TCSANOW, self._before)
                termios.tcflush(self._fd, termios.TCIFLUSH)
        os.close(self._fd)

    def _switch(self) -> None:
        """Take single keys from now on; a shell may have switched it back while the process was suspended."""
        import termios  # noqa: PLC0415
        import tty  # noqa: PLC0415

        try:
            mode = termios.tcgetattr(self._fd)
            if mode[3] & termios.ICANON and self._foreground():
                self._before = mode
                tty.setcbreak(self._fd, termios.TCSANOW)
        except termios.error as error:
            raise OSError from error

    def _foreground(self) -> bool:
        """Whether the terminal is this process's to use: it is stopped by the system if it tries nevertheless."""
        try:
            return os.tcgetpgrp(self._fd) == os.getpgrp()
        except OSError:  # not the terminal that controls it
            return True
