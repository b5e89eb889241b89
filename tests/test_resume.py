"""A training that is killed goes on where it was, by the same command, and ends as if it never had been."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from safetensors.torch import load_file
from small_data import write_small

from streamspot.datasets.store import load
from streamspot.errors import SettingsError
from streamspot.training.adapt import adapt
from streamspot.training.resume import mark
from streamspot.training.settings import TrainSettings, load_settings
from streamspot.training.train import train

SETTINGS: dict[str, Any] = {
    "epochs": 12,
    "min_steps": 2,
    "crop": 256,
    "network": {"width": 8, "dilations": [1, 4]},
    "simulated": {"steps": 3, "beside": 1, "recordings": 3},
}


def same(one: Path, other: Path) -> bool:
    """Tell whether two files hold the same weights."""
    first, second = load_file(one), load_file(other)
    return first.keys() == second.keys() and all(first[key].equal(second[key]) for key in first)


def stopping(steps: int) -> Any:
    """Return what stops a training after so many steps."""
    left = steps

    def on_step(share: float, _: float) -> None:
        nonlocal left
        left -= share < 1  # not of what was done before
        if left == 0:
            raise KeyboardInterrupt

    return on_step


@pytest.mark.slow
def test_killed_and_started_again_it_ends_with_the_same_weights(tmp_path: Path) -> None:
    """Killed twice, once while a file may be half written, ``train`` ends with the weights of an undisturbed run."""
    data = write_small(tmp_path / "data", subjects=2)
    chosen = tmp_path / "settings.yaml"
    chosen.write_text(json.dumps(SETTINGS | {"epochs": 30}))
    train(data, tmp_path / "whole.safetensors", load_settings(chosen))
    out = tmp_path / "broken.safetensors"
    kept = out.with_suffix(".unfinished")
    command = [*(sys.executable, "-m", "streamspot", "train", "--no-ui", "--config", str(chosen))]
    command += ["--data", str(data), "--out", str(out)]
    for _ in range(2):
        before = kept.stat().st_mtime_ns if kept.exists() else 0
        process = psutil.Popen(command)
        try:
            limit = time.monotonic() + 240
            while not kept.exists() or kept.stat().st_mtime_ns == before:
                assert time.monotonic() < limit
                assert process.poll() is None
                time.sleep(0.002)
        finally:
            process.kill()
            process.wait()
        assert not out.exists()
    process = psutil.Popen(command)
    assert process.wait(240) == 0
    assert same(out, tmp_path / "whole.safetensors")
    assert not kept.exists()


def test_other_weights_under_the_same_name_are_others(tmp_path: Path) -> None:
    """What began from weights, or has them as its partner, does not go on when the file holds others."""
    data = load(write_small(tmp_path / "data", subjects=2))
    chosen = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    settings = TrainSettings(start=str(chosen[0]), partner=str(chosen[1]))
    marks = []
    for number in range(3):
        for file in chosen[: number + 1]:
            file.write_bytes(b"%d" % number)
        marks.append(mark(data.recordings, data.layout, settings, {}))
    assert len(set(marks)) == 3
    assert mark(data.recordings, data.layout, settings, {}) == marks[-1]
    assert (
        mark(data.recordings, "another", settings, {}) != marks[-1]
    )  # a region's place decides what mirrors it


def test_it_goes_on_from_the_last_whole_epoch(tmp_path: Path) -> None:
    """What was done before is not done again, learning from simulation neither, and is shown as done."""
    data, settings = write_small(tmp_path / "data", subjects=2), TrainSettings.model_validate(SETTINGS)
    whole: list[float] = []
    train(data, tmp_path / "whole.safetensors", settings, on_step=lambda share, _: whole.append(share))
    out, again, simulated = tmp_path / "mine.safetensors", [], []
    with pytest.raises(KeyboardInterrupt):
        train(data, out, settings, on_step=stopping(len(whole) // 2 + 1))
    train(
        data,
        out,
        settings,
        on_step=lambda share, _: again.append(share),
        on_simulated=lambda step, _: simulated.append(step),
    )
    assert (again[0], len(again), simulated) == (6, 1 + len(whole) // 2, [])
    assert sum(again) == pytest.approx(settings.epochs)
    assert same(out, tmp_path / "whole.safetensors")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "data",
        "mine.safetensors",
        "whole.safetensors",
    ]


def test_other_data_or_settings_do_not_go_on(tmp_path: Path) -> None:
    """What an interrupted training did is neither mixed with another nor lost."""
    data, settings = write_small(tmp_path / "data", subjects=2), TrainSettings.model_validate(SETTINGS)
    out = tmp_path / "mine.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train(data, out, settings, on_step=stopping(5))
    kept = out.with_suffix(".unfinished").read_bytes()
    with pytest.raises(
        SettingsError, match=r"mine\.unfinished is what a training with other data or settings"
    ):
        train(data, out, settings.model_copy(update={"seed": 1}))
    with pytest.raises(SettingsError, match="with other data"):
        train(write_small(tmp_path / "more", subjects=3), out, settings)
    assert out.with_suffix(".unfinished").read_bytes() == kept
    out.with_suffix(".unfinished").write_bytes(kept[:100])
    with pytest.raises(SettingsError, match="remove it, or name another --out"):
        train(data, out, settings)


@pytest.fixture(scope="module")
def adapted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TrainSettings, int]:
    """Return a folder with data and weights begun from others, how those were made and in how many steps."""
    folder, seen = tmp_path_factory.mktemp("adapted"), []
    data = write_small(folder / "data", subjects=2, videos=2)
    settings = TrainSettings.model_validate(SETTINGS | {"epochs": 4, "simulated": {}})
    train(data, folder / "start.safetensors", settings)
    begun = settings.model_copy(update={"start": str(folder / "start.safetensors")})
    adapt(data, folder / "whole.safetensors", begun, force=True, on_step=lambda share, _: seen.append(share))
    return folder, begun, len(seen)


@pytest.mark.parametrize("steps", [5, 13], ids=["while it compares", "while it learns from all"])
def test_an_adaptation_goes_on(tmp_path: Path, adapted: tuple[Path, TrainSettings, int], steps: int) -> None:
    """Weights begun from others end the same however often their making is interrupted."""
    folder, begun, seen = adapted
    data, out = folder / "data", tmp_path / "mine.safetensors"
    with pytest.raises(KeyboardInterrupt):
        adapt(data, out, begun, force=True, on_step=stopping(steps))
    again: list[float] = []
    adapt(data, out, begun, force=True, on_step=lambda share, _: again.append(share))
    assert len(again) < seen
    assert same(out, folder / "whole.safetensors")
    assert not [path for path in tmp_path.iterdir() if path.suffix in {".compared", ".unfinished"}]
