"""Where events go.

A sink is an asynchronous context manager. Events are awaited and never lost; curves are handed over without
waiting and may be dropped.
"""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

from streamspot.types import Event, Score


class Sink(Protocol):
    """What the pipeline hands its results to, all from the event loop's thread."""

    async def __aenter__(self) -> Self:
        """Open what has to be open."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Flush and close."""

    async def event(self, event: Event) -> None:
        """Take an event; it is safe (written or journalled) when this returns."""

    def score(self, face: int, score: Score) -> None:
        """Take one tick of a face's curve, at once and without waiting."""
