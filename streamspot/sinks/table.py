"""Tables for analysts: the events as CSV or Parquet, the curve as CSV."""

from __future__ import annotations

import contextlib
import csv
import io
import time
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from streamspot.errors import SettingsError, needs
from streamspot.files import line_has_ended, make_private, write_atomically
from streamspot.sinks.columns import CURVE, Table
from streamspot.sinks.lines import LineFile, LineTarget
from streamspot.sinks.writer import BackgroundWriter, Host
from streamspot.types import Update

_PART = 500  # rows, or
_AGE = 60.0  # s, after which what is in memory becomes a Parquet file
_ROW_BYTES = 4096  # of a row in memory, roughly


Row = dict[str, Any]


class EventTable:
    """Appends a row for each event that has one in this table, from run to run.

    ``events.csv`` is one file, each row written at once. ``events.parquet`` is a folder of parts,
    as pandas, Polars, DuckDB and Arrow read it by the folder's name; a part is written every 500 rows, every
    minute a row comes, and at the end. Times are text in CSV and time stamps in Parquet.

    Both are written in the background, see ``BackgroundWriter``; a process that is killed loses the rows of the part
    that was not due.

    Args:
        path: Ends in ``.csv`` or ``.parquet``.
        table: What it holds, ``PHASES`` or ``EXPRESSIONS``.
        host: The run around it.

    Raises:
        SettingsError: Another ending, a place that cannot be written, or pyarrow is missing (on entering).
    """

    def __init__(self, path: str | Path, table: Table, host: Host) -> None:
        self._path = Path(path)
        self._table = table
        if self._path.suffix not in {".csv", ".parquet"}:
            raise SettingsError(f"{path} is neither .csv nor .parquet; name a file with one of these endings")
        plain = self._path.suffix == ".csv"
        self._target = _CsvRows(self._path, table, host) if plain else _ParquetParts(self._path, table)
        self._writer = BackgroundWriter(self._target, str(path), host)
        self._rows: list[Row] = []  # that are not handed over yet
        self._since = 0.0

    async def __aenter__(self) -> Self:
        self._target.check()
        await self._writer.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hand_over()
        await self._writer.close()

    async def take(self, update: Update) -> None:
        """Append the rows."""
        for event in update.events:
            row = self._table.row(event)
            if row is None:
                continue
            self._since = self._since if self._rows else time.monotonic()
            self._rows.append(row)
        if len(self._rows) >= self._target.part or time.monotonic() - self._since >= self._target.age:
            self._hand_over()

    def _hand_over(self) -> None:
        if self._rows:
            self._writer.put(self._rows, _ROW_BYTES * len(self._rows), len(self._rows))
            self._rows = []


class _CsvRows:
    """A CSV file that grows by rows."""

    part, age = 1, 0.0

    def __init__(self, path: Path, table: Table, host: Host) -> None:
        self._path = path
        self._columns = list(table.columns)
        self._tell = host.tell
        self._lines: LineTarget

    def check(self) -> None:
        """Need nothing."""

    def open(self) -> None:
        """Open it: below its last row, on a line of its own; what is no such table is begun anew.

        A table without a row has the names of its columns all the same.
        """
        names = ",".join(self._columns).encode()
        head = _head(self._path, len(names))
        self._lines = LineTarget(self._path, append=head in {b"", names}, tell=self._tell)
        self._lines.open()
        with contextlib.suppress(OSError):  # then they are written with the first rows
            if head == names and not line_has_ended(self._path):  # an editor has saved it so
                self._lines.write(b"\n")
            self.write([])

    def close(self) -> None:
        """Close it."""
        self._lines.close()

    def write(self, rows: list[Row]) -> None:
        """Append rows, below the names of the columns if they are the first."""
        text = io.StringIO()
        writer = csv.DictWriter(text, self._columns, lineterminator="\n")
        if self._lines.empty():
            writer.writeheader()
        writer.writerows(rows)
        self._lines.write(text.getvalue().encode())


def _head(path: Path, count: int) -> bytes:
    """Return the first bytes of a file; nothing of one that is not there, or is none."""
    with contextlib.suppress(OSError):
        if path.is_file():
            with path.open("rb") as file:
                return file.read(count)
    return b""


def write_parquet(rows: list[Row], table: Table, path: Path) -> None:
    """Write rows as one Parquet file.

    Raises:
        SettingsError: pyarrow is missing.
        OSError: The file cannot be written.
    """
    pa = _pyarrow()
    types = {int: pa.int64(), float: pa.float64(), str: pa.string(), datetime: pa.timestamp("us", "UTC")}
    schema = pa.schema([(name, types[kind]) for name, kind in table.columns.items()])
    columns = {
        name: pa.array([row[name] for row in rows], pa.string() if table.columns[name] is datetime else None)
        for name in schema.names
    }
    with path.open("wb") as file:
        pa.parquet.write_table(pa.table(columns).cast(schema), file)


def columns_of(part: Path) -> list[str]:
    """Return the names of the columns of a Parquet file, none if it is no such file.

    Raises:
        SettingsError: pyarrow is missing.
    """
    try:
        return list(_pyarrow().parquet.read_schema(part).names)
    except (OSError, ValueError):
        return []


def _pyarrow() -> Any:
    try:
        import pyarrow as pa  # noqa: PLC0415  (an extra)
        import pyarrow.parquet  # noqa: PLC0415
    except ImportError as error:
        raise SettingsError(needs("Parquet", "pyarrow", "parquet", error)) from None
    return pa


class _ParquetParts:
    """A folder of Parquet files."""

    part, age = _PART, _AGE

    def __init__(self, path: Path, table: Table) -> None:
        self._path = path
        self._table = table
        self._count = 0

    def check(self) -> None:
        """See whether pyarrow is there."""
        _pyarrow()

    def open(self) -> None:
        """Make the folder."""
        try:
            make_private(self._path)
        except OSError as error:
            raise SettingsError(
                f"{self._path} is not writable ({error.strerror}); name another place"
            ) from None

    def write(self, rows: list[Row]) -> None:
        """Write a part of its own; readers never see half of it. A folder that was removed is made again."""
        name = f"part-{time.time_ns()}-{self._count:06d}.parquet"
        self._count += 1
        self._path.mkdir(0o700, exist_ok=True)
        with write_atomically(self._path / name) as part:
            write_parquet(rows, self._table, part)

    def close(self) -> None:
        """Leave a part without rows where there is none: its schema makes the folder a table."""
        if not any(self._path.glob("*.parquet")):
            self.write([])


class IntensityCsv(LineFile):
    """The curve of one face, a row a tick: ``tick,pts,intensity,macro,micro``.

    With several faces the rows of each are marked by a sixth column, ``face``.

    Args:
        path: File, overwritten, or ``-`` for standard output.
        faces: Whether more than one face may come.
        host: The run around it.
    """

    def __init__(self, path: str | Path, *, faces: bool = False, host: Host) -> None:
        super().__init__(path, host, headed=True)
        self._faces = faces

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self.write((CURVE + (",face\n" if self._faces else "\n")).encode())
        return self

    async def take(self, update: Update) -> None:
        """Hand over a row for each tick judged."""
        rows = [
            f"{score.tick},{score.pts:.6f},{score.intensity:.6f},{score.macro:.6f},{score.micro:.6f}"
            + (f",{face}\n" if self._faces else "\n")
            for face, score in update.scores
        ]
        if rows:
            self.write("".join(rows).encode())
