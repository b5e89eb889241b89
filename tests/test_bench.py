"""Promises of ``streamspot bench``: one run says what a frame costs and what the machine carries."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path

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
