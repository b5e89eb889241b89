"""Single keys from the terminal, which is as it was afterwards; what was typed meanwhile never reaches the shell."""

from __future__ import annotations

import contextlib
import os
import re
import select
import sys
from typing import Any, ClassVar, Self

from streamspot.errors import SettingsError

_NAMED = {"\t": "tab", "\x7f": "backspace", "\b": "backspace", "\x1b": "escape"}
_SEQUENCES = {"A": "up", "B": "down", "C": "right", "D": "left", "H": "home", "F": "end"}
_SEQUENCES |= {"1~": "home", "4~": "end", "7~": "home", "8~": "end"}
"""How a sequence ends, to the key it stands for; tmux and the Linux console send numbers."""
_KEY = re.compile(r"\x1b(?:\[[0-9;]*|O)([A-Za-z~])|\x1b(?:\[[0-9;]*|O)?\Z|.", re.DOTALL)
"""One key: a sequence that stands for one, the beginning of such a sequence, or a character."""

_NO_TERMINAL = "keys are read from a terminal and there is none; run this in a terminal"


class Keys:
    """Reads keys as they are pressed, without Enter and without waiting, until the block ends.

    They come from standard input, or from the terminal of the process if that is something else. Ctrl-C stays
    Ctrl-C. While the process is in the background it neither reads nor changes the terminal.

    Args:
        gone: The key to return once the terminal has gone, empty for none.

    Raises:
        SettingsError: There is no terminal (on entering).

    Example:
        >>> with Keys() as pressed:  # doctest: +SKIP
        ...     print(pressed())
    """

    def __init__(self, *, gone: str = "") -> None:
        self._gone = gone
        self._rest = ""  # the beginning of a sequence, the end of which is still to come
        self._terminal: _Windows | _Posix | None = None

    def __enter__(self) -> Self:
        self._terminal = _Windows() if sys.platform == "win32" else _Posix()
        return self

    def __call__(self) -> list[str]:
        """Return the keys pressed since the last call: characters in small letters, or names such as ``left``."""
        if self._terminal is None:
            return []
        try:
            new = self._terminal.pressed()
        except OSError:
            return [self._gone] if self._gone else []
        keys, self._rest = parsed(self._rest + new, final=not new)
        return keys

    def __exit__(self, *_: object) -> None:
        self.restore()

    def restore(self) -> None:
        """Make the terminal as it was and forget what has been typed; once is enough."""
        terminal, self._terminal = self._terminal, None
        if terminal is not None:
            terminal.restore()


def parsed(text: str, *, final: bool) -> tuple[list[str], str]:
    """Return the keys of what was typed, and the beginning of a sequence at its end unless that is final."""
    keys: list[str] = []
    for found in _KEY.finditer(text):
        typed, letter = found[0], found[1]
        if letter:
            key = _SEQUENCES.get(typed[2:] if letter == "~" else letter)
            keys += [key] if key else []
        elif typed[0] == "\x1b" and found.end() == len(text) and not final:
            return keys, typed
        else:
            keys.append(_NAMED.get(typed[0], typed[0].lower()))
    return keys, ""


class _Windows:
    """The console of Windows, which gives single keys without being switched."""

    _ARROWS: ClassVar = {
        "K": "\x1b[D",
        "M": "\x1b[C",
        "H": "\x1b[A",
        "P": "\x1b[B",
        "G": "\x1b[H",
        "O": "\x1b[F",
    }

    def __init__(self) -> None:
        if sys.stdin is None or not sys.stdin.isatty():
            raise SettingsError(_NO_TERMINAL)

    def pressed(self) -> str:
        """Return the keys pressed since the last call."""
        import msvcrt  # noqa: PLC0415 - only there

        console: Any = msvcrt  # its functions are unknown to type checkers elsewhere
        keys = ""
        while console.kbhit():
            key = console.getwch()
            keys += self._ARROWS.get(console.getwch(), "") if key in {"\x00", "\xe0"} else key
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
