"""Promises about many files: each has its own results, what is finished stays, what is broken costs only itself."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from running import collect, delivered
from small_recordings import write_recording
from typer.testing import CliRunner

from streamspot.batch import ENDINGS, TOGETHER, clips_of, run_batch
from streamspot.cli import app
from streamspot.errors import SettingsError
from streamspot.events import read_events
from streamspot.settings import load_settings


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """Return a folder with two recordings and a file that is broken."""
    folder = tmp_path / "videos"
    folder.mkdir()
    for ticks, name in ((180, "visit2"), (240, "visit10")):
        write_recording(folder / f"{name}.motion", ticks=ticks)
    (folder / "broken.mp4").write_text("no video")
    (folder / "notes.txt").write_text("not looked at")
    return folder


def batch(source: object, out: Path, **flags: object) -> list[tuple[int, int, int]]:
    """Analyse files; return the progress that was told, whose last entry is the end."""
    told: list[tuple[int, int, int]] = []
    settings = load_settings({"source": str(source), **flags})
    run_batch(settings, out, progress=lambda *progress: told.append(progress))
    return told


def test_each_file_has_the_results_of_a_run_of_its_own(videos: Path, tmp_path: Path):
    """Events, curve and recording are those that ``run`` gives; one table holds the expressions of all."""
    out = tmp_path / "out"
    told = batch(videos, out)
    alone = collect(videos / "visit2.motion")[1]
    together = read_events(out / "visit2.jsonl")
    assert [delivered(event, "run") for event in together] == [delivered(event, "run") for event in alone]
    assert (out / "visit2.motion").read_bytes() == (videos / "visit2.motion").read_bytes()
    assert (out / "visit2.csv").read_text().count("\n") == 1 + 180
    with (out / TOGETHER).open(newline="") as file:
        rows = list(csv.DictReader(file))
    ends = {
        name: sum(e.phase == "offset" for e in read_events(out / f"{name}.jsonl"))
        for name in ("visit2", "visit10")
    }
    assert {name: sum(row["file"] == f"{name}.motion" for row in rows) for name in ends} == ends
    assert told[-1][0] == told[-1][1] > 13_000
    assert told[-1][2] == 3


def test_what_is_finished_is_not_analysed_again(videos: Path, tmp_path: Path):
    """Only what is missing, half done, or was made with other settings is made anew."""
    out = tmp_path / "out"
    batch(videos, out)
    runs = {name: read_events(out / f"{name}.jsonl")[0].run for name in ("visit2", "visit10")}
    (out / "visit10.json").unlink()
    batch(videos, out)
    again = {name: read_events(out / f"{name}.jsonl")[0].run for name in runs}
    assert again["visit2"] == runs["visit2"]
    assert again["visit10"] != runs["visit10"]
    batch(videos, out, sensitivity=0.7)
    assert read_events(out / "visit2.jsonl")[0].run != runs["visit2"]


def test_the_command_names_what_is_broken_and_does_the_rest(videos: Path, tmp_path: Path):
    """The exit code is 0 only if every file has results; the report of the folder shows those that have."""
    pytest.importorskip("plotly")
    out = tmp_path / "out"
    done = CliRunner().invoke(
        app, ["run", "--source", str(videos), "--out", str(out), "--jobs", "1", "--no-ui"]
    )
    assert done.exit_code == 1
    assert "1 file could not be analysed" in str(done.exception)
    assert "broken.mp4 is not a video" in str(done.exception)
    assert sorted(one.stem for one in out.glob("*.json")) == ["visit10", "visit2"]
    assert all((out / f"visit2{ending}").exists() for ending in ENDINGS)
    (videos / "broken.mp4").unlink()
    done = CliRunner().invoke(
        app, ["run", "--source", f"{videos}/*.motion", "--out", str(out), "--jobs", "1"]
    )
    assert done.exit_code == 0
    assert "2 of them there already" in done.output.replace("\n", " ")
    report = CliRunner().invoke(app, ["report", str(out)])
    assert report.exit_code == 0, report.output
    assert "2 runs" in report.output.replace("\n", " ")


def test_a_pattern_a_folder_or_a_file_names_files_in_natural_order(videos: Path):
    """visit2 comes before visit10; other files of a folder are not looked at."""
    assert [one.name for one in clips_of(str(videos))] == ["broken.mp4", "visit2.motion", "visit10.motion"]
    assert [one.name for one in clips_of(f"{videos}/visit*")] == ["visit2.motion", "visit10.motion"]
    assert len(clips_of(str(videos / "visit2.motion"))) == 1
    with pytest.raises(SettingsError, match="in quotation marks"):
        clips_of(f"{videos}/*.mkv")


def test_files_of_one_name_have_results_of_their_own(tmp_path: Path):
    """Two folders may both hold a ``visit``."""
    for seed, folder in enumerate(("ann", "ben"), 1):
        (tmp_path / folder).mkdir()
        write_recording(tmp_path / folder / "visit.motion", seed, ticks=60)
    batch(f"{tmp_path}/*/visit.motion", tmp_path / "out")
    assert len(list((tmp_path / "out").glob("visit-*.json"))) == 2


def test_what_would_be_one_for_all_is_refused(videos: Path, tmp_path: Path):
    """Outputs and names of a single run, and the videos' own folder, are answered with the remedy."""
    for flags, said in (
        ({"events": "all.jsonl"}, "--events would be one for all"),
        ({"broker": "mqtt://localhost"}, "--broker would be one for all"),
        ({"stream": "cam"}, "leave --stream out"),
    ):
        with pytest.raises(SettingsError, match=said):
            batch(videos, tmp_path / "out", **flags)
    with pytest.raises(SettingsError, match="name another folder"):
        batch(videos, videos)


def test_a_summary_says_how_it_was_made(videos: Path, tmp_path: Path):
    """Length, weights, version and settings stand beside the results, no picture and no path of the machine."""
    batch(videos, tmp_path / "out")
    said = json.loads((tmp_path / "out" / "visit2.json").read_text())
    assert said["seconds"] == pytest.approx(179 / 30, abs=0.05)
    assert said["about"]["Weights"] == "streamspot-base"
    assert str(tmp_path) not in json.dumps(said)
