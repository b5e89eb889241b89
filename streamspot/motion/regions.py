"""Facial regions of interest: which points of the face mesh are measured, in which order.

The order is part of a model's configuration: weights know their layout by its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from streamspot.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Layout:
    """A named, ordered set of regions, behind which may stand what the rigid head does.

    Attributes:
        name: Written into weights and recordings.
        names: One name a region, then ``HEAD`` where the head counts.
        vertices: For each region the MediaPipe face-mesh vertex it is centred on.
    """

    name: str
    names: tuple[str, ...]
    vertices: tuple[int, ...]

    def __len__(self) -> int:
        """Return the number R of pairs that are measured: regions, and what the head does."""
        return len(self.names)

    @property
    def face(self) -> Layout:
        """The same regions without what the head does."""
        return Layout(self.name, self.names[: len(self.vertices)], self.vertices)


# MediaPipe vertices nearest to dlib's 68-point landmarks 18,19,20 | 23,24,25 | 48,51,54,57 (0-based), the
# ten regions of the GIM paper. "left" is left in the image (the subject's right side).
_PAPER = {
    "brow_left_outer": 63,
    "brow_left_mid": 105,
    "brow_left_inner": 66,
    "brow_right_inner": 296,
    "brow_right_mid": 334,
    "brow_right_outer": 293,
    "mouth_corner_left": 61,
    "lip_upper": 0,
    "mouth_corner_right": 291,
    "lip_lower": 17,
}
# Lids make a blink recognisable as one; cheeks, nostrils and chin tell a smile or a jaw drop from lip noise.
_MORE = {
    "lid_left": 159,
    "lid_right": 386,
    "cheek_left": 50,
    "cheek_right": 280,
    "nostril_left": 48,
    "nostril_right": 278,
    "chin": 199,
}

HEAD = {
    "head_turn": "yaw and pitch since the last tick, radians",
    "head_tilt": "roll since the last tick, radians, and nearing, a share of the size",
    "head_sight": "shift to the image's right since the last tick, and how little the measurement can be trusted: "
    "0.0005 + 0.005 (1 - quality), 0 where no head is measured",
}
"""What the head does in a tick, as pairs of numbers like those of the regions, by name."""

LAYOUTS = {
    name: Layout(name, (*points, *head), tuple(points.values()))
    for name, points, head in (
        ("paper10", _PAPER, ()),
        ("face17", _PAPER | _MORE, ()),
        ("face17+head", _PAPER | _MORE, HEAD),
    )
}


WHOLE = "face17+head"
"""The layout with everything that can be measured."""


@cache
def names_of(regions: int) -> tuple[str, ...]:
    """Return the names of the face's regions in motion (R, 2); numbers where no layout has so many."""
    for known in LAYOUTS.values():
        if len(known) == regions:
            return known.face.names
    return tuple(f"region {number + 1}" for number in range(regions))


def face_of(motion: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the regions of the face in motion (…, R, 2), without what the head does."""
    return motion[..., : len(names_of(motion.shape[-2])), :]


def layout(name: str) -> Layout:
    """Return the layout of that name.

    Raises:
        SettingsError: There is none.
    """
    try:
        return LAYOUTS[name]
    except KeyError:
        known = ", ".join(LAYOUTS)
        raise SettingsError(f"there is no region layout {name!r}; choose one of {known}") from None


def alike(given: str, wanted: str) -> bool:
    """Return whether two layouts have the same regions of the face, with or without what the head does."""
    theirs, ours = LAYOUTS.get(given), LAYOUTS.get(wanted)
    return given == wanted or (
        theirs is not None and ours is not None and theirs.face.names == ours.face.names
    )


def within(given: str, wanted: str) -> bool:
    """Return whether all regions of the face that one layout has are in another as well."""
    theirs, ours = LAYOUTS.get(given), LAYOUTS.get(wanted)
    return given == wanted or (
        theirs is not None and ours is not None and set(theirs.face.names) <= set(ours.names)
    )


def refit(motion: NDArray[np.float32], given: str, wanted: str) -> NDArray[np.float32]:
    """Return motion (…, R, 2) of one layout as that of another; what was not measured stands still.

    Raises:
        ValueError: It has not as many regions as its layout.
    """
    if given == wanted:
        return motion
    theirs, ours = LAYOUTS[given].names, LAYOUTS[wanted].names
    if motion.shape[-2] != len(theirs):
        raise ValueError(motion.shape)
    both = [name for name in theirs if name in ours]
    out = np.zeros((*motion.shape[:-2], len(ours), 2), np.float32)
    out[..., [ours.index(name) for name in both], :] = motion[..., [theirs.index(name) for name in both], :]
    return out


def mirror(regions: Layout) -> list[int]:
    """Return for each region the number of the one across the face; a region in the middle keeps its own."""
    swap = {"left": "right", "right": "left"}
    across = ("_".join(swap.get(word, word) for word in name.split("_")) for name in regions.names)
    return [regions.names.index(name) for name in across]
