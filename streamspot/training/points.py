"""The annotated time stamps of a batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Points:
    """The annotated time stamps of a batch of crops.

    Attributes:
        crop: (P,) which crop.
        tick: (P,) where in it; may lie outside.
        kind: (P,) 0 macro, 1 micro.
        onset: (P,) annotated first tick, used by full supervision only.
        offset: (P,) annotated last tick, used by full supervision only.
    """

    crop: Tensor
    tick: Tensor
    kind: Tensor
    onset: Tensor
    offset: Tensor

    def __len__(self) -> int:
        """Return the number of points P."""
        return len(self.crop)

    def to(self, device: torch.device) -> Points:
        """Return the points on a device."""
        return Points(*(getattr(self, name).to(device) for name in self.__slots__))

    def select(self, mask: Tensor) -> Points:
        """Return the points where the mask (P,) is true."""
        return Points(self.crop[mask], self.tick[mask], self.kind[mask], self.onset[mask], self.offset[mask])
