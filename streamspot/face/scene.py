"""Scenes: whether two pictures show the same one, which a cut tells from light, blur and a head that moves."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

_COARSE = 32, 24
"""Width and height at which pictures are compared."""

_ALIKE, _ALIKE_IN_DETAIL = 0.8, 0.7
"""Correlations, of which one suffices for two pictures to show the same scene. At 180 cuts between people, half with
the faces laid over each other, they were at most 0.76 and 0.65. The first is at least 0.86 between pictures a tenth
of a second apart, also of a camera held in the hand, the second 0.85 where a lamp on one side is switched."""

_FINE = 2.0
"""Standard deviation of the blur, in coarse pixels, of which details are what is left."""

_FLAT = 4.0
"""Grey levels (standard deviation) below which a coarse picture shows nothing: a covered lens, a broken picture."""


def another_scene(before: NDArray[np.uint8], now: NDArray[np.uint8]) -> bool:
    """Return whether two BGR pictures ``(H, W, 3)`` show different scenes; one that shows nothing tells nothing."""
    a, b = _coarse(before), _coarse(now)
    if min(a.std(), b.std()) < _FLAT:
        return False
    return _correlation(a, b) < _ALIKE and _correlation(_details(a), _details(b)) < _ALIKE_IN_DETAIL


def _coarse(image: NDArray[np.uint8]) -> Array:
    small = cv2.resize(image, _COARSE, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.float32)


def _details(grey: Array) -> Array:
    """Return what is bright or dark beside its surroundings, whatever the light on them."""
    light = np.log(grey + np.float32(8.0))  # noise is not all that is seen in the dark
    return np.asarray(light - cv2.GaussianBlur(light, (0, 0), _FINE), np.float32)


def _correlation(a: Array, b: Array) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])
