"""Promises of training on drawn ticks: they are judged as in the whole recording, with the official rate too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from experiments.sampled import OfficialTrainer, SampledTrainer, at
from experiments.tables import configs
from experiments.variants import Variant, load_experiment
from streamspot.datasets.recording import Instance, Recording
from streamspot.errors import SettingsError
from streamspot.model.network import Network
from streamspot.training.settings import NetworkSettings


def _recordings() -> list[Recording]:
    rng = np.random.default_rng(0)
    expressions = (Instance("macro", 60, 70, 85, 72), Instance("micro", 150, 155, 161, 155))
    motion = rng.normal(0, 0.01, (2, 240, 10, 2)).astype(np.float32)
    return [Recording(f"r{n}", f"s{n}", motion[n], expressions) for n in range(2)]


def _trainer(name: str, **override: object) -> SampledTrainer:
    settings, method = load_experiment(configs()[name], **override)
    narrow = settings.model_copy(update={"network": NetworkSettings(encoder="transformer", width=16)})
    assert isinstance(method, Variant)
    trainer = method.trainer(_recordings(), narrow, layout="paper10")
    assert isinstance(trainer, SampledTrainer)
    return trainer


def test_drawn_ticks_are_judged_as_in_the_whole_recording() -> None:
    """A tick's scores are the same whether its neighbours are computed or not, also at the recording's ends."""
    torch.manual_seed(0)
    network = Network(NetworkSettings(encoder="transformer", width=16).config("n", "paper10", 10)).eval()
    motion = torch.randn(2, 90, 10, 2) * 0.01
    chosen = torch.rand(2, 90) < 0.2
    chosen[:, [0, -1]] = True
    whole, drawn = network(motion), at(network, motion, chosen)
    torch.testing.assert_close(drawn.intensity[0], whole.intensity[chosen], atol=1e-5, rtol=0)
    torch.testing.assert_close(drawn.classes[0], whole.classes[chosen], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["official-casme2", "official-samm-hard", "full-width"])
def test_an_epoch_on_drawn_ticks_learns(name: str) -> None:
    """In each stage of the labels an epoch has a finite loss and moves the weights."""
    trainer = _trainer(name, epochs=7, min_steps=1)
    before = trainer.network.state_dict()["intensity.weight"].clone()
    losses: list[float] = []
    trainer.run(lambda _epoch, _network, loss: losses.append(loss))
    assert len(losses) == 7
    assert np.isfinite(losses).all()
    assert not torch.equal(before, trainer.network.state_dict()["intensity.weight"])


def test_the_official_rate_halves_every_thirty_epochs() -> None:
    """Adam at 2e-5 for 30 epochs, at a half for 30 more; elsewhere the rate rises and falls."""
    trainer = _trainer("official-casme2")
    assert isinstance(trainer, OfficialTrainer)
    assert [trainer.rate(epoch, 0.5) for epoch in (0, 29, 30, 60, 99)] == [2e-5, 2e-5, 1e-5, 5e-6, 2.5e-6]
    assert _trainer("full-width").rate(0, 0.0) < _trainer("full-width").rate(1, 0.0)


def test_the_official_way_needs_drawn_ticks(tmp_path: Path) -> None:
    """Without them it would silently be something else."""
    path = tmp_path / "mine.yaml"
    path.write_text("network: {encoder: transformer}\nvariant: {official: 0.3}\n")
    with pytest.raises(SettingsError, match="needs the transformer"):
        load_experiment(path)
