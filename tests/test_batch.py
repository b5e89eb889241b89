"""Promises about many files: each has its own results, what is finished stays, what is broken costs only itself."""

from __future__ import annotations

import csv
import errno
import json
import os
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import torch
from running import collect, delivered
from small_batches import batch, expressions_of
from small_recordings import write_recording
from typer.testing import CliRunner

from streamspot.batch import run_batch
from streamspot.cli import app, main
from streamspot.clips import ENDINGS, TOGETHER
from streamspot.errors import SettingsError
from streamspot.events import read_events
from streamspot.files import write_atomically
from streamspot.layers import load_settings
from streamspot.model import Model
from streamspot.model.config import ModelConfig
from streamspot.model.network import Network
from streamspot.progress import Bars
from streamspot.report.account import accounts_of


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


def test_the_table_and_a_report_count_the_same_results(videos: Path, tmp_path: Path):
    """What earlier runs left stays in both and is named; what they found in a file now damaged counts in neither."""
    out = tmp_path / "out"
    batch(f"{videos}/*.motion", out)
    (videos / "visit2.motion").write_text("damaged")
    (videos / "visit10.motion").rename(videos / "visit010.motion")
    done = CliRunner().invoke(app, ["run", "--source", f"{videos}/*.motion", "--out", str(out)])
    assert "(what an earlier run found in it counts no longer)" in str(done.exception)
    assert "also holds results of earlier runs, of visit10; they count too" in done.stderr
    assert set(expressions_of(out)) == {"visit10.motion", "visit010.motion"}
    told: list[str] = []
    counted = accounts_of(out, "streamspot-base", 0.5, told.append)
    assert {one.source for one in counted} == {"visit10.motion", "visit010.motion"}
    assert "of visit2 is not finished" in told[0]
    batch(videos / "visit010.motion", out)
    assert set(expressions_of(out)) == {"visit10.motion", "visit010.motion"}


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


@pytest.mark.parametrize("faces", [True, False])
def test_a_recording_is_as_long_as_its_source_was(tmp_path: Path, *, faces: bool):
    """Also where the face left long before the end, or never came; a summary that says less shortens no report."""
    recording, out = write_recording(tmp_path / "visit.motion", ticks=60), tmp_path / "out"
    header, *lines = recording.read_text().splitlines()
    kept = lines[:-1] if faces else []
    header = header if faces else header.replace('"origin":0.0', '"origin":100.0')
    end = 599.967 if faces else 699.967
    recording.write_text("\n".join([header, *kept, f'{{"end":{end},"frame":17999}}', ""]))
    batch(recording, out)
    summary = out / "visit.json"
    said = json.loads(summary.read_text())
    assert said["seconds"] == 599.967
    summary.write_text(json.dumps(said | {"seconds": 1.967}))
    (account,) = accounts_of(out, "streamspot-base", 0.5)
    assert (account.seconds, account.whole) == (600.0, True)
