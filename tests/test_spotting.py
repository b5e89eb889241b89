"""Spotting: the live events are the offline decoder's, sooner."""

from __future__ import annotations

import itertools
import math
import pickle
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from small_data import REAL
from spotting_reference import (
    KINDS,
    SETTINGS,
    Array,
    bump,
    decode_reference,
    levelled,
    not_neutral,
    random_curves,
)

import streamspot.spotting.online as spotting_online
from streamspot.datasets.store import load
from streamspot.model import Model
from streamspot.spotting import SpotSettings, Spotter, decode, scores_of
from streamspot.spotting.online import OUTWEIGHED
from streamspot.training.settings import TrainSettings
from streamspot.training.train import judge
from streamspot.types import Detection


def curves(intensity: Array, *, micro: bool = False) -> tuple[Array, Array, Array]:
    """Give every tick the same, certain kind."""
    sure, never = np.full(len(intensity), 0.9), np.full(len(intensity), 0.1)
    return (intensity, never, sure) if micro else (intensity, sure, never)


def live(
    recording: tuple[Array, Array, Array],
    how: SpotSettings | None = None,
    *,
    reason: str | None = None,
    start: int = 0,
) -> list[Detection]:
    """Return every phase, early ones included."""
    spotter = Spotter(how)
    pushed = [found for score in scores_of(*recording, start=start) for found in spotter.push(score)]
    return pushed + spotter.finish(reason)


def found(intensity: Array, **how: bool) -> list[tuple[int, int]]:
    """Return onset and offset of each expression with the default settings."""
    return [(d.onset, d.offset or 0) for d in decode(scores_of(*curves(intensity, **how)))]


TICK_BYTES = 64
"""More than the three numbers of a tick take when pickled; what is left is room for the rest of a spotter's state."""


def held(spotter: Spotter) -> int:
    """Return how many bytes a spotter keeps from one tick to the next."""
    return len(pickle.dumps(spotter))


def quiet(*parts: Array | float, around: int = 20) -> Array:
    """Join parts with neutral ticks before and after."""
    return np.concatenate([np.zeros(around), *map(np.atleast_1d, parts), np.zeros(around)])


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 10**6), how=st.sampled_from(SETTINGS))
def test_online_equals_offline(seed: int, how: SpotSettings) -> None:
    """The final events are those of an independent whole-array decoder, whatever the curve."""
    recording = random_curves(seed)
    finals = [replace(d, number=0, decided=0) for d in live(recording, how) if d.phase == "offset"]
    assert finals == decode_reference(*recording, how)


@pytest.mark.skipif(not REAL.exists(), reason="the research data set is not beside the checkout")
def test_curves_of_real_people_are_decoded_alike() -> None:
    """So are real curves, with the decoder of trained weights and with a stream's."""
    data, model = load(REAL), Model.load()
    for recording in data.recordings[::10]:
        curve = judge(model, replace(data, recordings=(recording,)))[recording.name].T.astype(float)
        for how in (
            TrainSettings().decoder,
            replace(TrainSettings().decoder, micro_score=0.05),
            SpotSettings(),
        ):
            finals = [replace(d, number=0, decided=0) for d in decode(scores_of(*curve), how)]
            assert finals == decode_reference(*curve, how)


@settings(max_examples=200, deadline=None)
@given(
    values=st.lists(
        st.sampled_from([0.0, 0.2, 0.2000001, 0.5, 0.8, 1.0]) | st.floats(0, 1) | st.just(math.nan),
        max_size=120,
    ),
    how=st.sampled_from(SETTINGS),
    micro=st.booleans(),
)
def test_any_numbers_are_decoded_alike(values: list[float], how: SpotSettings, micro: bool) -> None:
    """Numbers chosen to be awkward (on a threshold, NaN, alone) are decoded as by the whole-array decoder."""
    recording = curves(np.array(values, dtype=float), micro=micro)
    finals = [replace(d, number=0, decided=0) for d in decode(scores_of(*recording), how)]
    assert finals == decode_reference(*recording, how)


