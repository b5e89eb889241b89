"""Promises of ``streamspot bench``: one run says what a frame costs and what the machine carries."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from streamspot import bench, load
from streamspot.cli import app
from streamspot.errors import SettingsError


@pytest.mark.slow
def test_one_run_prints_draws_and_writes_every_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Stages, yardsticks, ratios, cameras at their own pace, streams of the network, memory, start-up."""
    monkeypatch.setattr(bench, "_WARM_UP", 5)
    monkeypatch.setattr(bench, "_busy", lambda _: nullcontext())
    monkeypatch.setattr(load, "SIZES", ((320, 240),))
    monkeypatch.setattr(load, "CAMERAS", (2,))
    figures, plot = tmp_path / "figures.json", tmp_path / "figures.png"
    arguments = ["--frames=15", "--seconds=3", f"--json={figures}", f"--plot={plot}"]
    done = CliRunner().invoke(app, ["bench", "--source=synthetic:seconds=2", *arguments])
    assert done.exit_code == 0, done.output
    found = json.loads(figures.read_text())
    assert list(found["stages_ms"]) == ["decoding", "face", "flow", "model", "spotting"]
    assert found["frame_ms"]["mean"] >= found["stages_ms"]["face"]["mean"] > 0
    assert all(one["ratio_of_processor_time"] > 0 for one in found["yardsticks"].values())
    assert found["beside_busy_processes"]["yardsticks"].keys() == found["yardsticks"].keys()
    (cameras,) = found["cameras"]
    assert (cameras["cameras"], cameras["size"]) == (2, "320x240")
    assert 0 <= cameras["within_40_ms"] <= 1
    assert [row["streams"] for row in found["streams_of_the_network"]][:4] == [1, 8, 64, 256]
    assert found["start_up_s"]["first_frame"] > found["start_up_s"]["network"] > 0
    assert plot.stat().st_size > 1000
    for words in ("whole frame", "beside busy processes", "cameras at 30 fps", "kB a stream", "start-up"):
        assert words in done.output


async def test_what_a_camera_costs_holds_nothing_of_its_start(monkeypatch: pytest.MonkeyPatch):
    """However long the models take to load: 5 ms a frame after a start of two seconds are 5 ms."""
    run = SimpleNamespace(name="a", stats=SimpleNamespace(frames=0, dropped=0), load=lambda: None)
    worked = 0.0

    async def updates():
        nonlocal worked
        for number in range(100):
            worked += 2.0 if number == 0 else 0.005
            run.stats.frames += 1
            yield run, SimpleNamespace(motion=True, pts=number / 30)

    monkeypatch.setattr(load, "open_runs", lambda _: [run])
    monkeypatch.setattr(load, "Engine", lambda _: nullcontext(updates()))
    monkeypatch.setattr(load, "time", SimpleNamespace(process_time=lambda: worked, monotonic=lambda: 0.0))
    figures = await load._paced(["a.mp4"], "streamspot-base")
    assert (figures["processor_ms_a_frame"], figures["cameras_a_core"]) == (5.0, 6.7)


def test_a_place_that_cannot_be_written_is_said_before_the_work(tmp_path: Path):
    """Nobody waits a minute for figures that have nowhere to go."""
    done = CliRunner().invoke(app, ["bench", f"--json={tmp_path}/none/figures.json"])
    assert done.exit_code != 0
    assert "no folder" in str(done.exception)


@pytest.mark.parametrize(("flag", "ending"), [("--json", ".json"), ("--plot", ".png")])
def test_figures_replace_no_file_of_another_kind(tmp_path: Path, flag: str, ending: str):
    """Not the video that is measured, nor a drawing that could not be drawn: both are said before the work."""
    video = tmp_path / "clip.mp4"
    video.write_bytes(b"a video")
    done = CliRunner().invoke(app, ["bench", f"--source={video}", f"{flag}={video}"])
    assert isinstance(done.exception, SettingsError)
    assert f"name it clip{ending}" in str(done.exception)
    assert video.read_bytes() == b"a video"
