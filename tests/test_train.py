"""Training and evaluating from the command line: the same folder form, honest results, clear errors."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from small_data import REAL, write_small
from typer.testing import CliRunner

from experiments.variants import Variant
from streamspot.cli.training import app
from streamspot.datasets.recording import Instance, Recording
from streamspot.datasets.store import load
from streamspot.errors import DataError, ModelError, SettingsError
from streamspot.model import Model, ModelConfig, ModelStream, Network
from streamspot.motion.regions import LAYOUTS, mirror
from streamspot.shipped import shipped
from streamspot.training.batches import batches
from streamspot.training.loop import Trainer, predict
from streamspot.training.settings import TrainSettings, load_settings
from streamspot.training.simulated import start
from streamspot.training.train import evaluate_weights, judge, train
from streamspot.types import RegionMotion

TINY: dict[str, Any] = {
    "epochs": 2,
    "min_steps": 1,
    "crop": 256,
    "network": {"width": 8, "dilations": [1, 4]},
}


def test_train_and_evaluate_from_the_command_line(tmp_path: Path) -> None:
    """``train`` writes weights that say how they came about; ``evaluate`` judges with them."""
    data = write_small(tmp_path / "data", subjects=2)
    config = tmp_path / "tiny.yaml"
    config.write_text(json.dumps(TINY))
    weights, tables = tmp_path / "m" / "mine.safetensors", tmp_path / "tables.json"
    command = ["train", "--data", str(data), "--out", str(weights), "--config", str(config), "--no-ui"]
    assert CliRunner().invoke(app, command, catch_exceptions=False).exit_code == 0
    model = Model.load(weights)
    assert model.config.name == "mine"
    assert model.provenance["supervision"] == "one point an expression"
    command = ["evaluate", "--data", str(data), "--weights", str(weights), "--out", str(tables)]
    assert CliRunner().invoke(app, command, catch_exceptions=False).exit_code == 0
    results = json.loads(tables.read_text())
    assert results["chosen_on_test_data"] is False
    assert set(results["strict"]) == {"macro", "micro", "overall"}


def test_plain_expressions_are_learned_from_points(tmp_path: Path) -> None:
    """From one time stamp an expression a network learns to find plain rises in subjects it never saw."""
    data = load(write_small(tmp_path, subjects=4, videos=2, frames=600))
    settings = TrainSettings.model_validate(
        {
            "epochs": 40,
            "min_steps": 1,
            "crop": 256,
            "batch": 4,
            "network": {"width": 16, "dilations": [1, 2, 4, 8]},
        }
    )
    network = Trainer(data.of(["s0", "s1", "s2"]), settings, layout=data.layout).run()
    recordings = data.of(["s3"])
    scores = predict(network, recordings)
    for recording in recordings:
        curve = scores[recording.name][:, 0]
        shown = [curve[i.apex] for i in recording.instances]
        neutral = curve[:50]
        assert min(shown) > neutral.mean() + 0.2


def test_the_same_seed_gives_the_same_network(tmp_path: Path) -> None:
    """Training is a function of data, settings and seed."""
    data = load(write_small(tmp_path, subjects=2))
    chosen = TrainSettings.model_validate(TINY)
    once, again = (Trainer(data.recordings, chosen, layout=data.layout).run() for _ in range(2))
    other = Trainer(data.recordings, chosen.model_copy(update={"seed": 1}), layout=data.layout).run()
    assert all(torch.equal(a, b) for a, b in zip(once.parameters(), again.parameters(), strict=True))
    assert not torch.equal(once.intensity.weight, other.intensity.weight)


def test_training_may_begin_from_simulation(tmp_path: Path) -> None:
    """The same seed gives the same start, which training goes on from; simulation goes on beside."""
    data = load(write_small(tmp_path, subjects=2))
    regions = data.recordings[0].motion.shape[1]
    simulated = {"steps": 3, "beside": 1, "recordings": 3}
    chosen = TrainSettings.model_validate(TINY | {"simulated": simulated})
    given, same = (start(chosen, data.layout, regions) for _ in range(2))
    assert given is not None
    assert same is not None
    assert all(torch.equal(weights, same[key]) for key, weights in given.items())
    begun = Trainer(data.recordings, chosen, layout=data.layout, start=given).run()
    beside = Trainer(data.recordings, chosen, layout=data.layout).run()
    plain = Trainer(data.recordings, TrainSettings.model_validate(TINY), layout=data.layout).run()
    assert not torch.equal(begun.intensity.weight, beside.intensity.weight)
    assert not torch.equal(beside.intensity.weight, plain.intensity.weight)
    with pytest.raises(SettingsError, match="mine cannot be simulated"):
        start(chosen, "mine", regions)


def test_training_may_begin_from_weights_that_know_more_regions(tmp_path: Path) -> None:
    """With the shipped weights training goes on where they are: on data with fewer regions they say the same.

    Their name means those for the data's regions, their path the file.
    """
    data = load(write_small(tmp_path, subjects=2))
    path = str(shipped("models", ".safetensors")["streamspot-base"])
    for begun, model in ((path, Model.load()), ("streamspot-base", Model.load(layout=data.layout))):
        settings = TrainSettings.model_validate({"start": begun, "partner": None})
        trainer = Trainer(data.recordings, settings, layout=data.layout)
        said, theirs = predict(trainer.network, data.recordings), judge(model, data)
        assert trainer.network.config.regions == 10
        assert all(np.allclose(said[name], theirs[name], atol=1e-5) for name in said)
    settings = TrainSettings.model_validate({"start": path, "partner": None})
    with pytest.raises(SettingsError, match="knows the regions"):
        Trainer(data.recordings, settings, layout="mine")
    other = TrainSettings.model_validate({"start": "streamspot-base", "network": {"look_ahead": 4}})
    with pytest.raises(SettingsError, match="look-ahead of 8"):
        Trainer(data.recordings, other, layout=data.layout)
    assert load_settings(None, start="streamspot-base").epochs == 5
    assert load_settings(None, start="streamspot-base", epochs=3).epochs == 3
    with pytest.raises(SettingsError, match=r"^a network begins"):
        load_settings(None, start="streamspot-base", simulated={"steps": 5})


def test_the_shipped_weights_judge_micro_expressions_beside_the_trained_ones(tmp_path: Path) -> None:
    """One network says what the trained one says, but of micro-expressions the mean of both."""
    data = load(write_small(tmp_path, subjects=2))
    alone, both = (
        predict(
            Trainer(data.recordings, TrainSettings.model_validate(TINY | how), layout=data.layout).run(),
            data.recordings,
        )
        for how in ({"partner": None}, {})
    )
    theirs = judge(Model.load(), data)
    for name, said in both.items():
        np.testing.assert_allclose(said[:, :2], alone[name][:, :2], atol=1e-5)
        logits = [np.log(p / (1 - p)) for p in (alone[name][:, 2], theirs[name][:, 2])]
        np.testing.assert_allclose(said[:, 2], 1 / (1 + np.exp(-sum(logits) / 2)), atol=1e-4)
    waiting = TrainSettings.model_validate(TINY | {"network": TINY["network"] | {"look_ahead": 4}})
    assert Trainer(data.recordings, waiting, layout=data.layout).partner is None


@pytest.mark.parametrize(("kind", "epoch"), [("window", 0), ("gim", 1), ("gim", 5), ("hard", 5)])
def test_drawn_neutral_ticks_stand_for_all(kind: str, epoch: int, tmp_path: Path) -> None:
    """A transformer's loss on ticks near points and drawn neutral ones is the loss of all ticks if all are drawn."""
    data = load(write_small(tmp_path, subjects=2))
    network = {"encoder": "transformer", "width": 8, "heads": 2}
    chosen = {"network": network, "batch": 2, "crop": 128, "precision": "fp32", "labels": {"kind": kind}}
    losses: dict[int, list[float]] = {}
    for neutral in (0, 2, 10_000):
        settings = TrainSettings.model_validate(chosen)
        trainer = Variant(neutral=neutral).trainer(data.recordings, settings, layout=data.layout)
        trainer.network.eval()
        found = batches(data.recordings, 128, 2, 8, np.random.default_rng(0))
        losses[neutral] = [float(trainer.loss(epoch, b.motion, b.points, b.inside).detach()) for b in found]
    assert losses[10_000] == pytest.approx(losses[0], rel=1e-4)
    assert np.mean(losses[2]) == pytest.approx(np.mean(losses[0]), rel=0.1)


