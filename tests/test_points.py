"""Promises about point labels: they are kept and judged as points, and no beginning or end is made up for them."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from streamspot.cli import app
from streamspot.datasets.annotations import Annotated, Faults, read_annotations, write_annotations
from streamspot.datasets.recording import Instance, Recording
from streamspot.datasets.store import Meta, load, save
from streamspot.evaluation.live import live_figures
from streamspot.evaluation.matching import Counts, count
from streamspot.evaluation.results import protocols
from streamspot.simulation import Scenario, simulate
from streamspot.types import Detection


def found(onset: int, offset: int, score: float = 0.5) -> Detection:
    """Return a detected macro-expression."""
    return Detection(0, "offset", "macro", onset, onset + 2, offset, 0.9, score, offset + 3)


def point(frame: int) -> Instance:
    """Return an expression of which only a point is known."""
    return Instance("macro", frame - 10, frame, frame + 10, frame, bounded=False)


def test_a_point_is_found_by_the_detection_it_lies_in():
    """However long or short that is, at either end; a frame outside is a miss and a false alarm."""
    for onset, offset in ((100, 400), (100, 110), (90, 100), (98, 102)):
        assert count([found(onset, offset)], [point(100)])["macro"] == Counts(1, 0, 0, abs(onset + 2 - 100))
    assert count([found(101, 120)], [point(100)])["macro"] == Counts(0, 1, 1, 0)


def test_each_point_is_found_once_and_finds_once():
    """Two detections cannot share a point, nor can one claim two."""
    assert count([found(90, 110), found(95, 120, 0.9)], [point(100)])["macro"].fp == 1
    assert count([found(90, 200)], [point(100), point(150)])["macro"].fn == 1


def test_a_point_has_no_part_in_delays():
    """Where no beginning is annotated, there is no delay from it."""
    recording = Recording("v", "s", np.zeros((900, 10, 2), np.float32), (point(100),))
    phases = [Detection(0, "onset", "macro", 90, None, None, 0.5, 0.0, 95), found(90, 120)]
    row = live_figures([recording], {"v": phases}, 8)["macro"]
    assert row["found"] == 1
    assert row["onset_delay_s"] is row["offset_delay_s"] is row["apex_error_s"] is None
    assert protocols([recording], {"v": phases[1:]})["points"] == 1


def test_delays_are_not_measured_from_what_was_assumed(tmp_path: Path):
    """An offset and an apex that the annotation leaves open count for what was found, not for when."""
    np.savez(tmp_path / "features.npz", v=np.zeros((900, 10, 2), np.float32))
    rows = "video,subject,fps,kind,onset,apex,offset\nv,s,25,macro,{},{},{}\n"
    phases = [Detection(0, "onset", "macro", 120, None, None, 0.5, 0.0, 125), found(120, 144)]
    known = []
    for apex, offset in ((110, ""), ("", 120), (110, 120)):
        (tmp_path / "annotations.csv").write_text(rows.format(100, apex, offset))
        row = live_figures(load(tmp_path).recordings, {"v": phases}, 8)["macro"]
        assert row["found"] == 1
        names = ("onset_delay_s", "offset_delay_s", "apex_error_s", "share_of_found", "share_of_annotated")
        known.append([row[name] is not None for name in names])
    assert known == [[True, False, True, True, True], [True, True, False, False, False], [True] * 5]


def test_a_point_stays_a_point_on_disk(tmp_path: Path):
    """``annotations.csv`` holds the point alone, and is read as that."""
    both = [point(100), Instance("micro", 200, 205, 210, 204)]
    write_annotations(tmp_path / "annotations.csv", [Annotated("v", "s", 30.0, 900, both)])
    assert "macro,,,,100" in (tmp_path / "annotations.csv").read_text()
    faults = Faults()
    again = read_annotations(tmp_path / "annotations.csv", faults)["v"].instances
    assert again == both
    assert faults.found == faults.notes == []


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """Return a data set of which only points are known."""
    arrays, videos = {}, []
    for seed in (1, 2):
        made = simulate(seed, 600, layout="face17", scenario=Scenario(idle=0.1, expressions=12))
        arrays[f"v{seed}"] = np.concatenate((made.motion[1:], np.zeros_like(made.motion[:1])))
        points = [
            Instance(i.kind, max(0, i.apex - 10), i.apex, i.apex + 10, i.apex, bounded=False)
            for i in made.instances
        ]
        videos.append(Annotated(f"v{seed}", f"s{seed}", 30.0, 600, points))
    save(tmp_path / "data", arrays, videos, Meta(layout="face17", fps=30.0))
    return tmp_path / "data"


def test_evaluate_says_that_points_are_judged_and_prints_json_only_when_asked(labelled: Path, tmp_path: Path):
    """The tables go to a person, JSON to a file or to ``-``, a report to its page."""
    command = ["evaluate", "--data", str(labelled), "--weights", "streamspot-base"]
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert done.exit_code == 0
    assert done.stdout == ""
    assert "expressions are points" in done.stderr
    asked = CliRunner().invoke(app, [*command, "--out", "-"], catch_exceptions=False)
    results = json.loads(asked.stdout)
    overall = results["strict"]["overall"]
    assert results["points"] == overall["tp"] + overall["fn"] > 0
    assert overall["tp"] > 0


def test_a_full_disk_costs_no_earlier_tables(labelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What evaluate writes it writes whole or not at all, for its owner only."""
    tables = tmp_path / "out" / "tables.json"
    tables.parent.mkdir()
    command = ["evaluate", "--data", str(labelled), "--weights", "streamspot-base", "--out", str(tables)]
    assert CliRunner().invoke(app, command).exit_code == 0
    assert tables.stat().st_mode & 0o777 == 0o600
    tables.write_text("earlier")

    def full(path: Path, text: str, **_: object) -> None:
        path.write_bytes(text[:10].encode())
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", full)
    assert CliRunner().invoke(app, command).exit_code != 0
    assert [(path.name, path.read_bytes()) for path in tables.parent.iterdir()] == [
        ("tables.json", b"earlier")
    ]


def test_evaluate_writes_the_report_of_crossval(labelled: Path, tmp_path: Path):
    """The same page: protocols, what a live user notices, recordings; points are drawn as points."""
    pytest.importorskip("plotly")
    page = tmp_path / "page.html"
    command = ["evaluate", "--data", str(labelled), "--weights", "streamspot-base", "--report", str(page)]
    assert CliRunner().invoke(app, command, catch_exceptions=False).exit_code == 0
    text = page.read_text()
    assert text.count('<div class="figure">') == 2
    assert "No beginning or end is made up" in text
    assert CliRunner().invoke(app, command).exit_code == 0  # a report of ours is replaced
    page.write_text("<!doctype html><title>a thesis</title>")
    refused = CliRunner().invoke(app, command)
    assert refused.exit_code != 0
    assert "a thesis" in page.read_text()
