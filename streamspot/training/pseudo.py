"""Pseudo-labels: from one time stamp an expression to an intensity for every tick (Eq. 1-5).

Ticks outside a crop do not exist: ranges are cut at its ends. Labels are kept in one array a class, so that a
macro- and a micro-expression may share ticks (appendix A.1).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from streamspot.training.batches import PointLabels
from streamspot.training.settings import LabelSettings

EPSILON = 1e-6


class Pieces(NamedTuple):
    """Values round each point, before they are laid into one array.

    Attributes:
        values: (P, W, ...) values; labels are (P, W).
        ticks: (P, W) where they belong, moved inside the crop.
        inside: (P, W) bool, which of them count.
    """

    values: Tensor
    ticks: Tensor
    inside: Tensor


Stage3 = Callable[[Tensor, Tensor, PointLabels, int, LabelSettings], Pieces]
"""Labels an expression once the network knows something: of intensity, features, points, epoch and settings."""

Overlap = Callable[[Tensor, Tensor, torch.Generator], Tensor]
"""Returns the label of ticks where two of one class may meet: of the earlier labels (0 is none) and the new ones."""


def theta(epoch: int, settings: LabelSettings) -> float:
    """Return the threshold θ of Eq. 3, falling linearly over ``theta_epochs``, then constant."""
    start, end = settings.theta
    return start + (end - start) * min(1.0, epoch / settings.theta_epochs)


def of_kind(pair: Any, points: PointLabels) -> Tensor:
    """Return each point's share (P, ...) of a setting with one value for macro- and one for micro-expressions."""
    return torch.tensor(pair, device=points.kind.device)[points.kind]


def around(values: Tensor, crop: Tensor, centre: Tensor, reach: Tensor) -> Pieces:
    """Gather the values (B, T, ...) within ``reach`` ticks of ``centre`` in ``crop``, each (P,)."""
    width = int(reach.max())
    ticks = centre[:, None] + torch.arange(-width, width + 1, device=centre.device)
    inside = (ticks >= 0) & (ticks < values.shape[1]) & ((ticks - centre[:, None]).abs() <= reach[:, None])
    ticks = ticks.clamp(0, values.shape[1] - 1)
    return Pieces(values[crop[:, None], ticks], ticks, inside)


