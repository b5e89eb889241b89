"""The shipped weights: made by one repeatable recipe, and good on simulated people they have not seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from experiments.shipped.acted import Acted
from experiments.shipped.alone import blinking, learn_alone, pools, slower, unreturned
from experiments.shipped.held_out import HELD_OUT, held_out_figures, runs
from experiments.shipped.muscles import MUSCLES, contraction
from experiments.shipped.train import Pool, Recipe, make_weights, without_beginning, without_unseen
from experiments.shipped.turned import turned
from streamspot.evaluation.matching import count
from streamspot.model import Model, ModelConfig, Network
from streamspot.motion.regions import layout
from streamspot.simulation import simulate
from streamspot.simulation.units import pattern
from streamspot.spotting import SpotSettings, decode, scores_of
from streamspot.training.labelled import Example
from streamspot.training.simulated import flow_alone


def test_runs_are_inclusive_and_last_four_ticks():
    """A run ends with its last tick above the threshold; shorter ones are none; a perfect curve finds everything."""
    curve, classes = np.zeros(60, np.float32), np.tile(np.array([0.9, 0.1], np.float32), (60, 1))
    curve[10:20] = curve[30:33] = curve[50:] = 0.9
    assert [(one.kind, one.onset, one.offset) for one in runs(curve, classes)] == [
        ("macro", 10, 19),
        ("macro", 50, 59),
    ]
    for seed in range(5):
        truth = simulate(seed)
        counts = count(runs(truth.intensity, truth.classes), truth.instances)
        assert all(one.fp == one.fn == 0 for one in counts.values())


def test_training_is_repeatable(tmp_path):
    """The same recipe gives the same weights, and they score like any others."""
    config = ModelConfig(name="tiny", layout="paper10", width=8, dilations=(1, 4, 16))
    recipe = Recipe(recordings=8, ticks=200, steps=4, batch=4)
    one = simulate(7, 180, layout="paper10")
    acted = [Acted(one.motion, one.intensity, one.classes, one.instances, one.motion)]
    first, second = make_weights(config, recipe, acted), make_weights(config, recipe, acted)
    held_out = [simulate(99, 300, layout="paper10")]
    assert held_out_figures(first, held_out) == held_out_figures(second, held_out)
    assert 0 <= held_out_figures(first, held_out)["mse"] <= 1
    first.save(tmp_path / "tiny.safetensors")
    assert Model.load(tmp_path / "tiny.safetensors", device="cpu").provenance["seed"] == 0


def test_flow_alone_sees_the_way_back_in_part():
    """What moves until an expression's apex stays as it was; afterwards less goes back, and never more."""
    one = next(one for one in map(simulate, range(20)) if one.instances and one.instances[0].offset < 800)
    example = Example.of(one, len(one.motion))
    first, stop = example.shown()[0]
    before = example.motion[first:stop].cumsum(0).reshape(stop - first, -1)
    apex = int(np.linalg.norm(before, axis=1).argmax())
    for seed in range(5):
        motion = unreturned(np.random.default_rng(seed), example).motion
        assert (motion[: first + apex + 1] == example.motion[: first + apex + 1]).all()
        after = motion[first:stop].cumsum(0).reshape(stop - first, -1)
        assert (after[-1] - before[-1]) @ before[apex] >= 0


def test_a_slow_micro_expression_is_a_macro_expression():
    """At half the pace what lasted half a second lasts a whole one, and is no micro-expression any more."""
    targets = np.zeros((200, 4), np.float32)
    targets[50:64, 0] = targets[50:64, 2] = targets[:, 3] = 1
    example = Example(np.zeros((200, 17, 2), np.float32), targets)
    for seed in range(20):
        slow = slower(np.random.default_rng(seed), example)
        ((first, stop),) = slow.shown()
        kind = (1, 0) if stop - first > 17 else (0, 1)
        assert (slow.targets[first:stop, 1:3] == kind).all()


def test_recordings_by_flow_alone_are_learned_repeatably():
    """The same seed gives the same weights, and others than it began from; no expression for them is long."""
    made = [simulate(number, 200) for number in range(4)]
    acted = [Acted(one.motion, one.intensity, one.classes, one.instances, one.motion) for one in made]
    drawn = pools(acted, seed=0, recordings=4, ticks=200)
    assert all(stop - first <= 100 for pool in drawn for one in pool.flow for first, stop in one.shown())
    torch.manual_seed(0)
    begun = Network(ModelConfig(name="tiny", layout="paper10", width=8, dilations=(1, 4)))

    def learned(drawn: tuple[Pool, Pool]) -> dict[str, torch.Tensor]:
        return learn_alone(begun, drawn, steps=2, rate=1e-3, seed=1, micro=2.0).state_dict()

    one, other = learned(drawn), learned(drawn)
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert not torch.equal(one["intensity.weight"], begun.state_dict()["intensity.weight"])


def still(rng: np.random.Generator, ticks: int) -> Example:
    """Return a face without an expression, as flow alone would record it."""
    return Example(flow_alone(rng, np.zeros((ticks, 17, 2), np.float32)), np.zeros((ticks, 4), np.float32))


