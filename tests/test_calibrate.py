"""The sensitivity that suits a person, from labels."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_data import write_other, write_small
from typer.testing import CliRunner

from streamspot.cli import app
from streamspot.errors import DataError
from streamspot.evaluation.matching import Counts
from streamspot.training.calibrate import STEPS, best, calibrate


def test_the_best_has_good_neighbours_and_is_near_the_default():
    """A single step that happens to be good decides nothing; among equal ones the default is not left."""
    counts = {step: Counts(tp=2, fp=1 if step < 0.6 else 0, fn=0 if step < 0.9 else 1) for step in STEPS}
    assert best(counts) == 0.65
    assert best({**counts, 0.2: Counts(tp=2)}) == 0.65
    assert best(dict.fromkeys(STEPS, Counts(tp=1))) == 0.5


def test_the_command_prints_the_flag_to_use(tmp_path: Path):
    """A table for the eyes, and one line for the shell."""
    data = tmp_path / "data"
    write_other(data, subjects=2)
    done = CliRunner().invoke(app, ["calibrate", "--data", str(data)])
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1] == f"--sensitivity {best(calibrate(data, 'streamspot-base')[1]):g}"


def test_without_labels_there_is_nothing_to_calibrate_by(tmp_path: Path):
    """One sentence says what to do first."""
    data = write_small(tmp_path / "data", subjects=1, frames=100)
    with pytest.raises(DataError, match="label some"):
        calibrate(data, "streamspot-base")


def test_labels_that_nothing_finds_recommend_no_sensitivity(tmp_path: Path):
    """Labels on the wrong frames are asked about; a flag that finds nothing is not called the best."""
    data = write_small(tmp_path / "data", subjects=1)
    done = CliRunner().invoke(app, ["calibrate", "--data", str(data)])
    assert done.exit_code == 1
    assert isinstance(done.exception, DataError)
    assert "finds any of the 2 labelled expressions; are they on the right frames?" in str(done.exception)
    assert "--sensitivity" not in done.stdout
