"""Networks of weights that were joined, taken apart again to go on learning, and means of networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from streamspot.errors import ModelError
from streamspot.model.network import Network


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
def mean(networks: Sequence[Network], shares: Sequence[float] | None = None) -> Network:
    """Return the mean of the weights of networks that have gone on learning from the same ones.

    A network that goes on learning forgets; with some of what it was it knows both. ``shares`` add up to 1 and are
    all the same if not given.
    """
    counts = shares or [1 / len(networks)] * len(networks)
    states = [network.state_dict() for network in networks]
    means = {
        name: sum(share * state[name] for share, state in zip(counts, states, strict=True))
        for name in states[0]
    }
    out = Network(networks[0].config)
    out.load_state_dict(means)
    return out.eval()