def test_every_tick_is_trained_on_once_an_epoch(tmp_path: Path) -> None:
    """However recordings are cut, each tick is judged exactly once, and points stand where they should."""
    data = load(write_small(tmp_path, subjects=2, videos=2))
    for crop in (0, 100, 256):
        judged = shown = 0
        for batch in batches(data.recordings, crop, 3, 8, np.random.default_rng(0)):
            judged += int(batch.inside.sum())
            here = batch.points.select((batch.points.tick >= 0) & (batch.points.tick < batch.inside.shape[1]))
            shown += int(batch.inside[here.crop, here.tick].sum())
        assert judged == sum(len(r.motion) for r in data.recordings)
        assert shown == sum(len(r.instances) for r in data.recordings)


def test_little_data_is_passed_over_several_times_an_epoch(tmp_path: Path) -> None:
    """An epoch has enough steps to learn from, however small a data set is, and takes every tick equally often."""
    data = load(write_small(tmp_path, subjects=2))
    ticks = sum(len(r.motion) for r in data.recordings)
    trainer = Trainer(data.recordings, TrainSettings(), layout=data.layout)
    found = trainer.epoch_batches()
    assert len(found) >= TrainSettings().min_steps
    assert sum(int(batch.inside.sum()) for _, batch in found) % ticks == 0
    assert [place for place, _ in found] == sorted(place for place, _ in found)


