"""What Tables 2 to 4 and the rows of the paper compare beside the package's own choices: labels and losses.

Labels are given as ``pseudo.label`` takes them: for stage 3, and for ticks where two of one class meet.
"""

from __future__ import annotations

import torch
from torch import Tensor

from streamspot.training.batches import PointLabels
from streamspot.training.losses import SMALL, Targets, draw
from streamspot.training.pseudo import Overlap, Pieces, around, extent, gaussians
from streamspot.training.settings import LabelSettings

TEMPERATURE = 0.5
"""τ of the contrastive loss (Eq. 7)."""

MAX_ANCHORS = 1024
"""Most ticks that the contrastive loss compares; its cost grows with their square."""


def cosine(
    intensity: Tensor, features: Tensor, points: PointLabels, epoch: int, settings: LabelSettings
) -> Pieces:
    """Return the similarity to the pseudo-apex as label (Table 3, Soft)."""
    apex, reach = extent(intensity, points, epoch, settings)
    near, ticks, inside = around(features, points.crop, apex, reach)
    mean = features[points.crop, apex]
    return Pieces(torch.cosine_similarity(near, mean[:, None], dim=-1).clamp(0, 1), ticks, inside)


class Centres:
    """The mean of X at the points of each class, followed from batch to batch."""

    def __init__(self) -> None:
        self.means = torch.zeros(0)

    @torch.no_grad()
    def follow(self, features: Tensor, points: PointLabels) -> None:
        """Take in the features (B, T, D) of a batch."""
        if not len(self.means):
            self.means = features.new_zeros(2, features.shape[-1])
        seen = points.select((points.tick >= 0) & (points.tick < features.shape[1]))
        for kind in range(2):
            mine = seen.kind == kind
            if mine.any():
                self.means[kind].lerp_(features[seen.crop[mine], seen.tick[mine]].float().mean(0), 0.1)

    def classwise(
        self,
        intensity: Tensor,
        features: Tensor,
        points: PointLabels,
        epoch: int,
        settings: LabelSettings,
    ) -> Pieces:
        """Return Gaussians round the mean feature of the class as labels (Table 3, Class-wise)."""
        apex, reach = extent(intensity, points, epoch, settings)
        return gaussians(features, points.crop, apex, self.means[points.kind], reach)


OVERLAPS: dict[str, Overlap] = {
    "higher": lambda old, new, _: torch.maximum(old, new),
    "lower": lambda old, new, _: torch.where(old > 0, torch.minimum(old, new), new),
    "latest": lambda _old, new, _: new,
}
"""Which label a tick keeps where two of one class meet (Table 4); ``latest`` is the official code's choice."""


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


def norm_loss(intensity: Tensor, inside: Tensor) -> Tensor:
    """Return the mean intensity (Eq. 10 as the official code computes it, so that λ2 fits any length)."""
    return (intensity * inside).sum() / inside.sum().clamp(min=1)


def smooth_loss(intensity: Tensor, inside: Tensor) -> Tensor:
    """Return the mean |a[t+1] - a[t]| (Eq. 11; the official code forgot the absolute value)."""
    both = inside[:, 1:] & inside[:, :-1]
    return (intensity.diff(dim=1).abs() * both).sum() / both.sum().clamp(min=1)


def contrast_loss(features: Tensor, targets: Targets, generator: torch.Generator) -> Tensor:
    """Return the intensity-aware contrastive loss (Eq. 7-8), the mean over its anchors.

    Anchors are the reliable expression ticks and the neutral ticks of the whole batch, 1,024 at most, drawn
    at random with as many neutral ones as expression ticks. Features are compared by their cosine. The
    logarithm of w is taken with 1e-6 added, as in the official code, since Eq. 7 is infinite at w = 0.

    Args:
        features: (B, T, D), F.
        targets: Labels.
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
    logit = f @ f.T / TEMPERATURE + (weight + SMALL).log()
    log = logit - logit.masked_fill(~other, -torch.inf).logsumexp(1, keepdim=True)
    partners = same & other
    each = -(log * partners).sum(1) / partners.sum(1).clamp(min=1)
    return each.mean()
