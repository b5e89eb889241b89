"""Promises about where results go: no output destroys an input, another output, a recording or a foreign file."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_recordings import write_recording

from streamspot.destinations import check_outputs, check_writable
from streamspot.errors import SettingsError


@pytest.mark.parametrize("flag", ["events", "intensity", "log", "record"])
def test_an_output_is_never_the_source(tmp_path: Path, flag: str):
    """By whatever name: a link, a path with dots in it."""
    video = tmp_path / "v.mp4"
    video.write_bytes(b"\x00\x00\x00\x18ftypmp42")
    (tmp_path / "link").symlink_to(video)
    for name in (video, tmp_path / "link", tmp_path / "x" / ".." / "v.mp4"):
        (tmp_path / "x").mkdir(exist_ok=True)
        with pytest.raises(SettingsError, match="is read by this very run"):
            check_outputs({flag: name}, [str(video)], force=True)


def test_what_a_run_reads_is_kept_even_by_force(tmp_path: Path):
    """Weights, a face model, and every picture of a folder that is the source."""
    for name in ("w.safetensors", "f.task", "folder/1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    read = [tmp_path / "folder", tmp_path / "w.safetensors", tmp_path / "f.task"]
    for name in ("w.safetensors", "f.task", "folder/1.png", "folder/new.csv"):
        with pytest.raises(SettingsError, match="is read by this very run"):
            check_outputs({"intensity": tmp_path / name}, read, force=True)


def test_labels_and_hard_links_are_files_too(tmp_path: Path):
    """The labels' table beside a recording, and a file under two names."""
    with pytest.raises(SettingsError, match="its labels"):
        check_outputs({"record": tmp_path / "a.motion", "events": tmp_path / "points.csv"}, [])
    (tmp_path / "x").touch()
    (tmp_path / "y").hardlink_to(tmp_path / "x")
    with pytest.raises(SettingsError, match="both name"):
        check_outputs({"events": tmp_path / "x", "intensity": tmp_path / "y"}, [])


def test_two_outputs_are_two_files(tmp_path: Path):
    """One file for both would hold neither."""
    with pytest.raises(SettingsError, match="--events and --record both name"):
        check_outputs({"events": tmp_path / "a", "record": tmp_path / "b" / ".." / "a"}, ["0"])


def test_recordings_and_foreign_files_are_replaced_only_by_force(tmp_path: Path):
    """What an earlier run wrote may be written anew; anything else is kept unless --force says otherwise."""
    recording = tmp_path / "a.motion"
    write_recording(recording)
    (tmp_path / "notes.txt").write_text("dear diary")
    (tmp_path / "e.jsonl").write_text('{"specversion":"1.0","id":"x"}\n')
    (tmp_path / "empty").touch()
    for flag, name in (
        ("record", "a.motion"),
        ("events", "a.motion"),
        ("intensity", "notes.txt"),
        ("log", "e.jsonl"),
    ):
        with pytest.raises(SettingsError, match="--force"):
            check_outputs({flag: tmp_path / name}, ["0"])
        check_outputs({flag: tmp_path / name}, ["0"], force=True)
    for flag, name in (
        ("events", "e.jsonl"),
        ("record", "empty"),
        ("intensity", "new.csv"),
        ("events", "/dev/null"),
    ):
        check_outputs({flag: tmp_path / name}, ["0"])


def test_a_place_that_cannot_be_written_is_said_before_the_work(tmp_path: Path):
    """A folder in the file's place, a folder that is missing."""
    check_writable(tmp_path / "w.safetensors")
    with pytest.raises(SettingsError, match="is a folder"):
        check_writable(tmp_path)
    with pytest.raises(SettingsError, match="there is no folder"):
        check_writable(tmp_path / "none" / "w.safetensors")
