"""A coder's label files beside the videos: ``points.csv`` and, for what has both ends, ``annotations.csv``."""

from __future__ import annotations

import csv
import io
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from streamspot.datasets.annotations import COLUMNS
from streamspot.datasets.tables import csv_rows_of
from streamspot.errors import DataError, SettingsError
from streamspot.files import write_atomically
from streamspot.review.labels import COUNTED, Label, Labels, order

_MARKS = ("point", "onset", "apex", "offset")
_POINTS = ("video", "subject", "kind", "point", "fps", "onset", "apex", "offset", "face")

Row = dict[str, str]


class Table:
    """A CSV file with a column ``video``, of which the rows of one video are replaced at a time.

    Rows of other videos, and columns that others added, are kept as they stand in the file at that moment.

    Args:
        path: The file; it need not exist.
        columns: Those of a new file; what an existing one lacks of them is added.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        self._columns = columns

    def read(self) -> tuple[list[str], list[Row]]:
        """Return the columns and the rows.

        Raises:
            DataError: It is no such table.
        """
        try:
            table = csv_rows_of(self.path) if self.path.exists() else []
        except OSError as error:
            raise DataError(
                f"{self.path} cannot be read ({error.strerror}); mend it or move it away"
            ) from None
        if not table:
            return list(self._columns), []
        head = [cell.strip().lower() for cell in table[0]]
        if "video" not in head:
            raise DataError(
                f"{self.path} has no column 'video'; move it away, or name another folder with --out"
            )
        rows = [dict(zip(head, row, strict=False)) for row in table[1:] if any(row)]
        return [*head, *(name for name in self._columns if name not in head)], rows

    def of(self, video: str) -> list[Row]:
        """Return the rows of one video."""
        return [row for row in self.read()[1] if row.get("video") == video]

    def replace(self, video: str, rows: Sequence[Mapping[str, object]]) -> None:
        """Let the rows of a video be these; the file is written whole or not at all, and not if nothing changes.

        Raises:
            DataError: It cannot be read or written.
        """
        head, before = self.read()
        mine = [{name: row.get(name, "") for name in head} for row in before if row.get("video") == video]
        after = [{name: "" if row.get(name) is None else str(row[name]) for name in head} for row in rows]
        if after == mine:
            return
        content = io.StringIO()
        writer = csv.DictWriter(content, head, restval="", extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(row for row in before if row.get("video") != video)
        writer.writerows(after)
        try:
            with write_atomically(self.path) as part:
                part.write_text(content.getvalue(), encoding="utf-8")
        except OSError as error:
            raise DataError(
                f"{self.path} cannot be written ({error.strerror}); make room or mend it"
            ) from None


class LabelFiles:
    """The files of one coder in one folder: ``points.csv``, or ``points-NAME.csv`` of a coder with a name.

    ``points.csv`` is what counts: one row a label, in the form of ``streamspot extract --layout folder``, with onset
    and offset where they were given. A video stands in ``annotations.csv`` too as soon as all its expressions have
    both ends; a video that is in ``annotations.csv`` alone starts with the expressions written there.

    Args:
        folder: Where they are.
        coder: Letters, digits, ``_`` and ``-``; empty for the coder without a name.

    Raises:
        SettingsError: The name cannot be part of a file's name.
    """

    def __init__(self, folder: Path, coder: str = "") -> None:
        if not re.fullmatch(r"[A-Za-z0-9_-]{0,40}", coder):
            raise SettingsError(
                f"the coder's name {coder!r} is impossible; give up to 40 letters, digits, _ or -"
            )
        ending = f"-{coder}" if coder else ""
        self.coder = coder
        self._lock = threading.Lock()
        self.points = Table(folder / f"points{ending}.csv", _POINTS)
        self.annotations = Table(folder / f"annotations{ending}.csv", COLUMNS)

    def read(self, video: str, title: str) -> Labels:
        """Return the labels of a video.

        Args:
            video: Its name in ``points.csv``: the path as seen from the folder.
            title: Its name in ``annotations.csv``.

        Raises:
            DataError: A row cannot be understood.
        """
        table, rows = self.points, self.points.of(video)
        if not rows:
            table, rows = self.annotations, self.annotations.of(title)
        return _labels_of(rows, table.path)

    def all(self) -> dict[str, Labels]:
        """Return the labels of every video in ``points.csv``, by its name there."""
        videos: dict[str, list[Row]] = {}
        for row in self.points.read()[1]:
            videos.setdefault(row.get("video", ""), []).append(row)
        return {video: _labels_of(rows, self.points.path) for video, rows in videos.items()}

    def write(
        self, video: str, title: str, labels: Labels, *, subject: str, fps: float | None, frames: int | None
    ) -> None:
        """Write the labels of a video; other videos' rows stay.

        Raises:
            DataError: A file cannot be written; what could not be is as it was.
        """
        with self._lock:  # each writes the whole file
            rate = "" if fps is None else f"{fps:g}"
            subject = next((row["subject"] for row in self.points.of(video) if row.get("subject")), subject)
            empty = {"video": video, "subject": subject, "fps": rate}
            rows = [{**empty, **_cells(one)} for one in labels.given]
            self.points.replace(video, [*rows, empty] if labels.seen else rows)
            counted = [one for one in labels.given if one.kind in COUNTED]
            whole = all(one.onset is not None for one in counted) and (labels.seen or counted)
            empty |= {"video": title, "frames": "" if frames is None else str(frames)}
            spans = [{**empty, **_cells(one)} for one in counted]
            self.annotations.replace(title, (spans or [empty]) if whole else [])


def coders(folder: Path) -> Iterator[str]:
    """Yield the names of the coders who have labelled something in a folder; the one without a name is ''."""
    for path in sorted(folder.glob("points*.csv")):
        if match := re.fullmatch(r"points(?:-([A-Za-z0-9_-]{1,40}))?\.csv", path.name):
            yield match[1] or ""


def _cells(label: Label) -> dict[str, object]:
    """Return what both files say of a label."""
    apex = None if label.onset is None else label.point
    return {**label.model_dump(exclude={"id"}), "apex": apex}


def _labels_of(rows: Sequence[Row], path: Path) -> Labels:
    given, seen = [], False
    for number, row in enumerate(rows):
        cells = {name: (row.get(name) or "").strip().lower() or None for name in ("kind", *_MARKS, "face")}
        if cells["kind"] is None:
            seen = True
            continue
        apex = cells.pop("apex")
        cells["point"] = cells["point"] or apex
        if cells["onset"] is None or cells["offset"] is None:
            cells["onset"] = cells["offset"] = None
        try:
            given.append(Label.model_validate({"id": f"row-{number}", **cells}))
        except ValidationError as error:
            first = error.errors()[0]
            where = f"{path}, {row.get('video')} at {cells['point']}"
            what = " ".join((*(str(part) for part in first["loc"]), "cannot be used"))
            raise DataError(f"{where}: {what} ({first['msg']}); mend the row") from None
    given.sort(key=order)
    return Labels(tuple(given), seen)
