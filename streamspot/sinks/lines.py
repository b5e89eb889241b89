"""Files and standard output, written whole piece by whole piece, in the background."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from streamspot.errors import SettingsError
from streamspot.files import claim
from streamspot.sinks.writer import BackgroundWriter, Host

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)


class LineTarget:
    """A file, or standard output; every piece is written whole and is with the operating system then.

    A file that is deleted meanwhile is made anew.

    Args:
        path: File, or ``-`` for standard output.
        append: Go on behind what the file holds; otherwise it begins empty.
        headed: The first piece names what follows, and stands first in a file that is made anew, too.
        tell: Takes a sentence for the user.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        append: bool = False,
        headed: bool = False,
        tell: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._path = path
        self._append = append
        self._headed = headed
        self._tell = tell
        self._head: bytes | None = None
        self._kept = False  # in a folder, from which it may be deleted
        self._fd = -1
        self._file: Any = None  # standard output where it is no file of the system's
        self._rest = b""  # what a pipe has not taken yet of the piece that is being written
        self.name = "the standard output" if str(path) == "-" else str(path)

    def open(self) -> None:
        """Open it.

        Raises:
            SettingsError: It cannot be written, or another program is writing it from its beginning.
        """
        try:
            if str(self._path) != "-":
                self._fd = os.open(self._path, _FLAGS, 0o600)
                found = os.fstat(self._fd)
                self._kept = stat.S_ISREG(found.st_mode) and found.st_nlink > 0
                if not self._append and stat.S_ISREG(found.st_mode):
                    self._begin()
            elif sys.stdout is None:
                raise SettingsError("the standard output is closed; open it, or name a file instead of -")
            else:
                self._file = sys.stdout.buffer
                with contextlib.suppress(OSError):
                    self._fd = sys.stdout.fileno()
        except OSError as error:
            raise SettingsError(
                f"{self._path} is not writable ({error.strerror}); name another place"
            ) from None

    def _begin(self) -> None:
        """Begin the file anew, unless another program is writing it."""
        if not claim(self._fd):
            os.close(self._fd)
            raise SettingsError(f"{self._path} is being written by another run; name another place")
        os.ftruncate(self._fd, 0)

    def _renew(self) -> None:
        """Make a file anew that was deleted; one that another run has made meanwhile is waited for."""
        if not self._kept or os.fstat(self._fd).st_nlink:
            return
        anew = os.open(self._path, _FLAGS, 0o600)
        if not self._append and not claim(anew):
            os.close(anew)
            raise OSError(errno.EBUSY, "it is being written by another run")
        os.close(self._fd)
        self._fd = anew
        self._tell(
            f"{self.name} was deleted and is made anew, without what it held; leave it until the run ends"
        )
        self._tell = lambda _: None

    def empty(self) -> bool:
        """Tell whether the file holds nothing."""
        self._renew()
        return os.fstat(self._fd).st_size == 0

    def write(self, piece: bytes) -> None:
        """Write a piece; what a full disk took only a part of is cut back."""
        if self._fd < 0:
            self._file.write(piece)
            self._file.flush()
            return
        self._renew()
        ours = self._file is None and stat.S_ISREG(os.fstat(self._fd).st_mode)
        size = os.fstat(self._fd).st_size
        if self._headed and self._head is None:
            self._head = piece
        again = self._head if ours and size == 0 and self._head is not piece else None
        self._rest = self._rest or (again or b"") + piece
        try:
            while self._rest:
                self._rest = self._rest[self._take(self._rest) :]
        except OSError:
            if ours:
                os.ftruncate(self._fd, size)
                self._rest = b""
            raise

    def close(self) -> None:
        """Close the file."""
        if self._file is None:
            os.close(self._fd)

    def _take(self, piece: bytes) -> int:
        """Write some of a piece; return how many bytes."""
        try:
            return os.write(self._fd, piece)
        except BlockingIOError:  # whoever gave us the pipe made it so
            time.sleep(0.02)
            return 0
        except OSError as error:
            # Windows' word for a pipe that nobody reads
            if error.errno == errno.EINVAL and sys.platform == "win32":
                raise BrokenPipeError from None
            raise


class LineFile:
    """A file or, for ``-``, standard output, written in the background; see ``BackgroundWriter``.

    Args:
        path: File, overwritten, or ``-`` for standard output.
        host: The run around it.
        headed: Its first piece names what follows.

    Raises:
        SettingsError: The file cannot be written (on entering), or nobody reads standard output any more.
    """

    def __init__(self, path: str | Path, host: Host, *, headed: bool = False) -> None:
        self.target = LineTarget(path, headed=headed, tell=host.tell)
        self._writer = BackgroundWriter(self.target, self.target.name, host)

    async def __aenter__(self) -> Self:
        await self._writer.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._writer.close()

    def write(self, lines: bytes) -> bool:
        """Hand whole lines over; return whether there was room for them."""
        return self._writer.put(lines, len(lines))
