"""Promises about outputs that a thread writes: slow, full or gone, they never hold up the stream."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from brokers import Mosquitto, make_event, make_update, overhear, until

from streamspot.engine import Engine
from streamspot.errors import SettingsError, StreamspotError
from streamspot.events import decode
from streamspot.layers import load_settings
from streamspot.mqtt.subscriber import subscribe
from streamspot.outputs import Outputs
from streamspot.run import StreamRun
from streamspot.sinks.columns import PHASES
from streamspot.sinks.json import JsonLines
from streamspot.sinks.lines import LineFile, LineTarget
from streamspot.sinks.table import EventTable, IntensityCsv
from streamspot.sinks.writer import BackgroundWriter, Host
from streamspot.types import Event, Score


def free(disk: Path) -> None:
    """Make room."""
    subprocess.run(["mount", "-o", "remount,size=4m", str(disk)], check=True)


async def test_what_is_handed_over_is_there_at_once(tmp_path: Path):
    """``tail -f`` sees an event within a moment, long before the end of the run."""
    async with JsonLines(tmp_path / "e", node="n", host=Host()) as lines:
        for number in range(3):
            await lines.take(make_update(make_event(number)))
        await until(lambda: (tmp_path / "e").read_bytes().count(b"\n") == 3, 1.0)


async def test_a_full_disk_suspends_lines_and_loses_none(disk: Path):
    """It is said once when it begins and once when it ends; whole lines stand there all the time."""
    said: list[str] = []
    async with LineFile(disk / "e", Host(said.append)) as lines:
        for number in range(200):
            lines.write(b"%0999d\n" % number)
        await until(lambda: len(said) == 1)
        assert "No space left" in said[0]
        content = (disk / "e").read_bytes()
        assert content.endswith(b"\n")
        await asyncio.sleep(1.2)
        free(disk)
        await until(lambda: len(said) == 2, 3.0)
        assert "is written again" in said[1]
    assert [int(line) for line in (disk / "e").read_bytes().split()] == list(range(200))


@pytest.mark.parametrize("ending", ["csv", "parquet"])
async def test_a_full_disk_suspends_a_table_and_loses_no_row(
    disk: Path, ending: str, monkeypatch: pytest.MonkeyPatch
):
    """Once there is room the table has every row once, in order."""
    if ending == "parquet":
        pytest.importorskip("pyarrow.parquet", exc_type=ImportError)
        monkeypatch.setattr("streamspot.sinks.table._ParquetParts.part", 20)
    (disk / "ballast").write_bytes(bytes(50_000))
    host = Host((said := []).append)
    async with EventTable(disk / f"t.{ending}", PHASES, host) as table:
        for number in range(300):
            await table.take(make_update(make_event(number)))
        await until(lambda: len(said) == 1)
        free(disk)
        await until(lambda: len(said) == 2, 3.0)
    assert host.writers[0].complaint == ""
    if ending == "csv":
        with (disk / "t.csv").open(newline="") as file:
            rows = [int(row["seq"]) for row in csv.DictReader(file)]
    else:
        from pyarrow import parquet

        rows = sorted(parquet.read_table(disk / "t.parquet").to_pydict()["seq"])
    assert rows == list(range(300))


async def test_a_folder_of_parquet_that_was_removed_is_made_again(tmp_path: Path):
    """The next part is written; where even the folder above it has gone the end says how many rows are missing."""
    parquet = pytest.importorskip("pyarrow.parquet", exc_type=ImportError)
    path, host = tmp_path / "out" / "t.parquet", Host()
    for gone in (path, path.parent):
        async with EventTable(path, PHASES, host) as table:
            for number in range(7):
                await table.take(make_update(make_event(number)))
            shutil.rmtree(gone)
        if gone == path:
            assert parquet.read_table(path)["seq"].to_pylist() == list(range(7))
    assert host.writers[0].complaint == ""
    assert "lacks 7 entries (No such file" in host.writers[1].complaint


async def test_files_that_are_deleted_under_a_run_are_made_anew(tmp_path: Path):
    """What comes later is there, below a header where the file has one; the user is told once for each."""
    events, table, curve = tmp_path / "e", tmp_path / "t.csv", tmp_path / "c.csv"
    host = Host((said := []).append)
    async with (
        JsonLines(events, node="n", host=host) as lines,
        EventTable(table, PHASES, host) as rows,
        IntensityCsv(curve, host=host) as scores,
    ):
        for number in range(9):
            update = make_update(make_event(number), scores=[(0, Score(number, 0.1, 4, 0.5, 0.25, 0.125))])
            for sink in (lines, rows, scores):
                await sink.take(update)
            if number in {3, 6}:
                await asyncio.sleep(0.5)  # all is written
                for path in (events, table, curve):
                    path.unlink()
    assert [decode(line).seq for line in events.read_bytes().splitlines()] == [7, 8]
    for path, column in ((table, "seq"), (curve, "tick")):
        with path.open(newline="") as file:
            assert [int(row[column]) for row in csv.DictReader(file)] == [7, 8]
    assert len(said) == 3
    assert all("was deleted and is made anew" in sentence for sentence in said)


async def test_what_does_not_fit_into_the_bound_is_counted(disk: Path):
    """A disk that stays full costs memory up to the bound; at the end the file and the sentence tell the truth."""
    host = Host((said := []).append)
    writer = BackgroundWriter(LineTarget(disk / "e"), "e", host, room=20_000)
    await writer.open()
    kept = [writer.put(b"%0999d\n" % number, 1000) for number in range(20)]
    for number in range(20, 300):
        await asyncio.sleep(0.001)
        kept.append(writer.put(b"%0999d\n" % number, 1000))
    begun = time.monotonic()
    await writer.close()
    assert time.monotonic() - begun < 1.0
    there = [int(line) for line in (disk / "e").read_bytes().split()]
    assert there == [number for number, fits in enumerate(kept) if fits][: len(there)]
    assert writer.missing == 300 - len(there)
    assert f"lacks {writer.missing} entries (No space left" in writer.complaint
    assert len(said) == 2


async def test_a_pipe_that_nobody_reads_holds_nothing_up(tmp_path: Path):
    """Handing over takes no time, whoever can wait is told to, and an end in a hurry comes in a hurry."""
    reading, writing = os.pipe()
    hurry = [float("inf")]
    host = Host(left=lambda: hurry[0])
    writer = BackgroundWriter(LineTarget(f"/dev/fd/{writing}"), "pipe", host, room=2**20)
    await writer.open()
    begun = time.monotonic()
    for _ in range(700):
        assert writer.put(bytes(1000), 1000)
    assert time.monotonic() - begun < 0.5
    assert writer.behind
    hurry[0] = 0.0
    await writer.close()
    assert time.monotonic() - begun < 0.5
    assert writer.missing > 500
    os.close(reading)
    os.close(writing)


async def test_a_slow_reader_gets_everything(tmp_path: Path):
    """At the end of a recording the last line waits for its reader, however slow."""
    reading, writing = os.pipe()
    got = bytearray()

    def read() -> None:
        while piece := os.read(reading, 5000):
            got.extend(piece)
            time.sleep(0.005)

    reader = asyncio.create_task(asyncio.to_thread(read))
    async with LineFile(f"/dev/fd/{writing}", Host()) as lines:
        for number in range(300):
            lines.write(b"%0999d\n" % number)
    os.close(writing)
    await reader
    os.close(reading)
    assert [int(line) for line in bytes(got).split()] == list(range(300))


async def test_a_reader_that_has_gone_is_one_sentence(tmp_path: Path):
    """The next update ends the run with the remedy."""
    reading, writing = os.pipe()
    lines = LineFile(f"/dev/fd/{writing}", Host())
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(lines)
        os.close(reading)

        async def write() -> None:
            for _ in range(100):
                lines.write(b"x\n")
                await asyncio.sleep(0.01)

        with pytest.raises(StreamspotError, match="nobody reads"):
            await write()
    os.close(writing)


async def test_a_named_pipe_is_opened_when_somebody_reads_it(tmp_path: Path):
    """The run begins meanwhile, says so, and nothing is missing."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    async with LineFile(pipe, Host((said := []).append)) as lines:
        lines.write(b"one\n")
        assert "does anybody read it?" in said[0]
        reader = asyncio.create_task(asyncio.to_thread(pipe.read_bytes))
        await asyncio.sleep(0.2)
        lines.write(b"two\n")
    assert await reader == b"one\ntwo\n"


