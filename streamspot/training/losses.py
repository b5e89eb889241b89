"""The losses of the paper (Eq. 6-14) on a batch of crops, each with the choices that Tables 2-4 compare."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from streamspot.model.network import Output
from streamspot.training.batches import PointLabels
from streamspot.training.settings import LossSettings

SMALL = 1e-6
RELIABLE = 0.5
"""Labels above this make a tick a reliable expression tick."""

MAX_ANCHORS = 1024
"""Most ticks that the contrastive loss compares; its cost grows with their square."""


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


def lowest_neutral(intensity: Tensor, labels: Tensor, inside: Tensor) -> Tensor:
    """Choose N_neut = min(N_exp, T - N_exp), at least one, ticks of lowest intensity without a label (Eq. 6).

    Args:
        intensity: (B, T).
        labels: (B, 2, T).
        inside: (B, T).

    Returns:
        (B, T) bool.
    """
    labelled = (labels > 0).any(1) & inside
    free = inside & ~labelled
    wanted = torch.minimum(labelled.sum(1), free.sum(1)).clamp(min=1)
    rank = intensity.detach().masked_fill(~free, 2.0).argsort(1).argsort(1)
    return free & (rank < wanted[:, None])


def known_neutral(points: PointLabels, inside: Tensor, reach: Tensor) -> Tensor:
    """Choose every tick that is too far from all points to belong to an expression.

    All expressions of a recording have a point, so what lies beyond the usual length and a margin is neutral,
    however high its intensity. ``lowest_neutral`` never shows the network this neutral noise.

    Args:
        points: Time stamps.
        inside: (B, T).
        reach: (2, 2) ticks before and after a point that may belong to it, for macro and micro.

    Returns:
        (B, T) bool.
    """
    ticks = torch.arange(inside.shape[1], device=inside.device)
    neutral = inside.clone()
    before, after = reach[points.kind].unbind(1)
    for i in range(len(points)):
        near = (ticks >= points.tick[i] - before[i]) & (ticks <= points.tick[i] + after[i])
        neutral[points.crop[i]] &= ~near
    return neutral


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


def norm_loss(intensity: Tensor, inside: Tensor) -> Tensor:
    """Return the mean intensity (Eq. 10 as the official code computes it, so that λ2 fits any length)."""
    return (intensity * inside).sum() / inside.sum().clamp(min=1)


def smooth_loss(intensity: Tensor, inside: Tensor) -> Tensor:
    """Return the mean |a[t+1] - a[t]| (Eq. 11; the official code forgot the absolute value)."""
    both = inside[:, 1:] & inside[:, :-1]
    return (intensity.diff(dim=1).abs() * both).sum() / both.sum().clamp(min=1)


def joint_loss(output: Output, targets: Targets) -> Tensor:
    """Return the paper's class loss, of class times intensity on reliable expression and neutral ticks (Eq. 12-13)."""
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


def contrast_loss(
    features: Tensor, targets: Targets, settings: LossSettings, generator: torch.Generator
) -> Tensor:
    """Return the intensity-aware contrastive loss (Eq. 7-8), the mean over its anchors.

    Anchors are the reliable expression ticks and the neutral ticks of the whole batch, 1,024 at most, drawn
    at random with as many neutral ones as expression ticks. Features are compared by their cosine. The
    logarithm of w is taken with 1e-6 added, as in the official code, since Eq. 7 is infinite at w = 0.

    Args:
        features: (B, T, D), F.
        targets: Labels.
        settings: τ.
        generator: For the draw.
    """
    reliable = targets.reliable
    kind = torch.where(reliable[:, 1], 2, torch.where(reliable[:, 0], 1, 0))
    strength = torch.where(reliable, targets.labels, 0.0).amax(1)
    expression = reliable.any(1).flatten().nonzero().squeeze(1)
    neutral = (targets.neutral & ~targets.expression.any(1)).flatten().nonzero().squeeze(1)
    expression = draw(expression, MAX_ANCHORS // 2, generator)
    neutral = draw(neutral, max(1, len(expression)), generator)
    chosen = torch.cat((expression, neutral))
    if len(chosen) < 2:
        return features.sum() * 0.0
    f = torch.nn.functional.normalize(features.flatten(0, 1)[chosen], dim=-1)
    kind, strength = kind.flatten()[chosen], strength.flatten()[chosen]
    same = kind[:, None] == kind
    apart = (strength[:, None] - strength).abs()
    weight = torch.where(same, 1 - apart, apart)
    other = ~torch.eye(len(chosen), dtype=torch.bool, device=f.device)
    logit = f @ f.T / settings.temperature + (weight + SMALL).log()
    log = logit - logit.masked_fill(~other, -torch.inf).logsumexp(1, keepdim=True)
    partners = same & other
    each = -(log * partners).sum(1) / partners.sum(1).clamp(min=1)
    return each.mean()


def draw(items: Tensor, max_items: int, generator: torch.Generator) -> Tensor:
    """Return all items, or ``max_items`` of them drawn at random where there are more."""
    if len(items) <= max_items:
        return items
    return items[torch.randperm(len(items), generator=generator)[:max_items].to(items.device)]


def total_loss(
    output: Output, targets: Targets, settings: LossSettings, generator: torch.Generator
) -> Tensor:
    """Return the weighted sum of all losses (Eq. 14)."""
    loss = intensity_loss(output.intensity, targets, settings)
    if settings.joint:
        loss = loss + settings.joint * joint_loss(output, targets)
    if settings.action:
        loss = loss + settings.action * action_loss(output, targets, settings)
    if settings.smooth:
        loss = loss + settings.smooth * smooth_loss(output.intensity, targets.inside)
    if settings.norm:
        loss = loss + settings.norm * norm_loss(output.intensity, targets.inside)
    if settings.contrast:
        loss = loss + settings.contrast * contrast_loss(output.features, targets, settings, generator)
    return loss