@settings(max_examples=300, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    how=st.sampled_from(SETTINGS),
    reason=st.none() | st.just("face lost"),
    start=st.sampled_from([0, 7, 10**6]),
)
def test_every_expression_has_one_story(seed: int, how: SpotSettings, reason: str | None, start: int) -> None:
    """Each number is seen as onset, at most one apex, then one offset or cancelled, in time's order."""
    phases = live(random_curves(seed), how, reason=reason, start=start)
    stories: dict[int, list[Detection]] = {}
    for detection in phases:
        stories.setdefault(detection.number, []).append(detection)
    assert list(stories) == list(range(len(stories)))
    for story in stories.values():
        assert [d.phase for d in story] in (
            ["onset", "apex", "offset"], ["onset", "apex", "cancelled"], ["onset", "cancelled"],
        )  # fmt: skip
        assert (story[-1].reason is None) == (story[-1].phase == "offset")
        if story[-1].phase == "cancelled":
            assert [d.intensity for d in story] == sorted(d.intensity for d in story)
    assert [d.decided for d in phases] == sorted(d.decided for d in phases)
    for d in phases:
        assert start <= d.onset <= (d.onset if d.apex is None else d.apex) <= d.decided
        if d.phase == "offset":
            assert d.apex is not None
            assert d.offset is not None
            assert d.onset <= d.apex <= d.offset <= d.decided
            assert -1 <= d.score <= 1
            assert (
                d.kind == "micro" or d.score <= d.intensity
            )  # a micro-expression may have a curve of its own
            assert 0 <= d.intensity <= 1
        else:
            assert d.offset is None
    finals = [d for d in phases if d.phase == "offset"]
    apart = [[d for d in finals if d.kind == kind] for kind in KINDS] if how.both_kinds else [finals]
    if how.overlap == 0:
        assert all(a.offset < b.onset for f in apart for a, b in itertools.pairwise(f))  # type: ignore[operator]


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10**6), at=st.integers(0, 399), how=st.sampled_from(SETTINGS))
@example(426, 13, SETTINGS[-1])
def test_a_reset_cancels_only_what_is_open(seed: int, at: int, how: SpotSettings) -> None:
    """When the face is lost, finals are those decided without the reset up to then, plus closed ones."""
    recording = tuple(part[:at] for part in random_curves(seed))
    lost, ended = live(recording, how, reason="face lost"), live(recording, how)
    finals = [d for d in lost if d.phase == "offset"]
    assert finals == [d for d in ended if d.phase == "offset"][: len(finals)]
    assert all(d.reason != "face lost" for d in lost[:-1])
    if lost and lost[-1].reason == "face lost":
        assert not_neutral(*levelled(*recording, how), how)[-1]


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10**6), how=st.sampled_from(SETTINGS), cut=st.integers(0, 399))
def test_the_past_is_never_revised(seed: int, how: SpotSettings, cut: int) -> None:
    """What was announced up to a tick does not depend on what follows."""
    recording = random_curves(seed)
    head, whole = Spotter(how), live(recording, how)
    early = [d for score in itertools.islice(scores_of(*recording), cut) for d in head.push(score)]
    assert early == whole[: len(early)]


def test_finals_come_within_the_margin() -> None:
    """A final event follows the curve's fall to the floor after at most ``outer_ticks`` ticks."""
    how = SpotSettings()
    for length in range(8, 120):
        phases = live(curves(quiet(np.full(length, 0.9)), micro=length < 15))
        last = phases[-1]
        assert last.phase == "offset"
        assert last.offset == 20 + length - 1
        assert last.decided - last.offset == min(max(1, round(length / 4)), how.outer_ticks)


