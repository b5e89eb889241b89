"""One simulated person before one camera: gains, asymmetry, pose and measurement errors of their face."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from streamspot.motion.regions import Layout
from streamspot.simulation import units
from streamspot.simulation.time_courses import Array, Rng

_FAR = {"chin": 2.0, "lid": 1.3, "corner": 1.3, "upper": 1.3, "outer": 0.8, "mid": 0.8, "inner": 0.8}
"""Factor on what is left in these parts of a turn of the head; 1 for all others."""

_UPPER = ("outer", "mid", "inner")


@dataclass(frozen=True, slots=True)
class FreeMovement:
    """Muscles that contract together in any combination, not as one of the known action units.

    Attributes:
        face: What they do at their strongest, as of ``Performer.face``.
        spoken: Whether it cannot be told from speech in a mouth that speaks.
        opening: Whether it is an opening mouth alone, which is speech unless it opens wide.
    """

    face: Array
    spoken: bool
    opening: bool


class Person:
    """Gains, asymmetry, pose and error patterns, drawn once for a recording of these regions."""

    def __init__(self, rng: Rng, layout: Layout) -> None:
        self.layout = layout
        self.parts, self.sides = units.parts_of(layout)
        count = len(layout)
        self.level = float(np.exp(rng.normal(0, 0.6)))
        """Factor on the measurement noise of this face; its median over people is 1."""
        self._gain = float(np.exp(rng.normal(0, 0.2)))
        self._own = np.exp(rng.normal(0, 0.25, (count, 1))).astype(np.float32)
        roll, yaw = rng.normal(0, 0.07), rng.normal(0, 0.2)
        self._turn = np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]], np.float32)
        self._near = np.where(self.sides * yaw > 0, np.cos(yaw), 1.0)[:, None].astype(np.float32)
        self._leak_down, self._leak_up = rng.uniform(0, 0.45), rng.uniform(-0.12, 0.06)
        upper = np.array([part in _UPPER for part in self.parts])
        self._upper, self._lower = upper, ~upper
        self.yaw, self.pitch = self._residuals(rng)

    def _residuals(self, rng: Rng) -> tuple[Array, Array]:
        """Return what the head model leaves unexplained of a turn and of a nod in each region, each (R, 2)."""
        groups = {part: rng.normal(0, 1, 2) for part in units.PARTS}
        for part in _UPPER:
            groups[part] = 0.7 * groups["mid"] + 0.3 * groups[part] + (0.5, 0)
        yaw = np.array([groups[part] for part in self.parts], np.float32)
        pitch = np.array([groups[part][::-1] for part in self.parts], np.float32)
        yaw[:, 0] = np.abs(yaw[:, 0]) * (1 + rng.normal(0, 0.25, len(yaw)))
        yaw[:, 1] *= 0.4 * self.sides
        pitch[:, 0] *= 0.2 * self.sides
        pitch[:, 1] += rng.normal(0, 0.2, len(yaw))
        far = np.array([_FAR.get(part, 1.0) for part in self.parts], np.float32)[:, None]
        return far * yaw / np.abs(yaw).max(), far * pitch / np.abs(pitch).max()

    def shape(self, moved: Array) -> Array:
        """Return displacements (…, R, 2) of a typical face as this face and camera show them."""
        moved = moved * (self._gain * self._own * self._near)
        leak = np.zeros_like(moved)
        if self._upper.any() and self._lower.any():
            above = moved[..., self._upper, :].mean(-2, keepdims=True)
            below = moved[..., self._lower, :].mean(-2, keepdims=True)
            leak[..., self._lower, :] -= np.float32(self._leak_down) * above
            leak[..., self._upper, :] -= np.float32(self._leak_up) * below
        return np.asarray((moved + leak) @ self._turn, np.float32)

    def face(self, rng: Rng, chosen: tuple[int, ...]) -> Array:
        """Draw the displacement (R, 2) of these action units together; each expression has proportions of its own."""
        total = np.zeros((len(self.layout), 2), np.float32)
        for unit in chosen:
            total += units.pattern(unit, self.layout) * np.float32(rng.uniform(0.5, 1.2))
        weaker = rng.uniform(0, 0.25) if rng.random() < 0.12 else rng.uniform(0.75, 1)
        side = rng.choice((-1, 1))
        total[self.sides == side] *= np.float32(weaker)
        if weaker < 0.5:
            total[self.sides == 0] *= np.float32(0.7)
        return self.shape(total)

    def free(self, rng: Rng) -> FreeMovement:
        """Draw one to three movements that come together, half of them on one side."""
        total = np.zeros((len(self.layout), 2), np.float32)
        spoken, opening, one_sided = True, True, rng.random() < 0.5
        for _ in range(int(rng.choice((1, 2, 3), p=(0.45, 0.35, 0.2)))):
            size, kind = np.float32(rng.uniform(0.5, 1.2)), rng.random()
            if kind < 0.3:
                total += self._any_mouth(rng) * size
                opening = False
            elif kind < 0.4:  # with both eyes it were a blink
                total += units.wink(rng, self.layout) * size
                spoken, opening, one_sided = False, False, True
            else:
                unit = list(units.UNITS)[rng.integers(len(units.UNITS))]
                total += units.pattern(unit, self.layout) * size
                spoken, opening = spoken and unit in units.SPOKEN, opening and unit in units.JAW
        if one_sided:
            total[self.sides == rng.choice((-1, 1))] *= np.float32(rng.uniform(0, 0.2))
            corners = np.array([part == "corner" for part in self.parts])
            total[self.sides == 0] *= np.float32(0.7)  # what is in the middle is pulled there
            total[self.sides == 0, 0] += np.float32(rng.uniform(0, 0.5)) * total[corners, 0].sum()
        return FreeMovement(self.shape(total), spoken, opening)

    def _any_mouth(self, rng: Rng) -> Array:
        """Draw the displacement (R, 2) of a mouth that is pulled aside, up or down, made wide, narrow, oblique, open.

        The chin follows more or less, cheeks and nostrils a little. One movement outweighs the others. A nose that
        is pulled along turns the fitted head, so the upper face seems to go the other way.
        """
        sizes = rng.normal(0, 1, 5) * (0.12, 0.1, 0.06, 0.04, 0.05) * rng.choice((0.25, 1.0), 5, p=(0.6, 0.4))
        aside, down, wide, oblique, apart = (float(v) for v in sizes)
        lips = {"corner": (wide, 0.0), "upper": (0.0, -0.3 * abs(apart)), "lower": (0.0, abs(apart))}
        follows = {"corner": 1.0, "upper": 0.9, "lower": 1.0, "chin": rng.uniform(0.2, 1), "cheek": 0.15}
        follows["nostril"] = 0.1
        out = units.both_sides(lips, self.layout)
        share = np.array([follows.get(part, 0.0) for part in self.parts], np.float32)
        out += share[:, None] * np.array((aside, down), np.float32)
        out[:, 1] += share * self.sides * np.float32(oblique)
        above = self._upper | np.array([part == "lid" for part in self.parts])
        out[above, 0] -= np.float32(aside * rng.uniform(-0.05, 0.25))
        out[above, 1] += self.sides[above] * np.float32(aside * rng.uniform(-0.25, 0.25))
        return out

    def reach(self, face: Array) -> float:
        """Return the largest displacement of any region, in inter-ocular distances."""
        return float(np.abs(face).max())

    def part(self, name: str, outwards: float, down: float) -> Array:
        """Return the displacement (R, 2) that moves one part on both sides of the face."""
        out = np.zeros((len(self.layout), 2), np.float32)
        of = np.array([part == name for part in self.parts])
        out[of, 0], out[of, 1] = outwards * self.sides[of], down
        return out
