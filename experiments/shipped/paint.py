"""The picture of skin, brows, lips and eyes that is projected onto a neutral head from the front."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Rng = np.random.Generator

SOCKET, GUMS, TEETH, EYES, LASHES = 11248, 14062, 17039, 21451, 24591
"""First vertex of each part of the model; face, head and neck come before."""
SKIN = {"light": (168, 190, 228), "medium": (112, 147, 196), "dark": (52, 72, 108)}  # BGR
_PAINT = 30  # pixels of paint per unit
_WIDTH, _TOP, _HEIGHT = 28, 16, 38  # units covered by the paint
_EYE = (14 * _PAINT, 4 * _PAINT)  # middle of the eye in the strip below the skin


def painted(
    rng: Rng, person: Array, landmarks: NDArray[np.int64], part: NDArray[np.int64], skin: str
) -> tuple[Array, Array]:
    """Paint a person.

    Args:
        rng: Source of chance.
        person: ``(V, 3)`` vertices of the neutral head.
        landmarks: Vertices of the 68 landmarks.
        part: ``(V,)`` number of each vertex in the model, which tells its part.
        skin: A key of ``SKIN``.

    Returns:
        The paint ``(h, w, 3)`` float32 BGR, and where each vertex lies in it ``(V, 2)``, pixels.
    """
    height, width = _HEIGHT * _PAINT, _WIDTH * _PAINT
    marks = _place(person[landmarks])
    base = np.array(SKIN[skin], np.float32) * rng.uniform(0.9, 1.1)
    grain = np.zeros((height, width), np.float32)
    for cells, strength in ((12, 0.03), (40, 0.025), (110, 0.03), (300, 0.04)):
        coarse = rng.normal(0, strength, (int(cells * height / width), cells)).astype(np.float32)
        grain += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    paint = base * (1 + grain[..., None])

    def lay(mask: Array, colour: Array, strength: float, soft: float) -> None:
        weight = cv2.GaussianBlur(mask, (0, 0), soft)[..., None] * np.float32(strength)
        paint[:] = paint * (1 - weight) + colour * (1 + grain[..., None]) * weight

    def blank() -> Array:
        return np.zeros((height, width), np.float32)

    def line(points: Array, thick: float, closed: bool = False) -> Array:
        flat = np.round(points).astype(np.int32)
        return np.asarray(
            cv2.polylines(blank(), [flat], closed, 1.0, max(1, round(thick * _PAINT))), np.float32
        )

    hair = np.array((20, 28, 40), np.float32) * rng.uniform(0.5, 2.5 if skin == "light" else 1.2)
    lips = base * np.array((0.72, 0.62, 0.88), np.float32)
    lay(np.asarray(cv2.fillPoly(blank(), [np.round(marks[48:60]).astype(np.int32)], 1.0)), lips, 0.9, 4)
    lay(line(marks[60:65], 0.12), lips * np.float32(0.35), 0.9, 2)
    for start in (17, 22):
        brow = marks[start : start + 5]
        strands = (rng.random((height, width)) < 0.8).astype(np.float32)
        lay(line(brow, rng.uniform(0.5, 0.8)) * strands, hair, 0.85, 3)
    for start in (36, 42):
        lay(line(marks[start : start + 4], 0.18), hair * np.float32(0.6), 0.85, 2)
        lay(line(marks[start : start + 6], 0.1, True), base * np.float32(0.45), 0.6, 2)
    for mark in (marks[31:33].mean(0), marks[34:36].mean(0)):
        spot = cv2.circle(
            blank(), (round(float(mark[0])), round(float(mark[1]))), round(0.4 * _PAINT), 1.0, -1
        )
        lay(np.asarray(spot, np.float32), base * np.float32(0.35), 0.8, 5)
    top = float(marks[17:27, 1].min()) - rng.uniform(4.0, 5.5) * _PAINT
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    bow = top + ((columns - width / 2) / _PAINT) ** 2 * 0.055 * _PAINT
    lay((rows < bow).astype(np.float32), hair, 0.97, 8)

    strip = _below_the_skin(rng, base, skin)
    return np.concatenate((paint, strip)), _laid(person, part)


def _place(xy: Array) -> Array:
    """Return where points of the head (…, 2 or more) lie in the paint, pixels (…, 2)."""
    return np.asarray((xy[..., :2] * (1, -1) + (_WIDTH / 2, _TOP)) * _PAINT, np.float32)


def _below_the_skin(rng: Rng, base: Array, skin: str) -> Array:
    """Paint the strip below the skin: teeth, the inside of the mouth, and one picture for both eyes."""
    strip = np.empty((8 * _PAINT, _WIDTH * _PAINT, 3), np.float32)
    strip[:, : 5 * _PAINT] = (185, 205, 215)
    strip[:, 5 * _PAINT : 10 * _PAINT] = base * np.array((0.18, 0.16, 0.3), np.float32)
    strip[:, 10 * _PAINT :] = (205, 212, 220) if skin != "dark" else (175, 185, 195)
    iris = tuple(float(v) for v in rng.uniform(0.4, 1.0) * np.array((50, 70, 95)))
    cv2.circle(strip, _EYE, round(0.6 * _PAINT), iris, -1, cv2.LINE_AA)
    cv2.circle(strip, _EYE, round(0.27 * _PAINT), (8, 8, 8), -1, cv2.LINE_AA)
    return strip


def _laid(person: Array, part: NDArray[np.int64]) -> Array:
    """Return where each vertex lies in the paint, pixels (V, 2): teeth, mouth and eyes lie in the strip below."""
    height = _HEIGHT * _PAINT
    uv = _place(person)
    uv[(part >= TEETH) & (part < EYES)] = (2 * _PAINT, height + 4 * _PAINT)
    uv[(part >= SOCKET) & (part < GUMS)] = (7 * _PAINT, height + 4 * _PAINT)
    for first in (EYES, EYES + 1570):
        ball = (part >= first) & (part < first + 1570)
        centre = (person[ball, :2].min(0) + person[ball, :2].max(0)) / 2
        uv[ball] = (person[ball, :2] - centre) * (_PAINT, -_PAINT) + (_EYE[0], height + _EYE[1])
    return np.asarray(uv, np.float32)


def beard(rng: Rng, paint: Array, marks: Array) -> None:
    """Paint a beard into the paint of a person, whose 68 landmarks ``marks`` (68, 2) lie there."""
    mask = np.zeros(paint.shape[:2], np.float32)
    cheeks = (marks[[3, 13]] + marks[[31, 35]]) / 2
    outline = np.concatenate((marks[3:14], cheeks[1:], marks[[35, 33, 31]], cheeks[:1]))
    cv2.fillPoly(mask, [np.round(outline + np.float32(3)).astype(np.int32)], 1.0)
    cv2.fillPoly(mask, [np.round(marks[48:60]).astype(np.int32)], 0.0)
    mask *= (rng.random(mask.shape) < rng.uniform(0.4, 0.9)).astype(np.float32)
    weight = cv2.GaussianBlur(mask, (0, 0), 3)[..., None] * np.float32(rng.uniform(0.4, 0.9))
    paint[:] = paint * (1 - weight) + np.array((20, 28, 40), np.float32) * weight
