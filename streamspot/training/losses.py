"""The losses of intensity and class (Eq. 9, 12-14) on a batch of crops, and which ticks they take for neutral."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from streamspot.model.network import Output
from streamspot.training.batches import PointLabels
from streamspot.training.settings import LossSettings

SMALL = 1e-6
"""How near to 0 and 1 a probability may come before its logarithm is taken."""
RELIABLE = 0.5
"""Labels above this make a tick a reliable expression tick."""


@dataclass(frozen=True, slots=True)
class Targets:
    """What a batch of crops is held against.

    Attributes:
        labels: (B, 2, T) pseudo-labels in [0, 1], 0 where there is none.
        neutral: (B, T) bool, ticks that count as neutral.
        inside: (B, T) bool, ticks that count in the losses.
    """

    labels: Tensor
    neutral: Tensor
    inside: Tensor

    @property
    def expression(self) -> Tensor:
        """Return (B, 2, T), whether a tick has a label of that class."""
        return (self.labels > 0) & self.inside[:, None]

    @property
    def reliable(self) -> Tensor:
        """Return (B, 2, T), whether its label is above 0.5."""
        return (self.labels > RELIABLE) & self.inside[:, None]


def known_neutral(points: PointLabels, inside: Tensor, reach: Tensor) -> Tensor:
    """Choose every tick that is too far from all points to belong to an expression.

    All expressions of a recording have a point, so what lies beyond the usual length and a margin is neutral,
    however high its intensity. ``reach`` (2, 2) holds the ticks before and after a point that may belong to it, for
    macro and micro.
    """
    ticks = torch.arange(inside.shape[1], device=inside.device) - points.tick[:, None]  # (P, T)
    before, after = reach[points.kind].unbind(1)
    near = (ticks >= -before[:, None]) & (ticks <= after[:, None])
    return inside & (torch.zeros_like(inside, dtype=torch.long).index_add_(0, points.crop, near.long()) == 0)


def intensity_loss(intensity: Tensor, targets: Targets, settings: LossSettings) -> Tensor:
    """Return the loss of the intensity on all labelled ticks (Eq. 9; Table 2 compares MSE and BCE).

    A tick with labels of both classes counts once for each, with half the weight (appendix A.1).
    ``expression_weight`` and ``micro_weight`` are ours; with both 1 this is the equation.
    """
    shared = targets.expression.sum(1, keepdim=True).clamp(min=1)  # (B, 1, T)
    weight = targets.expression * settings.expression_weight / shared
    weight = weight * torch.tensor([1.0, settings.micro_weight], device=weight.device)[:, None]
    neutral = (targets.neutral & ~targets.expression.any(1)).to(weight)
    if settings.intensity == "mse":
        hit = (intensity[:, None] - targets.labels).square()
        miss = intensity.square()
    else:
        clear = intensity.clamp(SMALL, 1 - SMALL)
        log, log1 = clear.log()[:, None], (1 - clear).log()
        hit = -targets.labels * log - (1 - targets.labels) * log1[:, None]
        miss = -log1
    total = weight.sum() + neutral.sum()
    return ((hit * weight).sum() + (miss * neutral).sum()) / total.clamp(min=SMALL)


def joint_loss(output: Output, targets: Targets) -> Tensor:
    """Return the paper's class loss, of class times intensity on reliable and neutral ticks (Eq. 12-13)."""
    reliable = targets.reliable.transpose(1, 2)  # (B, T, 2)
    score = (output.classes * output.intensity[..., None]).clamp(SMALL, 1 - SMALL)
    positive = -(reliable * score.log()).sum() / reliable.any(-1).sum().clamp(min=1)
    neutral = (targets.neutral & ~targets.expression.any(1))[..., None]
    negative = -(neutral * (1 - score).log()).sum() / (2 * neutral.sum()).clamp(min=1)
    return positive + negative


def action_loss(output: Output, targets: Targets, settings: LossSettings) -> Tensor:
    """Return the cross-entropy of each class, as yes or no, where an expression shows."""
    clear = output.classes.clamp(SMALL, 1 - SMALL)
    mine = targets.expression.transpose(1, 2)  # (B, T, 2); weakly labelled ticks too are of the class
    shown = mine.any(-1, keepdim=True)
    micro = torch.tensor([1.0, settings.micro_weight], device=clear.device)
    each = -(micro * mine * clear.log()) - (~mine) * (1 - clear).log()
    return (each * shown).sum() / (2 * shown.sum()).clamp(min=1)


def total_loss(output: Output, targets: Targets, settings: LossSettings) -> Tensor:
    """Return the weighted sum of both losses (the part of Eq. 14 that is always on)."""
    loss = intensity_loss(output.intensity, targets, settings)
    loss = loss + settings.joint * joint_loss(output, targets)
    return loss + settings.action * action_loss(output, targets, settings)
