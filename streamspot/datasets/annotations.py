"""``annotations.csv``: one row an expression; every fault is named by its row."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from streamspot.datasets.recording import KINDS, Instance
from streamspot.datasets.tables import records_of
from streamspot.errors import DataError

COLUMNS = ("video", "subject", "fps", "frames", "kind", "onset", "apex", "offset", "point")
"""The columns of the file; ``fps``, ``frames`` and ``point`` may be left out."""

_NEEDED = ("video", "subject", "kind", "onset", "apex", "offset")

MISSING_OFFSET = 20
"""Frames after the onset at which an instance without an annotated offset ends (the paper's code)."""

MISSING_APEX = 10
"""Frames after the onset at which an apex is assumed that is missing or lies outside (the paper's code)."""

_SHOWN = 8
"""Faults that are told in full."""


@dataclass(slots=True)
class Annotated:
    """What is annotated of one video, in its own frames.

    Attributes:
        name: Name of the video.
        subject: Whose face it is.
        fps: Frames a second, None where the file does not say.
        frames: Number of frames, None where the file does not say.
        instances: The expressions.
        rows: Their rows in the file.
    """

    name: str
    subject: str
    fps: float | None = None
    frames: int | None = None
    instances: list[Instance] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Faults:
    """Collects all that is wrong with a file, so that a user can mend it at once and not row by row.

    Attributes:
        found: What is wrong: place, fault and remedy.
        notes: What was assumed.
    """

    found: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, where: str, what: str, remedy: str) -> None:
        """Note a fault; ``stop_if_any`` raises it."""
        self.found.append(f"{where}: {what}; {remedy}")

    def assume(self, where: str, what: str) -> None:
        """Note an assumption that was made where the annotation is incomplete."""
        self.notes.append(f"{where}: {what}")

    def stop_if_any(self) -> None:
        """Raise all faults.

        Raises:
            DataError: There are any.
        """
        if not self.found:
            return
        more = len(self.found) - _SHOWN
        tail = f"\n… and {more} more of the kind" if more > 0 else ""
        raise DataError("\n".join(self.found[:_SHOWN]) + tail)


def complete(
    where: str,
    *,
    kind: str,
    onset: int | None,
    apex: int | None,
    offset: int | None,
    point: int | None,
    faults: Faults,
    missing_offset: int = MISSING_OFFSET,
    missing_apex: int = MISSING_APEX,
) -> Instance | None:
    """Build an instance from what is annotated, and note in ``faults`` what is assumed or wrong.

    A missing offset becomes onset + ``missing_offset``, a missing apex or one outside the instance becomes
    onset + ``missing_apex`` or the middle of a shorter instance (the rules of the paper's code).

    Returns:
        None where the row is faulty.
    """
    if kind not in KINDS:
        faults.add(where, f"kind is {kind!r}", "write macro or micro")
        return None
    if onset is None or onset < 0:
        faults.add(where, f"onset is {onset}", "give the first frame of the expression, 0 or more")
        return None
    if offset is None:
        offset = onset + missing_offset
        faults.assume(where, f"no offset, taken as onset + {missing_offset}")
    if offset < onset:
        faults.add(
            where, f"offset {offset} lies before onset {onset}", "give the last frame, or leave it empty"
        )
        return None
    if apex is None or not onset <= apex <= offset:
        said = "no apex" if apex is None else f"apex {apex} lies outside {onset}-{offset}"
        apex = onset + min(missing_apex, (offset - onset) // 2)
        faults.assume(where, f"{said}, taken as {apex}")
    if point is not None and not onset <= point <= offset:
        faults.assume(where, f"point {point} lies outside {onset}-{offset} and is used as it is")
    return Instance("macro" if kind == "macro" else "micro", onset, apex, offset, point)


def _number(row: Mapping[str, str], key: str, where: str, faults: Faults) -> float | None:
    """Return a number or None for an empty field; anything else is a fault."""
    text = row.get(key, "")
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        faults.add(where, f"{key} is {text!r}", "write a number or leave the field empty")
        return None


def _frame(row: Mapping[str, str], key: str, where: str, faults: Faults) -> int | None:
    value = _number(row, key, where, faults)
    if value is not None and value != int(value):
        faults.add(where, f"{key} is {value}", "frame numbers are whole")
    return None if value is None else int(value)


def read_annotations(
    path: Path, faults: Faults, *, missing_offset: int = MISSING_OFFSET, missing_apex: int = MISSING_APEX
) -> dict[str, Annotated]:
    """Read the videos and their expressions; a video without one has a row with an empty kind.

    Raises:
        DataError: The file is missing or lacks a column.
    """
    videos: dict[str, Annotated] = {}
    for number, row in records_of(path, _NEEDED):
        where, name, subject, kind = f"{path}, row {number}", row["video"], row["subject"], row["kind"]
        if not name or not subject:
            faults.add(where, "video or subject is empty", "name both in every row")
            continue
        fps, frames = _number(row, "fps", where, faults), _frame(row, "frames", where, faults)
        if fps is not None and fps <= 0:
            faults.add(where, f"fps is {fps:g}", "give frames a second, more than 0")
        video = videos.setdefault(name, Annotated(name, subject, fps, frames))
        if (video.subject, video.fps) != (subject, fps):
            faults.add(
                where, f"{name} has another subject or fps than in an earlier row", "make them the same"
            )
        onset, apex, offset, point = (
            _frame(row, key, where, faults) for key in ("onset", "apex", "offset", "point")
        )
        if not kind and onset is None:
            continue
        instance = complete(
            where,
            kind=kind,
            onset=onset,
            apex=apex,
            offset=offset,
            point=point,
            faults=faults,
            missing_offset=missing_offset,
            missing_apex=missing_apex,
        )
        if instance is not None:
            video.instances.append(instance)
            video.rows.append(number)
    return videos


def write_annotations(path: Path, videos: Iterable[Annotated]) -> None:
    """Write the videos and their expressions in the form ``read_annotations`` takes."""
    rows: list[Sequence[object]] = []
    for video in videos:
        head = (video.name, video.subject, "" if video.fps is None else f"{video.fps:g}", video.frames)
        rows += [
            (*head, i.kind, i.onset, i.apex, i.offset, "" if i.point is None else i.point)
            for i in video.instances
        ] or [(*head, "", "", "", "", "")]
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])
