"""The file ``points.csv``: the point labels of a folder of videos, appended one by one.

It belongs to a plain folder of videos, the layout ``folder`` of ``streamspot extract``: a row names a video, whose
face it is, the kind of the expression and the frame that shows it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from streamspot.datasets.annotations import tells_of_expression
from streamspot.datasets.video_table import NOT_UTF8, Rewritten, VideoTable
from streamspot.errors import DataError
from streamspot.files import alone_beside, append_whole, line_has_ended
from streamspot.types import Mark

_HEAD = ("video", "subject", "kind", "point", "fps")
_LONGEST_HEAD = 1 << 16
"""Bytes of the first line that are read, at most, before a label is appended: it names the columns."""


class PointsFile:
    """The labels of one video in a ``points.csv``; whatever others write there, before or meanwhile, is kept.

    A label is appended at once, any other change rewrites the rows of this video, so that a label that was given is
    never lost. The video is named as seen from the file's folder.

    Raises:
        DataError: The file is no table with the columns video, subject, kind and point.
    """

    def __init__(self, path: Path, video: str, subject: str, fps: float | None) -> None:
        self._table = VideoTable(path, _HEAD, _HEAD[:4])
        rows = self._table.of(video)
        self.given = [dict(row.cells) for row in rows if row.cells.get("kind")]
        """The labels of this video, oldest first."""
        rate = "" if fps is None else f"{fps:g}"
        self._empty = {"video": video, "subject": subject, "fps": rate}
        self._watched = not all(tells_of_expression(row.cells) for row in rows)
        self._head = b"" if self._watched else self._first_line()
        """Of a file in which no row stands that a label would replace."""

    def add(self, kind: Mark, frame: int, face: int | None = None) -> None:
        """Label a frame, of the face of that number where it is known."""
        row = {**self._empty, "kind": kind, "point": str(frame)}
        if face is not None:
            row["face"] = str(face)
        with self._writing():
            if not self._append(row):
                self._rewrite([*self._labelled(), (None, row)])
        self.given.append(row)

    def undo(self) -> dict[str, str] | None:
        """Take the last label back; return it, None if there is none."""
        if not self.given:
            return None
        last = self.given[-1]
        with self._writing():
            rows = self._labelled()
            mine = [place for place, (row, _) in enumerate(rows) if row and _same(row.cells, last)]
            self._rewrite([row for place, row in enumerate(rows) if place not in mine[-1:]])
        return self.given.pop()

    def watched(self) -> None:
        """Note that the video was seen to its end, so that no label means no expression."""
        self._watched = True
        with self._writing():
            self._rewrite(self._labelled())

    def count(self, kind: Mark) -> int:
        """Return how many labels of a kind there are."""
        return sum(row["kind"] == kind for row in self.given)

    def _labelled(self) -> list[Rewritten]:
        """Return the rows of this video's labels as they are now, those that lack a kind among them."""
        return [(row, {}) for row in self._table.of(self._empty["video"]) if tells_of_expression(row.cells)]

    def _rewrite(self, rows: list[Rewritten]) -> None:
        if any("face" in cells for _, cells in rows):
            self._table.columns = (*_HEAD, "face")
        seen = [(None, self._empty)] if self._watched and not rows else []
        self._table.replace(self._empty["video"], [*rows, *seen])
        self._head = b"" if seen else self._first_line()

    def _append(self, row: dict[str, str]) -> bool:
        """Append a row if nothing else has to change: the head is known, has its columns, and a line has ended."""
        head = next(csv.reader([self._head.decode("utf-8-sig")]), [])
        names = [cell.strip().lower() for cell in head]
        if (
            not row.keys() <= set(names)
            or self._first_line() != self._head
            or not line_has_ended(self._table.path)
        ):
            return False
        text = io.StringIO()
        csv.DictWriter(text, names, restval="", lineterminator="\n").writerow(row)
        append_whole(self._table.path, text.getvalue().encode())
        return True

    def _first_line(self) -> bytes:
        try:
            with self._table.path.open("rb") as file:
                return file.readline(_LONGEST_HEAD)
        except FileNotFoundError:
            return b""

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            with alone_beside(self._table.path):
                yield
        except OSError as error:
            raise DataError(
                f"{self._table.path} cannot be written ({error.strerror}); name another with --out"
            ) from None
        except UnicodeEncodeError:
            raise DataError(NOT_UTF8) from None


def _same(cells: Mapping[str, str], label: Mapping[str, str]) -> bool:
    """Tell whether a row says what a label says."""
    return all(cells.get(name, "") == label.get(name, "") for name in ("kind", "point", "face"))
