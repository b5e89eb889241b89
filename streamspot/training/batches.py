"""Recordings cut into crops of equal length, varied, with the points that lie in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from streamspot.datasets.recording import KINDS, Recording
from streamspot.motion.regions import LAYOUTS
from streamspot.training.points import Points
from streamspot.training.settings import AugmentSettings

CONTEXT = 128
"""Ticks before a crop that the network sees and that are not judged."""

BEYOND = 128
"""Points so far outside a crop still matter to its ticks."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Crops with the same length N.

    Attributes:
        motion: (B, N, R, 2).
        inside: (B, N) ticks that are judged.
        points: Time stamps, counted from each crop's first tick.
    """

    motion: Tensor
    inside: Tensor
    points: Points


def batches(
    recordings: Sequence[Recording], crop: int, size: int, look_ahead: int, rng: np.random.Generator
) -> Iterator[Batch]:
    """Cut all recordings at random places and yield every tick once, in random order.

    Args:
        recordings: What to cut.
        crop: Ticks a crop; 0 keeps recordings whole and pads them to the longest of the batch.
        size: Crops a batch.
        look_ahead: Ticks after a crop that the network needs to see.
        rng: For places and order.
    """
    crops: list[tuple[Recording, int, int]] = []
    for recording in recordings:
        ticks = len(recording.motion)
        step = crop or ticks
        start = -int(rng.integers(0, crop)) if crop else 0
        crops += [(recording, first, first + step) for first in range(start, ticks, step)]
    order = rng.permutation(len(crops))
    for first in range(0, len(crops), size):
        yield _batch([crops[i] for i in order[first : first + size]], look_ahead)


def _batch(crops: Sequence[tuple[Recording, int, int]], look_ahead: int) -> Batch:
    """Cut out motion, judged ticks and points."""
    length = CONTEXT + max(stop - start for _, start, stop in crops) + look_ahead
    regions = crops[0][0].motion.shape[1]
    motion = np.zeros((len(crops), length, regions, 2), np.float32)
    inside = np.zeros((len(crops), length), bool)
    points: list[tuple[int, int, int, int, int]] = []
    for i, (recording, start, stop) in enumerate(crops):
        origin, ticks = start - CONTEXT, len(recording.motion)
        first, last = max(0, origin), min(ticks, origin + length)
        motion[i, first - origin : last - origin] = recording.motion[first:last]
        inside[i, max(0, start) - origin : min(ticks, stop) - origin] = True
        for instance in recording.instances:
            point = instance.stamp
            if -BEYOND <= point - origin < length + BEYOND:
                kind = KINDS.index(instance.kind)
                points.append((i, point - origin, kind, instance.onset - origin, instance.offset - origin))
    table = torch.tensor(points, dtype=torch.long).view(-1, 5)
    return Batch(torch.from_numpy(motion), torch.from_numpy(inside), Points(*table.unbind(1)))


def mirror_order(layout: str) -> list[int] | None:
    """Return which region each becomes in a mirror, None for a layout whose regions are unknown."""
    known = LAYOUTS.get(layout)
    if known is None:
        return None
    swap = {"left": "right", "right": "left"}
    return [
        known.names.index("_".join(swap.get(part, part) for part in name.split("_"))) for name in known.names
    ]


def augment(
    motion: Tensor,
    settings: AugmentSettings,
    order: Sequence[int] | None,
    unit: float,
    generator: torch.Generator,
) -> Tensor:
    """Vary a batch of motion.

    Args:
        motion: (B, N, R, 2).
        settings: How.
        order: ``mirror_order`` of the layout.
        unit: Displacement that the network sees as 1.
        generator: For all draws.
    """
    size, _, regions, _ = motion.shape
    if settings.mirror and order is not None:
        mirrored = motion[:, :, list(order)] * torch.tensor([-1.0, 1.0])
        chosen = torch.rand(size, generator=generator) < 0.5
        motion = torch.where(chosen[:, None, None, None], mirrored, motion)
    if settings.scale:
        motion = motion * torch.exp(settings.scale * torch.randn(size, 1, 1, 1, generator=generator))
    if settings.drop_region:
        motion = motion * (torch.rand(size, 1, regions, 1, generator=generator) >= settings.drop_region)
    if settings.noise:
        motion = motion + settings.noise * unit * torch.randn(motion.shape, generator=generator)
    return motion
