"""Promises of the settings of spotting: one sensitivity for all of them, and what is impossible is named."""

from __future__ import annotations

import doctest
import itertools
import math

import numpy as np
import pytest

import streamspot.spotting.online as spotting_online
import streamspot.spotting.settings as spotting_settings
from streamspot.errors import SettingsError
from streamspot.spotting import SpotSettings


def test_the_examples_in_the_documentation_hold() -> None:
    """What the docstrings show is what happens."""
    for module in (spotting_online, spotting_settings):
        assert doctest.testmod(module).failed == 0


def test_sensitivity_is_monotonic_and_neutral_in_the_middle() -> None:
    """More sensitivity lowers thresholds and scores; a half changes nothing."""
    assert SpotSettings.from_sensitivity(0.5) == SpotSettings()
    steps = [SpotSettings.from_sensitivity(s) for s in np.linspace(0, 1, 11)]
    for less, more in itertools.pairwise(steps):
        assert all(b < a for a, b in zip(less.thresholds, more.thresholds, strict=True))
        assert more.macro_score < less.macro_score
        assert more.micro_score < less.micro_score
        assert more.onset_level < less.onset_level
    assert SpotSettings.from_sensitivity(0.9, apex_margin=0.3).apex_margin == 0.3
    assert SpotSettings.from_sensitivity(0.5, macro_score=0.7, thresholds=[0.3, 0.5]).macro_score == 0.7
    assert SpotSettings.from_sensitivity(1.0, macro_score=0.7).macro_score == 0.5


def test_a_threshold_lies_where_the_curve_to_the_power_reaches_it() -> None:
    """What is decoded to a power is shown on the scale of the curve."""
    assert SpotSettings(power=0.8).on_curve(0.2**0.8) == pytest.approx(0.2)
    assert SpotSettings(power=3.0).on_curve(0.3**3) == pytest.approx(0.3)
    assert SpotSettings().on_curve(0.3) == 0.3


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"thresholds": (0.5, 0.3)}, "0.5"),
        ({"thresholds": ()}, "thresholds"),
        ({"macro_ticks": (20, 10)}, "20"),
        ({"micro_ticks": (6, 5000)}, "5000"),
        ({"outer_ticks": 0}, "outer_ticks"),
        ({"soft_nms_sigma": 0.0}, "soft_nms_sigma"),
        ({"class_floor": 1.5}, "1.5"),
        ({"macro_score": math.nan}, "nan"),
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, object], named: str) -> None:
    """An impossible setting is refused in a sentence that names the value."""
    with pytest.raises(SettingsError, match=named):
        SpotSettings(**wrong)  # type: ignore[arg-type]


def test_impossible_sensitivity_is_refused() -> None:
    """So are a sensitivity beyond its range and a setting that does not exist."""
    with pytest.raises(SettingsError, match=r"1\.5"):
        SpotSettings.from_sensitivity(1.5)
    with pytest.raises(SettingsError, match="volume"):
        SpotSettings.from_sensitivity(0.5, volume=11)


@pytest.mark.parametrize(
    "mine",
    [{"thresholds": [0.1]}, {"thresholds": [0.05, 0.95]}, {"macro_score": 1.9}, {"onset_level": 0.1},
     {"usual": [[18, 22], [8, 6]], "macro_score": 1.5}],
)  # fmt: skip
def test_what_is_possible_in_the_middle_is_so_at_every_sensitivity(mine: dict[str, object]) -> None:
    """However a network's own settings lie, no sensitivity moves them out of their range."""
    steps = [SpotSettings.from_sensitivity(s, **mine) for s in np.linspace(0, 1, 11)]
    for less, more in itertools.pairwise(steps):
        assert all(b <= a for a, b in zip(less.thresholds, more.thresholds, strict=True))
        assert more.macro_score <= less.macro_score
        assert more.onset_level <= less.onset_level
