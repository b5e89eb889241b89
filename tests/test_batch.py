"""Promises about many files: each has its own results, what is finished stays, what is broken costs only itself."""

from __future__ import annotations

import csv
import errno
import json
import os
import sys
from collections import Counter
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import torch
from running import collect, delivered
from small_recordings import write_recording
from typer.testing import CliRunner

from streamspot.batch import run_batch
from streamspot.cli import app, main
from streamspot.clips import ENDINGS, TOGETHER, clips_of
from streamspot.errors import SettingsError
from streamspot.events import read_events
from streamspot.files import write_atomically
from streamspot.layers import load_settings
from streamspot.model import Model
from streamspot.model.config import ModelConfig
from streamspot.model.network import Network
from streamspot.progress import Bars


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


def batch(source: object, out: Path, **flags: object) -> list[tuple[int, ...]]:
    """Analyse files; return the progress that was told, whose last entry is the end."""
    told: list[tuple[int, ...]] = []
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
    assert told[-1][2:] == (3, 3)


def test_what_is_finished_is_not_analysed_again(videos: Path, tmp_path: Path):
    """Only what is missing, half done, or was made with other settings is made anew."""
    out = tmp_path / "out"
    batch(videos, out)
    runs = {name: read_events(out / f"{name}.jsonl")[0].run for name in ("visit2", "visit10")}
    (out / "visit10.csv").unlink()
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


def expressions_of(out: Path) -> Counter[str]:
    """Return how many expressions of each file stand in the table of all."""
    with (out / TOGETHER).open(newline="", encoding="utf-8") as file:
        return Counter(row["file"] for row in csv.DictReader(file))


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


@pytest.mark.parametrize("name", ["visit2.json", "visit2.csv", "visit10.jsonl", "visit2.motion", TOGETHER])
def test_what_no_batch_has_written_stays(videos: Path, tmp_path: Path, name: str):
    """Files of other programs, and of live runs, are refused before the work; ``--force`` replaces them."""
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text("{}")
    with pytest.raises(SettingsError, match=f"{name} was not written by a run with --out .* add --force"):
        batch(videos, out)
    assert [(one.name, one.read_text()) for one in out.iterdir()] == [(name, "{}")]
    batch(videos, out, force=True)
    assert expressions_of(out).total() > 0
    batch(videos, out)


