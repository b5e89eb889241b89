"""Extent: how far an expression reaches round a peak of the curve."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from spotting_reference import Array, bump

from streamspot.errors import SettingsError
from streamspot.spotting import SpotSettings, Spotter, decode, scores_of

PEAKS = SpotSettings(usual=((18, 22), (6, 6)), thresholds=(0.05,), macro_score=0.3, micro_score=0.3)


def _found(intensity: Array, how: SpotSettings = PEAKS, *, micro: bool = False) -> list[tuple[int, int]]:
    """Return onset and offset of each expression between neutral ticks."""
    curve = np.concatenate([np.zeros(60), intensity, np.zeros(60)])
    sure, never = np.full(len(curve), 1.0), np.zeros(len(curve))
    kinds = (never, sure) if micro else (sure, never)
    return [(d.onset - 60, (d.offset or 0) - 60) for d in decode(scores_of(curve, *kinds), how)]


@pytest.mark.parametrize("length", [20, 41, 80])
def test_the_length_lies_between_the_run_and_the_usual_one(length: int) -> None:
    """A short run grows and a long one shrinks towards the usual length, by the same factor."""
    [(onset, offset)] = _found(bump(length, 0.9))
    run = int((bump(length, 0.9) > 0.45).sum())
    assert min(run, 41) - 1 <= offset - onset + 1 <= max(run, 41) + 1
    # the mean of nine ticks widens a run
    assert abs((offset - onset + 1) ** 2 - run * 41) <= 6 * (offset - onset + 1)


@pytest.mark.parametrize("seconds", [5, 20, 59])
def test_a_long_expression_is_reported_whole(seconds: int) -> None:
    """What is held for five to sixty seconds is one event with its own ends."""
    [(onset, offset)] = _found(np.full(seconds * 30, 0.8))
    assert abs(onset) <= 5
    assert abs(offset - (seconds * 30 - 1)) <= 5


def test_a_brief_rise_is_a_micro_expression() -> None:
    """A rise of a third of a second is found although the mean of nine ticks flattens it."""
    [(onset, offset)] = _found(bump(10, 0.9), micro=True)
    assert 6 <= offset - onset + 1 <= 15


def test_a_power_separates_what_a_saturated_curve_joins() -> None:
    """Two peaks over a high base are one expression as they are, and two to the power of six."""
    base = np.concatenate([bump(40, 0.95), np.full(1, 0.1), bump(40, 0.95)])
    curve = np.maximum(base, 0.7)
    assert len(_found(curve)) == 1
    assert (
        len(_found(curve, SpotSettings(usual=PEAKS.usual, thresholds=(0.05,), macro_score=0.3, power=6))) == 2
    )


def test_the_event_comes_within_the_margin() -> None:
    """An event is decided at the latest ``outer_ticks`` after the curve has fallen to the floor."""
    curve = np.concatenate([np.zeros(60), bump(60, 0.9), np.zeros(60)])
    spotter = Spotter(PEAKS)
    phases = [d for s in scores_of(curve, np.ones(len(curve)), np.zeros(len(curve))) for d in spotter.push(s)]
    last = int(np.flatnonzero(curve > 0.05)[-1])
    assert phases[-1].phase == "offset"
    assert phases[-1].decided <= last + PEAKS.outer_ticks


def test_impossible_reach_is_refused() -> None:
    """A reach that is negative or longer than the longest expression is an error that names it."""
    with pytest.raises(SettingsError, match="usual"):
        SpotSettings(usual=((18, 5000), (6, 6)))


def test_sensitivity_halves_and_doubles_the_heights() -> None:
    """With ``usual`` the minimum heights of peaks are scaled, so that none falls to nothing."""
    low, high = (SpotSettings.from_sensitivity(s, usual=PEAKS.usual, micro_score=0.1) for s in (0, 1))
    assert (low.micro_score, high.micro_score) == (0.2, 0.05)
    assert low.thresholds == high.thresholds


MICRO = SpotSettings(usual=((18, 22), (8, 6)), thresholds=(0.1,), power=3, macro_score=0.3, micro_score=0.05)


def test_a_weak_micro_expression_has_a_curve_and_a_floor_of_its_own() -> None:
    """What the power hides of a micro-expression is found on its own curve."""
    weak = bump(14, 0.4)
    assert not _found(weak, MICRO, micro=True)
    assert len(_found(weak, replace(MICRO, micro_power=1.0, micro_floor=0.05), micro=True)) == 1


def test_a_micro_expression_is_reported_within_a_macro_expression_if_wanted() -> None:
    """With ``both_kinds`` a brow may flash in a smile; without it one face does one thing at a time."""
    smile = np.concatenate([np.zeros(60), bump(60, 0.9), np.zeros(60)])
    flash = np.zeros(len(smile))
    flash[85:95] = 0.9
    scores = list(scores_of(smile, np.ones(len(smile)), flash))
    alone = decode(scores, replace(MICRO, micro_power=1.0))
    both = decode(scores, replace(MICRO, micro_power=1.0, both_kinds=True))
    assert sorted(d.kind for d in both) == ["macro", "micro"]
    assert len(alone) == 1
