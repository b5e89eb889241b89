"""Promises of the simulator: repeatable, true to its labels, like a face, and fast enough to train on."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.shipped.acted import Acted
from streamspot.errors import SettingsError
from streamspot.motion.regions import LAYOUTS, layout, mirror
from streamspot.simulation import Scenario, Simulation, simulate
from streamspot.simulation.units import COMBINATIONS, UNITS, pattern
from streamspot.training.labelled import Example
from streamspot.training.simulated import vary

QUIET = Scenario(
    blinks=0,
    gazes=0,
    speech=0,
    chewing=0,
    turns=0,
    hands=0,
    glitches=0,
    noise=0.0,
    wander=0.0,
    idle=0.0,
)


def same(one: Simulation, other: Simulation) -> bool:
    """Tell whether two recordings are equal to the last bit."""
    return (
        np.array_equal(one.motion, other.motion)
        and np.array_equal(one.intensity, other.intensity)
        and one.instances == other.instances
    )


@pytest.mark.parametrize("name", list(LAYOUTS))
def test_a_seed_is_a_simulation(name):
    """The same seed gives the same recording, another seed another one."""
    assert same(simulate(3, 600, layout=name), simulate(3, 600, layout=name))
    assert not same(simulate(3, 600, layout=name), simulate(4, 600, layout=name))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**9), ticks=st.integers(2, 1500), name=st.sampled_from(list(LAYOUTS)))
def test_labels_are_consistent(seed, ticks, name):
    """Instances are ordered, apart and inside; curve and classes say what they say; nothing is infinite."""
    one = simulate(seed, ticks, layout=name)
    assert one.motion.shape == (ticks, len(layout(name)), 2)
    assert one.motion.dtype == np.float32
    assert np.isfinite(one.motion).all()
    assert 0 <= one.intensity.min() <= one.intensity.max() <= 1 + 1e-6
    last = -1
    inside = np.zeros(ticks, bool)
    for instance in one.instances:
        assert last < instance.onset <= instance.apex <= instance.offset < ticks
        assert instance.onset <= instance.point <= instance.offset
        assert instance.kind == "macro" or instance.offset - instance.onset < 18
        inside[instance.onset : instance.offset + 1] = True
        last = instance.offset
    assert not one.intensity[~inside].any()
    np.testing.assert_array_equal(one.classes.sum(1), inside)


def test_an_expression_moves_the_face_and_nothing_else_does():
    """Without disturbances there is motion during expressions only, and it is not negligible."""
    seen = 0
    for seed in range(20):
        one = simulate(seed, layout="face17", scenario=QUIET)
        position = one.motion.cumsum(0)
        far = np.abs(position).max((1, 2))
        for instance in one.instances:
            assert far[instance.onset : instance.offset + 1].max() > 0.015
            seen += 1
    assert seen > 40


def test_any_muscles_may_move_together():
    """Where movements are free, mouths go aside and sides move alone, and all of it is seen and labelled."""
    aside = one_sided = seen = 0
    corners = [layout("face17").names.index(f"mouth_corner_{side}") for side in ("left", "right")]
    for seed in range(20):
        one = simulate(seed, layout="face17", scenario=replace(QUIET, free=1.0))
        position = one.motion.cumsum(0)
        for instance in one.instances:
            moved = position[instance.apex] - position[max(0, instance.onset - 2)]
            left, right = moved[corners]
            seen += 1
            aside += left[0] * right[0] > 0.02**2
            one_sided += np.abs(left).max() > 0.03 > 3 * np.abs(right).max()
    assert seen > 40
    assert aside > 0.05 * seen
    assert one_sided > 0


def test_a_movement_too_faint_to_see_is_no_expression():
    """Of faint activations alone nothing is labelled, though they move the face."""
    for seed in range(10):
        one = simulate(seed, scenario=replace(QUIET, faint=1.0))
        assert not one.instances
        assert 0 < np.abs(one.motion.cumsum(0)).max() < 0.12


def test_some_expressions_are_shown_again_and_again():
    """A face that opens its mouth four times, a moment apart, has four expressions."""
    trains = [simulate(seed, scenario=replace(QUIET, trains=1.0, micro=0.0)) for seed in range(5)]
    gaps = [b.onset - a.offset for one in trains for a, b in pairwise(one.instances)]
    assert sum(4 <= gap <= 30 for gap in gaps) > 20


def test_a_new_face_settles():
    """The first quarter of a second holds no motion, as none was measured of a new face when the weights learned."""
    for seed in range(5):
        motion = simulate(seed).motion
        assert not motion[:8].any()
        assert motion[8:60].any()


def test_a_neutral_face_is_never_labelled():
    """A scenario without expressions has none, whatever else happens."""
    for seed in range(10):
        one = simulate(seed, scenario=Scenario(idle=1.0))
        assert not one.instances
        assert not one.intensity.any()
        assert np.abs(one.motion).max() > 0


def test_held_expressions_are_simulated():
    """Training sees expressions held far beyond the network's window."""
    lengths = [i.offset - i.onset for seed in range(60) for i in simulate(seed).instances]
    assert max(lengths) > 150