def test_a_mirror_swaps_left_and_right() -> None:
    """Mirroring twice changes nothing, and every left region becomes its right one."""
    across = mirror(LAYOUTS["paper10"])
    assert [across[i] for i in across] == list(range(10))
    assert across[0] == 5


def test_impossible_training_and_evaluation_end_in_one_sentence(tmp_path: Path) -> None:
    """No expression, no weights, another layout: each is said."""
    empty = write_small(tmp_path / "empty", subjects=1, frames=100)
    with pytest.raises(DataError, match="no recording for training has an expression"):
        train(empty, tmp_path / "m.safetensors", TrainSettings())
    with pytest.raises(ModelError):
        evaluate_weights(empty, tmp_path / "none.safetensors")
    Model(Network(ModelConfig(layout="own", regions=5, width=8, dilations=(1,)))).save(
        tmp_path / "o.safetensors"
    )
    with pytest.raises(DataError, match="layout"):
        evaluate_weights(empty, tmp_path / "o.safetensors")
    Model(Network(ModelConfig(layout="own", regions=12, width=8, dilations=(1,)))).save(
        tmp_path / "p.safetensors"
    )
    (empty / "meta.yaml").write_text("layout: own\ncolumns: [0, 1, 2]\n", encoding="utf-8")
    with pytest.raises(DataError, match="shape"):
        evaluate_weights(empty, tmp_path / "p.safetensors")


def test_weights_of_more_regions_judge_data_of_fewer(tmp_path: Path) -> None:
    """Regions that the data has not stand still; those it has count by their names."""
    data = load(write_small(tmp_path, subjects=1, frames=100))
    assert data.layout == "paper10"
    model = Model(Network(ModelConfig(layout="face17", width=8, dilations=(1,))))
    (recording, *_) = data.recordings
    whole = np.zeros((len(recording.motion), 17, 2), np.float32)
    whole[:, [LAYOUTS["face17"].names.index(name) for name in LAYOUTS["paper10"].names]] = recording.motion
    expected = model.forward(whole[None]).intensity[0].numpy()
    np.testing.assert_array_equal(judge(model, data)[recording.name][:, 0], expected)


