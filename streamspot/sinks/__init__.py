"""Where updates go: a sink is an asynchronous context manager that takes every update of one stream or of all."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

from streamspot.types import Update


class Sink(Protocol):
    """What takes the updates of one stream, or of all streams of a run, from the event loop's thread."""

    async def __aenter__(self) -> Self:
        """Open what has to be open."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Flush and close."""

    async def take(self, update: Update) -> None:
        """Take an update; what may wait for a disk is written soon after, by a thread (``writer.py``)."""