def test_onset_and_apex_come_early() -> None:
    """A user hears of the onset during the rise and of the apex during the fall."""
    phases = live(curves(quiet(bump(60, 0.9))))
    onset, apex, offset = phases
    assert (onset.phase, apex.phase, offset.phase) == ("onset", "apex", "offset")
    assert onset.decided < apex.apex == offset.apex < apex.decided < offset.decided  # type: ignore[operator]


def test_two_touching_expressions_are_two() -> None:
    """A trough that does not reach the floor separates two expressions, also of different kinds."""
    curve = quiet(np.maximum(np.pad(bump(40, 0.9), (0, 30)), np.pad(bump(40, 0.8), (30, 0))))
    assert curve[40:70].min() > SpotSettings().levels[0]
    (_, first_end), (second_start, _) = found(curve)
    assert 50 <= first_end < second_start <= 58

    curve = quiet(np.maximum(np.pad(bump(40, 0.9), (0, 10)), np.pad(bump(16, 0.9), (34, 0))))
    late = np.arange(len(curve)) >= 54
    kinds = [d.kind for d in decode(scores_of(curve, np.where(late, 0.1, 0.9), np.where(late, 0.9, 0.1)))]
    assert kinds == ["macro", "micro"]


def test_a_shallow_trough_costs_neither_side_its_contrast() -> None:
    """Each of two touching expressions scores as well as it would alone: the trough is in no outer margin."""
    dip = np.array([0.6, 0.5, 0.45, 0.5, 0.6])
    half = np.full(12, 0.7)
    scores = scores_of(*curves(quiet(half, dip, half)))
    assert [(d.onset, d.offset, round(d.score, 2)) for d in decode(scores)] == [
        (20, 33, 0.68),
        (35, 48, 0.68),
    ]


def test_a_short_rise_before_a_dip_is_no_expression_of_its_own() -> None:
    """A raise that falters on its way up is one expression; with 0.4 s before the dip there are two."""
    dip, rest = np.array([0.6, 0.5, 0.6]), np.full(20, 0.9)
    assert found(quiet(np.full(10, 0.9), dip, rest)) == [(20, 52)]
    assert found(quiet(np.full(13, 0.9), dip, rest)) == [(20, 33), (35, 55)]
    assert found(quiet(np.full(10, 0.9), dip, rest), micro=True)[0] == (20, 30)


def test_a_flicker_after_a_dip_is_no_expression_of_its_own() -> None:
    """What rises for less than 0.4 s out of a trough is not reported."""
    dip = np.array([0.6, 0.5, 0.6])
    assert found(quiet(np.full(20, 0.9), dip, np.full(10, 0.9))) == [(20, 40)]


def test_a_faint_expression_counts_beside_a_trough() -> None:
    """A second expression too faint to be reported alone is reported where it touches a plain one."""
    faint = np.concatenate([np.linspace(0.22, 0.38, 10), np.linspace(0.38, 0.22, 10)])
    alone, touching = (np.maximum(quiet(*parts), 0.1) for parts in ((faint,), (np.full(20, 0.9), faint)))
    assert found(alone) == []
    assert [onset for onset, _ in found(touching)] == [20, 41]


@pytest.mark.parametrize("fall", [15, 30, 45])
def test_a_slow_dip_is_a_trough(fall: int) -> None:
    """Two expressions are two, too, when the first dies down over a second and more."""
    down, up = np.linspace(0.9, 0.5, fall), np.linspace(0.5, 0.9, 10)
    assert len(found(quiet(np.full(20, 0.9), down, up, np.full(20, 0.9)))) == 2


def test_a_trough_ends_the_first_expression_at_once() -> None:
    """The first of two touching expressions is final as soon as the curve rises again."""
    curve = quiet(np.maximum(np.pad(bump(40, 0.9), (0, 30)), np.pad(bump(40, 0.8), (30, 0))))
    first = next(d for d in live(curves(curve)) if d.phase == "offset")
    assert first.decided < 20 + 50  # before the second apex