def test_the_noise_is_that_of_the_measured_clips():
    """A resting region jitters by about a thousandth of the inter-ocular distance a tick, as measured."""
    spread = [1.48 * np.median(np.abs(simulate(seed).motion)) for seed in range(30)]
    assert 0.0005 < np.median(spread) < 0.002


@pytest.mark.parametrize("name", list(LAYOUTS))
def test_patterns_are_symmetric(name):
    """Every unit moves both halves of the face alike before a person's own asymmetry."""
    across = mirror(layout(name))
    for unit in UNITS:
        moved = pattern(unit, layout(name))
        np.testing.assert_allclose(moved[across] * [-1, 1], moved, atol=1e-7)


def test_combinations_name_known_units():
    """No combination holds a unit without a pattern."""
    assert {unit for _, units in COMBINATIONS for unit in units} <= set(UNITS)


def test_an_unknown_layout_is_refused():
    """A layout that does not exist is named."""
    with pytest.raises(SettingsError, match="paper11"):
        simulate(0, layout="paper11")


def test_simulation_is_faster_than_life():
    """A minute is simulated in well under a second, also on a busy machine."""
    simulate(0)
    started = time.process_time()
    for seed in range(6):
        simulate(seed)
    assert 180 / (time.process_time() - started) > 500


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 100))
def test_augmentation_keeps_shapes_and_ranges(seed):
    """Mirrored, warped and blinded recordings are still recordings."""
    one = Example.of(simulate(seed, 300), 320)
    other = vary(np.random.default_rng(seed), one, mirror(layout("face17")))
    assert other.motion.shape == one.motion.shape == (320, 17, 2)
    assert other.targets.shape == one.targets.shape == (320, 4)
    assert other.motion.dtype == other.targets.dtype == np.float32
    assert 0 <= other.targets.min() <= other.targets.max() <= 1 + 1e-6
    assert not one.targets[300:].any()


def test_what_hardly_shows_is_not_judged():
    """An expression that the measurement has lost is neither to be found nor to be left alone."""
    one = simulate(5, scenario=QUIET)
    seen = Example.of(one, 900)
    lost = Example.of(replace(one, motion=one.motion * 0.01), 900)
    for instance in one.instances:
        inside = slice(instance.onset, instance.offset + 1)
        assert seen.targets[inside, 3].all()
        assert not lost.targets[inside, 3].any()


def test_the_recording_of_an_actor_is_kept_whole(tmp_path):
    """What is written is read again."""
    one = simulate(5, scenario=QUIET)
    measured = Acted(one.motion, one.intensity, one.classes, one.instances, one.motion * np.float32(0.5))
    measured.save(tmp_path / "one.npz")
    again = Acted.load(tmp_path / "one.npz")
    assert same(again, measured)
    assert (again.classes == measured.classes).all()
    np.testing.assert_array_equal(again.flow, measured.flow)
