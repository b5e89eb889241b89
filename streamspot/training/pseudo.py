"""Pseudo-labels: from one time stamp an expression to an intensity for every tick (Eq. 1-5).

Ticks outside a crop do not exist: ranges are cut at its ends. Labels are kept in one array a class, so that a
macro- and a micro-expression may share ticks (appendix A.1).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from streamspot.training.batches import PointLabels
from streamspot.training.settings import LabelSettings, Overlap

EPSILON = 1e-6


@dataclass(frozen=True, slots=True)
class Pieces:
    """Labels of each point before they are laid into one array.

    Attributes:
        values: (P, W) labels.
        ticks: (P, W) where they belong.
        inside: (P, W) bool, which of them count.
    """

    values: Tensor
    ticks: Tensor
    inside: Tensor


def theta(epoch: int, settings: LabelSettings) -> float:
    """Return the threshold θ of Eq. 3, falling linearly over ``theta_epochs``, then constant."""
    start, end = settings.theta
    return start + (end - start) * min(1.0, epoch / settings.theta_epochs)


def _around(values: Tensor, crop: Tensor, centre: Tensor, reach: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gather the values within ``reach`` ticks of ``centre``.

    Args:
        values: (B, T, ...) of all crops.
        crop: (P,) number of the crop.
        centre: (P,) tick.
        reach: (P,) ticks.

    Returns:
        Values (P, W, ...), their ticks (P, W) moved inside the crop, and which of them count (P, W) bool.
    """
    width = int(reach.max())
    ticks = centre[:, None] + torch.arange(-width, width + 1, device=centre.device)
    inside = (ticks >= 0) & (ticks < values.shape[1]) & ((ticks - centre[:, None]).abs() <= reach[:, None])
    ticks = ticks.clamp(0, values.shape[1] - 1)
    return values[crop[:, None], ticks], ticks, inside


