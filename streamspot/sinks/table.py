"""Tables for analysts: the events as CSV or Parquet, the curve as CSV."""

from __future__ import annotations

import csv
import io
import time
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from streamspot.errors import SettingsError
from streamspot.sinks.columns import Table
from streamspot.sinks.json import LineFile
from streamspot.types import Update

_PART = 500  # rows, or
_AGE = 60.0  # s, after which what is in memory becomes a Parquet file


class EventTable:
    """Appends a row for each event that has one in this table, from run to run.

    ``events.csv`` is one file, a row with the operating system at once. ``events.parquet`` is a folder of parts,
    as pandas, Polars, DuckDB and Arrow read it by the folder's name; a part is written every 500 rows, every
    minute a row comes, and at the end. Times are text in CSV and time stamps in Parquet.

    Args:
        path: Ends in ``.csv`` or ``.parquet``.
        table: What it holds, ``PHASES`` or ``EXPRESSIONS``.

    Raises:
        SettingsError: Another ending, a place that cannot be written, or pyarrow is missing (on entering).
    """

    def __init__(self, path: str | Path, table: Table) -> None:
        self._path = Path(path)
        self._table = table
        if self._path.suffix not in {".csv", ".parquet"}:
            raise SettingsError(f"{path} is neither .csv nor .parquet; name a file with one of these endings")
        self._rows: list[dict[str, Any]] = []
        self._since = 0.0
        self._part = 0
        self._file: io.FileIO | None = None

    async def __aenter__(self) -> Self:
        try:
            if self._path.suffix == ".csv":
                self._file = io.FileIO(self._path, "ab")
            else:
                import pyarrow.parquet as _  # noqa: F401, PLC0415  (an extra)

                self._path.mkdir(parents=True, exist_ok=True)
        except ImportError:
            raise SettingsError(
                "Parquet needs the package pyarrow; install it with: pip install 'streamspot[parquet]'"
            ) from None
        except OSError as error:
            raise SettingsError(
                f"{self._path} is not writable ({error.strerror}); name another place"
            ) from None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write_part()
        if self._file is not None:
            self._file.close()

    async def take(self, update: Update) -> None:
        """Append the rows."""
        for event in update.events:
            row = self._table.row(event)
            if row is None:
                continue
            if self._file is not None:
                self._write(row)
                continue
            self._since = self._since if self._rows else time.monotonic()
            self._rows.append(row)
            if len(self._rows) >= _PART or time.monotonic() - self._since >= _AGE:
                self._write_part()

    def _write(self, row: dict[str, Any]) -> None:
        assert self._file is not None  # noqa: S101
        text = io.StringIO()
        writer = csv.DictWriter(text, row, lineterminator="\n")
        if self._file.seek(0, io.SEEK_END) == 0:
            writer.writeheader()
        writer.writerow(row)
        try:
            self._file.write(text.getvalue().encode())
        except OSError as error:
            raise SettingsError(f"{self._path} is not writable ({error.strerror}); free some space") from None

    def _write_part(self) -> None:
        if not self._rows:
            return
        import pyarrow as pa  # noqa: PLC0415
        from pyarrow import parquet  # noqa: PLC0415

        types = {int: pa.int64(), float: pa.float64(), str: pa.string(), datetime: pa.timestamp("us", "UTC")}
        schema = pa.schema([(name, types[kind]) for name, kind in self._table.columns.items()])
        name = f"part-{time.time_ns()}-{self._part:06d}.parquet"
        self._part += 1
        columns = {column: [row[column] for row in self._rows] for column in schema.names}
        hidden = self._path / f".{name}"
        parquet.write_table(pa.table(columns).cast(schema), hidden)
        hidden.rename(self._path / name)  # readers never see half a part
        self._rows.clear()


class IntensityCsv(LineFile):
    """The curve of one face, a row a tick: ``tick,pts,intensity,macro,micro``.

    With several faces the rows of each are marked by a sixth column, ``face``.

    Args:
        path: File, overwritten, or ``-`` for standard output.
        faces: Whether more than one face may come.
    """

    def __init__(self, path: str | Path, *, faces: bool = False) -> None:
        super().__init__(path)
        self._faces = faces

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self.write(b"tick,pts,intensity,macro,micro" + (b",face\n" if self._faces else b"\n"))
        return self

    async def take(self, update: Update) -> None:
        """Write a row for each tick judged."""
        for face, score in update.scores:
            row = f"{score.tick},{score.pts:.6f},{score.intensity:.6f},{score.macro:.6f},{score.micro:.6f}"
            self.write(f"{row},{face}\n".encode() if self._faces else f"{row}\n".encode())
