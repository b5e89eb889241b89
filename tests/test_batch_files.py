"""Promises about which files a batch takes, and about the names of their results."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from small_batches import batch, expressions_of
from small_recordings import write_recording
from typer.testing import CliRunner

from streamspot.batch import run_batch
from streamspot.cli import app
from streamspot.clips import clips_of
from streamspot.errors import SettingsError
from streamspot.layers import load_settings


def test_a_pattern_a_folder_or_a_file_names_files_in_natural_order(videos: Path):
    """visit2 comes before visit10; other files of a folder are not looked at."""
    assert [one.name for one in clips_of(str(videos))] == ["broken.mp4", "visit2.motion", "visit10.motion"]
    assert [one.name for one in clips_of(f"{videos}/visit*")] == ["visit2.motion", "visit10.motion"]
    assert len(clips_of(str(videos / "visit2.motion"))) == 1
    with pytest.raises(SettingsError, match="in quotation marks"):
        clips_of(f"{videos}/*.mkv")


def test_folders_in_a_folder_that_hold_videos_are_named(tmp_path: Path):
    """They are not taken with it; the pattern that takes them stands there. Its own results are no videos."""
    for name in ("a.motion", "P01/deep/b.mp4", "notes/c.txt", ".hidden/d.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    write_recording(tmp_path / "a.motion")
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["run", "--source", str(tmp_path), "--out", str(out), "--no-ui"])
    assert f"not looked into: P01; for all of them give a pattern: '{tmp_path}/**/*.mp4'" in done.stderr


def test_files_of_one_name_have_results_of_their_own(tmp_path: Path):
    """Two folders may both hold a ``visit``; names, and the table of all, say which is which."""
    places = ("ann/visit.motion", "ben/visit.motion", "ann/more/visit.motion", "ben/more/visit.motion")
    for seed, place in enumerate(places, 1):
        (tmp_path / place).parent.mkdir(parents=True)
        write_recording(tmp_path / place, seed)
    out = tmp_path / "out"
    batch(f"{tmp_path}/[ab]*/**/visit.motion", out)
    names = {one.stem for one in out.glob("*.jsonl")}
    assert {"ann-visit", "ben-visit"} < names
    assert len(names) == 4
    assert {"ann/visit.motion", "ann/more/visit.motion"} <= set(expressions_of(out)) <= set(places)
    assert {json.loads(one.read_text())["about"]["Source"] for one in out.glob("*.json")} == set(places)


def test_no_name_is_given_twice_nor_to_the_table(tmp_path: Path):
    """A file called like another with its ending, like the table or a cross-validation, keeps results of its own."""
    folder, out = tmp_path / "videos", tmp_path / "out"
    folder.mkdir()
    names = {"a.mp4", "a.mkv", "a.mp4.mov", "A.mp4.mkv", "all-expressions.mp4", "results.mp4"}
    for name in names:
        write_recording(folder / name)
    batch(folder, out)
    assert len(list(out.glob("*.json"))) == len(list(out.glob("*.jsonl"))) == 6
    assert len({one.name.casefold() for one in out.glob("*.csv")}) == 7
    assert not (out / "results.json").exists()
    assert expressions_of(out) == dict.fromkeys(names, 2)
    assert {json.loads(one.read_text())["about"]["Source"] for one in out.glob("*.json")} == names


def test_a_file_keeps_its_name_when_others_come(tmp_path: Path):
    """What came first is neither analysed again nor there twice, whatever the new file is called."""
    folder, out = tmp_path / "videos", tmp_path / "out"
    folder.mkdir()
    write_recording(folder / "a.mp4", ticks=60)
    batch(folder, out)
    first = (out / "a.json").stat().st_mtime_ns
    write_recording(folder / "a.mkv", ticks=60)
    batch(folder, out)
    assert {one.stem for one in out.glob("*.json")} == {"a", "a.mkv"}
    assert (out / "a.json").stat().st_mtime_ns == first


def test_links_of_one_name_to_one_file_have_results_of_their_own(tmp_path: Path):
    """Where a link is decides its name, not where it leads."""
    real = write_recording(tmp_path / "real.motion", ticks=60)
    for folder in ("ann", "ben"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "visit.motion").symlink_to(real)
    batch(f"{tmp_path}/*/visit.motion", tmp_path / "out")
    assert len(list((tmp_path / "out").glob("*-visit.json"))) == 2


def test_a_link_that_leads_nowhere_is_named(videos: Path, tmp_path: Path):
    """A recording on a disk that is not plugged in is not just missing from the results."""
    (videos / "away.mp4").symlink_to(tmp_path / "unplugged" / "away.mp4")
    for source in (videos, f"{videos}/*"):
        outcome = run_batch(
            load_settings({"source": str(source)}), tmp_path / "out", progress=lambda *_: None
        )
        assert "link to a file that is not there" in outcome.broken[videos / "away.mp4"]


def test_an_empty_recording_is_named(videos: Path, tmp_path: Path):
    """A run that was stopped at once is not just missing from the results, no more than an empty video."""
    for name in ("empty.motion", "empty.mp4"):
        (videos / name).touch()
    outcome = run_batch(load_settings({"source": str(videos)}), tmp_path / "out", progress=lambda *_: None)
    assert {one.name for one in outcome.broken} == {"empty.motion", "empty.mp4", "broken.mp4"}
    assert "is not a recording of region motion" in outcome.broken[videos / "empty.motion"]


@pytest.mark.timeout(20)
def test_links_in_a_circle_are_walked_once(videos: Path, tmp_path: Path):
    """A pattern over folders ends and names each file once, in its own folder; what links lead to is found too."""
    inner = videos / "inner"
    inner.mkdir()
    (tmp_path / "else").mkdir()
    write_recording(inner / "visit3.motion", ticks=60)
    write_recording(tmp_path / "else" / "visit4.motion", ticks=60)
    for place, target in (
        (videos / "loop", "."),
        (videos / "again", "."),
        (inner / "up", ".."),
        (videos / "a-link", "inner"),
        (videos / "away", tmp_path / "else"),
    ):
        place.symlink_to(target)
    here = ["away/visit4.motion", "inner/visit3.motion", "visit2.motion", "visit10.motion"]
    for pattern in ("**/*.motion", "**/**/*.motion"):
        found = [str(one.relative_to(videos)) for one in clips_of(f"{videos}/{pattern}")]
        assert found == here
    assert {one.name for one in clips_of(f"{videos}/**")} == {
        *(one.rpartition("/")[2] for one in here),
        "broken.mp4",
        "notes.txt",
    }
    assert len(clips_of(f"{tmp_path}/vid*/**/visit3.*")) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="names are UTF-8 there")
def test_a_name_that_is_not_utf_8_costs_the_others_nothing(videos: Path, tmp_path: Path):
    """It stands readable in the table, and in the report."""
    pytest.importorskip("plotly")
    (videos / "visit2.motion").rename(videos / os.fsdecode(b"b\xff.motion"))
    batch(videos, tmp_path / "out")
    assert set(expressions_of(tmp_path / "out")) == {"b\\udcff.motion", "visit10.motion"}
    report = CliRunner().invoke(app, ["report", str(tmp_path / "out")])
    assert report.exit_code == 0, report.output
    assert "b\\udcff" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_a_very_long_name_is_cut(tmp_path: Path):
    """A file whose name is as long as it can be has results, and the report finds them."""
    folder, out = tmp_path / "videos", tmp_path / "out"
    folder.mkdir()
    for first in "ab":
        write_recording(tmp_path / "short").rename(folder / f"{first}{'ü' * 122}.motion")
    batch(folder, out)
    assert len(expressions_of(out)) == 2
    assert len(list(out.glob("*.json"))) == 2
