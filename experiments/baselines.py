"""What the paper's Table 1 compares with, re-implemented on the same features and network.

Labels: how LAC (Lee & Byun 2021) completes one instance from its point, and how HR-Pro (Zhang et al. 2024)
propagates a point to ticks that resemble its class. LAC's optimal sequence and its losses stand in ``lac``,
the second stages of HR-Pro and TSP-Net in ``hrpro`` and ``tspnet``. The last one is the rule without learning.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from streamspot.datasets.recording import Recording
from streamspot.training.points import Points
from streamspot.training.settings import LabelSettings

SIMILAR = 0.7
"""Cosine with the class's mean above which a tick belongs to it (HR-Pro)."""

_HALF_WINDOW = 8
_BEFORE, _AFTER = 14, 19
"""The fixed window that covers most macro-expressions."""


def _grid(settings: LabelSettings, points: Points) -> tuple[Tensor, Tensor, Tensor]:
    """Return every pair of steps before and after a point within k_c, and which pairs each point may use."""
    most = max(settings.duration)
    steps = torch.arange(most + 1, device=points.tick.device)
    before, after = torch.meshgrid(steps, steps, indexing="ij")
    before, after = before.flatten(), after.flatten()
    reach = torch.tensor(settings.duration, device=points.tick.device)[points.kind]
    length = before + after + 1
    allowed = (before <= reach[:, None]) & (after <= reach[:, None]) & (length >= reach[:, None] // 2)
    return before, after, allowed


def contrast(total: Tensor, first: Tensor, stop: Tensor, *, most: float = math.inf) -> Tensor:
    """Return the mean intensity of intervals minus that of their margins, a quarter of the length on each side.

    Args:
        total: (..., T + 1), cumulated intensity of each row, beginning with 0; one row may serve all.
        first: (..., N) first ticks.
        stop: (..., N) one behind the last ticks.
        most: Widest margin.
    """

    def until(at: Tensor) -> Tensor:
        return total.expand(*at.shape[:-1], -1).gather(-1, at)

    def mean(first: Tensor, stop: Tensor) -> Tensor:
        first, stop = first.clamp(0, ticks), stop.clamp(0, ticks)
        return (until(stop) - until(first)) / (stop - first).clamp(min=1)

    ticks = total.shape[-1] - 1
    margin = ((stop - first) / 4).ceil().clamp(max=most).long()
    return mean(first, stop) - (mean(first - margin, first) + mean(stop, stop + margin)) / 2


def complete_interval(intensity: Tensor, points: Points, settings: LabelSettings) -> tuple[Tensor, Tensor]:
    """Return the most complete interval round each point: the highest contrast of inner and outer intensity.

    Args:
        intensity: (B, T).
        points: Inside their crops.
        settings: For k_c, the farthest that an end may lie from the point; half of it is the least length.

    Returns:
        First and last tick, each (P,).
    """
    before, after, allowed = _grid(settings, points)
    total = torch.nn.functional.pad(intensity.cumsum(1), (1, 0))[points.crop]  # (P, T + 1)
    first, stop = points.tick[:, None] - before, points.tick[:, None] + after + 1
    best = contrast(total, first, stop).masked_fill(~allowed, -torch.inf).argmax(1)
    return points.tick - before[best], points.tick + after[best]


def similar_interval(
    features: Tensor, points: Points, centres: Tensor, settings: LabelSettings
) -> tuple[Tensor, Tensor]:
    """Return the ticks in a row round each point that resemble its class, within k_c/2 and at least k_s1.

    Args:
        features: (B, T, D), X.
        points: Inside their crops.
        centres: (2, D) mean X of each class.
        settings: For k_c and k_s1.

    Returns:
        First and last tick, each (P,).
    """
    first, last = points.tick.clone(), points.tick.clone()
    for i in range(len(points)):
        kind, tick = int(points.kind[i]), int(points.tick[i])
        close = torch.cosine_similarity(features[points.crop[i]], centres[kind], dim=-1) > SIMILAR
        least, most = settings.hard_reach[kind], settings.duration[kind] // 2
        left = close[max(0, tick - most) : tick].flip(0)
        right = close[tick + 1 : tick + 1 + most]
        first[i] = tick - max(least, _run(left))
        last[i] = tick + max(least, _run(right))
    return first, last


def _run(flags: Tensor) -> int:
    """Return how many flags at the beginning are set."""
    return int(flags.long().cumprod(0).sum())


class MotionRule:
    """A fixed window round the peaks of motion: what point supervision has to beat.

    The strength of a tick is the mean over regions of how far each moved within 17 ticks round it; peaks are
    taken from the strongest on, each claiming its window.

    Args:
        recordings: Only the usual strength is taken from them, as a scale.
    """

    def __init__(self, recordings: Sequence[Recording]) -> None:
        self._scale = float(np.quantile(np.concatenate([_strength(r) for r in recordings]), 0.99))

    def __call__(
        self, recordings: Sequence[Recording]
    ) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
        """Return scores ``(T, 3)`` by name; every peak is called macro."""
        return {r.name: self._judge(r) for r in recordings}

    def _judge(self, recording: Recording) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        strength = 1 - np.exp(-_strength(recording) / self._scale)
        scores = np.zeros((len(strength), 3), np.float32)
        scores[:, 1] = 1
        free = np.ones(len(strength), bool)
        for tick in np.argsort(-strength, kind="stable"):
            first, stop = max(0, tick - _BEFORE), tick + _AFTER + 1
            if free[first:stop].all():
                scores[first + 1 : stop - 1, 0] = strength[tick]
                free[first:stop] = False
        return scores


def _strength(recording: Recording) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    curve = np.cumsum(recording.motion, 0, dtype=np.float64)
    padded = np.pad(curve, ((_HALF_WINDOW, _HALF_WINDOW), (0, 0), (0, 0)), mode="edge")
    moved = padded[2 * _HALF_WINDOW :] - padded[: -2 * _HALF_WINDOW]
    return np.asarray(np.linalg.norm(moved, axis=2).mean(1))
