"""Promises of joined networks: one network, the mean of several, in recordings as in streams."""

from __future__ import annotations

import pytest
import torch

from experiments.shipped.parts import mean, split
from streamspot.datasets.recording import Instance, Recording
from streamspot.errors import ModelError, SettingsError
from streamspot.model import Model, ModelConfig, ModelStream, Network
from streamspot.training.join import join
from streamspot.training.loop import Trainer
from streamspot.training.settings import NetworkSettings, TrainSettings
from streamspot.types import RegionMotion


def _network(width: int = 8, **other: object) -> Network:
    how = {"dilations": (1, 4)} | other
    network = Network(ModelConfig(name="tiny", layout="paper10", width=width, **how))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return network.eval()


def test_a_joined_network_says_the_mean_of_the_logits():
    """Whatever the widths, intensity and classes are the mean of the members' in logits."""
    torch.manual_seed(0)
    members = [_network(8), _network(16), _network(4)]
    motion = torch.randn(2, 90, 10, 2) * 0.01
    joined = join(members)
    assert joined.config.width == 28
    for name in ("intensity", "classes"):
        said = torch.stack([getattr(one(motion), name).logit() for one in members])
        torch.testing.assert_close(getattr(joined(motion), name).logit(), said.mean(0), atol=1e-4, rtol=1e-4)


def test_members_may_differ_in_depth_and_scale_and_count_differently():
    """Networks of other dilations and another scale of the input are joined as well, each head by its own shares."""
    torch.manual_seed(2)
    one, other = _network(8), _network(16, dilations=(1, 2, 4, 8), input_scale=7.0)
    motion = torch.randn(2, 90, 10, 2) * 0.01
    joined = join([one, other], ((1.0, 0.3, 0.5), (0.0, 0.7, 0.5)))
    mine, theirs, both = one(motion), other(motion), joined(motion)
    torch.testing.assert_close(both.intensity, mine.intensity, atol=1e-5, rtol=1e-4)
    mean = mine.classes.logit() * torch.tensor([0.3, 0.5]) + theirs.classes.logit() * torch.tensor([0.7, 0.5])
    torch.testing.assert_close(both.classes.logit(), mean, atol=1e-4, rtol=1e-4)


def test_the_order_of_layers_is_kept():
    """Networks of the same dilations are joined in their order, repeats included; of others they have to ascend."""
    torch.manual_seed(3)
    motion = torch.randn(1, 90, 10, 2) * 0.01
    one, other = _network(8, dilations=(2, 1, 2)), _network(4, dilations=(2, 1, 2))
    both = join([one, other], ((1.0, 1.0, 1.0), (0.0, 0.0, 0.0)))
    torch.testing.assert_close(both(motion).intensity, one(motion).intensity, atol=1e-5, rtol=1e-4)
    with pytest.raises(ModelError, match="dilations ascend, or are the same"):
        join([one, _network(4, dilations=(1, 2))])


def test_a_joined_network_streams():
    """Tick by tick it says what it says of the whole recording, also if its members differ in depth and scale."""
    torch.manual_seed(1)
    model = Model(join([_network(), _network(12, dilations=(1, 2, 8), input_scale=7.0)]))
    motion = torch.randn(60, 10, 2) * 0.01
    stream = ModelStream(model)
    ticks = [RegionMotion(tick, tick / 30, tick, moved) for tick, moved in enumerate(motion.numpy())]
    scores = [score for tick in ticks for score in stream.push(tick)] + stream.finish()
    whole = model.forward(motion[None].numpy()).intensity[0]
    streamed = torch.tensor([score.intensity for score in scores])
    torch.testing.assert_close(streamed, whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize("other", [{"look_ahead": 4}, {"encoder": "transformer"}])
def test_only_networks_that_are_alike_can_be_joined(other):
    """Networks of other look-aheads, or that have no memory to share, are refused in a sentence."""
    with pytest.raises(ModelError, match="alike"):
        join([_network(**other), _network()])


def test_joined_networks_are_taken_apart_again():
    """What was joined can go on learning: its parts, joined once more, are the same network."""
    torch.manual_seed(2)
    joined = join([_network(8), _network(4)])
    parts = split(joined, (8, 4))
    assert [one.config.width for one in parts] == [8, 4]
    torch.testing.assert_close(join(parts).state_dict(), joined.state_dict())
    with pytest.raises(ModelError, match="width 12"):
        split(joined, (8, 8))


def test_a_mean_lies_between():
    """A tenth of one network and nine tenths of another are their weighted mean, weight by weight."""
    one, other = _network(), _network()
    between = mean([one, other], [0.9, 0.1]).state_dict()
    for name, weight in one.state_dict().items():
        torch.testing.assert_close(between[name], 0.9 * weight + 0.1 * other.state_dict()[name])


def test_weights_that_have_a_partner_are_begun_from_without_a_second_one(tmp_path):
    """Joined once more they would be wider than a network may be, and the partner would count twice."""
    settings = TrainSettings(epochs=1, network=NetworkSettings(width=4, dilations=(1,)))
    motion = (torch.randn(300, 10, 2) * 0.01).numpy()
    recordings = [Recording("a", "s", motion, (Instance("macro", 90, 100, 110, 100),))]
    first = Trainer(recordings, settings, layout="paper10")
    assert first.partner is not None
    path = tmp_path / "first.safetensors"
    Model(first.result(), {"partner": first.partner_name}).save(path)
    second = Trainer(recordings, settings.model_copy(update={"start": str(path)}), layout="paper10")
    assert second.partner is None
    assert second.partner_name == "streamspot-base"
    assert second.result().config.width == first.result().config.width


def test_what_a_partner_cannot_be_joined_with_is_said_before_the_training():
    """A network of any heads is joined; one too wide is refused before its first epoch, with what fits."""
    motion = (torch.randn(300, 10, 2) * 0.01).numpy()
    recordings = [Recording("a", "s", motion, (Instance("macro", 90, 100, 110, 100),))]
    network = NetworkSettings(width=6, heads=5, dilations=(1,))
    assert Trainer(recordings, TrainSettings(network=network), layout="paper10").result().config.width == 134
    back = TrainSettings(network=NetworkSettings(width=4, dilations=(4, 2, 1)))
    with pytest.raises(SettingsError, match="dilations ascend"):
        Trainer(recordings, back, layout="paper10")
    wide = TrainSettings(network=NetworkSettings(width=129))
    with pytest.raises(SettingsError, match="joined they have 257 channels, and 256 are the most"):
        Trainer(recordings, wide, layout="paper10")
