"""Events as JSON lines, and files that are written line by line."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from streamspot.events import encode
from streamspot.sinks.writer import BackgroundWriter, Host, LineTarget
from streamspot.types import Update


class LineFile:
    """A file or, for ``-``, standard output, written in the background; see ``BackgroundWriter``.

    Args:
        path: File, overwritten, or ``-`` for standard output.
        host: The run around it.
        append: Go on behind what the file holds instead.

    Raises:
        SettingsError: The file cannot be written (on entering), or nobody reads standard output any more.
    """

    def __init__(self, path: str | Path, host: Host | None = None, *, append: bool = False) -> None:
        self.target = LineTarget(path, append=append)
        self._writer = BackgroundWriter(self.target, self.target.name, host or Host())

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


class JsonLines(LineFile):
    """One CloudEvent a line, the very bytes that MQTT carries; ``tail -f`` sees each at once.

    Args:
        path: File, overwritten, or ``-`` for standard output.
        node: Name of this machine or installation.
        host: The run around it.
    """

    def __init__(self, path: str | Path, *, node: str, host: Host | None = None) -> None:
        super().__init__(path, host)
        self._node = node

    async def take(self, update: Update) -> None:
        """Hand the events over."""
        for event in update.events:
            self.write(encode(event, node=self._node) + b"\n")
