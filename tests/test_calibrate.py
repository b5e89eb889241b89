"""The sensitivity that suits a person, from labels."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_data import write_small
from typer.testing import CliRunner

from streamspot.cli import app
from streamspot.errors import DataError
from streamspot.evaluation.matching import Counts
from streamspot.training.calibrate import STEPS, best, calibrate


def test_the_best_is_the_one_with_the_highest_f1_nearest_to_the_default():
    """Among equal ones the default is not left without a reason."""
    counts = {step: Counts(tp=2, fp=1 if step < 0.6 else 0, fn=0 if step < 0.9 else 1) for step in STEPS}
    assert best(counts) == 0.6
    assert best(dict.fromkeys(STEPS, Counts(tp=1))) == 0.5


def test_the_command_prints_the_flag_to_use(tmp_path: Path):
    """A table for the eyes, and one line for the shell."""
    data = write_small(tmp_path / "data", subjects=2)
    done = CliRunner().invoke(app, ["calibrate", "--data", str(data)])
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1] == f"--sensitivity {best(calibrate(data, 'streamspot-base')):g}"


def test_without_labels_there_is_nothing_to_calibrate_by(tmp_path: Path):
    """One sentence says what to do first."""
    data = write_small(tmp_path / "data", subjects=1, frames=100)
    with pytest.raises(DataError, match="label some"):
        calibrate(data, "streamspot-base")
