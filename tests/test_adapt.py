"""Weights made yours: compared on what was held back, and written only if they are better."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_data import write_small
from typer.testing import CliRunner

from streamspot.cli import app
from streamspot.datasets.recording import Instance, Recording
from streamspot.errors import DataError, ModelError, SettingsError
from streamspot.model.weights import Model
from streamspot.training.adapt import adapt, held_back
from streamspot.training.settings import TrainSettings


def recording(name: str, *stamps: int) -> Recording:
    """Return a recording with an expression round each stamp."""
    found = tuple(Instance("macro", at - 10, at, at + 10, at, bounded=False) for at in stamps)
    return Recording(name, "s", np.arange(600 * 20, dtype=np.float32).reshape(600, 10, 2), found)


def test_the_last_third_of_several_recordings_is_held_back():
    """Whole recordings are judged of which nothing was learned; those without expressions are learned from."""
    several = [recording(name, 100) for name in "abcde"] + [recording("none")]
    learned, held = held_back(several)
    assert [one.name for one in learned] == ["a", "b", "c", "d", "none"]
    assert [one.name for one in held] == ["e"]


def test_of_a_single_recording_the_end_is_held_back():
    """No expression is cut, no tick is in both parts, and the labels keep their places."""
    whole = recording("a", 50, 120, 240, 330, 480)
    (first,), (last,) = held_back([whole])
    assert [one.stamp for one in first.instances] == [50, 120, 240]
    assert np.array_equal(np.concatenate((first.motion, last.motion)), whole.motion)
    begin = len(first.motion)
    assert [one.stamp + begin for one in last.instances] == [330, 480]


@pytest.mark.parametrize("recordings", [[recording("a", 50)], [recording("a")], []])
def test_too_few_labels_are_named(recordings: list[Recording]):
    """With one label, or none, nothing can be compared."""
    with pytest.raises(DataError, match="ten point labels"):
        held_back(recordings)


def test_weights_that_are_no_better_replace_nothing(tmp_path: Path):
    """What stands at the place stays as it is, and the sentence has both figures; --force writes it nevertheless."""
    data, out = write_small(tmp_path / "data", subjects=3), tmp_path / "mine.safetensors"
    out.write_bytes(b"mine")
    settings = TrainSettings(start="streamspot-base", partner=None, epochs=1, min_steps=1, learning_rate=1e-9)
    with pytest.raises(ModelError, match=r"no better than streamspot-base \(F1 .*, before"):
        adapt(data, out, settings)
    assert out.read_bytes() == b"mine"
    adapt(data, out, settings, force=True)
    adapt(data, out, settings, force=True)  # the card of weights is replaced by that of the new ones
    notes = out.with_suffix(".md")
    notes.write_text("my notes")
    with pytest.raises(SettingsError, match=r"mine\.md is no card of weights"):
        adapt(data, out, settings, force=True)
    assert notes.read_text() == "my notes"
    assert Model.load(out).provenance["start"] == "streamspot-base"


def test_the_command_shows_before_and_after_and_writes_a_card(tmp_path: Path):
    """From data to weights in one command; the file and its card say what was learned from and what it brought."""
    data, out = write_small(tmp_path / "data", subjects=3), tmp_path / "mine.safetensors"
    config = tmp_path / "quick.yaml"
    config.write_text("epochs: 1\nmin_steps: 1\npartner: null\n")
    places = ["--data", str(data), "--out", str(out), "--config", str(config)]
    said = CliRunner().invoke(app, ["train", "--from", "streamspot-base", *places, "--force", "--no-ui"])
    assert said.exit_code == 0, said.output
    assert "before" in said.output
    assert "after" in said.output
    card = out.with_suffix(".md").read_text()
    assert "Begun from streamspot-base, adapted to data: 3 recordings of\n3 people" in card
    held = Model.load(out).provenance["held_back"]
    assert json.loads(json.dumps(held))["labels"][1] > 0


def test_no_expression_is_cut_where_a_long_one_holds_short_ones():
    """The end is held back from where nothing is under way."""
    spans = [
        ("macro", 0, 100, 400),
        ("micro", 140, 150, 160),
        ("micro", 190, 200, 210),
        ("macro", 500, 520, 540),
    ]
    found = tuple(Instance(*span) for span in spans)
    (first,), (last,) = held_back([replace(recording("a"), instances=found)])
    assert len(first.motion) == 450
    assert [one.onset for one in last.instances] == [50]
