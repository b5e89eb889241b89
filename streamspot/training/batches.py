"""Recordings cut into crops of equal length, with the time stamps that lie in them, and how crops are varied."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from streamspot.datasets.recording import Recording
from streamspot.training.settings import AugmentSettings
from streamspot.types import KINDS

CONTEXT = 128
"""Ticks before a crop that the network sees and that count in no loss."""

BEYOND = 128
"""Ticks outside a crop in which points are kept, since their expressions may reach into it."""


@dataclass(frozen=True, slots=True)
class PointLabels:
    """The annotated time stamps of a batch of crops.

    Attributes:
        crop: (P,) number of the crop.
        tick: (P,) tick in the crop; may lie outside.
        kind: (P,) 0 macro, 1 micro.
        onset: (P,) annotated first tick, used by full supervision only.
        offset: (P,) annotated last tick, used by full supervision only.
    """

    crop: Tensor
    tick: Tensor
    kind: Tensor
    onset: Tensor
    offset: Tensor

    @classmethod
    def of(cls, rows: Sequence[tuple[int, int, int, int, int]]) -> PointLabels:
        """Return the points given as rows of these five."""
        return cls(*torch.tensor(rows, dtype=torch.long).view(-1, 5).unbind(1))

    def __len__(self) -> int:
        """Return the number of points P."""
        return len(self.crop)

    def to(self, device: torch.device) -> PointLabels:
        """Return the points on a device."""
        return PointLabels(*(getattr(self, name).to(device) for name in self.__slots__))

    def select(self, mask: Tensor) -> PointLabels:
        """Return the points where the mask (P,) is true."""
        return PointLabels(*(getattr(self, name)[mask] for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class Batch:
    """Crops of the same length N.

    Attributes:
        motion: (B, N, R, 2) displacement since the last tick.
        inside: (B, N) bool, ticks that count in the losses.
        points: Time stamps, counted from each crop's first tick.
    """

    motion: Tensor
    inside: Tensor
    points: PointLabels


def batches(
    recordings: Sequence[Recording], crop: int, size: int, look_ahead: int, rng: np.random.Generator
) -> Iterator[Batch]:
    """Cut all recordings at random places and yield every tick once, in random order, ``size`` crops a batch.

    A crop has ``crop`` ticks and the ``look_ahead`` ticks behind them that the network needs to see; 0 keeps
    recordings whole and pads them to the longest of the batch.
    """
    crops: list[tuple[Recording, int, int]] = []
    for recording in recordings:
        start = -int(rng.integers(0, crop)) if crop else 0
        step = crop or len(recording.motion)
        crops += [(recording, at, at + step) for at in range(start, len(recording.motion), step)]
    order = rng.permutation(len(crops))
    for first in range(0, len(crops), size):
        yield _batch([crops[i] for i in order[first : first + size]], look_ahead)


def _batch(crops: Sequence[tuple[Recording, int, int]], look_ahead: int) -> Batch:
    """Cut out crops, given as recording, first tick and one behind the last, with the ticks and points inside."""
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
            stamp, onset, offset = (t - origin for t in (instance.stamp, instance.onset, instance.offset))
            if max(stamp, offset) >= -BEYOND and min(stamp, onset) < length + BEYOND:
                points.append((i, stamp, KINDS.index(instance.kind), onset, offset))
    return Batch(torch.from_numpy(motion), torch.from_numpy(inside), PointLabels.of(points))


def augment(
    motion: Tensor,
    settings: AugmentSettings,
    across: Sequence[int] | None,
    unit: float,
    generator: torch.Generator,
) -> Tensor:
    """Vary a batch of motion (B, N, R, 2).

    ``across`` names the region across the face from each (see ``mirror``), None where regions are unknown; ``unit``
    is the displacement that the network sees as 1.
    """
    size, _, regions, _ = motion.shape
    if settings.mirror and across is not None:
        mirrored = motion[:, :, list(across)] * torch.tensor([-1.0, 1.0])
        chosen = torch.rand(size, generator=generator) < 0.5
        motion = torch.where(chosen[:, None, None, None], mirrored, motion)
    if settings.scale:
        motion = motion * torch.exp(settings.scale * torch.randn(size, 1, 1, 1, generator=generator))
    if settings.drop_region:
        motion = motion * (torch.rand(size, 1, regions, 1, generator=generator) >= settings.drop_region)
    if settings.noise:
        motion = motion + settings.noise * unit * torch.randn(motion.shape, generator=generator)
    return motion