@pytest.mark.parametrize("seed", range(20))
def test_a_held_smile_is_one(seed: int) -> None:
    """Jitter on a plateau does not split a smile, held for two seconds or for a minute."""
    rng = np.random.default_rng(seed)
    for held in (60, 1700):
        plateau = np.clip(0.75 + rng.normal(0, 0.05, held), 0, 1)
        (span,) = found(quiet(bump(20, 0.75)[:10], plateau, bump(20, 0.75)[10:]))
        assert abs(span[0] - 22) <= 5
        assert abs(span[1] - (20 + held + 18)) <= 5


def test_what_is_held_beyond_the_longest_is_reported_once() -> None:
    """An expression beyond ``macro_ticks`` ends there; the next one counts again."""
    curve = quiet(np.full(5000, 0.8), np.zeros(30), bump(40, 0.9))
    first, second = found(curve)
    assert first == (20, 20 + 1800 - 1)
    assert second[0] > 5050


def test_a_thousand_touching_bumps() -> None:
    """A thousand expressions without a neutral tick between them are a thousand events."""
    curve = quiet(np.tile(bump(40, 0.9), 1000) + 0.15)
    spotter, seen = Spotter(), 0
    sizes = []
    for score in scores_of(*curves(curve)):
        seen += sum(d.phase == "offset" for d in spotter.push(score))
        sizes.append(held(spotter))
    assert seen + len(spotter.finish()) // 3 == 1000
    assert max(sizes) < held(Spotter()) + 100 * TICK_BYTES


@pytest.mark.parametrize(
    ("curve", "micro", "reason"),
    [
        (quiet(np.full(4, 0.9)), False, "too short: 0.10 s of at least 0.30 s"),
        (quiet(np.full(25, 0.9)), True, "too long: 0.80 s of at most 0.50 s"),
        (
            np.concatenate([np.full(30, 0.195), np.full(20, 0.51), np.full(30, 0.195)]),
            False,
            "too weak: 0.495 of 0.500",
        ),
    ],
)
def test_what_comes_to_nothing_is_cancelled(curve: Array, micro: bool, reason: str) -> None:
    """An announced onset that turns out to be no expression is taken back and says why."""
    phases = live(curves(curve, micro=micro))
    assert phases[0].phase == "onset"
    assert (phases[-1].phase, phases[-1].reason) == ("cancelled", reason)


def test_what_is_cut_off_at_its_height_has_that_intensity() -> None:
    """A face that is lost while it smiles most: not the intensity at which the onset was announced."""
    phases = live(curves(np.linspace(0, 0.9, 40)), reason="face lost")
    assert [one.phase for one in phases] == ["onset", "cancelled"]
    assert phases[0].intensity < 0.8
    assert phases[1].intensity == pytest.approx(0.9, abs=0.001)


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 10**6), how=st.sampled_from(SETTINGS))
def test_a_cancelled_expression_names_the_bound_that_it_misses(seed: int, how: SpotSettings) -> None:
    """The figures of the sentence are on the wrong side of each other, and the bound is one of the settings'."""
    lengths = [(ticks - 1) / 30 for one in (how.macro_ticks, how.micro_ticks) for ticks in one]
    lengths += [(how.lengths("macro", at_trough=True)[0] - 1) / 30]
    scores = [how.min_score(kind, at_trough=at) for kind in KINDS for at in (True, False)]
    for one in live(random_curves(seed), how):
        if one.phase == "cancelled" and one.reason != OUTWEIGHED:
            what, value, bound = re.fullmatch(
                r"(too short|too long|too weak|no clear kind): (-?[\d.]+)(?: s)? of (?:at least |at most |over )?"
                r"(-?[\d.]+)(?: s)?",
                str(one.reason),
            ).groups()  # type: ignore[union-attr]
            known = {"too weak": scores, "no clear kind": [how.class_floor]}.get(what, lengths)
            assert any(float(bound) == pytest.approx(each, abs=0.005) for each in known)
            far = float(bound) - float(value)
            assert far < 0 if what == "too long" else far > 0 if what != "no clear kind" else far >= 0


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 10**6), how=st.sampled_from(SETTINGS))
def test_a_number_stays_with_the_expression_that_was_announced(seed: int, how: SpotSettings) -> None:
    """It ends where it was seen; what was seen elsewhere is another one, and what was announced is taken back."""
    phases = live(random_curves(seed), how)
    for number in {one.number for one in phases}:
        *early, last = [one for one in phases if one.number == number]
        if last.phase == "offset":
            assert last.offset is not None
            for one in early:
                seen = one.decided if one.apex is None else one.apex
                later = any(other.apex is not None for other in early)
                assert (one.phase == "onset" and later) or (
                    last.onset - how.outer_ticks <= seen <= last.offset + how.outer_ticks
                )
        elif last.reason == OUTWEIGHED:
            assert any(one.phase == "offset" and one.decided == last.decided for one in phases)