def test_blinks_drag_the_brows_and_come_back():
    """What a blink moves goes back; nothing is labelled, and other regions than brows and mouth stay as they are."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        example = still(rng, 900)
        moved = blinking(rng, example)
        added = (moved.motion - example.motion).cumsum(0)
        assert (moved.targets == example.targets).all()
        assert not added[:, 10:].any()
        assert np.abs(added).max() < 0.06
        assert np.median(np.abs(added[:, :6]).max((1, 2))) < 0.003


def test_people_who_blink_are_not_reported_by_flow_alone():
    """The weights for motion by flow alone take hardly a blink that drags the brows for an expression."""
    model = Model.load(device="cpu", layout="paper10")
    settings, found = SpotSettings.from_sensitivity(0.5, **model.spotting), 0
    for seed in range(30):  # 15 minutes, some 250 blinks
        rng = np.random.default_rng(900_000 + seed)
        motion = blinking(rng, still(rng, 900)).motion[None, :, :10]
        scores = model.forward(motion).scores[0].T.tolist()
        found += len(decode(scores_of(*scores), settings))
    assert found < 10


def test_an_expression_that_nothing_shows_is_not_judged():
    """Where the regions that a program records do not move, a network is not asked to see an expression."""
    one = next(one for one in map(simulate, range(20)) if one.instances)
    example = Example.of(one, len(one.motion))
    assert (without_unseen(example, 0.0).targets == example.targets).all()
    judged = without_unseen(replace(example, motion=example.motion * 0), 0.02).targets[:, 3]
    assert not judged[one.instances[0].onset : one.instances[0].offset].any()
    assert (judged[example.targets[:, 0] == 0] > 0).any()


def test_a_recording_may_begin_shortly_before_an_expression():
    """A stream is opened at any moment: what is missing then is still and not judged."""
    one = next(one for one in map(simulate, range(20)) if one.instances)
    example = Example.of(one, len(one.motion))
    cut = without_beginning(np.random.default_rng(0), example)
    length = next(n for n in range(len(one.motion), 0, -1) if cut.targets[n - 1, 3])
    assert (cut.motion[:length] == example.motion[-length:]).all()
    assert (cut.targets[:length] == example.targets[-length:]).all()
    assert not cut.motion[length:].any()
    assert (cut.targets[:18, 0] > 0).any()


def test_what_a_moving_head_leaves_is_not_of_the_face():
    """Brows and mouth go as one rigid body, in at most four ways at once; other regions know nothing of it."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        position = turned(rng, np.zeros((480, 17, 2), np.float32)).cumsum(0)
        assert not position[:, 10:].any()
        assert np.linalg.matrix_rank(position[:, :10].reshape(480, 20), tol=1e-3) <= 4


def test_muscles_move_on_one_side_or_both():
    """A wink is never on both sides; every other muscle that can moves alone on a side half of the time."""
    rng = np.random.default_rng(0)
    for name, muscle in MUSCLES.items():
        drawn = [contraction(rng, (name,)) for _ in range(60)]
        sides = {one.side for one in drawn}
        assert sides == ({"L", "R"} if name == "wink" else {"L", "R", "both"} if muscle.sided else {"both"})
        assert all(max(one.shapes.values()) > 0 for one in drawn)
    several = [contraction(rng) for _ in range(100)]
    assert {len(one.muscles) for one in several} == {1, 2, 3}


def test_the_shipped_weights_know_unseen_recordings():
    """On simulated people they were not trained on, most expressions are found and few are invented."""
    shown = held_out_figures(
        Model.load(device="cpu"), [simulate(HELD_OUT + 500 + number) for number in range(24)]
    )
    assert shown["f1"] > 0.5
    assert shown["mse"] < 0.05


def test_the_shipped_weights_leave_a_still_face_alone():
    """Neither perfect stillness nor the jitter of a resting face is an expression."""
    model = Model.load(device="cpu")
    jitter = np.random.default_rng(0).normal(0, 0.0007, (4, 600, 17, 2)).cumsum(1)
    jitter = np.diff(jitter - jitter.mean(1, keepdims=True), axis=1, prepend=jitter[:, :1]) * 0.5
    for motion in (np.zeros((1, 600, 17, 2)), jitter):
        assert float(model.forward(motion.astype(np.float32)).intensity.max()) < 0.3


def test_the_shipped_weights_hold_a_held_expression():
    """A smile held for five seconds is one expression from its beginning to its end, however still the face."""
    smile = pattern(12, layout("face17")) + pattern(6, layout("face17"))
    course = np.concatenate(
        (np.zeros(60), np.linspace(0, 1, 12), np.ones(150), np.linspace(1, 0, 15), np.zeros(60))
    )
    onset, offset = np.flatnonzero(course >= 0.05)[[0, -1]]
    model = Model.load(device="cpu")
    for jitter in (0.0002, 0.0005, 0.001):  # a measured face has 0.001
        position = course[:, None, None] * smile
        position = position + np.random.default_rng(0).normal(0, jitter, position.shape)
        motion = np.diff(position, axis=0, prepend=position[:1]).astype(np.float32)
        scores = scores_of(*model.forward(motion[None]).scores[0].T.tolist())
        found = decode(scores, SpotSettings.from_sensitivity(0.5, **model.spotting))
        assert [one.kind for one in found] == ["macro"]
        assert abs(found[0].onset - onset) < 8
        assert -8 < found[0].offset - offset < 13  # what fades slowly counts to its end
