"""Similarity alignment of a face to the crop on which motion is measured."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CROP = 160
"""Side of the square crop in pixels."""

CROP_EYES = 50.0
"""Inter-ocular distance in the crop, pixels."""

_EYES_AT = np.array([CROP / 2, 56.0], np.float32)
"""Where the middle between the eyes lies in the crop: room for a raised brow above, a dropped jaw below."""

_LEFT_EYE = [33, 133]
_RIGHT_EYE = [362, 263]


def eyes(landmarks: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the centres of the eye left and right in the image, each ``(2,)``, from the eyes' corners."""
    return landmarks[_LEFT_EYE, :2].mean(0), landmarks[_RIGHT_EYE, :2].mean(0)


def inter_ocular(landmarks: NDArray[np.float32]) -> float:
    """Return the distance of the eye centres in the landmarks' unit."""
    left, right = eyes(landmarks)
    return float(np.hypot(*(right - left)))


def alignment(landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the ``(2, 3)`` similarity from frame pixels to the crop: eyes level and ``CROP_EYES`` apart."""
    left, right = eyes(landmarks)
    dx, dy = (right - left).tolist()
    scale = CROP_EYES / max(dx * dx + dy * dy, 1e-6)
    turn = np.array([[dx, dy], [-dy, dx]], np.float32) * np.float32(scale)
    shift = _EYES_AT - turn @ ((left + right) / 2)
    return np.concatenate([turn, shift[:, None]], axis=1, dtype=np.float32)


def to_crop(transform: NDArray[np.float32], landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Map ``(N, 3)`` landmarks from frame pixels into the crop; depth is scaled alike."""
    turn, shift = transform[:, :2], transform[:, 2]
    scale = np.float32(np.hypot(turn[0, 0], turn[0, 1]))
    return np.concatenate([landmarks[:, :2] @ turn.T + shift, landmarks[:, 2:] * scale], axis=1)