def test_what_a_batch_left_half_done_is_its_own(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Stopped while the results of a file are written, the same command goes on."""
    out = tmp_path / "out"

    def stopped(path: Path) -> AbstractContextManager[Path]:
        if path.suffix == ".csv":
            raise KeyboardInterrupt
        return write_atomically(path)

    with monkeypatch.context() as patched:
        patched.setattr("streamspot.batch.write_atomically", stopped)
        with pytest.raises(KeyboardInterrupt):
            batch(videos, out)
    assert [one.name for one in out.glob("*.jsonl")] == ["visit2.jsonl"]
    batch(videos, out)
    assert set(expressions_of(out)) == {"visit2.motion", "visit10.motion"}


def test_results_do_not_go_where_the_files_are(videos: Path, tmp_path: Path):
    """A recording and the files of its live run, beside it, are as they were; so is what a link leads to."""
    (videos / "visit2.jsonl").write_text("events of the live run")
    before = {one.name: one.read_bytes() for one in videos.iterdir()}
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "visit2.motion").symlink_to(videos / "visit2.motion")
    for source in (f"{videos}/*.motion", videos / "visit2.motion", tmp_path / "links"):
        with pytest.raises(SettingsError, match="name another folder with --out"):
            batch(source, videos, force=True)
    assert {one.name: one.read_bytes() for one in videos.iterdir()} == before


def test_other_weights_under_the_same_path_are_other_weights(tmp_path: Path):
    """What counts is what the files of weights and of the face model hold, not what they are called."""
    recording = write_recording(tmp_path / "visit.motion", ticks=60)
    weights, out = tmp_path / "mine.safetensors", tmp_path / "out"

    def made(weights: Path, **flags: object) -> float:
        batch(recording, out, weights=str(weights), **flags)
        return (out / "visit.json").stat().st_mtime_ns

    for seed in (1, 2):
        torch.manual_seed(seed)
        Model(Network(ModelConfig(width=8, dilations=(1, 2)))).save(tmp_path / f"{seed}.safetensors")
    weights.write_bytes((tmp_path / "1.safetensors").read_bytes())
    first = made(weights)
    assert made(tmp_path / "1.safetensors") == first
    weights.write_bytes((tmp_path / "2.safetensors").read_bytes())
    second = made(weights)
    assert second != first
    face = tmp_path / "face.task"
    face.write_bytes(b"one")
    with_face = made(weights, face_model=face)
    assert made(weights, face_model=face) == with_face != second
    face.write_bytes(b"two")
    assert made(weights, face_model=face) != with_face


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


def test_results_that_cannot_be_written_are_said_with_the_remedy(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A disk that is full, or that takes only short names, is named beside the file, the room it needs too."""

    def full(path: Path) -> AbstractContextManager[Path]:
        if path.name.startswith("visit2"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        return write_atomically(path)

    monkeypatch.setattr("streamspot.batch.write_atomically", full)
    settings = load_settings({"source": f"{videos}/*.motion"})
    outcome = run_batch(settings, tmp_path / "out", progress=lambda *_: None)
    assert list(outcome.broken) == [videos / "visit2.motion"]
    assert "(No space left on device); make room there" in outcome.broken[videos / "visit2.motion"]


def test_ctrl_c_says_what_is_done_and_that_it_goes_on(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """One line, and the exit code of Ctrl-C; the bar counts the files there are."""
    descriptions = []
    monkeypatch.setattr(Bars, "update", lambda *_, **what: descriptions.append(what.get("description")))
    kept = []

    def keep(*_: object) -> str:
        if kept:
            raise KeyboardInterrupt
        kept.append(1)
        return ""

    monkeypatch.setattr("streamspot.batch._keep", keep)
    out = tmp_path / "out"
    done = CliRunner().invoke(
        app, ["run", "--source", f"{videos}/*.motion", "--out", str(out), "--jobs", "1"]
    )
    assert done.exit_code == 130
    assert (
        done.output == "streamspot: stopped with 1 of 2 files done; the same command goes on with the rest\n"
    )
    assert list(dict.fromkeys(descriptions)) == ["0 of 2 files", "1 of 2 files"]


def test_the_hint_can_be_pasted(videos: Path, tmp_path: Path):
    """A folder with blanks in its name stands in quotation marks."""
    out = tmp_path / "res ü sp"
    done = CliRunner().invoke(app, ["run", "--source", f"{videos}/visit2.motion", "--out", str(out)])
    assert f"streamspot report '{out}'" in done.output


def test_many_files_without_out_are_led_there(videos: Path):
    """A pattern or a folder of videos is no source of one run, a pattern without quotation marks several words."""
    for source in (f"{videos}/*.mp4", videos):
        done = CliRunner().invoke(app, ["run", "--source", str(source), "--no-ui"])
        assert "add --out FOLDER" in str(done.exception)


def test_a_pattern_without_quotation_marks_is_told_to_have_some(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """However many names the shell made of it."""
    names = [f"videos/{n}.mp4" for n in range(1000)]
    monkeypatch.setattr(sys, "argv", ["streamspot", "run", "--source", *names, "--out", "results"])
    with pytest.raises(SystemExit):
        main()
    assert "a pattern stands in quotation marks: 'videos/*.mp4')" in capsys.readouterr().err


def test_what_would_be_one_for_all_is_refused(videos: Path, tmp_path: Path):
    """Outputs and names of a single run, and the videos' own folder, are answered with the remedy."""
    for flags, said in (
        ({"events": "all.jsonl"}, r"--events, or in a settings file\) would be one for all"),
        ({"broker": "mqtt://localhost"}, r"the setting broker \(--broker, .* leave it out"),
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
