"""Events as JSON lines: one CloudEvent each, the very bytes that MQTT carries."""

from __future__ import annotations

from pathlib import Path

from streamspot.events import encode
from streamspot.sinks.lines import LineFile
from streamspot.sinks.writer import Host
from streamspot.types import Update


class JsonLines(LineFile):
    """One CloudEvent a line, the very bytes that MQTT carries; ``tail -f`` sees each at once.

    Args:
        path: File, overwritten, or ``-`` for standard output.
        node: Name of this machine or installation.
        host: The run around it.
    """

    def __init__(self, path: str | Path, *, node: str, host: Host) -> None:
        super().__init__(path, host)
        self._node = node

    async def take(self, update: Update) -> None:
        """Hand the events over."""
        for event in update.events:
            self.write(encode(event, node=self._node) + b"\n")
