"""The labels of one video as a value, and the changes that lead from one state of them to the next."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from streamspot.errors import DataError
from streamspot.types import Mark

Verdict = Literal[Mark, "rejected"]
"""What a coder says: an expression of a kind, perhaps one, or that an event is none."""

FrameNumber = Annotated[int, Field(ge=0, lt=10**10)]


class GivenLabel(BaseModel):
    """One verdict on a moment, or on a stretch of time where both ends are given, in frames of the video from 0."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[A-Za-z0-9-]{1,40}$", description="Tells it from the others of the video.")
    kind: Verdict
    point: FrameNumber = Field(description="A frame that shows it, best its apex.")
    onset: FrameNumber | None = None
    offset: FrameNumber | None = Field(None, description="Its last frame.")
    face: FrameNumber | None = Field(
        None, description="Whose it is, where several faces are in view at once."
    )

    @property
    def content(self) -> tuple[object, ...]:
        """What it says, its id aside: two labels of one content are one."""
        return self.kind, self.point, self.onset, self.offset, self.face

    def within(self, last: int) -> Self:
        """Return it with what lies behind the last frame at that frame."""
        marks = {"point": self.point, "onset": self.onset, "offset": self.offset}
        return self.model_copy(update={name: min(at, last) for name, at in marks.items() if at is not None})

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        """Refuse half a stretch, and a point outside it."""
        if (self.onset is None) != (self.offset is None):
            raise ValueError("give both onset and offset, or neither")
        if self.onset is not None and self.offset is not None and not self.onset <= self.point <= self.offset:
            raise ValueError(
                f"onset {self.onset}, point {self.point} and offset {self.offset} are not in order"
            )
        return self


@dataclass(frozen=True, slots=True)
class Labels:
    """What a coder says of one video.

    Attributes:
        given: The labels in order of their points.
        seen: Whether the coder has declared it seen to its end, so that no label means no expression.
    """

    given: tuple[GivenLabel, ...] = ()
    seen: bool = False

    def __bool__(self) -> bool:
        """Whether anything is said."""
        return self.seen or bool(self.given)


class Change(BaseModel):
    """One step of a coder.

    ``put`` adds a label or takes the place of the one with its id, ``remove`` takes one away, ``seen`` says whether
    the video was seen to its end; ``undo`` and ``redo`` go through what was done.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    op: Literal["put", "remove", "seen", "undo", "redo"]
    label: GivenLabel | None = None
    id: str | None = None
    seen: bool = False


def order(label: GivenLabel) -> tuple[int, int, str]:
    """Return by what labels are ordered: their frame, whose they are, their name."""
    return label.point, -1 if label.face is None else label.face, label.id


def changed(labels: Labels, change: Change) -> Labels:
    """Return the labels after a ``put``, ``remove`` or ``seen``; the same ones where it changes nothing.

    Raises:
        DataError: A ``put`` brings no label.
    """
    if change.op == "seen":
        return replace(labels, seen=change.seen)
    name = change.id if change.label is None else change.label.id
    kept = [one for one in labels.given if one.id != name]
    if change.op == "put":
        if change.label is None:
            raise DataError("a label is to be put but none is given; report this")
        kept.append(change.label)
    return replace(labels, given=tuple(sorted(kept, key=order)))


def merged(before: Labels, mine: Labels, theirs: Labels) -> Labels:
    """Return their labels with everything done to them that leads from ``before`` to mine; none of theirs is lost.

    Args:
        before: What both began with; a label that is the same there and in theirs has the same name.
        mine: After the changes that were made here.
        theirs: After the changes that were made elsewhere.
    """
    given = {one.id: one for one in theirs.given}
    known = {one.id: one for one in before.given}
    said = {one.content for one in theirs.given if one.id not in known}
    for name in known.keys() - {one.id for one in mine.given}:
        given.pop(name, None)
    for one in mine.given:
        if one != known.get(one.id) and one.content not in said:
            given[one.id] = one
    seen = theirs.seen if mine.seen == before.seen else mine.seen
    return Labels(tuple(sorted(given.values(), key=order)), seen)


class UndoHistory:
    """All states of the labels of a video since it was opened; undo and redo walk among them.

    Args:
        labels: As they were found.
    """

    def __init__(self, labels: Labels) -> None:
        self._states = [labels]
        self._place = 0

    @property
    def now(self) -> Labels:
        """The labels as they are."""
        return self._states[self._place]

    @property
    def undoable(self) -> bool:
        """Whether there is something to undo."""
        return self._place > 0

    @property
    def redoable(self) -> bool:
        """Whether there is something to redo."""
        return self._place < len(self._states) - 1

    def take(self, change: Change) -> Labels:
        """Make a change and return the labels after it; one that changes nothing leaves no trace."""
        if change.op == "undo":
            self._place = max(0, self._place - 1)
        elif change.op == "redo":
            self._place = min(len(self._states) - 1, self._place + 1)
        elif (after := changed(self.now, change)) != self.now:
            self._states[self._place + 1 :] = [after]
            self._place += 1
        return self.now

    def take_in(self, before: Labels, theirs: Labels) -> None:
        """Let every state be what it would be had it begun with their labels instead of those before."""
        self._states = [merged(before, one, theirs) for one in self._states]
