"""Several causal networks side by side in one network, whose logits are the means of theirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from streamspot.errors import ModelError
from streamspot.model.network import Network


@torch.no_grad()
def join(networks: Sequence[Network]) -> Network:
    """Return one network whose logits of intensity and classes are the means of those of several networks.

    Its channels are all their channels; no weight connects those of two networks. Networks that were trained apart
    err in different places, so their mean errs less than each.

    Args:
        networks: With causal encoders, alike but for their names, widths and weights.

    Raises:
        ModelError: They differ in something else.
    """
    first = networks[0].config
    alike = {replace(one.config, name="", width=first.width) for one in networks}
    if first.encoder != "causal" or len(alike) > 1:
        raise ModelError("only causal networks that are alike but for their widths can be joined")
    out = Network(replace(first, width=sum(one.config.width for one in networks)))
    theirs = [one.state_dict() for one in networks]
    parts = {name: [weights[name] for weights in theirs] for name in theirs[0]}
    joined = {
        "encoder.past": torch.cat([_blocks(tap) for tap in _taps(parts.pop("encoder.past"))], 1),
        "intermediate.weight": _blocks([part[None] for part in parts.pop("intermediate.weight")])[0],
    }
    joined |= {name: _blocks(parts.pop(name)) for name in ("encoder.now", "encoder.mix")}
    joined |= {name: torch.cat(part, -1) for name, part in parts.items()}
    for head in ("intensity", "classes"):
        joined[f"{head}.weight"] /= len(networks)
        joined[f"{head}.bias"] = torch.stack(parts[f"{head}.bias"]).mean(0)
    out.load_state_dict(joined)
    return out.eval()


@torch.no_grad()
def split(joined: Network, widths: Sequence[int]) -> list[Network]:
    """Return the networks of these widths that ``join`` put side by side, ready to go on learning.

    Raises:
        ModelError: The widths do not add up to that of the joined network.
    """
    config = joined.config
    if sum(widths) != config.width:
        raise ModelError(f"networks of the widths {tuple(widths)} make none of width {config.width}")
    theirs, out, start = joined.state_dict(), [], 0
    for width in widths:
        mine = slice(start, start + width)
        network = Network(replace(config, width=width))
        parts = {name: weight[..., mine] for name, weight in theirs.items()}
        older, newer = theirs["encoder.past"].chunk(2, 1)
        parts["encoder.past"] = torch.cat([older[:, mine, mine], newer[:, mine, mine]], 1)
        parts["intermediate.weight"] = theirs["intermediate.weight"][mine, mine]
        parts |= {name: theirs[name][:, mine, mine] for name in ("encoder.now", "encoder.mix")}
        for head in ("intensity", "classes"):
            parts[f"{head}.weight"] = parts[f"{head}.weight"] * len(widths)
            parts[f"{head}.bias"] = theirs[f"{head}.bias"]
        network.load_state_dict(parts)
        out.append(network)
        start += width
    return out


@torch.no_grad()
def blend(network: Network, other: Network, share: float) -> Network:
    """Return the mean of the weights of two networks, of which ``share`` are the other's.

    A network that has gone on learning forgets; with some of what it was it knows both.
    """
    out, others = Network(network.config), other.state_dict()
    out.load_state_dict({name: own.lerp(others[name], share) for name, own in network.state_dict().items()})
    return out.eval()


def _taps(parts: Sequence[Tensor]) -> list[tuple[Tensor, ...]]:
    """Return the older and the newer tap of each network's ``past``, which stores one below the other."""
    return list(zip(*(part.chunk(2, 1) for part in parts), strict=True))


def _blocks(parts: Sequence[Tensor]) -> Tensor:
    """Return matrices (L, D, D) of several networks as blocks on the diagonals of L larger ones."""
    layers = zip(*parts, strict=True)
    return torch.stack([torch.block_diag(*layer) for layer in layers])  # type: ignore[no-untyped-call]
