"""Promises about files from strangers: each ends in one sentence, soon, in little memory, whatever is in it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from small_recordings import write_recording

from streamspot.bounds import check_archive, read_yaml
from streamspot.sources import open_source

HOSTILE = Path(__file__).with_name("hostile.py")


def test_files_from_strangers_end_in_one_sentence():
    """Exit code, length, memory and time of every seventh in a process that has everything imported, of some whole.

    All of them, as a user starts them, take ten minutes: ``python tests/hostile.py``.
    """
    command = [sys.executable, str(HOSTILE), "--forked", "7", "--whole", "89"]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    rows = [json.loads(line) for line in output.splitlines()]
    for row in rows:
        said = row["said"]
        assert row["code"] in {1, 2}, row
        assert "Traceback" not in said, row
        assert "unexpected" not in said, row
        assert len(said) < 700, row
        assert row["mb"] <= 500, row
        assert row["cpu"] <= (5 if row["forked"] else 10), row  # a slow machine imports for some seconds
    assert sum(row["forked"] for row in rows) > 40
    assert sum(not row["forked"] for row in rows) >= 4


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a: &a [x]\nb: *a\n", "aliases"),
        (b"[" * 5000, "nested"),
        (b"a: " + b"x" * 70_000, "longer than 64 KiB"),
        (b"\xff\xfe", "UTF-8"),
        (b"a: [", "expected"),
    ],
)
def test_settings_of_a_stranger_are_bounded(tmp_path: Path, content: bytes, reason: str):
    """What a file of settings cannot need is refused with the reason."""
    (tmp_path / "a.yaml").write_bytes(content)
    with pytest.raises(ValueError, match=reason):
        read_yaml(tmp_path / "a.yaml")


def test_an_archive_that_bursts_is_not_unpacked(tmp_path: Path):
    """By what it says of itself, before anything is read."""
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", bytes(3 << 20))
    check_archive(tmp_path / "a.zip", free=4)
    with pytest.raises(ValueError, match="unpacked it would take 3 MiB"):
        check_archive(tmp_path / "a.zip", free=2)


def test_a_recording_that_is_cut_is_said_to_be_cut(tmp_path: Path):
    """What is whole of it is replayed; whoever relies on its end learns that it has none."""
    recording = write_recording(tmp_path / "r.motion", ticks=30)
    content = recording.read_bytes()
    recording.write_bytes(content[: content.rindex(b'{"end"') - 20])
    source = open_source(str(recording))
    assert len(list(source.read())) == 29
    assert list(source.messages) == [
        f"{recording} breaks off in line 31: it is cut, or the run that recorded it was killed"
    ]
