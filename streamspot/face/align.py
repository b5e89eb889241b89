"""Similarity alignment of a face to the crop on which motion is measured."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CROP = 160
"""Side of the square crop in pixels."""

CROP_EYES = 50.0
"""Inter-ocular distance in the crop, pixels."""

_EYES_AT = (CROP / 2, 56.0)
"""Where the middle between the eyes lies in the crop: room for a raised brow above, a dropped jaw below."""

EYE_CORNERS = [33, 133, 362, 263]
"""Mesh vertices: the corners of the eye left in the image, then of the other."""


@dataclass(frozen=True, slots=True)
class Eyes:
    """Where a face is, by its eye centres (each the middle of the eye's corners), in the landmarks' unit."""

    x: float
    y: float
    dx: float
    dy: float

    @classmethod
    def of(cls, landmarks: NDArray[np.float32]) -> Eyes:
        """Return the eyes of ``(N, 3)`` landmarks: the middle between them, and from left to right in the image."""
        corners = landmarks[EYE_CORNERS, :2].astype(np.float64).tolist()
        (ax, ay), (bx, by), (cx, cy), (dx, dy) = corners
        return cls(
            (ax + bx + cx + dx) / 4, (ay + by + cy + dy) / 4, (cx + dx - ax - bx) / 2, (cy + dy - ay - by) / 2
        )

    @property
    def distance(self) -> float:
        """Inter-ocular distance."""
        return math.hypot(self.dx, self.dy)

    def alignment(self) -> NDArray[np.float32]:
        """Return the ``(2, 3)`` similarity to the crop: eyes level and ``CROP_EYES`` apart."""
        scale = CROP_EYES / max(self.distance**2, 1e-6)
        c, s = self.dx * scale, self.dy * scale
        left, top = _EYES_AT
        return np.array(
            [[c, s, left - c * self.x - s * self.y], [-s, c, top + s * self.x - c * self.y]], np.float32
        )


def to_crop(transform: NDArray[np.float32], landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Map ``(N, 3)`` landmarks from frame pixels into the crop; depth is scaled alike."""
    turned = np.zeros((3, 3), np.float32)
    turned[:2, :2] = transform[:, :2].T
    turned[2, 2] = math.hypot(transform[0, 0], transform[0, 1])
    placed = landmarks @ turned
    placed[:, :2] += transform[:, 2]
    return placed
