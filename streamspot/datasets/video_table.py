"""A CSV file of which the rows of one video are replaced; all that others wrote in it stays as it stands."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from streamspot.datasets.tables import csv_lines_of, one_form
from streamspot.errors import DataError
from streamspot.files import write_atomically

NOT_UTF8 = "the name of the video is not UTF-8, as the table of labels is; rename the video"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table.

    Attributes:
        text: As it stands in the file, with its line end.
        cells: By the name of their column; of columns that have one name the last counts.
    """

    text: str
    cells: Mapping[str, str]

    def is_of(self, video: str) -> bool:
        """Tell whether it is about a video of that name."""
        return one_form(self.cells.get("video", "")) == one_form(video)


Rewritten = tuple[Row | None, Mapping[str, object]]
"""A row as it stands, None for a new one, and the cells of it that change."""


@dataclass(frozen=True, slots=True)
class _Content:
    """What stands in a table.

    Attributes:
        head: The text of its first row.
        names: Of its columns.
        rows: All others, empty ones too.
        longest: Cells of the longest row.
    """

    head: str
    names: Sequence[str]
    rows: Sequence[Row]
    longest: int


class VideoTable:
    """A CSV file with a column ``video``, of which the rows of one video are replaced at a time.

    Rows of other videos, and cells that others wrote, are kept as they stand in the file at that moment.

    Args:
        path: The file; it need not exist.
        columns: Those of a new file; one that an existing file lacks is added as soon as it holds something.
        needed: Those that an existing file must have.
    """

    def __init__(self, path: Path, columns: Sequence[str], needed: Sequence[str] = ("video",)) -> None:
        self.path = path
        self.columns = columns
        self._needed = needed
        self._known = ""  # all that stood in it when it was last read or written

    def rows(self) -> list[Row]:
        """Return the rows that are not empty.

        Raises:
            DataError: It is no such table.
        """
        return [row for row in self._read().rows if any(row.cells.values())]

    def of(self, video: str) -> list[Row]:
        """Return the rows of one video."""
        return [row for row in self.rows() if row.is_of(video)]

    def replace(self, video: str, rows: Sequence[Rewritten]) -> None:
        """Let the rows of a video be these; the file is written whole or not at all, and not if nothing changes.

        Args:
            video: Its name.
            rows: All that there are to be.

        Raises:
            DataError: It cannot be read or written.
        """
        there = self._read()
        names = [*there.names, *self._missing(there, [cells for _, cells in rows])]
        mine = [row.text for row in there.rows if row.is_of(video)]
        after = [_text(there, names, row, cells) for row, cells in rows]
        if after == mine:
            return
        end, more = _end(there.head), names[len(there.names) :]
        head = there.head.rstrip("\r\n") + "," + _line(more, end) if more else there.head
        others = [row.text for row in there.rows if not row.is_of(video)]
        content = "".join(
            text if text.endswith(("\n", "\r")) else text + end for text in (head, *others, *after)
        )
        self._write(content)

    def restore(self) -> None:
        """Write the file again as it was last read or written, if it is there no longer.

        Raises:
            DataError: It cannot be written.
        """
        if self._known and not self.path.exists():
            self._write(self._known)

    def _write(self, content: str) -> None:
        try:
            with write_atomically(self.path) as part:
                part.write_bytes(content.encode())
        except OSError as error:
            raise DataError(
                f"{self.path} cannot be written ({error.strerror}); make room or mend it"
            ) from None
        except UnicodeEncodeError:
            raise DataError(NOT_UTF8) from None
        self._known = content

    def _missing(self, there: _Content, changes: Sequence[Mapping[str, object]]) -> list[str]:
        """Return the columns to add: none, or those that hold something, behind the end of the longest row."""
        filled = {name for cells in changes for name, value in cells.items() if value not in (None, "")}
        missing = [name for name in self.columns if name in filled and name not in there.names]
        return [*[""] * (there.longest - len(there.names)), *missing] if missing else []

    def _read(self) -> _Content:
        try:
            table = csv_lines_of(self.path) if self.path.exists() else []
        except OSError as error:
            raise DataError(
                f"{self.path} cannot be read ({error.strerror}); mend it or move it away"
            ) from None
        if not table:
            return _Content(_line(self.columns, "\n"), self.columns, [], 0)
        (head, cells), *rows = table
        names = [cell.strip().lower() for cell in cells]
        if missing := [name for name in self._needed if name not in names]:
            raise DataError(
                f"{self.path} has no column {missing[0]!r}; its first row must name {', '.join(self._needed)}: mend "
                "it, or move it away"
            )
        self._known = "".join(text for text, _ in table)
        found = [Row(text, dict(zip(names, cells, strict=False))) for text, cells in rows]
        return _Content(head, names, found, max(len(cells) for _, cells in table))


def _end(text: str) -> str:
    """Return the line end of a row."""
    return text[len(text.rstrip("\r\n")) :] or "\n"


def _line(cells: Sequence[object], end: str) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end).writerow(cells)
    return text.getvalue()


def _text(there: _Content, names: Sequence[str], row: Row | None, changes: Mapping[str, object]) -> str:
    """Return the text, in columns of these names, of a row with some cells changed or of a new one."""
    cells = [] if row is None else next(csv.reader(io.StringIO(row.text, newline="")))
    # a row that stood under another head
    if row is not None and dict(zip(there.names, cells, strict=False)) != row.cells:
        cells = [row.cells.get(name, "") for name in there.names]
    elif row is not None and not changes:
        return row.text
    cells += [""] * (len(names) - len(cells))
    places = {name: place for place, name in enumerate(names)}
    for name, value in changes.items():
        if name in places:
            cells[places[name]] = "" if value is None else str(value)
    return _line(cells, _end(there.head))
