"""Promises of the network: the stream equals the recording, alone and in company, on every device."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import CONFIGS, make, noise, whole

from streamspot.errors import ModelError
from streamspot.model import Model, ModelConfig, ModelStream, Network, transformer
from streamspot.model.graph import GraphedStep
from streamspot.model.step import CausalStep
from streamspot.motion.regions import layout
from streamspot.types import RegionMotion

torch.set_num_threads(1)


@pytest.fixture(scope="module", params=list(CONFIGS))
def model(request) -> Model:
    """A network of each kind with weights large enough to respond."""
    return make(CONFIGS[request.param])


def streamed(model: Model, motion: np.ndarray) -> np.ndarray:
    """(T, R, 2) → (T, 3) through a ModelStream."""
    stream = ModelStream(model)
    scores = [
        score
        for tick, displacement in enumerate(motion)
        for score in stream.push(RegionMotion(tick, tick / 30, tick, displacement))
    ]
    scores += stream.finish()
    assert [score.tick for score in scores] == list(range(len(motion)))
    return np.array([(score.intensity, score.macro, score.micro) for score in scores]).reshape(-1, 3)


@settings(max_examples=8, deadline=None)
@given(ticks=st.integers(1, 130), seed=st.integers(0, 10))
def test_a_stream_gives_the_scores_of_the_recording(model, ticks, seed):
    """Frame by frame or whole: the same scores to 1e-5, as many as ticks, also for the shortest segment."""
    motion = noise((ticks, model.config.regions, 2), seed)
    np.testing.assert_allclose(streamed(model, motion), whole(model, motion[None])[0], atol=1e-5)


def test_the_scores_are_not_all_alike(model):
    """The equalities above compare numbers that depend on the motion."""
    assert whole(model, noise((1, 200, model.config.regions, 2))).std((0, 1)).min() > 1e-4


def test_streams_do_not_disturb_each_other(model):
    """Streams that are stepped together get the very bytes that each would get alone."""
    motion = noise((3, 12, model.config.regions, 2), 1)
    together, alone = model.new_state(3), [model.new_state(1) for _ in motion]
    for tick in range(12):
        scores = model.step(motion[:, tick], together)
        for one, state in enumerate(alone):
            np.testing.assert_array_equal(scores[one], model.step(motion[one : one + 1, tick], state)[0])
    assert together.parts()[0].tolist() == [12, 12, 12]


@settings(max_examples=6, deadline=None)
@given(data=st.data(), streams=st.integers(2, 70))
def test_the_company_of_a_stream_does_not_change_a_byte(data, streams):
    """Whichever streams begin when and take their ticks with whom: each has the bytes it would have alone."""
    model = make(ModelConfig(width=32, dilations=(1, 4, 16)))
    ticks = 40
    motion = noise((streams, ticks, model.config.regions, 2), streams)
    turns = data.draw(st.integers(0, 2**32 - 1))
    taken, state, together = np.zeros(streams, int), model.new_state(streams), np.zeros((streams, ticks, 3))
    rng = np.random.default_rng(turns)
    while (left := np.flatnonzero(taken < ticks)).size:
        rows = rng.permutation(left)[: rng.integers(1, len(left) + 1)]
        together[rows, taken[rows]] = model.step(motion[rows, taken[rows]], state, rows)
        taken[rows] += 1
    for one in rng.permutation(streams)[:3]:
        alone = model.new_state(1)
        np.testing.assert_array_equal(together[one], [model.step(m[None], alone)[0] for m in motion[one]])


@pytest.mark.parametrize("name", ["causal", "transformer"])
def test_the_step_of_a_gpu_gives_the_scores_of_the_processor(name):
    """Padded, in parts and with streams that begin late: what a GPU would be given, run here without a graph."""
    model = make(CONFIGS[name])
    step, streams = GraphedStep(model.torch_step()), 11
    state, expected = step.new_state(streams), model.new_state(streams)
    rng = np.random.default_rng(0)
    for _ in range(30):
        rows = rng.permutation(streams)[: rng.integers(1, streams + 1)]
        motion = noise((len(rows), model.config.regions, 2), int(rng.integers(1000)))
        moved = model.network.prepare(torch.from_numpy(motion)).flatten(1)
        with torch.no_grad():
            scores = step(moved, torch.from_numpy(rows), state)
        np.testing.assert_allclose(scores, model.step(motion, expected, rows), atol=1e-5)
    assert sorted(state.steps) == [1, 8, 64]


@pytest.mark.parametrize("name", [name for name in CONFIGS if "causal" in name])
def test_two_kernels_give_the_scores_of_eighty(name):
    """What a GPU is given, run by Triton's interpreter in a process of its own where there is no GPU."""
    pytest.importorskip("triton")
    cuda = torch.cuda.is_available()
    run = "import sys, test_model; test_model.fused_equals_eager(*sys.argv[1:])"
    command = [sys.executable, "-c", run, name, "cuda" if cuda else "cpu"]
    env = os.environ | {"PYTHONPATH": os.pathsep.join([*sys.path, str(Path(__file__).parent)])}
    subprocess.run(command, check=True, env=env if cuda else env | {"TRITON_INTERPRET": "1"})


