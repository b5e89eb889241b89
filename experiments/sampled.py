"""Training the window transformer on ticks near the points and some neutral ones, which makes it affordable."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from experiments.ablations import draw, lowest_neutral, norm_loss
from streamspot.model.network import Network, Output
from streamspot.model.transformer import WindowTransformer
from streamspot.training.batches import PointLabels
from streamspot.training.loop import Trainer
from streamspot.training.losses import Targets, total_loss

_HERE = torch.device("cpu")


class SampledTrainer(Trainer):
    """A ``Trainer`` whose network computes no other ticks; the drawn neutral ones stand for all.

    It needs the transformer, points as labels, and losses of single ticks. ``neutral`` ticks are drawn for each that
    is near enough to a point to belong to its expression.
    """

    def __init__(self, *given: Any, neutral: int, **how: Any) -> None:
        super().__init__(*given, **how)
        self._drawn = neutral

    def loss(self, epoch: int, motion: Tensor, points: PointLabels, inside: Tensor) -> Tensor:
        """Return the loss of ticks near points and some neutral ones, weighed to be that of all on average."""
        points, inside = points.to(_HERE), inside.to(_HERE)  # a GPU would be waited for at every draw
        far = self.neutral(points, inside)
        near, free = inside & ~far, far.flatten().nonzero().squeeze(1)
        some = draw(free, self._drawn * max(1, int(near.sum())), self.generator)
        neutral = torch.zeros_like(inside).flatten().index_fill(0, some, value=True).view_as(inside)
        chosen = near | neutral
        chosen = chosen if chosen.any() else inside
        output = self.judged(lambda: at(self.network, motion, chosen))
        intensity, intermediate = (_back(one, chosen) for one in (output.intensity, output.intermediate))
        labels = self.label(intensity, intermediate, points, epoch=epoch)
        drawn = labels.transpose(1, 2)[chosen].T[None], neutral[chosen][None], chosen[chosen][None]
        targets = Targets(*(one.to(self.device) for one in drawn))
        return self.drawn_loss(output, targets, len(some) / len(free) if len(free) else 1.0)

    def drawn_loss(self, output: Output, targets: Targets, share: float) -> Tensor:
        """Return the loss of the chosen ticks (1, N), among them this share of all neutral ones."""
        loss = self.settings.loss
        weight = loss.expression_weight * share  # as if the others were there too
        return total_loss(output, targets, loss.model_copy(update={"expression_weight": weight}))


class OfficialTrainer(SampledTrainer):
    """A ``SampledTrainer`` with the optimiser of the paper's official code and the paper's choice of neutral ticks.

    Adam, whose decay is part of the gradient, at a rate that halves every 30 epochs; of the drawn ticks those of
    lowest intensity count as neutral (Eq. 6), and ``norm`` weighs the norm (λ2, Eq. 10), of which a drawn neutral
    tick stands for all. Its contrastive loss (λ3 of 2e-5) and its smoothness, which telescopes to two ticks, are
    left out.
    """

    def __init__(self, *given: Any, norm: float, **how: Any) -> None:
        super().__init__(*given, **how)
        self._norm, settings = norm, self.settings
        self._optimiser = torch.optim.Adam(
            self.network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )

    def rate(self, epoch: int, _part: float) -> float:
        """Return the learning rate of a step."""
        return self.settings.learning_rate * 0.5 ** (epoch // 30)

    def drawn_loss(self, output: Output, targets: Targets, share: float) -> Tensor:
        """Return the paper's loss of the chosen ticks (1, N)."""
        weight = torch.where(targets.neutral, 1 / share, 1.0)
        lowest = lowest_neutral(output.intensity, targets.labels, targets.inside)
        loss = total_loss(output, replace(targets, neutral=lowest), self.settings.loss)
        return loss + self._norm * norm_loss(output.intensity, weight)


def _back(values: Tensor, chosen: Tensor) -> Tensor:
    """Return values (1, N, ...) of the N chosen ticks of (B, T) at their places, 0 elsewhere."""
    values = values.detach().to(_HERE)
    out = values.new_zeros((*chosen.shape, *values.shape[2:]))
    out[chosen] = values[0]
    return out


def at(network: Network, motion: Tensor, chosen: Tensor) -> Output:
    """Return what a transformer, which knows nothing but a tick's own window, says of chosen ticks alone.

    Args:
        network: With a ``WindowTransformer``.
        motion: (B, T, R, 2).
        chosen: (B, T) bool, N of them true.

    Returns:
        What ``Network.forward`` says of these ticks, (1, N, ...).
    """
    encoder, ahead = network.encoder, network.config.look_ahead
    assert isinstance(encoder, WindowTransformer)  # noqa: S101 - ``load_experiment`` has seen to it
    padded = functional.pad(network.prepare(motion).flatten(2), (0, 0, 0, ahead))
    crop, tick = (place.to(motion.device) for place in chosen.nonzero(as_tuple=True))
    pieces = encoder.pieces(padded)[crop, tick + ahead]
    return network.judge(encoder.encode(pieces)[None])
