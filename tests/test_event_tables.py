"""Promises to analysts: tables of phases and of expressions, typed, that grow from run to run."""

from __future__ import annotations

import csv
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from brokers import make_event, make_update

from streamspot.destinations import check_outputs
from streamspot.errors import SettingsError
from streamspot.sinks.columns import EXPRESSIONS, PHASES, Table
from streamspot.sinks.table import EventTable
from streamspot.sinks.writer import Host


async def two_runs(path: Path, table: Table) -> None:
    """Write onset and offset of an expression in each of two runs over one recording."""
    for run in ("r1", "r2"):
        async with EventTable(path, table, Host()) as sink:
            await sink.take(make_update(make_event(0, "onset", run=run), make_event(1, "offset", run=run)))


async def test_a_csv_of_phases_grows_from_run_to_run(tmp_path: Path):
    """A row a phase, unknown moments empty; the run tells two runs over one recording apart."""
    path = tmp_path / "events.csv"
    await two_runs(path, PHASES)
    with path.open(newline="") as file:
        rows: list[dict[str, Any]] = list(csv.DictReader(file))
    assert [row["phase"] for row in rows] == ["onset", "offset"] * 2
    assert [row["offset_tick"] for row in rows] == ["", "19"] * 2
    assert [row["run"] for row in rows] == ["r1", "r1", "r2", "r2"]
    assert rows[1]["onset_time"] == "2026-11-22T10:00:00.333333Z"


async def test_a_csv_of_expressions_has_one_row_each(tmp_path: Path):
    """Onset, apex, offset and duration stand side by side; what is not finished is not there."""
    path = tmp_path / "expressions.csv"
    await two_runs(path, EXPRESSIONS)
    with path.open(newline="") as file:
        rows: list[dict[str, Any]] = list(csv.DictReader(file))
    assert [row["run"] for row in rows] == ["r1", "r2"]
    assert list(rows[0]) == list(EXPRESSIONS.columns)
    assert (rows[0]["onset_tick"], rows[0]["apex_tick"], rows[0]["offset_tick"]) == ("10", "19", "19")
    assert float(rows[0]["duration"]) == 0.3


async def test_a_table_takes_rows_of_its_own_kind_only(tmp_path: Path):
    """Phases are not appended to a file of expressions, nor the other way round."""
    await two_runs(tmp_path / "phases.csv", PHASES)
    await two_runs(tmp_path / "expressions.csv", EXPRESSIONS)
    check_outputs({"log": tmp_path / "phases.csv", "expressions": tmp_path / "expressions.csv"}, "0")
    for flag, name in (("log", "expressions.csv"), ("expressions", "phases.csv")):
        with pytest.raises(SettingsError, match="name another file"):
            check_outputs({flag: tmp_path / name}, "0")


async def test_two_tables_are_not_mixed_in_one_folder(tmp_path: Path):
    """A folder of Parquet takes the rows of its own table; another table, or another program's, only by force."""
    pytest.importorskip("pyarrow.parquet", exc_type=ImportError)
    path = tmp_path / "t.parquet"
    await two_runs(path, PHASES)
    check_outputs({"log": path}, "0")
    with pytest.raises(SettingsError, match="name another folder, or add --force"):
        check_outputs({"expressions": path}, "0")
    check_outputs({"expressions": path}, "0", force=True)
    (tmp_path / "other.parquet").mkdir()
    check_outputs({"log": tmp_path / "other.parquet"}, "0")
    (tmp_path / "other.parquet" / "part.parquet").write_text("no table")
    with pytest.raises(SettingsError, match="name another folder, or add --force"):
        check_outputs({"log": tmp_path / "other.parquet"}, "0")


async def test_rows_are_glued_to_nothing_that_an_editor_has_saved(tmp_path: Path):
    """A table whose last line lost its end, or that has a column of the user's own, grows by whole rows."""
    path = tmp_path / "expressions.csv"
    await two_runs(path, EXPRESSIONS)
    head, *rows = path.read_text().splitlines()
    path.write_text("\n".join((f"{head},remark", *(f"{row},good" for row in rows))))
    check_outputs({"expressions": path}, "0")
    await two_runs(path, EXPRESSIONS)
    with path.open(newline="") as file:
        found = list(csv.DictReader(file))
    assert [row["run"] for row in found] == ["r1", "r2"] * 2
    assert [row["remark"] for row in found] == ["good"] * 2 + [None] * 2


