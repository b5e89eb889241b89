"""How the baselines complete an expression from its point: LAC by contrast, HR-Pro by likeness to the class.

LAC is Lee & Byun, ICCV 2021; HR-Pro is Zhang et al., AAAI 2024. Both are re-implemented on the features and the
network of this project.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from streamspot.training.batches import PointLabels
from streamspot.training.settings import LabelSettings

SIMILAR = 0.7
"""Cosine with the class's mean above which a tick belongs to it (HR-Pro)."""


def _grid(settings: LabelSettings, points: PointLabels) -> tuple[Tensor, Tensor, Tensor]:
    """Return every pair of steps before and after a point within k_c, and which pairs each point may use."""
    steps = torch.arange(max(settings.duration) + 1, device=points.tick.device)
    before, after = torch.meshgrid(steps, steps, indexing="ij")
    before, after = before.flatten(), after.flatten()
    reach = torch.tensor(settings.duration, device=points.tick.device)[points.kind]
    length = before + after + 1
    allowed = (before <= reach[:, None]) & (after <= reach[:, None]) & (length >= reach[:, None] // 2)
    return before, after, allowed


def contrast(total: Tensor, first: Tensor, stop: Tensor, *, max_margin: float = math.inf) -> Tensor:
    """Return the mean intensity of intervals minus that of their margins, a quarter of the length on each side.

    Args:
        total: (..., T + 1), cumulated intensity of each row, beginning with 0; one row may serve all.
        first: (..., N) first ticks.
        stop: (..., N) one behind the last ticks.
        max_margin: Widest margin, ticks.
    """

    def until(at: Tensor) -> Tensor:
        return total.expand(*at.shape[:-1], -1).gather(-1, at)

    def mean(first: Tensor, stop: Tensor) -> Tensor:
        first, stop = first.clamp(0, ticks), stop.clamp(0, ticks)
        return (until(stop) - until(first)) / (stop - first).clamp(min=1)

    ticks = total.shape[-1] - 1
    margin = ((stop - first) / 4).ceil().clamp(max=max_margin).long()
    return mean(first, stop) - (mean(first - margin, first) + mean(stop, stop + margin)) / 2


def complete_interval(
    intensity: Tensor, points: PointLabels, settings: LabelSettings
) -> tuple[Tensor, Tensor]:
    """Return the most complete interval round each point: the highest contrast of inner and outer intensity.

    Args:
        intensity: (B, T).
        points: Inside their crops.
        settings: k_c, the farthest that an end may lie from the point; half of it is the least length.

    Returns:
        First and last tick, each (P,).
    """
    before, after, allowed = _grid(settings, points)
    total = torch.nn.functional.pad(intensity.cumsum(1), (1, 0))[points.crop]  # (P, T + 1)
    first, stop = points.tick[:, None] - before, points.tick[:, None] + after + 1
    best = contrast(total, first, stop).masked_fill(~allowed, -torch.inf).argmax(1)
    return points.tick - before[best], points.tick + after[best]


def similar_interval(
    features: Tensor, points: PointLabels, centres: Tensor, settings: LabelSettings
) -> tuple[Tensor, Tensor]:
    """Return the ticks in a row round each point that resemble its class, within k_c/2 and at least k_s1.

    Args:
        features: (B, T, D), X.
        points: Inside their crops.
        centres: (2, D) mean X of each class.
        settings: Holds k_c and k_s1.

    Returns:
        First and last tick, each (P,).
    """
    first, last = points.tick.clone(), points.tick.clone()
    for i in range(len(points)):
        kind, tick = int(points.kind[i]), int(points.tick[i])
        close = torch.cosine_similarity(features[points.crop[i]], centres[kind], dim=-1) > SIMILAR
        near, far = settings.hard_reach[kind], settings.duration[kind] // 2
        left = close[max(0, tick - far) : tick].flip(0)
        right = close[tick + 1 : tick + 1 + far]
        first[i] = tick - max(near, _run(left))
        last[i] = tick + max(near, _run(right))
    return first, last


def _run(flags: Tensor) -> int:
    """Return how many flags at the beginning are set."""
    return int(flags.long().cumprod(0).sum())