def test_what_a_plainer_one_beside_it_outweighs_is_taken_back() -> None:
    """A spike that was announced, and no trough before the plain one: the plain one has a number of its own."""
    rise = np.linspace(0.3, 0.95, 8)
    phases = live(curves(quiet(np.full(6, 0.6), np.full(30, 0.3), rise, np.full(30, 0.95))))
    spike, plain = ([one for one in phases if one.number == number] for number in (0, 1))
    assert [one.phase for one in spike] == ["onset", "apex", "cancelled"]
    assert spike[-1].reason == OUTWEIGHED
    assert [one.phase for one in plain] == ["onset", "apex", "offset"]
    assert plain[0].onset > 50


def test_flicker_is_announced_once_per_refractory_time() -> None:
    """After a cancelled onset none is announced early for ``refractory`` ticks."""
    flicker = np.tile([0.9, 0.9, 0.9, 0.0, 0.0], 60)
    onsets = [d.decided for d in live(curves(flicker)) if d.phase == "onset"]
    assert len(onsets) > 1
    assert min(b - a for a, b in itertools.pairwise(onsets)) >= SpotSettings().refractory


def test_one_event_where_both_kinds_fit() -> None:
    """A run that could be of either kind is reported once, as the more probable."""
    curve = quiet(np.full(16, 0.9))
    ones = np.ones(len(curve))
    (one,) = decode(scores_of(curve, 0.7 * ones, 0.8 * ones))
    assert one.kind == "micro"
    (one,) = decode(scores_of(curve, 0.8 * ones, 0.7 * ones))
    assert one.kind == "macro"


def lines_run(call: Callable[[], object]) -> int:
    """Count the lines of the package that a call executes: its work, however busy the machine is."""
    count, package = 0, str(Path(spotting_online.__file__).parents[1])

    def trace(frame: FrameType, event: str, _: object) -> Callable[..., object]:
        nonlocal count
        count += event == "line" and frame.f_code.co_filename.startswith(package)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


def test_a_tick_costs_as_much_in_the_tenth_minute_as_in_the_first() -> None:
    """The work of a tick depends on the curve there, not on how long the stream has run."""
    period = np.concatenate([quiet(bump(40, 0.9)), quiet(bump(14, 0.7))])
    spotter = Spotter()
    work = [lines_run(lambda s=score: spotter.push(s)) for score in scores_of(*curves(np.tile(period, 140)))]
    by_period = np.reshape(work, (140, len(period)))
    np.testing.assert_array_equal(by_period[-1], by_period[1])


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_memory_is_bounded_by_the_longest_expression(seed: int) -> None:
    """Nothing older than the longest admissible expression is kept, whatever the curve does."""
    spotter = Spotter(SpotSettings(macro_ticks=(10, 60)))
    most = held(spotter) + 60 * TICK_BYTES
    for score in scores_of(*random_curves(seed)):
        spotter.push(score)
        assert held(spotter) <= most