def fused_equals_eager(name: str, device: str) -> None:
    """Take ticks of some of many streams in one way and the other; what is remembered agrees as well."""
    from streamspot.model.fused import FusedStep

    model, place, rng = make(CONFIGS[name]), torch.device(device), np.random.default_rng(0)
    network, streams = model.network.to(place), 19
    steps = CausalStep(network, place), FusedStep(network, place)
    states = [step.new_state(streams) for step in steps]
    for _ in range(80):
        rows = torch.from_numpy(rng.permutation(streams)[: rng.integers(1, streams + 1)]).to(place)
        motion = torch.from_numpy(rng.normal(0, 0.5, (len(rows), 2 * model.config.regions))).float().to(place)
        with torch.no_grad():
            eager, fused = (step(motion, rows, state) for step, state in zip(steps, states, strict=True))
        torch.testing.assert_close(fused, eager, atol=1e-5, rtol=0)
    for eager, fused in zip(*(state.parts() for state in states), strict=True):
        torch.testing.assert_close(fused, eager, atol=1e-4, rtol=1e-5)


def test_threads_that_judge_at_once_get_what_each_would_get_alone():
    """Many threads with a stream each share one judge; nobody gets another's scores, and rows are used again."""
    model = make(CONFIGS["causal"])
    motion = noise((12, 60, model.config.regions, 2), 9)
    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(lambda one: streamed(model, one), motion))
    for one, scores in zip(motion, found, strict=True):
        np.testing.assert_array_equal(scores, streamed(make(CONFIGS["causal"]), one))
    assert len(model.judge._free) == len(model.judge._state.parts()[0])


def test_a_broken_number_does_no_harm(model):
    """NaN and infinity count as no motion; everything after them is as if they had been zero."""
    motion = noise((60, model.config.regions, 2), 4)
    clean, dirty = motion.copy(), motion.copy()
    clean[20] = 0
    dirty[20, :, 0], dirty[20, :, 1] = np.nan, -np.inf
    scores = streamed(model, dirty)
    assert np.isfinite(scores).all()
    np.testing.assert_array_equal(scores, streamed(model, clean))


def test_the_state_of_a_stream_never_grows():
    """After hours of drift the state has the size it had, and later minutes equal a fresh stream's."""
    model = make(ModelConfig(width=8, dilations=(1, 2, 4), layout="paper10"))
    state = model.new_state(1)
    sizes = [(part.shape, part.dtype) for part in state.parts()]
    drift = np.full((1, 10, 2), 0.01, np.float32)
    for _ in range(2000):
        model.step(drift, state)
    state.ticks += 2 * 60 * 60 * 30  # two hours; the rings of 16, 2, 4 and 8 ticks are where they were
    assert sizes == [(part.shape, part.dtype) for part in state.parts()]
    assert np.abs(state.recent[:, 16:]).max() < 0.01 * 20 * 8 * 30 * 1.01
    motion = noise((1, 2200, 10, 2), 5)
    fresh = model.new_state(1)
    old_last = [model.step(motion[:, t], state) for t in range(2200)][-60:]
    new_last = [model.step(motion[:, t], fresh) for t in range(2200)][-60:]
    np.testing.assert_allclose(np.stack(old_last), np.stack(new_last), atol=1e-3)


def test_motion_of_another_layout_is_refused(model):
    """Weights never read another layout's regions."""
    other = np.zeros((1, 5, model.config.regions + 1, 2), np.float32)
    with pytest.raises(ModelError, match=f"{model.config.regions}, 2"):
        model.forward(other)
    with pytest.raises(ModelError, match=model.config.layout):
        model.step(other[:, 0], model.new_state(1))


def test_nothing_comes_after_the_end():
    """A finished stream says so instead of scoring on."""
    stream = ModelStream(make(CONFIGS["causal"]))
    assert stream.finish() == []
    with pytest.raises(ModelError, match="finished"):
        stream.push(RegionMotion(3, 0.1, 3, np.zeros((len(layout("face17")), 2), np.float32)))


def test_training_reaches_every_weight():
    """No weight of either encoder is left without a gradient."""
    for config in CONFIGS.values():
        network = Network(config)
        out = network(torch.from_numpy(noise((2, 40, config.regions, 2))))
        (out.intensity.sum() + out.classes[..., 0].sum() + out.features.square().sum()).backward()
        assert all(weight.grad is not None for weight in network.parameters())


def test_activations_computed_again_change_nothing(monkeypatch):
    """What a GPU does to train the transformer gives the same output, gradients and running statistics."""
    motion = torch.from_numpy(noise((2, 12, 10, 2)))
    found = []
    for again in (False, True):
        torch.manual_seed(0)
        network = Network(CONFIGS["transformer"]).train()
        if again:
            monkeypatch.setattr(transformer, "_run", lambda layers, x, _: transformer.again(layers, x))
        torch.manual_seed(1)  # of the dropout
        out = network(motion)
        (out.intensity.sum() + out.features.square().sum()).backward()
        grads = {name: weight.grad for name, weight in network.named_parameters() if weight.grad is not None}
        found.append({"out": out.intensity, **grads, **network.state_dict()})
    for name, value in found[0].items():
        torch.testing.assert_close(found[1][name], value, msg=name)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("name", list(CONFIGS))
def test_cuda_gives_the_scores_of_the_processor(name, tmp_path):
    """On a GPU, stream and recording agree to 1e-5, and with the processor to 1e-4."""
    make(CONFIGS[name]).save(tmp_path / "w.safetensors")
    on_cpu = Model.load(tmp_path / "w.safetensors", device="cpu")
    on_gpu = Model.load(tmp_path / "w.safetensors", device="cuda")
    motion = noise((1, 200, on_cpu.config.regions, 2))
    scores = on_gpu.forward(motion).scores[0].cpu().numpy()
    np.testing.assert_allclose(streamed(on_gpu, motion[0]), scores, atol=1e-5)
    np.testing.assert_allclose(scores, whole(on_cpu, motion)[0], atol=1e-4)
