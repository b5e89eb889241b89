"""``annotations.csv``: one row an expression; every fault is named by its row."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from streamspot.datasets.recording import Instance
from streamspot.datasets.tables import FPS, no_frame, rate_in, records_of, whole
from streamspot.errors import DataError, cut, first_few
from streamspot.types import KINDS, Kind

COLUMNS = ("video", "subject", "fps", "frames", "kind", "onset", "apex", "offset", "point")
"""The columns of the file; ``fps``, ``frames`` and ``point`` may be left out."""

MISSING = (20, 10)
"""Frames after the onset at which an offset and an apex that are missing are assumed (the paper's code)."""

AROUND = {"macro": 10, "micro": 5}
"""Frames on either side of a point that stand for the expression where nothing else of it is known."""

NO_LABEL = frozenset({"unsure", "rejected"})
"""Kinds of the rows of ``points.csv`` that name no expression."""

MERGED = "merged cells of a spreadsheet leave all but the first empty"
"""Why a cell may be empty that a user sees filled."""


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

    def within(self, frames: int, where: str, faults: Faults, *, strict: bool = False) -> list[Instance]:
        """Return the expressions; what lies behind the last frame is a fault.

        Offsets are moved there instead, with ``strict`` only such as lie one frame behind.
        """
        kept, final = [], frames - 1
        for row, one in zip(self.rows, self.instances, strict=True):
            last = max(one.apex, one.point or 0, one.offset - 1 if strict and one.bounded else 0)
            if last > final:
                what = f"frame {last} lies behind the last, {final}"
                faults.add(
                    f"{where}, row {row}", what, "number frames from 0 and check that the video is whole"
                )
            elif one.bounded and one.offset > final:
                what = f"offset {one.offset} lies behind the last frame, taken as {final}"
                faults.assume(f"{where}, row {row}", what)
            kept.append(replace(one, offset=min(one.offset, final)))
        return kept


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
        """Raise all faults as one ``DataError``, if there are any."""
        if self.found:
            raise DataError("\n".join(first_few(self.found, "more of the kind")))


def annotate(
    video: Annotated,
    row: int,
    where: str,
    kind: str,
    frames: Iterable[int | None],
    *,
    faults: Faults,
    point: int | None = None,
    first: int = 0,
    missing: tuple[int, int] = MISSING,
) -> None:
    """Add an expression to a video, and note in ``faults`` what is assumed or wrong.

    A faulty row adds none, nor does one that says what another has said.

    ``frames`` are onset, apex and offset as the file counts them from ``first`` (0 or 1) on, None where it does not
    say; the point counts from 0. A missing offset becomes onset + ``missing[0]``, a missing apex or one outside the
    instance becomes onset + ``missing[1]`` or the middle of a shorter instance (the rules of the paper's code). Where
    only the point is given the expression is not bounded: it stands for ``AROUND`` frames on either side.
    """
    onset, apex, offset = (None if frame is None else frame - first for frame in frames)
    if onset == -1 and first == 1:  # some rows say onset 0 in files that count from 1
        faults.assume(where, "onset 0 in a table that counts from 1, taken as the first frame")
        onset = 0
    if kind not in KINDS:
        remedy = "write macro or micro" + ("" if kind else f"; {MERGED}")
        faults.add(where, f"kind is {cut(repr(kind))}", remedy)
        return
    bounded = point is None or not onset is apex is offset is None
    if point is not None and not bounded:
        onset, apex, offset = max(0, point - AROUND[kind]), point, point + AROUND[kind]
    if onset is None or onset < 0:
        faults.add(where, f"onset is {onset}", "give the first frame of the expression, 0 or more")
        return
    assumed = []
    if offset is None:
        assumed.append("offset")
        offset = onset + missing[0]
        faults.assume(where, f"no offset, taken as onset + {missing[0]}")
    if offset < onset:
        what = f"offset {offset} lies before onset {onset}"
        faults.add(where, what, "give the last frame, or leave it empty")
        return
    if apex is None or not onset <= apex <= offset:
        said = "no apex" if apex is None else f"apex {apex} lies outside {onset}-{offset}"
        assumed.append("apex")
        apex = onset + min(missing[1], (offset - onset) // 2)
        faults.assume(where, f"{said}, taken as {apex}")
    if point is not None and not onset <= point <= offset:
        faults.assume(where, f"point {point} lies outside {onset}-{offset} and is used as it is")
    named: Kind = "macro" if kind == "macro" else "micro"
    one = Instance(named, onset, apex, offset, point, bounded, tuple(assumed))
    if one in video.instances:
        faults.assume(where, "a label that stands there twice, taken once")
        return
    video.instances.append(one)
    video.rows.append(row)


def frame_of(row: Mapping[str, str], key: str, where: str, faults: Faults) -> int | None:
    """Return the frame in a cell, None if it is empty or negative; anything else is a fault."""
    if no_frame(cell := row.get(key, "")):
        faults.add(where, f"{key} is {cut(cell)!r}", "count whole frames, from 0, or leave it empty")
    return whole(cell)


def has_frame(row: Mapping[str, str]) -> bool:
    """Tell whether a row gives a frame."""
    return any(whole(row.get(key)) is not None for key in ("point", "onset", "apex", "offset"))


def tells_of_expression(row: Mapping[str, str]) -> bool:
    """Tell whether a row is about an expression; one with neither kind nor frame says that its video was seen."""
    return bool(row.get("kind")) or has_frame(row)


def is_label(row: Mapping[str, str]) -> bool:
    """Tell whether a row is a label that counts; one with a frame and no kind is, and is a fault."""
    return tells_of_expression(row) and row["kind"].lower() not in NO_LABEL


def rate_of(row: Mapping[str, str], where: str, faults: Faults) -> float | None:
    """Return the frames a second that a row gives, None if it gives none; anything else is a fault."""
    cell = row.get("fps", "")
    if (rate := rate_in(cell)) is None and cell:
        faults.add(where, f"fps is {cut(cell)!r}", f"give a number from {FPS[0]:g} to {FPS[1]:g}, or nothing")
    return rate


def read_annotations(path: Path, faults: Faults, missing: tuple[int, int] = MISSING) -> dict[str, Annotated]:
    """Read the videos and their expressions; a video without one has a row with an empty kind.

    Raises:
        DataError: The file is missing or lacks a column.
    """
    videos: dict[str, Annotated] = {}
    for number, row in records_of(path, ("video", "subject", "kind", "onset", "apex", "offset")):
        where, name, subject = f"{path}, row {number}", row["video"], row["subject"]
        if not name or not subject:
            faults.add(where, "video or subject is empty", f"name both in every row; {MERGED}")
            continue
        fps, frames = rate_of(row, where, faults), frame_of(row, "frames", where, faults)
        video = videos.setdefault(name, Annotated(name, subject, fps, frames))
        if (video.subject, video.fps) != (subject, fps):
            what = f"{name} has another subject or fps than in an earlier row"
            faults.add(where, what, "make them the same")
        *marks, point = (frame_of(row, key, where, faults) for key in ("onset", "apex", "offset", "point"))
        if tells_of_expression(row):
            annotate(video, number, where, row["kind"], marks, faults=faults, point=point, missing=missing)
    return videos


def write_annotations(path: Path, videos: Iterable[Annotated]) -> None:
    """Write the videos and their expressions in the form ``read_annotations`` takes."""
    rows: list[Sequence[object]] = []
    for video in videos:
        head = (video.name, video.subject, "" if video.fps is None else f"{video.fps:g}", video.frames)
        rows += [
            (*head, i.kind, *_bounds(i), "" if i.point is None else i.point) for i in video.instances
        ] or [(*head, "", "", "", "", "")]
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])


def _bounds(one: Instance) -> tuple[object, object, object]:
    """Return what is annotated of onset, apex and offset."""
    return (one.onset, one.apex, one.offset) if one.bounded else ("", "", "")
