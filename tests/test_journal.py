"""Promises about the journal: nothing appended is lost, memory and disk stay bounded."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from brokers import make_event
from hypothesis import given, settings
from hypothesis import strategies as st
from journals import drain

from streamspot.errors import SettingsError
from streamspot.events import encode
from streamspot.mqtt.journal import Journal


def test_what_was_not_acknowledged_is_there_at_the_next_start(tmp_path: Path):
    """A restart goes on exactly where the broker's acknowledgements ended."""
    with Journal(tmp_path) as journal:
        for number in range(10):
            journal.append(b"%d" % number)
        assert drain(journal, 4) == [b"0", b"1", b"2", b"3"]
        assert journal.queued == 6
    with Journal(tmp_path) as journal:
        assert journal.queued == 6
        assert drain(journal) == [b"%d" % number for number in range(4, 10)]
        assert journal.peek() is None


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(st.sampled_from(["append", "ack", "reopen", "peek"]), max_size=60),
    max_bytes=st.sampled_from([64, 10_000]),
)
def test_any_order_of_steps_delivers_in_order_and_accounts_for_everything(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str], max_bytes: int
):
    """Appends, acknowledgements, restarts in any order: what is not counted lost arrives once, in order."""
    folder = tmp_path_factory.mktemp("journal")
    journal = Journal(folder, max_bytes=max_bytes).__enter__()
    appended, delivered, lost = 0, [], 0
    for step in steps:
        if step == "append":
            journal.append(b"%d" % appended)
            appended += 1
        elif step == "ack":
            delivered += [int(payload) for payload in drain(journal, 1)]
        elif step == "peek":
            journal.peek()
        else:
            lost += journal.lost
            journal.__exit__(None, None, None)
            journal = Journal(folder, max_bytes=max_bytes).__enter__()
    delivered += [int(payload) for payload in drain(journal)]
    assert delivered == sorted(set(delivered))
    assert len(delivered) + journal.lost + lost == appended
    if max_bytes == 10_000:
        assert delivered == list(range(appended))
    assert journal.queued == 0
    journal.__exit__(None, None, None)


def test_the_journal_is_bounded_in_size(tmp_path: Path):
    """However long the broker is away, the files stay near their bound and the newest events stay."""
    with Journal(tmp_path, max_bytes=200_000) as journal:
        for number in range(4000):
            journal.append(b"%099d" % number)
            if number % 500 == 0:
                asyncio.run(journal.sync())
        assert sum(path.stat().st_size for path in tmp_path.glob("journal.sqlite")) <= 2 * 200_000
        rest = drain(journal)
        assert [int(payload) for payload in rest] == list(range(1980, 4000))
        assert journal.lost == 1980


def test_the_log_beside_the_file_does_not_grow(tmp_path: Path):
    """At a thousand events a second for hours the write-ahead log stays within some megabytes."""
    with Journal(tmp_path, max_bytes=2**20) as journal:
        for number in range(12_000):
            journal.append(b"%0999d" % number)
            if number % 1000 == 999:
                asyncio.run(journal.sync())
        assert (tmp_path / "journal.sqlite-wal").stat().st_size < 24 * 2**20
        assert (tmp_path / "journal.sqlite").stat().st_size < 2 * 2**20


@pytest.mark.parametrize("days", [8, 20_000])
def test_a_clock_that_jumps_costs_nothing(tmp_path: Path, days: int, monkeypatch: pytest.MonkeyPatch):
    """A machine without a clock goes from 1970 to now, and another is set back: what waits goes out."""
    with Journal(tmp_path) as journal:
        for number in range(20):
            journal.append(b"%d" % number, time.time())
    later = time.time() + days * 86400
    monkeypatch.setattr(time, "time", lambda: later)
    with Journal(tmp_path) as journal:
        journal.append(b"20", time.time())
        assert [int(payload) for payload in drain(journal)] == list(range(21))
        assert journal.lost == 0


