"""A portrait that can smile, raise its brows, drop its jaw and blink.

Each movement is a smooth displacement field around the face, scaled by its strength; one remap does them all.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from streamspot.errors import SourceError

WIDTH, HEIGHT = 640, 480
MARGIN = 24
"""The portrait is larger than the picture on all sides, so that the head can sway."""

_SCALE = 2.2
_ORIGIN = (68.0, 4.0)
"""Corner of the cut in the 512 x 512 portrait; with scale and margin it puts the face in the middle."""
_EYES = ((203.4, 101.0), (246.6, 103.6))
_IOD = 43.3 * _SCALE


def check_portrait() -> None:
    """See that there is a portrait, which takes a moment to load.

    Raises:
        SourceError: scikit-image, which ships the photograph, is not installed.
    """
    if find_spec("skimage") is None:
        raise SourceError(
            'the synthetic clip needs scikit-image; install it with pip install "streamspot[demo]"'
        )


def _photograph() -> NDArray[np.uint8]:
    """Return the enlarged cut of the portrait, BGR, with a margin for the sway."""
    from skimage.data import astronaut  # noqa: PLC0415 - an extra, and slow to import

    size = (WIDTH + 2 * MARGIN, HEIGHT + 2 * MARGIN)
    (x, y), s = _ORIGIN, _SCALE
    matrix = np.array([[s, 0, -x * s], [0, s, -y * s]])
    photograph = np.ascontiguousarray(astronaut()[..., ::-1])
    return np.asarray(
        cv2.warpAffine(photograph, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT),
        np.uint8,
    )


class Portrait:
    """The portrait and the displacement fields of its movements, computed once.

    Raises:
        ImportError: There is none; ``check_portrait`` says so in words.
    """

    def __init__(self) -> None:
        self._picture = _photograph()
        left, right = (_point(*eye) for eye in _EYES)
        middle = (left + right) / 2
        self._axes = np.stack([(right - left) / _IOD, _perpendicular((right - left) / _IOD)])
        # Region of the portrait that can move at all: from the hair to below the chin.
        x0, y0 = np.floor(middle - np.array([1.7, 1.35]) * _IOD).astype(int)
        x1, y1 = np.ceil(middle + np.array([1.7, 2.5]) * _IOD).astype(int)
        limit_y, limit_x = HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN
        self._box = (slice(max(y0, 0), min(y1, limit_y)), slice(max(x0, 0), min(x1, limit_x)))
        rows, columns = self._box
        ys, xs = np.mgrid[rows, columns].astype(np.float32)
        self._grid = (np.ascontiguousarray(xs), np.ascontiguousarray(ys))
        offset = np.stack([xs, ys], -1) - middle.astype(np.float32)
        u, v = np.moveaxis(offset @ self._axes.T.astype(np.float32) / _IOD, -1, 0)
        self._fields = {name: self._in_pixels(field) for name, field in _displacements(u, v).items()}

    def moved(self, weights: dict[str, float]) -> NDArray[np.uint8]:
        """Return the portrait with the movements of the given strengths, ``(528, 688, 3)`` uint8 BGR.

        Args:
            weights: Strengths of ``smile``, ``brows``, ``jaw`` and ``blink``; 1 is a strong macro-expression.
        """
        map_x, map_y = (axis.copy() for axis in self._grid)
        for name, weight in weights.items():
            if weight:
                dx, dy = self._fields[name]
                map_x -= np.float32(weight) * dx
                map_y -= np.float32(weight) * dy
        moved = self._picture.copy()
        moved[self._box] = cv2.remap(
            self._picture, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
        )
        return moved

    def _in_pixels(self, field: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Turn ``(2, H, W)`` in face axes and inter-ocular distances into x and y in pixels."""
        x, y = np.tensordot(self._axes.T, field, 1) * _IOD
        return np.ascontiguousarray(x, np.float32), np.ascontiguousarray(y, np.float32)


def _displacements(u: NDArray[Any], v: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Return the unit movements as ``(2, H, W)`` in inter-ocular distances.

    Args:
        u: To the image's right along the line of the eyes, from its middle, in inter-ocular distances.
        v: Downwards, at right angles to it.
    """

    def bump(cu: float, cv: float, su: float, sv: float) -> NDArray[Any]:
        return np.asarray(np.exp(-0.5 * (((u - cu) / su) ** 2 + ((v - cv) / sv) ** 2)))

    zero = np.zeros_like(u)
    corner_left, corner_right = bump(-0.47, 0.88, 0.23, 0.22), bump(0.53, 0.86, 0.23, 0.22)
    cheek_left, cheek_right = bump(-0.5, 0.5, 0.28, 0.2), bump(0.55, 0.5, 0.28, 0.2)
    smile = np.stack([
        0.14 * (corner_right - corner_left),
        -0.13 * (corner_left + corner_right) - 0.045 * (cheek_left + cheek_right),
    ])  # fmt: skip
    # The picture is fetched, not pushed, so the field stands where the brows arrive.
    brow = bump(-0.54, -0.5, 0.42, 0.2) + bump(0.57, -0.49, 0.42, 0.2)
    brows = np.stack([zero, -0.19 * brow])
    # The lower lip and all below it go down, and the neck takes up the slack.
    drop = 1 / (1 + np.exp(-(v - 1.07) / 0.05)) * np.exp(-0.5 * (np.maximum(v - 1.75, 0) / 0.3) ** 2)
    jaw = np.stack([zero, 0.2 * drop * np.exp(-0.5 * (np.abs(u) / 0.62) ** 4)])
    blink = np.stack([zero, 0.16 * (bump(-0.5, 0.04, 0.22, 0.1) + bump(0.5, 0.04, 0.22, 0.1))])
    return {"smile": smile, "brows": brows, "jaw": jaw, "blink": blink}


def _point(x: float, y: float) -> NDArray[np.float64]:
    """Return a point of the portrait in pixels of the enlarged cut."""
    return (np.array([x, y]) - _ORIGIN) * _SCALE


def _perpendicular(axis: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([-axis[1], axis[0]])