def find_apex(intensity: Tensor, points: PointLabels, settings: LabelSettings) -> Tensor:
    """Return the tick of highest intensity within k_c/4 of each point (Eq. 1), (P,)."""
    duration = torch.tensor(settings.duration, device=points.kind.device)[points.kind]
    near, ticks, inside = _around(intensity, points.crop, points.tick, duration // 4)
    best = near.masked_fill(~inside, -1.0).argmax(1, keepdim=True)
    return torch.where(inside.any(1), ticks.gather(1, best).squeeze(1), points.tick)


def half_length(
    intensity: Tensor, points: PointLabels, apex: Tensor, threshold: float, settings: LabelSettings
) -> Tensor:
    """Return δL/2 (Eq. 3), half the stretched count of ticks above θ round the apex, (P,).

    With ``clamp`` the stretched length is rounded and bounded as in the official code.
    """
    duration = torch.tensor(settings.duration, device=points.kind.device)[points.kind]
    near, _, inside = _around(intensity, points.crop, apex, duration // 2)
    height = intensity[points.crop, apex] if settings.relative else torch.ones_like(near[:, 0])
    length = settings.stretch * ((near > threshold * height[:, None]) & inside).sum(1)
    if settings.clamp is not None:
        low, high = torch.tensor(settings.clamp, device=length.device)[points.kind].unbind(1)
        length = torch.minimum(torch.maximum(length.round(), low), high)
    return (length / 2).floor().long()


def gaussians(features: Tensor, crop: Tensor, centre: Tensor, mean: Tensor, reach: Tensor) -> Pieces:
    """Return exp(-|x - μ|² / 2s²) within ``reach`` of ``centre``, s² the mean of |x - μ|² there (Eq. 4-5).

    Args:
        features: (B, T, D), X.
        crop: (P,).
        centre: (P,) apex or point.
        mean: (P, D), μ.
        reach: (P,) ticks.
    """
    near, ticks, inside = _around(features, crop, centre, reach)
    distance = (near - mean[:, None]).square().sum(-1)
    variance = (distance * inside).sum(1, keepdim=True) / inside.sum(1, keepdim=True).clamp(min=1)
    return Pieces(torch.exp(-distance / (2 * variance + EPSILON)), ticks, inside)


def lay(
    pieces: Pieces, points: PointLabels, shape: tuple[int, int], overlap: Overlap, generator: torch.Generator
) -> Tensor:
    """Lay the points' labels into one array a class, (B, 2, T); 0 is unlabelled.

    Where two of one class meet, the tick keeps one as ``overlap`` says (Table 4); ``random`` tosses a coin
    for every tick.
    """
    batch, ticks = shape
    out = torch.zeros(batch, 2, ticks, device=pieces.values.device)
    for i in range(len(points)):
        mine = pieces.inside[i]
        at, new = pieces.ticks[i][mine], pieces.values[i][mine]
        row = out[int(points.crop[i]), int(points.kind[i])]
        old = row[at]
        if overlap == "higher":
            new = torch.maximum(old, new)
        elif overlap == "lower":
            new = torch.where(old > 0, torch.minimum(old, new), new)
        elif overlap == "random":
            keep = torch.rand(len(at), generator=generator).to(old.device) < 0.5
            new = torch.where((old > 0) & keep, old, new)
        row[at] = new
    return out


def label(
    intensity: Tensor,
    features: Tensor,
    points: PointLabels,
    *,
    epoch: int,
    settings: LabelSettings,
    generator: torch.Generator,
    centres: Tensor | None = None,
) -> Tensor:
    """Return the pseudo-labels of a batch of crops in this epoch.

    Stage 1 gives 1 within k_s1 of the point, stage 2 Gaussians within k_s2 of it, stage 3 the chosen
    ``settings.kind`` (section 3.6.2).

    Args:
        intensity: (B, T), a.
        features: (B, T, D), X.
        points: Time stamps.
        epoch: 0-based.
        settings: The choices.
        generator: For random overlaps.
        centres: (2, D) mean X of the points of each class, for ``classwise``.

    Returns:
        (B, 2, T) in [0, 1], detached; 0 is unlabelled.
    """
    shape = (intensity.shape[0], intensity.shape[1])
    intensity, features = intensity.detach().float(), features.detach().float()
    if settings.kind not in ("window", "full"):  # these need to see the point
        points = points.select((points.tick >= 0) & (points.tick < shape[1]))
    if not len(points):
        return torch.zeros(shape[0], 2, shape[1], device=intensity.device)
    if settings.kind in ("window", "full"):
        pieces = _annotated(intensity, points, settings)
    elif epoch < sum(settings.stages):
        pieces = _warm_up(intensity, features, points, settings, hard=epoch < settings.stages[0])
    else:
        pieces = _adaptive(intensity, features, points, theta(epoch, settings), settings, centres)
    return lay(pieces, points, shape, settings.overlap, generator)


def _annotated(intensity: Tensor, points: PointLabels, settings: LabelSettings) -> Pieces:
    """Return 1 between the annotated ends, or in a fixed window round the point."""
    if settings.kind == "full":
        return ones(intensity, points, points.onset, points.offset)
    before, after = torch.tensor(settings.window, device=points.kind.device)[points.kind].unbind(1)
    return ones(intensity, points, points.tick - before, points.tick + after)


def _warm_up(
    intensity: Tensor, features: Tensor, points: PointLabels, settings: LabelSettings, *, hard: bool
) -> Pieces:
    """Return the labels of stage 1 (``hard``) or of stage 2."""
    reaches = settings.hard_reach if hard else settings.soft_reach
    reach = torch.tensor(reaches, device=points.kind.device)[points.kind]
    if hard:
        return ones(intensity, points, points.tick - reach, points.tick + reach)
    return gaussians(features, points.crop, points.tick, features[points.crop, points.tick], reach)


def _adaptive(  # noqa: PLR0917 - private
    intensity: Tensor,
    features: Tensor,
    points: PointLabels,
    threshold: float,
    settings: LabelSettings,
    centres: Tensor | None,
) -> Pieces:
    """Return the labels of stage 3 round the pseudo-apex."""
    apex = find_apex(intensity, points, settings)
    reach = half_length(intensity, points, apex, threshold, settings)
    if settings.kind == "hard":
        return ones(intensity, points, apex - reach, apex + reach)
    mean = features[points.crop, apex]
    if settings.kind == "cosine":
        near, ticks, inside = _around(features, points.crop, apex, reach)
        return Pieces(torch.cosine_similarity(near, mean[:, None], dim=-1).clamp(0, 1), ticks, inside)
    if settings.kind == "classwise" and centres is not None:
        mean = centres[points.kind]
    return gaussians(features, points.crop, apex, mean, reach)


def ones(intensity: Tensor, points: PointLabels, first: Tensor, last: Tensor) -> Pieces:
    """Return the label 1 from ``first`` to ``last`` of each point.

    Args:
        intensity: (B, T), for its shape alone.
        points: Time stamps.
        first: (P,) first tick.
        last: (P,) last tick, inclusive.
    """
    half = (last - first + 1) // 2
    near, ticks, inside = _around(intensity, points.crop, first + half, half)
    inside &= (ticks >= first[:, None]) & (ticks <= last[:, None])
    return Pieces(torch.ones_like(near), ticks, inside)
