"""What is converted: the finished expressions of a file of events, on tiers of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from streamspot.errors import DataError
from streamspot.events import read_events, time_lines
from streamspot.motion.moved import in_words
from streamspot.types import TICK_RATE, Event


@dataclass(frozen=True, slots=True)
class Expression:
    """A finished expression, in seconds of the source, which may be negative.

    Attributes:
        event: Its final event.
        start: Onset.
        apex: When it was strongest.
        end: Offset, at least a tick after the onset.
        tier: Whose it is: ``face 0``, with the stream's name where there are several.
    """

    event: Event
    start: float
    apex: float
    end: float
    tier: str

    @property
    def text(self) -> str:
        """Kind, strength, and what moved."""
        moved = in_words(self.event.moved)
        return f"{self.event.kind} {self.event.intensity:.2f}" + (f" ({moved})" if moved else "")

    def from_zero(self) -> Expression:
        """Return what of it lies after time 0."""
        return replace(self, start=max(0.0, self.start), apex=max(0.0, self.apex))


def read_expressions(path: Path) -> list[Expression]:
    """Return the finished expressions of a file of events, in order of onset.

    Where two of one face overlap, which is rare, the later one has a tier of its own, since no annotation may overlap
    another on its tier.

    Raises:
        DataError: It is no file of events, or holds the events of several runs of one stream.
    """
    events = read_events(path)
    final = [event for event in events if event.offset is not None]
    final.sort(key=lambda event: (event.onset.pts, event.stream, event.face))
    streams = {event.stream for event in final}
    if len(time_lines(events)) > len({event.stream for event in events}):
        raise DataError(
            f"{path} holds several runs over one stream, or one that a fleet moved; give the events of each a file "
            "of their own"
        )
    found: list[Expression] = []
    for event in final:
        assert event.offset is not None  # noqa: S101 - chosen above
        start = event.onset.pts
        end = max(event.offset.pts, start + 1 / TICK_RATE)
        apex = start if event.apex is None else min(max(event.apex.pts, start), end)
        name = f"face {event.face}" if len(streams) == 1 else f"{event.stream} face {event.face}"
        found.append(Expression(event, start, apex, end, _free(name, start, found)))
    return found


def _free(name: str, start: float, others: Sequence[Expression]) -> str:
    """Return the first tier of that name on which nothing is under way."""
    busy = {one.tier for one in others if one.end > start}
    number, tier = 1, name
    while tier in busy:
        number += 1
        tier = f"{name} ({number})"
    return tier
