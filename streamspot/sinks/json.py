"""Events as JSON lines and the curve as CSV, to a file or to standard output."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from streamspot.errors import SettingsError
from streamspot.events import encode
from streamspot.types import Event, Score


class _File:
    """A file or, for ``-``, standard output; every line is with the operating system once written.

    Raises:
        SettingsError: The file cannot be created (on entering).
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

    def _write(self, line: bytes) -> None:
        if self._file is None:
            return
        try:
            self._file.write(line)
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


class JsonLines(_File):
    """One CloudEvent a line, the very bytes that MQTT carries; ``tail -f`` sees each at once.

    Args:
        path: File, overwritten, or ``-`` for standard output.
        node: Name of this machine or installation.
    """

    def __init__(self, path: str | Path, *, node: str) -> None:
        super().__init__(path)
        self._node = node

    async def event(self, event: Event) -> None:
        """Write the event; it is with the operating system when this returns."""
        self._write(encode(event, node=self._node) + b"\n")

    def score(self, face: int, score: Score) -> None:
        """Ignore the curve."""


class IntensityCsv(_File):
    """The curve of one face, a row a tick: ``tick,pts,intensity,macro,micro``.

    With several faces the rows of each are marked by a sixth column, ``face``.

    Args:
        path: File, overwritten, or ``-`` for standard output.
        faces: Whether more than one face may come.
    """

    def __init__(self, path: str | Path, *, faces: bool = False) -> None:
        super().__init__(path)
        self._faces = faces

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._write(b"tick,pts,intensity,macro,micro" + (b",face\n" if self._faces else b"\n"))
        return self

    async def event(self, event: Event) -> None:
        """Ignore the event."""

    def score(self, face: int, score: Score) -> None:
        """Write one row."""
        row = f"{score.tick},{score.pts:.6f},{score.intensity:.6f},{score.macro:.6f},{score.micro:.6f}"
        self._write(f"{row},{face}\n".encode() if self._faces else f"{row}\n".encode())
