"""Scenes: whether two pictures show the same one, and two crops the same face, whatever the light on them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

_COARSE = 32, 24
"""Width and height at which pictures are compared."""

_SAMPLED = 128
"""Pixels of a row that are looked at, at least: averages of them are free of noise."""

_ALIKE, _ALIKE_IN_DETAIL = 0.8, 0.7
"""Correlations, of which one suffices for two pictures to show the same scene. At 180 cuts between people, half with
the faces laid over each other, they were at most 0.76 and 0.65; a lamp that is switched on one side leaves the second
at 0.85. A person who moves fast and a camera that sways in the hand fall below both."""

_STANDS = 0.9
"""Correlation from which on hardly anything moves between two pictures."""

_FACE = slice(30, 130), slice(35, 125)
"""Rows and columns of the face in a crop in which it is aligned, and nothing of what is behind it."""

_SAME, _SAME_IN_DETAIL = 0.86, 0.7
"""Correlations, of which one suffices for two aligned faces to be the same one. At 99 cuts they were at most 0.83 and
0.67; where a head moves faster than flow follows, or the camera sways, one is nearly always higher."""

_FINE = 2.0
"""Standard deviation of the blur, in coarse pixels, of which details are what is left."""

_FLAT = 4.0
"""Grey levels (standard deviation) below which a coarse picture shows nothing: a covered lens, a broken picture."""


def coarse(image: NDArray[np.uint8]) -> Array:
    """Return a BGR picture ``(H, W, 3)`` as ``(24, 32)`` levels of green, which most of the light is."""
    step = max(1, image.shape[1] // _SAMPLED)
    return _resized(np.ascontiguousarray(image[::step, ::step, 1]), _COARSE)


def shows(picture: Array) -> bool:
    """Return whether there is something in a coarse picture."""
    return float(picture.std()) >= _FLAT


def another_scene(before: Array, now: Array) -> bool:
    """Return whether two coarse pictures are of different scenes; one that shows nothing tells nothing."""
    return shows(before) and shows(now) and not _alike(before, now, _ALIKE, _ALIKE_IN_DETAIL)


def stands(before: Array, now: Array) -> bool:
    """Return whether hardly anything moves between two coarse pictures."""
    return _correlation(before, now) >= _STANDS


def same_face(before: NDArray[np.uint8], now: NDArray[np.uint8]) -> bool:
    """Return whether two grey crops in which a face is aligned show the same one."""
    a, b = (_resized(crop[_FACE], _COARSE) for crop in (before, now))
    return _alike(a, b, _SAME, _SAME_IN_DETAIL)


def _resized(grey: NDArray[np.uint8], size: tuple[int, int]) -> Array:
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.float32)


def _alike(a: Array, b: Array, whole: float, detail: float) -> bool:
    return _correlation(a, b) >= whole or _correlation(_details(a), _details(b)) >= detail


def _details(grey: Array) -> Array:
    """Return what is bright or dark beside its surroundings, whatever the light on them."""
    light = np.log(grey + np.float32(8.0))  # noise is not all that is seen in the dark
    return np.asarray(light - cv2.GaussianBlur(light, (0, 0), _FINE), np.float32)


def _correlation(a: Array, b: Array) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum()) / max(float(np.sqrt((a * a).sum() * (b * b).sum())), 1e-6)