@pytest.mark.skipif(not REAL.exists(), reason="the research data set is not beside the checkout")
@pytest.mark.parametrize("encoder", ["causal", "transformer"])
def test_the_stream_equals_the_recording_on_real_videos(encoder: str) -> None:
    """Step by step or whole: trained weights give intensities of whole real videos that agree to 1e-5."""
    data = load(REAL)
    shortest = sorted((r for r in data.recordings if r.instances), key=lambda r: len(r.motion))[:2]
    settings = TrainSettings.model_validate(
        {"epochs": 1, "min_steps": 1, "batch": 4, "crop": 256, "network": {"encoder": encoder, "width": 16}}
    )
    model = Model(Trainer(shortest, settings, layout=data.layout).run())
    for recording in shortest:
        stream = ModelStream(model)
        scores = [
            s
            for tick, moved in enumerate(recording.motion)
            for s in stream.push(RegionMotion(tick, tick / 30, tick, moved))
        ]
        scores += stream.finish()
        whole = model.forward(recording.motion[None]).intensity[0].numpy()
        assert len(scores) == len(whole)
        np.testing.assert_allclose([s.intensity for s in scores], whole, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"labels": {"soft_reach": [-1, -1]}}, "labels.soft_reach"),
        ({"labels": {"clamp": [[36, 16], [16, 8]]}}, "shortest length of each kind comes first"),
        ({"labels": {"theta": [float("nan"), 0.5]}}, "labels.theta"),
        ({"labels": {"stretch": float("inf")}}, "labels.stretch"),
        ({"loss": {"margin": [-100, -100]}}, "loss.margin"),
        ({"crop": 10**19}, "crop"),
        ({"seed": 2**64}, "seed"),
    ],
)
def test_impossible_settings_are_refused_before_the_training(
    tmp_path: Path, wrong: dict[str, Any], named: str
) -> None:
    """Nothing that would fail in the middle of a training, or mean its opposite, is begun with."""
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump(wrong))
    with pytest.raises(SettingsError, match=named):
        load_settings(path)


def test_a_training_that_diverges_is_not_kept(tmp_path: Path) -> None:
    """It ends in a sentence, and writes no weights that nothing could load."""
    data = write_small(tmp_path / "data", subjects=2)
    with pytest.raises(SettingsError, match=r"diverged in epoch \d; choose a lower learning_rate"):
        train(data, tmp_path / "m.safetensors", TrainSettings.model_validate(TINY | {"learning_rate": 1e30}))
    assert not (tmp_path / "m.safetensors").exists()


def test_full_supervision_needs_onsets_and_offsets(tmp_path: Path) -> None:
    """Bounds that were guessed round a point are no annotation."""
    data = load(write_small(tmp_path, subjects=2))
    points = [
        replace(one, instances=tuple(replace(i, bounded=False) for i in one.instances))
        for one in data.recordings
    ]
    full = TrainSettings.model_validate({"labels": {"kind": "full"}})
    with pytest.raises(DataError, match="need onset and offset"):
        Trainer(points, full, layout=data.layout)


def test_a_long_expression_is_one_in_every_crop_that_it_reaches_into() -> None:
    """Under full supervision no annotated tick counts as neutral, however far its point lies outside the crop."""
    motion = np.arange(1200, dtype=np.float32)[:, None, None].repeat(10, 1).repeat(2, 2)  # tells the tick
    long = Recording("a", "s", motion, (Instance("macro", 100, 150, 1100, 150),))
    for batch in batches([long], 256, 16, 8, np.random.default_rng(0)):
        ticks = batch.motion[..., 0, 0]
        annotated = (batch.inside & (ticks >= 100) & (ticks <= 1100)).any(1)
        assert set(batch.points.crop.tolist()) >= set(annotated.nonzero().flatten().tolist())