async def test_by_force_a_table_takes_the_place_of_a_file_with_other_columns(tmp_path: Path):
    """No row is written below the columns of another program; a column that was taken out is one, too."""
    path = tmp_path / "expressions.csv"
    columns = list(EXPRESSIONS.columns)
    for head in ("name,age", ",".join(columns[:7] + columns[8:]), ",".join(columns[:-1])):
        path.write_text(f"{head}\nann,3\n")
        with pytest.raises(SettingsError, match="--force"):
            check_outputs({"expressions": path}, "0")
        check_outputs({"expressions": path}, "0", force=True)
        await two_runs(path, EXPRESSIONS)
        with path.open(newline="") as file:
            assert [list(row) for row in csv.DictReader(file)] == [columns] * 2


async def test_parquet_is_typed(tmp_path: Path):
    """Times are time stamps in UTC, numbers numbers, what is unknown null; the folder is one table."""
    parquet = pytest.importorskip("pyarrow.parquet", exc_type=ImportError)
    await two_runs(tmp_path / "events.parquet", PHASES)
    table = parquet.read_table(tmp_path / "events.parquet")
    kinds = {field.name: str(field.type) for field in table.schema}
    assert {kinds[f"{name}_time"] for name in ("onset", "apex", "offset", "decided_at")} == {
        "timestamp[us, tz=UTC]"
    }
    assert (kinds["onset_tick"], kinds["onset_pts"], kinds["phase"]) == ("int64", "double", "string")
    rows = sorted(table.to_pylist(), key=lambda row: (row["run"], row["seq"]))
    assert [row["offset_tick"] for row in rows] == [None, 19] * 2
    assert rows[1]["onset_time"] == datetime(2026, 11, 22, 10, 0, 0, 333333, tzinfo=UTC)


@pytest.mark.parametrize("table", [PHASES, EXPRESSIONS])
async def test_a_table_without_an_expression_is_a_table(tmp_path: Path, table: Table):
    """A quiet recording is a normal result: no row, all columns with their types, and the next run goes on there."""
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow.parquet", exc_type=ImportError)
    for name, read in (("t.csv", pandas.read_csv), ("t.parquet", pandas.read_parquet)):
        async with EventTable(tmp_path / name, table, Host()) as sink:
            await sink.take(make_update())
        nothing = read(tmp_path / name)
        assert (list(nothing), len(nothing)) == (list(table.columns), 0)
        await two_runs(tmp_path / name, table)
        some = read(tmp_path / name)
        assert list(some) == list(table.columns)
        assert set(some["run"]) == {"r1", "r2"}


async def test_pandas_polars_and_duckdb_read_the_tables(tmp_path: Path):
    """Each of them opens the folder by its name and computes with times and durations."""
    pandas, polars, duckdb = (pytest.importorskip(name) for name in ("pandas", "polars", "duckdb"))
    pytest.importorskip("pyarrow.parquet", exc_type=ImportError)
    path = tmp_path / "expressions.parquet"
    await two_runs(path, EXPRESSIONS)
    lasted = (pandas.read_parquet(path).eval("offset_time - onset_time")).dt.total_seconds()
    assert list(lasted) == pytest.approx([0.3, 0.3])
    frame = polars.read_parquet(path)
    assert frame.schema["onset_time"] == polars.Datetime("us", "UTC")
    assert frame["duration"].to_list() == [0.3, 0.3]
    query = "select count(distinct run), epoch(max(offset_time)) from read_parquet(?)"
    (found,) = duckdb.execute(query, [f"{path}/*.parquet"]).fetchall()
    assert found == (2, pytest.approx(datetime(2026, 11, 22, 10, 0, 0, 633333, tzinfo=UTC).timestamp()))


async def test_without_pyarrow_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Who lacks the optional package is told its name."""
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(SettingsError, match=r"streamspot\[parquet\]"):
        async with EventTable(tmp_path / "t.parquet", PHASES, Host()):
            pass


async def test_a_table_of_another_kind_is_refused(tmp_path: Path):
    """The endings that work are named, and so is a place that does not."""
    with pytest.raises(SettingsError, match="csv"):
        EventTable("events.xlsx", PHASES, Host())
    with pytest.raises(SettingsError, match="name another place"):
        async with EventTable(tmp_path / "nowhere" / "events.csv", PHASES, Host()):
            pass
