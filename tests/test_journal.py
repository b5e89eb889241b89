"""Promises about the journal: nothing appended is lost, memory and disk stay bounded."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from brokers import make_event
from hypothesis import given, settings
from hypothesis import strategies as st

from streamspot.errors import SettingsError
from streamspot.events import encode
from streamspot.mqtt.journal import Journal


def drain(journal: Journal, count: int = -1) -> list[bytes]:
    """Deliver that many payloads, or all."""
    out = []
    while len(out) != count and (payload := journal.peek()) is not None:
        out.append(payload)
        journal.ack(payload)
    return out


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


def test_a_line_torn_by_a_crash_is_cut_off(tmp_path: Path):
    """Half a line at the end, from a crash, neither arrives nor spoils the next."""
    with Journal(tmp_path) as journal:
        journal.append(b"whole")
    with (tmp_path / "00000001.jsonl").open("ab") as file:
        file.write(b"half a li")
    with Journal(tmp_path) as journal:
        journal.append(b"next")
        assert drain(journal) == [b"whole", b"next"]


@pytest.mark.parametrize("damage", [b"", b"nonsense", b"\xff" * 29, b"000000000099 000000000000000\n"])
def test_a_damaged_cursor_repeats_and_never_loses(tmp_path: Path, damage: bytes):
    """Without a sound cursor everything is delivered again: consumers drop duplicates."""
    with Journal(tmp_path) as journal:
        journal.append(b"a")
        journal.append(b"b")
        drain(journal, 1)
    (tmp_path / "cursor").write_bytes(damage)
    with Journal(tmp_path) as journal:
        assert drain(journal) == [b"a", b"b"]


def test_the_journal_is_bounded_in_size(tmp_path: Path):
    """However long the broker is away, the folder stays below its bound and the newest events stay."""
    with Journal(tmp_path, max_bytes=8000) as journal:
        for number in range(2000):
            journal.append(b"%099d" % number)
        assert sum(path.stat().st_size for path in tmp_path.glob("*.jsonl")) <= 8000
        rest = drain(journal)
        assert [int(payload) for payload in rest] == list(range(2000 - len(rest), 2000))
        assert journal.lost + len(rest) == 2000
        assert len(rest) >= 60


def test_old_events_go(tmp_path: Path):
    """Files older than the bound are dropped at the next start."""
    with Journal(tmp_path, max_bytes=800) as journal:
        for number in range(6):
            journal.append(b"%099d" % number)
        drain(journal)
    for path in sorted(tmp_path.glob("*.jsonl"))[:-1]:
        os.utime(path, (0, time.time() - 8 * 86400))
    with Journal(tmp_path, max_bytes=800):
        assert len(list(tmp_path.glob("*.jsonl"))) == 1


def test_two_programs_never_share_a_journal(tmp_path: Path):
    """The second one is told which journal and what to do."""
    with Journal(tmp_path), pytest.raises(SettingsError, match="held by another"), Journal(tmp_path):
        pass
    with Journal(tmp_path):
        pass


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
        for payload in payloads:
            journal.append(payload)
        drain(journal, 2)
        assert list(Journal.read(tmp_path)) == payloads
        assert list(Journal.read(tmp_path, "2026-11-22T10")) == payloads
        assert list(Journal.read(tmp_path, "2026-11-23")) == []


def test_a_full_disk_keeps_events_in_memory_and_says_so(tmp_path: Path):
    """On a full disk the stream goes on; once there is room everything is written, in order."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
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
            subprocess.run(["mount", "-o", "remount,size=1m", str(disk)], check=True)
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
    with Journal(tmp_path, max_memory=5) as journal:
        journal._tail = Path("/dev/full").open("r+b", buffering=0)  # noqa: SIM115
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