def test_two_programs_never_share_a_journal(tmp_path: Path):
    """The second one is told which journal and what to do, whatever files are deleted meanwhile."""
    with Journal(tmp_path) as journal:
        journal.append(b"x")
        for name in ("lock", "journal.sqlite-shm"):
            (tmp_path / name).unlink(missing_ok=True)
            with pytest.raises(SettingsError, match="held by another"), Journal(tmp_path):
                pass
        assert list(Journal.read(tmp_path)) == [b"x"]
    with Journal(tmp_path):
        pass


def test_of_many_that_begin_at_once_one_gets_the_journal(tmp_path: Path):
    """However many processes start in the same moment, never two hold the journal together."""
    program = (
        "import sys, time; from pathlib import Path; from streamspot.errors import SettingsError\n"
        "from streamspot.mqtt.journal import Journal\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "try:\n"
        "    with Journal(Path(sys.argv[1])): print('got it', flush=True); sys.stdin.read()\n"
        "except SettingsError as error: print(error, flush=True)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "bufsize": 0}
    crowd = [subprocess.Popen(command, **pipes) for _ in range(6)]
    for process in crowd:
        assert process.stdout.readline() == b"ready\n"
    for process in crowd:
        process.stdin.write(b"go\n")
    said = [process.stdout.readline() for process in crowd]
    for process in crowd:
        process.communicate()
    assert said.count(b"got it\n") <= 1
    assert sum(b"held by another" in text for text in said) >= 5


def test_an_impossible_folder_is_one_sentence(tmp_path: Path):
    """A journal where a file is says so."""
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="name another folder"), Journal(tmp_path / "file"):
        pass


def test_only_the_owner_may_read_the_journal(tmp_path: Path):
    """Who showed which expression when is private to the user who runs the program."""
    with Journal(tmp_path / "journal") as journal:
        journal.append(b"x")
    modes = {
        path.stat().st_mode & 0o077 for path in [tmp_path / "journal", *(tmp_path / "journal").iterdir()]
    }
    assert modes == {0}


def test_reading_since_a_time(tmp_path: Path):
    """``resend --since`` takes delivered events too, while the journal is in use."""
    payloads = [encode(make_event(number), node="n") for number in range(3)]
    with Journal(tmp_path) as journal:
        for number, payload in enumerate(payloads):
            journal.append(payload, 100.0 + number)
        drain(journal, 2)
        assert list(Journal.read(tmp_path)) == payloads
        assert list(Journal.read(tmp_path, 101.0)) == payloads[1:]
        assert list(Journal.read(tmp_path / "journal.sqlite", 103.0)) == []


@pytest.mark.parametrize("what", ["the folder", "the file", "the log"])
def test_files_deleted_while_in_use_are_made_anew(tmp_path: Path, what: str):
    """It is noticed at the next look, nothing undelivered is lost, and a restart finds it all."""
    folder = tmp_path / "j"
    with Journal(folder) as journal:
        for number in range(30):
            journal.append(b"%d" % number)
        drain(journal, 10)
        if what == "the folder":
            shutil.rmtree(folder)
        else:
            (folder / ("journal.sqlite" if what == "the file" else "journal.sqlite-wal")).unlink()
        asyncio.run(journal.keep())
        assert "deleted" in journal.messages[0]
        journal.append(b"30")
        assert (journal.queued, journal.lost) == (21, 0)
        copy = shutil.copytree(folder, tmp_path / "copy")
    with Journal(copy) as journal:
        assert [int(payload) for payload in drain(journal)] == list(range(10, 31))


def test_a_folder_that_cannot_be_made_anew_keeps_events_in_memory(tmp_path: Path):
    """While a file stands in the folder's place the events are delivered from memory, and the error says so."""
    folder = tmp_path / "j"
    with Journal(folder) as journal:
        journal.append(b"0")
        shutil.rmtree(folder)
        folder.write_text("in the way")
        asyncio.run(journal.keep())
        journal.append(b"1")
        assert "wait in memory" in journal.error
        assert drain(journal, 1) == [b"0"]
        folder.unlink()
        time.sleep(0.6)
        asyncio.run(journal.keep())
        assert journal.error == ""
        assert list(Journal.read(folder)) == [b"1"]


