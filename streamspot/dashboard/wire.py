"""A face drawn from the motion of its regions alone, in half-blocks: which of them move, and where to."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from rich.segment import Segment
from rich.style import Style

from streamspot.dashboard.text import ALARM, CALM, FRAME, MACRO, Line, run
from streamspot.motion.regions import LAYOUTS

WIDTH, HEIGHT = 21, 11
"""Cells of the drawing; each holds two pixels, one above the other."""

_AT: dict[str, tuple[tuple[int, int], ...]] = {  # pixels (x, y) of what stands left in the picture
    "brow_outer": ((3, 5), (4, 4)),
    "brow_mid": ((5, 4), (6, 4)),
    "brow_inner": ((7, 4), (8, 5)),
    "lid": ((4, 7), (5, 7), (6, 7), (7, 7)),
    "nostril": ((9, 11),),
    "cheek": ((4, 11), (5, 12)),
    "mouth_corner": ((6, 15), (7, 15)),
}
_MIDDLE = {"lip_upper": ((9, 14), (10, 14), (11, 14)), "lip_lower": ((9, 17), (10, 17), (11, 17))} | {
    "chin": ((9, 19), (10, 19), (11, 19))
}
_LEVELS = ((0.01, FRAME), (0.03, CALM), (0.1, MACRO), (math.inf, ALARM))
"""Up to which displacement, in inter-ocular distances, a region is drawn how."""

_STEP = 0.05
"""A region that has moved farther is drawn a pixel from its place."""

_OUTLINE = [
    (round(10 + 10 * math.sin(angle)), round(10 - 10.4 * math.cos(angle)))
    for angle in np.linspace(0, 2 * math.pi, 90)
]


def wire_face(moved: NDArray[np.float32]) -> list[Line]:
    """Return ``HEIGHT`` lines of ``WIDTH`` cells.

    Args:
        moved: ``(R, 2)`` how far each region has just moved, in the order of a layout of R regions.
    """
    pixels: dict[tuple[int, int], Style] = dict.fromkeys(_OUTLINE, FRAME)
    names = next(one.names for one in LAYOUTS.values() if len(one) == len(moved))
    for name, (x, y) in zip(names, moved, strict=True):
        far = math.hypot(x, y)
        style = next(style for limit, style in _LEVELS if far < limit)
        dx, dy = (int(math.copysign(abs(d) >= _STEP, d)) for d in (x, y))
        for px, py in _pixels(name):
            pixels[px + dx, py + dy] = style
    return [
        [_cell(pixels.get((x, 2 * row)), pixels.get((x, 2 * row + 1))) for x in range(WIDTH)]
        for row in range(HEIGHT)
    ]


def _pixels(name: str) -> tuple[tuple[int, int], ...]:
    if name in _MIDDLE:
        return _MIDDLE[name]
    side = "left" if "left" in name else "right"
    at = _AT["_".join(word for word in name.split("_") if word != side)]
    return at if side == "left" else tuple((WIDTH - 1 - x, y) for x, y in at)


def _cell(upper: Style | None, lower: Style | None) -> Segment:
    if upper is None:
        return run(" ") if lower is None else run("▄", lower)
    if lower is None:
        return run("▀", upper)
    return run("█", upper) if upper == lower else run("▀", upper + Style(bgcolor=lower.color))