async def test_only_the_owner_may_read_what_is_written(tmp_path: Path):
    """Who smiled when is nobody else's business."""
    async with (
        JsonLines(tmp_path / "e", node="n", host=Host()),
        EventTable(tmp_path / "t.csv", PHASES, Host()),
    ):
        pass
    assert [(tmp_path / name).stat().st_mode & 0o077 for name in ("e", "t.csv")] == [0, 0]


async def test_two_runs_do_not_write_the_same_file(tmp_path: Path):
    """Who comes second is refused and cuts nothing off; a table grows by the rows of both."""
    path, table = tmp_path / "events.jsonl", tmp_path / "log.csv"
    async with LineFile(path, Host()) as first:
        first.write(b"one\n")
        with pytest.raises(SettingsError, match=r"events\.jsonl is being written by another run"):
            await LineFile(path, Host()).__aenter__()
        first.write(b"two\n")
    assert path.read_bytes() == b"one\ntwo\n"
    async with LineFile(path, Host()) as again:
        again.write(b"three\n")
    assert path.read_bytes() == b"three\n"
    async with EventTable(table, PHASES, Host()) as one, EventTable(table, PHASES, Host()) as other:
        await one.take(make_update(make_event(0)))
        await other.take(make_update(make_event(1)))
    assert len(table.read_text().splitlines()) == 1 + 2


async def test_an_impossible_place_is_one_sentence(tmp_path: Path):
    """It is said on entering, before anything else happens."""
    for sink in (
        LineFile(tmp_path / "no" / "e", Host()),
        LineFile(tmp_path, Host()),
        EventTable(tmp_path / "no" / "t.csv", PHASES, Host()),
    ):
        with pytest.raises(SettingsError, match="name another place"):
            async with sink:
                pass


async def test_the_broker_gets_everything_while_a_disk_is_full(disk: Path, tmp_path: Path):
    """A recording without room is suspended, subscribers are told on ``…/error``, and the end says what it lacks."""
    with Mosquitto(tmp_path) as broker:
        run = StreamRun(
            load_settings(
                {
                    "source": "synthetic:seconds=14,expressions=3,noise=0",
                    "record": disk / "r.motion",
                    "broker": broker.url,
                    "journal": tmp_path / "j",
                    "node": "n",
                    "stream": "s",
                }
            )
        )
        told: list[Event] = []
        async with (
            overhear(broker.url, "streamspot/n/s/error") as errors,
            subscribe(broker.url) as events,
            Outputs([run]) as outputs,
            Engine([run]) as engine,
        ):
            async for run, update in engine:
                await outputs.take(run, update)
                told += update.events
            async with asyncio.timeout(5):
                assert b"No space left" in (await errors.get())[1]
                assert [(await anext(events)).event for _ in told] == told
    complaint = outputs.complaint()
    assert complaint is not None
    assert "r.motion lacks" in str(complaint)
    assert (disk / "r.motion").read_bytes().endswith(b"\n")
