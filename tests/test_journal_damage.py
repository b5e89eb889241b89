"""Promises about a harmed journal: what can be read of it goes out, and a stranger's file is left alone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from journals import a_journal, drain, overwrite

from streamspot.errors import SettingsError
from streamspot.mqtt.journal import Journal

DAMAGES: dict[str, tuple[Callable[[Path], object], int]] = {
    "emptied": (lambda path: os.truncate(path, 0), 0),
    "cut in the header": (lambda path: os.truncate(path, 50), 0),
    "cut in the middle": (lambda path: os.truncate(path, path.stat().st_size // 2 + 77), 0),
    "cut by a page": (lambda path: os.truncate(path, path.stat().st_size - 4096), 0),
    "zeros at the start": (lambda path: overwrite(path, 0, bytes(4096)), 0),
    "nonsense at the start": (lambda path: overwrite(path, 0, b"nonsense" * 512), 0),
    "a page of zeros": (lambda path: overwrite(path, 4096 * 10, bytes(4096)), 130),
    "pages of nonsense": (lambda path: overwrite(path, 4096 * 8, b"\xff" * 8192), 120),
    "zeros at the end": (lambda path: path.open("ab").write(bytes(300_000)), 150),
    "text in its place": (lambda path: path.write_text("hello\n" * 100), 0),
}


STRANGE = {
    "the last number there is": (2**63 - 1, 1.0, 1, b"x"),
    "a number below the first": (-5, 1.0, 0, b"x"),
    "text for a payload": (7, 1.0, 0, "text"),
    "a payload that no stream writes": (7, 1.0, 0, bytes(300_000)),
    "words for a time": (7, "soon", 0, b"x"),
    "words for a delivery": (7, 1.0, "abc", b"x"),
}


@pytest.mark.parametrize("row", STRANGE)
def test_a_row_that_no_stream_has_written_is_damage(tmp_path: Path, row: str):
    """It stops neither numbering nor delivery: the file is set aside, and what else was undelivered goes out."""
    with Journal(tmp_path) as journal:
        for number in range(3):
            journal.append(b"%d" % number)
    with contextlib.closing(sqlite3.connect(tmp_path / "journal.sqlite")) as rows:
        rows.execute("INSERT INTO event (id, time, delivered, payload) VALUES (?, ?, ?, ?)", STRANGE[row])
        rows.commit()
    with Journal(tmp_path) as journal:
        journal.append(b"3")
        sent = [payload for payload in drain(journal) if payload != b"x"]
        assert journal.messages
    assert sent == [b"0", b"1", b"2", b"3"]
    with Journal(tmp_path) as journal:
        assert (journal.queued, list(journal.messages)) == (0, [])


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_journal_is_set_aside_and_begun_anew(tmp_path: Path, damage: str):
    """The run goes on with what can be read of it, in order, and the user is told where the rest lies."""
    harm, least = DAMAGES[damage]
    harm(a_journal(tmp_path))
    with Journal(tmp_path) as journal:
        journal.append(b"%0499d" % 200)
        numbers = [int(payload) for payload in drain(journal)]
        assert journal.queued == 0
        if said := list(journal.messages):
            (aside,) = tmp_path.glob("journal.damaged-*.sqlite")
            assert aside.name in said[0]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == 200
    assert len(numbers) - 1 >= least
    with Journal(tmp_path) as journal:
        assert not journal.messages


def test_damage_while_it_is_in_use_is_noticed_and_costs_little(tmp_path: Path):
    """What was just appended is still known; the run goes on in a new file."""
    with Journal(tmp_path) as journal:
        for number in range(100):
            journal.append(b"%0499d" % number)
        asyncio.run(journal.sync())
        overwrite(tmp_path / "journal.sqlite", 0, b"nonsense" * 512)
        overwrite(tmp_path / "journal.sqlite-wal", 0, b"nonsense" * 512)
        journal.append(b"%0499d" % 100)
        numbers = [int(payload) for payload in drain(journal)]
    assert numbers[-1] == 100
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize("more", ["more TEXT NOT NULL", "CHECK (length(payload) < 10)"])
def test_a_table_of_another_shape_is_left_alone(tmp_path: Path, more: str):
    """What cannot take events is no journal, and that is said before the first event."""
    with contextlib.closing(sqlite3.connect(tmp_path / "journal.sqlite")) as rows:
        times = "id INTEGER PRIMARY KEY, time REAL NOT NULL, delivered INTEGER NOT NULL DEFAULT 0"
        rows.execute(f"CREATE TABLE event ({times}, payload BLOB NOT NULL, {more})")
        rows.commit()
    with pytest.raises(SettingsError, match="something else"), Journal(tmp_path):
        pass


def test_a_power_failure_costs_what_came_after_the_last_sync(tmp_path: Path):
    """With zeros where the disk had not been told to write, all up to the sync is there and nothing false."""
    with Journal(tmp_path / "j") as journal:
        for number in range(50):
            journal.append(b"%0499d" % number)
        asyncio.run(journal.sync())
        for number in range(50, 60):
            journal.append(b"%0499d" % number)
        copy = shutil.copytree(tmp_path / "j", tmp_path / "copy")
    (copy / "journal.sqlite-shm").unlink()
    log = copy / "journal.sqlite-wal"
    overwrite(log, 0, bytes(log.stat().st_size))
    with Journal(copy) as journal:
        journal.append(b"%0499d" % 60)
        assert [int(payload) for payload in drain(journal)] == [*range(50), 60]
        assert not journal.messages


def test_a_foreign_database_is_left_alone(tmp_path: Path):
    """A mistyped path never writes into somebody's file."""
    path = tmp_path / "photos.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as foreign:
        foreign.execute("CREATE TABLE photo (id)")
        foreign.commit()
    before = path.read_bytes()
    with pytest.raises(SettingsError, match="something else"), Journal(path):
        pass
    assert path.read_bytes() == before
