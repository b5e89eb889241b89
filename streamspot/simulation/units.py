"""How far each facial action unit moves each region: a table of our own, in inter-ocular distances.

The numbers follow the appearance changes that the Facial Action Coding System (Ekman, Friesen and Hager,
2002) describes for each unit at its strongest; their sizes were set beside what the flow stage measures on
posed expressions. They are typical values; every simulated person has gains of their own.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from streamspot.motion.regions import Layout
from streamspot.simulation.time_courses import Array, Rng

PARTS = ("outer", "mid", "inner", "lid", "cheek", "nostril", "corner", "upper", "lower", "chin")
"""Parts of the face that regions measure; all but the last three lie on both sides."""

# unit → part → (outwards, down)
UNITS: dict[int, dict[str, tuple[float, float]]] = {
    1: {"inner": (0.005, -0.08), "mid": (0.005, -0.05), "outer": (0, -0.015), "lid": (0, -0.008)},
    2: {"inner": (0.005, -0.03), "mid": (0.01, -0.07), "outer": (0.012, -0.08), "lid": (0, -0.008)},
    4: {
        "inner": (-0.035, 0.05),
        "mid": (-0.025, 0.045),
        "outer": (-0.01, 0.03),
        "lid": (-0.004, 0.012),
        "nostril": (0, -0.006),
    },
    5: {"lid": (0, -0.04), "mid": (0, -0.012), "outer": (0, -0.01), "inner": (0, -0.008)},
    6: {
        "cheek": (0.02, -0.05),
        "lid": (0, 0.012),
        "outer": (0, 0.018),
        "mid": (0, 0.01),
        "corner": (0.005, -0.015),
    },
    7: {"lid": (0, 0.028), "cheek": (0, -0.01), "outer": (0, 0.005)},
    9: {
        "nostril": (0.012, -0.05),
        "inner": (-0.015, 0.035),
        "mid": (-0.01, 0.03),
        "outer": (0, 0.012),
        "upper": (0, -0.035),
        "cheek": (0, -0.03),
        "lid": (0, 0.012),
    },
    10: {"upper": (0, -0.06), "nostril": (0.015, -0.03), "cheek": (0.006, -0.022), "corner": (0.005, -0.02)},
    12: {
        "corner": (0.12, -0.12),
        "upper": (0, -0.06),
        "lower": (0, -0.015),
        "cheek": (0.045, -0.055),
        "nostril": (0.032, -0.03),
        "lid": (0, 0.012),
    },
    14: {"corner": (0.04, -0.005), "cheek": (0.015, -0.008), "upper": (0, 0.006)},
    15: {"corner": (0.018, 0.07), "lower": (0, 0.02), "chin": (0, 0.02), "cheek": (0.003, 0.015)},
    16: {"lower": (0, 0.06), "chin": (0, 0.025), "corner": (0, 0.01)},
    17: {"chin": (0, -0.08), "lower": (0, -0.06), "upper": (0, -0.025), "corner": (-0.005, 0.015)},
    18: {"corner": (-0.09, 0), "upper": (0, -0.012), "lower": (0, 0.012), "cheek": (-0.015, 0.003)},
    20: {"corner": (0.09, 0.03), "cheek": (0.02, 0.01), "lower": (0, 0.02), "chin": (0, 0.01)},
    23: {"corner": (-0.03, 0.003), "upper": (0, 0.015), "lower": (0, -0.02), "chin": (0, -0.01)},
    24: {"corner": (-0.035, 0.003), "upper": (0, 0.03), "lower": (0, -0.035), "chin": (0, -0.02)},
    25: {"upper": (0, -0.015), "lower": (0, 0.05), "chin": (0, 0.01)},
    26: {"lower": (0, 0.2), "chin": (0, 0.17), "corner": (-0.01, 0.07), "cheek": (-0.004, 0.014)},
    27: {
        "lower": (0, 0.38),
        "chin": (0, 0.3),
        "corner": (-0.035, 0.13),
        "cheek": (-0.008, 0.02),
        "upper": (0, 0.005),
        "mid": (0, 0.01),
    },
    28: {"lower": (0, -0.06), "upper": (0, 0.05), "chin": (0, -0.03), "corner": (-0.01, 0.005)},
}

_LID = {"lid": (0.0, 0.09)}
_SCREWED_UP = {"cheek": (0.01, -0.025), "mid": (0.0, 0.015), "outer": (0.0, 0.015), "corner": (0.012, -0.015)}
Combinations = tuple[tuple[float, tuple[int, ...]], ...]
"""Action units that occur together, each combination behind how often it does."""

COMBINATIONS: Combinations = (
    (2.0, (12,)),
    (3.0, (6, 12)),
    (3.0, (6, 12, 25)),
    (1.0, (6, 12, 26)),
    (1.0, (12, 14)),
    (3.0, (1, 2)),
    (1.0, (1,)),
    (1.0, (2,)),
    (1.0, (1, 2, 5)),
    (1.0, (1, 2, 5, 26)),
    (1.0, (1, 2, 27)),
    (3.0, (4,)),
    (2.0, (4, 7)),
    (0.7, (4, 5, 7, 23)),
    (0.7, (4, 24)),
    (1.0, (9,)),
    (0.7, (4, 9)),
    (0.7, (9, 10, 17)),
    (0.7, (9, 10, 25)),
    (1.0, (10,)),
    (0.7, (10, 17)),
    (1.0, (14,)),
    (1.0, (15,)),
    (1.0, (15, 17)),
    (0.7, (1, 4)),
    (0.7, (1, 4, 15)),
    (0.5, (1, 2, 4, 5, 20, 25)),
    (1.0, (17,)),
    (0.4, (18,)),
    (1.0, (20,)),
    (0.7, (20, 25)),
    (0.4, (23,)),
    (0.6, (24,)),
    (0.4, (25, 16)),
    (2.5, (26,)),
    (3.5, (27,)),
    (0.3, (28,)),
    (0.7, (6, 7)),
)
"""Units that act together, with how often they do."""


SPOKEN = {10, 14, 15, 16, 17, 18, 20, 23, 24, 25, 26, 27, 28}
"""Units that speech uses as well."""

JAW = {16, 25, 26, 27}
"""Units of an opening mouth."""


def parts_of(layout: Layout) -> tuple[list[str], NDArray[np.int64]]:
    """Return the part of each region and its side (-1 left in the image, 0 middle, 1 right)."""
    words = [name.split("_") for name in layout.names]
    parts = [next(w for w in reversed(name) if w in PARTS or w in ("mouth", "brow")) for name in words]
    sides = [-1 if "left" in name else 1 if "right" in name else 0 for name in words]
    return ["corner" if part == "mouth" else part for part in parts], np.array(sides)


def pattern(unit: int, layout: Layout) -> Array:
    """Return the displacement (R, 2) of a unit at its strongest, on both sides."""
    return both_sides(UNITS[unit], layout)


def wink(rng: Rng, layout: Layout) -> Array:
    """Draw the displacement (R, 2) of eyes that close, and of what is screwed up with them: on one side a wink."""
    around = both_sides(_SCREWED_UP, layout) * np.float32(rng.uniform(0, 1.5))
    return both_sides(_LID, layout) + around


def both_sides(moved: Mapping[str, tuple[float, float]], layout: Layout) -> Array:
    """Return the displacement (R, 2) of regions whose parts move so far (outwards, down) on both sides."""
    parts, sides = parts_of(layout)
    out = np.array([moved.get(part, (0.0, 0.0)) for part in parts], np.float32)
    out[:, 0] *= sides
    return out
