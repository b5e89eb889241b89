"""Weights that are known before a training: begun from, or beside the trained network as one network with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor

from streamspot.errors import ModelError, SettingsError
from streamspot.model.config import MOST_CHANNELS, ModelConfig
from streamspot.model.network import Network
from streamspot.model.weights import Model
from streamspot.motion.regions import LAYOUTS

Shares = tuple[float, float, float]
"""What a member counts in intensity, macro and micro of a joined network."""


def known(name_or_path: str, wanted: ModelConfig) -> tuple[Network, str | None]:
    """Return the network of weights, given by name or path, that a network of this configuration begins as.

    With it goes the name of the weights that were joined with these after a training, None if there were none.

    Raises:
        ModelError: The weights cannot be used.
        SettingsError: They do not know all regions or have another look-ahead.
    """
    model = Model.load(name_or_path, device="cpu", layout=wanted.layout)
    partner = model.provenance.get("partner")
    return _fitted(model.network, wanted), None if partner is None else str(partner)


def _fitted(network: Network, wanted: ModelConfig) -> Network:
    """Return a network for data of a layout that has fewer regions perhaps.

    Regions that the data lacks would stand still, so what the network makes of them is left out. Name, layout and
    dropout are those wanted.

    Raises:
        SettingsError: The network does not know all regions or has another look-ahead.
    """
    config = network.config
    theirs, ours = LAYOUTS.get(config.layout), LAYOUTS.get(wanted.layout)
    places = list(range(config.regions))
    if config.layout != wanted.layout:
        names = () if theirs is None or config.encoder != "causal" else theirs.names
        if ours is None or not set(ours.names) <= set(names):
            raise SettingsError(
                f"{config.name} knows the regions of the layout {config.layout}, not those of {wanted.layout}; "
                "train without these weights or extract the data anew"
            )
        places = [names.index(name) for name in ours.names]
    if config.look_ahead != wanted.look_ahead:
        raise SettingsError(
            f"{config.name} has a look-ahead of {config.look_ahead} ticks, not of {wanted.look_ahead}; "
            "set network.look_ahead to it or train without these weights"
        )
    regions = len(places)
    named = replace(config, name=wanted.name, layout=wanted.layout, regions=regions, groups=())
    out = Network(replace(named, dropout=wanted.dropout))
    weights = dict(network.state_dict())
    if config.encoder == "causal":
        for name in ("encoder.window", "encoder.integrals"):  # (taps, 2R, D) and (kinds · 2R, D)
            parts = weights[name].view(-1, config.regions, 2, config.width)[:, places]
            weights[name] = parts.reshape(out.state_dict()[name].shape)
    out.load_state_dict(weights)
    return out


def beside(name_or_path: str | None, wanted: ModelConfig) -> Network | None:
    """Return the network of weights that can judge beside one of this configuration, None where they do not fit it.

    A name means the weights of a stream, whatever the layout: they know more movements.

    Raises:
        ModelError: The weights cannot be used.
        SettingsError: They fit, but cannot be joined with such a network.
    """
    if name_or_path is None or wanted.encoder != "causal":
        return None
    try:
        partner = _fitted(Model.load(name_or_path, device="cpu").network, wanted).eval()
    except SettingsError:
        return None
    try:
        joined([wanted, partner.config])
    except ModelError as error:
        raise SettingsError(
            f"the partner {name_or_path} cannot judge beside this network ({error}); change the network "
            "or set partner: null"
        ) from None
    return partner


def joined(configs: Sequence[ModelConfig]) -> ModelConfig:
    """Return the configuration of the network that joins networks of these; see ``join``.

    Raises:
        ModelError: They cannot be joined.
    """
    first = configs[0]
    orders = {one.dilations for one in configs}
    if len(orders) > 1 and any(low >= high for order in orders for low, high in pairwise(order)):
        raise ModelError("networks are joined whose dilations ascend, or are the same")
    dilations = orders.pop() if len(orders) == 1 else tuple(sorted({d for order in orders for d in order}))
    alike = {
        replace(
            one,
            name="",
            width=first.width,
            heads=first.heads,
            dilations=dilations,
            input_scale=first.input_scale,
            dropout=first.dropout,
        )
        for one in configs
    }
    if first.encoder != "causal" or len(alike) > 1:
        raise ModelError("only causal networks that are alike but for their widths can be joined")
    width = sum(one.width for one in configs)
    if width > MOST_CHANNELS:
        raise ModelError(f"joined they have {width} channels, and {MOST_CHANNELS} are the most")
    return replace(first, width=width, dilations=dilations)


@torch.no_grad()
def join(networks: Sequence[Network], shares: Sequence[Shares] | None = None) -> Network:
    """Return one network whose logits of intensity and classes are means of those of several networks.

    Its channels are all their channels; no weight connects those of two networks. Networks that were trained apart
    err in different places, so their mean errs less than each.

    Args:
        networks: With causal encoders, alike but for their names, widths, dilations, scales and weights.
        shares: What each counts; all the same if not given.

    Raises:
        ModelError: They differ in something else, dilations do not ascend, or they are too wide together.
    """
    out = Network(joined([one.config for one in networks]))
    theirs = [_at(one, out.config.dilations, out.config.input_scale) for one in networks]
    parts = {name: [weights[name] for weights in theirs] for name in theirs[0]}
    whole = {
        "encoder.past": torch.cat([_blocks(tap) for tap in _taps(parts.pop("encoder.past"))], 1),
        "intermediate.weight": _blocks([part[None] for part in parts.pop("intermediate.weight")])[0],
    }
    whole |= {name: _blocks(parts.pop(name)) for name in ("encoder.now", "encoder.mix")}
    counted = torch.tensor(shares or [(1 / len(networks),) * 3] * len(networks)).unbind()
    for head, of in (("intensity", slice(0, 1)), ("classes", slice(1, 3))):
        rows = [
            part * share[of, None] for part, share in zip(parts.pop(f"{head}.weight"), counted, strict=True)
        ]
        whole[f"{head}.weight"] = torch.cat(rows, -1)
        biases = [b * share[of] for b, share in zip(parts.pop(f"{head}.bias"), counted, strict=True)]
        whole[f"{head}.bias"] = torch.stack(biases).sum(0)
    whole |= {name: torch.cat(part, -1) for name, part in parts.items()}
    out.load_state_dict(whole)
    return out.eval()


def _at(network: Network, dilations: Sequence[int], input_scale: float) -> dict[str, Tensor]:
    """Return the weights with a convolution, one that adds nothing where there is none, for each of the dilations.

    The input's scale becomes the one given.
    """
    config, weights = network.config, {name: part.cpu() for name, part in network.state_dict().items()}
    for name in ("encoder.window", "encoder.integrals"):
        weights[name] = weights[name] * (config.input_scale / input_scale)
    same = tuple(dilations) == config.dilations  # perhaps with repeats
    places = list(range(len(dilations))) if same else [dilations.index(d) for d in config.dilations]
    for name in ("encoder.now", "encoder.past", "encoder.bias", "encoder.mix"):
        own = weights[name]
        weights[name] = own.new_zeros(len(dilations), *own.shape[1:]).index_copy(0, torch.tensor(places), own)
    return weights


def _taps(parts: Sequence[Tensor]) -> list[tuple[Tensor, ...]]:
    """Return the older and the newer tap of each network's ``past``, which stores one below the other."""
    return list(zip(*(part.chunk(2, 1) for part in parts), strict=True))


def _blocks(parts: Sequence[Tensor]) -> Tensor:
    """Return matrices (L, D, D) of several networks as blocks on the diagonals of L larger ones."""
    layers = zip(*parts, strict=True)
    return torch.stack([torch.block_diag(*layer) for layer in layers])  # type: ignore[no-untyped-call]
