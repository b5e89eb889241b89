"""Several causal networks side by side in one, whose word is the mean of theirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from streamspot.errors import ModelError
from streamspot.model.network import Network


@torch.no_grad()
def join(networks: Sequence[Network]) -> Network:
    """Return one network that says the mean, in logits, of what several say.

    Its channels are theirs; no weight leads from those of one to those of another. Networks that were trained apart
    err less together.

    Args:
        networks: With causal encoders, alike but for their names, widths and weights.

    Raises:
        ModelError: They are not.
    """
    first = networks[0].config
    alike = {replace(one.config, name="", width=first.width) for one in networks}
    if first.encoder != "causal" or len(alike) > 1:
        raise ModelError("only causal networks that are alike but for their widths can be joined")
    out = Network(replace(first, width=sum(one.config.width for one in networks)))
    theirs = [one.state_dict() for one in networks]
    mine = {name: [weights[name] for weights in theirs] for name in theirs[0]}
    joined = {
        "encoder.past": torch.cat([_blocks(tap) for tap in _taps(mine.pop("encoder.past"))], 1),
        "intermediate.weight": _blocks([part[None] for part in mine.pop("intermediate.weight")])[0],
    }
    joined |= {name: _blocks(mine.pop(name)) for name in ("encoder.now", "encoder.mix")}
    joined |= {name: torch.cat(parts, -1) for name, parts in mine.items()}
    for head in ("intensity", "classes"):
        joined[f"{head}.weight"] /= len(networks)
        joined[f"{head}.bias"] = torch.stack(mine[f"{head}.bias"]).mean(0)
    out.load_state_dict(joined)
    return out.eval()


def _taps(parts: Sequence[Tensor]) -> list[tuple[Tensor, ...]]:
    """Return the older and the newer tap of each network's past, which stand one below the other."""
    return list(zip(*(part.chunk(2, 1) for part in parts), strict=True))


def _blocks(parts: Sequence[Tensor]) -> Tensor:
    """Return matrices (L, D, D) as blocks on the diagonal of larger ones."""
    layers = zip(*parts, strict=True)
    return torch.stack([torch.block_diag(*layer) for layer in layers])  # type: ignore[no-untyped-call]
