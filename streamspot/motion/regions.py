"""Facial regions of interest: which points of the face mesh are measured, in which order.

The order is part of a model's configuration: weights know their layout by its name.
"""

from __future__ import annotations

from dataclasses import dataclass

from streamspot.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Layout:
    """A named, ordered set of regions.

    Attributes:
        name: Written into weights and recordings.
        names: One name a region.
        vertices: For each region the MediaPipe face-mesh vertex it is centred on.
    """

    name: str
    names: tuple[str, ...]
    vertices: tuple[int, ...]

    def __len__(self) -> int:
        """Return the number of regions R."""
        return len(self.vertices)


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

LAYOUTS = {
    name: Layout(name, tuple(points), tuple(points.values()))
    for name, points in {"paper10": _PAPER, "face17": _PAPER | _MORE}.items()
}


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


def mirror(regions: Layout) -> list[int]:
    """Return for each region the number of the one across the face; a region in the middle keeps its own."""
    swap = {"left": "right", "right": "left"}
    across = ("_".join(swap.get(word, word) for word in name.split("_")) for name in regions.names)
    return [regions.names.index(name) for name in across]