def find_apex(intensity: Tensor, points: PointLabels, settings: LabelSettings) -> Tensor:
    """Return the tick of highest intensity within k_c/4 of each point (Eq. 1), (P,)."""
    near = around(intensity, points.crop, points.tick, of_kind(settings.duration, points) // 4)
    best = near.values.masked_fill(~near.inside, -1.0).argmax(1, keepdim=True)
    return torch.where(near.inside.any(1), near.ticks.gather(1, best).squeeze(1), points.tick)


def half_length(
    intensity: Tensor, points: PointLabels, apex: Tensor, threshold: float, settings: LabelSettings
) -> Tensor:
    """Return δL/2 (Eq. 3), half the stretched count of ticks above θ round the apex, (P,).

    With ``clamp`` the stretched length is rounded and bounded as in the official code.
    """
    near = around(intensity, points.crop, apex, of_kind(settings.duration, points) // 2)
    length = settings.stretch * ((near.values > threshold) & near.inside).sum(1)
    if settings.clamp is not None:
        low, high = of_kind(settings.clamp, points).unbind(1)
        length = torch.minimum(torch.maximum(length.round(), low), high)
    return (length / 2).floor().long()


def gaussians(features: Tensor, crop: Tensor, centre: Tensor, mean: Tensor, reach: Tensor) -> Pieces:
    """Return exp(-|x - μ|² / 2s²) within ``reach`` of ``centre``, s² the mean of |x - μ|² there (Eq. 4-5).

    The features X are (B, T, D), the means μ (P, D); see ``around`` for the others.
    """
    near, ticks, inside = around(features, crop, centre, reach)
    distance = (near - mean[:, None]).square().sum(-1)
    variance = (distance * inside).sum(1, keepdim=True) / inside.sum(1, keepdim=True).clamp(min=1)
    return Pieces(torch.exp(-distance / (2 * variance + EPSILON)), ticks, inside)


def ones(intensity: Tensor, points: PointLabels, first: Tensor, last: Tensor) -> Pieces:
    """Return the label 1 from the first to the last tick (P,) of each point; of ``intensity`` the shape counts."""
    half = (last - first + 1) // 2
    near, ticks, inside = around(intensity, points.crop, first + half, half)
    inside &= (ticks >= first[:, None]) & (ticks <= last[:, None])
    return Pieces(torch.ones_like(near), ticks, inside)


def extent(
    intensity: Tensor, points: PointLabels, epoch: int, settings: LabelSettings
) -> tuple[Tensor, Tensor]:
    """Return the pseudo-apex of each point and how far its expression reaches on both sides, each (P,)."""
    apex = find_apex(intensity, points, settings)
    return apex, half_length(intensity, points, apex, theta(epoch, settings), settings)


def adaptive(
    intensity: Tensor, features: Tensor, points: PointLabels, epoch: int, settings: LabelSettings
) -> Pieces:
    """Return the labels of stage 3 round the pseudo-apex: Gaussians, or 1 in the same range for ``hard``."""
    apex, reach = extent(intensity, points, epoch, settings)
    if settings.kind == "hard":
        return ones(intensity, points, apex - reach, apex + reach)
    return gaussians(features, points.crop, apex, features[points.crop, apex], reach)


def toss(old: Tensor, new: Tensor, generator: torch.Generator) -> Tensor:
    """Keep one of two labels that meet by tossing a coin for every tick."""
    keep = torch.rand(len(old), generator=generator).to(old.device) < 0.5
    return torch.where((old > 0) & keep, old, new)


def label(
    intensity: Tensor,
    features: Tensor,
    points: PointLabels,
    *,
    epoch: int,
    settings: LabelSettings,
    generator: torch.Generator,
    stage3: Stage3 = adaptive,
    overlap: Overlap = toss,
) -> Tensor:
    """Return the pseudo-labels of a batch of crops in this epoch.

    Stage 1 gives 1 within k_s1 of the point, stage 2 Gaussians within k_s2 of it, stage 3 the chosen
    ``settings.kind`` (section 3.6.2); ``window`` and ``full`` have no stages.

    Args:
        intensity: (B, T), a.
        features: (B, T, D), X.
        points: Time stamps.
        epoch: 0-based.
        settings: How points become labels.
        generator: For ``overlap``.
        stage3: Gives the labels of stage 3.
        overlap: Decides where two of one class meet.

    Returns:
        (B, 2, T) in [0, 1], detached; 0 is unlabelled.
    """
    intensity, features = intensity.detach().float(), features.detach().float()
    out = torch.zeros(intensity.shape[0], 2, intensity.shape[1], device=intensity.device)
    if settings.kind not in ("window", "full"):  # these need to see the point
        points = points.select((points.tick >= 0) & (points.tick < intensity.shape[1]))
    if not len(points):
        return out
    if settings.kind == "full":
        pieces = ones(intensity, points, points.onset, points.offset)
    elif settings.kind == "window":
        before, after = of_kind(settings.window, points).unbind(1)
        pieces = ones(intensity, points, points.tick - before, points.tick + after)
    elif epoch < settings.stages[0]:
        reach = of_kind(settings.hard_reach, points)
        pieces = ones(intensity, points, points.tick - reach, points.tick + reach)
    elif epoch < sum(settings.stages):
        mean = features[points.crop, points.tick]
        pieces = gaussians(features, points.crop, points.tick, mean, of_kind(settings.soft_reach, points))
    else:
        pieces = stage3(intensity, features, points, epoch, settings)
    for i, (values, ticks, inside) in enumerate(zip(*pieces, strict=True)):
        row, at = out[int(points.crop[i]), int(points.kind[i])], ticks[inside]
        row[at] = overlap(row[at], values[inside], generator)
    return out
