"""Events as JSON lines, and files that are written line by line."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from streamspot.errors import SettingsError
from streamspot.events import encode
from streamspot.types import Update


class LineFile:
    """A file or, for ``-``, standard output; every line is with the operating system once written.

    Args:
        path: File, overwritten, or ``-`` for standard output.

    Raises:
        SettingsError: The file cannot be created (on entering), or written.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    async def __aenter__(self) -> Self:
        if str(self._path) == "-":
            if sys.stdout is None:
                raise SettingsError("the standard output is closed; open it, or name a file instead of -")
            self._file = sys.stdout.buffer
            return self
        try:
            self._file = Path(self._path).open("wb")  # noqa: ASYNC230, SIM115
        except OSError as error:
            raise SettingsError(f"{self._path} is not writable ({error.strerror}); name another") from None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None and str(self._path) != "-":
            with contextlib.suppress(OSError):  # a full disk has been reported already
                self._file.close()
        self._file = None

    def write(self, lines: bytes) -> None:
        """Write whole lines."""
        if self._file is None:
            return
        try:
            self._file.write(lines)
            self._file.flush()
        except BrokenPipeError:
            raise SettingsError(
                "nobody reads the standard output any more, so the run ends; name a file to go on without a reader"
            ) from None
        except OSError as error:
            place = "the standard output" if str(self._path) == "-" else self._path
            raise SettingsError(
                f"{place} cannot be written ({error.strerror}); free some space or choose another file"
            ) from None


class JsonLines(LineFile):
    """One CloudEvent a line, the very bytes that MQTT carries; ``tail -f`` sees each at once.

    Args:
        path: File, overwritten, or ``-`` for standard output.
        node: Name of this machine or installation.
    """

    def __init__(self, path: str | Path, *, node: str) -> None:
        super().__init__(path)
        self._node = node

    async def take(self, update: Update) -> None:
        """Write the events."""
        for event in update.events:
            self.write(encode(event, node=self._node) + b"\n")