async def test_a_stop_in_the_middle_of_a_sync_waits_for_it(tmp_path: Path):
    """The thread that writes to the disk never finds the database closed under it, which would end the process."""
    for round_ in range(20):
        with Journal(tmp_path / str(round_)) as journal:
            for number in range(1000):
                journal.append(bytes(1000), number)
            syncing = asyncio.create_task(journal.sync())
            await asyncio.sleep(0)
            await asyncio.sleep(round_ / 4000)
            syncing.cancel()
        assert len(list(Journal.read(tmp_path / str(round_)))) == 1000


def test_a_journal_is_read_where_nothing_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """From a backup or a disk that is mounted read-only; what was not yet in the main file, too."""
    with Journal(tmp_path / "j") as journal:
        for number in range(5):
            journal.append(b"%d" % number)
        shutil.copytree(tmp_path / "j", tmp_path / "backup")
        assert (tmp_path / "backup" / "journal.sqlite-wal").stat().st_size
    monkeypatch.setattr(os, "access", lambda place, _: Path(place).name != "backup")
    before = {one.name: one.read_bytes() for one in (tmp_path / "backup").iterdir()}
    assert list(Journal.read(tmp_path / "backup")) == [b"%d" % number for number in range(5)]
    assert {one.name: one.read_bytes() for one in (tmp_path / "backup").iterdir()} == before


def test_a_full_disk_keeps_events_in_memory_and_says_so(tmp_path: Path):
    """On a full disk the stream goes on; once there is room everything is written, in order."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if os.name != "posix" or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small tmpfs is not allowed here; run as root")
    try:
        with Journal(disk / "journal", max_memory=100) as journal:
            count = 0
            while not journal.error:
                journal.append(b"%0999d" % count)
                count += 1
            assert "No space left" in journal.error
            for _ in range(50):
                journal.append(b"%0999d" % count)
                count += 1
            assert [int(payload) for payload in drain(journal, 10)] == list(range(10))
            subprocess.run(["mount", "-o", "remount,size=2m", str(disk)], check=True)
            journal.append(b"%0999d" % count)
            count += 1
            assert journal.error == ""
            assert journal.lost == 0
        with Journal(disk / "journal") as journal:
            assert [int(payload) for payload in drain(journal)] == list(range(10, count))
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_memory_is_bounded_while_the_disk_is_full(tmp_path: Path):
    """Beyond the stated bound the oldest events in memory go, are counted and reported."""
    with Journal(tmp_path / "j", max_memory=5) as journal:
        shutil.rmtree(tmp_path / "j")
        (tmp_path / "j").write_text("in the way")
        asyncio.run(journal.keep())
        for number in range(12):
            journal.append(b"%d" % number)
        assert "oldest" in journal.error
        assert drain(journal) == [b"%d" % number for number in range(7, 12)]
        assert journal.lost == 7
        assert journal.queued == 0


def test_kill_9_loses_nothing_that_was_reported(tmp_path: Path):
    """A process killed at any instant leaves every event it had reported in the journal."""
    program = (
        "import sys; from pathlib import Path; from streamspot.mqtt.journal import Journal\n"
        "with Journal(Path(sys.argv[1])) as journal:\n"
        "    for number in range(10**9):\n"
        "        journal.append(b'%d' % number); sys.stdout.write(f'{number}\\n'); sys.stdout.flush()\n"
    )
    for delay in (0.0, 0.005, 0.02):
        folder = tmp_path / str(delay)
        with subprocess.Popen(
            [sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(delay)
            process.kill()
            reported = process.stdout.read().splitlines()
        with Journal(folder) as journal:
            kept = [int(payload) for payload in drain(journal)]
        assert kept == list(range(len(kept)))
        assert len(kept) >= 1 + len([line for line in reported if line])
