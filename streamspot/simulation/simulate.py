"""Recordings of simulated motion with their truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from streamspot.motion.regions import layout as layout_named
from streamspot.simulation import courses, negatives, units
from streamspot.simulation.courses import Rng
from streamspot.simulation.person import Person
from streamspot.simulation.scenario import Scenario
from streamspot.types import Kind

Array = NDArray[np.float32]

MICRO_TICKS = 15
"""A micro-expression lasts at most half a second."""

_ONSET_LEVEL, _OFFSET_LEVEL = 0.06, 0.12
"""Share of the peak from which, and down to which, an annotator sees an expression."""

_ABOVE_NOISE = {"macro": 0.024, "micro": 0.016}
"""Four times what a face of average noise wanders while such an expression lasts."""

_SPOKEN = {10, 14, 15, 16, 17, 18, 20, 23, 24, 25, 26, 27, 28}
"""Units that speech uses as well."""

_JAW, _JAW_FLOOR = {16, 25, 26, 27}, 0.12
"""An opening mouth alone is speech unless it opens this wide."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One expression.

    Attributes:
        onset: First tick.
        apex: Tick of the strongest expression.
        offset: Last tick (inclusive).
        kind: Macro or micro.
        point: Tick an annotator would have marked, drawn around the apex.
    """

    onset: int
    apex: int
    offset: int
    kind: Kind
    point: int


@dataclass(frozen=True, slots=True)
class Recording:
    """Measured motion and its truth.

    Attributes:
        motion: (T, R, 2) float32, displacement since the last tick, in inter-ocular distances.
        intensity: (T,) float32 in [0, 1]: 0 when neutral, 0.6 to 1 from onset to offset.
        classes: (T, 2) float32, 1 where a macro- or micro-expression is on.
        instances: In order of their onsets; they do not overlap.
        flow: ``motion`` as flow alone measures it, nearly without landmarks; None where nothing was measured.
    """

    motion: Array
    intensity: Array
    classes: Array
    instances: tuple[Instance, ...]
    flow: Array | None = None

    def save(self, path: Path) -> None:
        """Write a NumPy archive."""
        rows = [(one.kind == "micro", one.onset, one.apex, one.offset, one.point) for one in self.instances]
        np.savez_compressed(
            path,
            motion=self.motion,
            **({} if self.flow is None else {"flow": self.flow}),
            intensity=self.intensity,
            classes=self.classes,
            instances=np.array(rows, np.int32).reshape(-1, 5),
        )

    @classmethod
    def load(cls, path: Path) -> Recording:
        """Read what ``save`` wrote."""
        with np.load(path) as file:
            rows = [tuple(int(v) for v in row) for row in file["instances"]]
            instances = tuple(Instance(o, a, e, "micro" if k else "macro", p) for k, o, a, e, p in rows)
            flow = file.get("flow")
            return cls(file["motion"], file["intensity"], file["classes"], instances, flow)


def simulate(
    seed: int, ticks: int = 900, *, layout: str = "face17", scenario: Scenario | None = None
) -> Recording:
    """Return the recording of that seed: one person, one camera, chance expressions and disturbances.

    Args:
        seed: The same seed gives the same recording.
        ticks: Length T, at least 2.
        layout: Name of a region layout.
        scenario: How often what happens.

    Raises:
        SettingsError: There is no such layout.
    """
    regions, scenario = layout_named(layout), scenario or Scenario()
    rng = np.random.default_rng((seed, 0x57A7))
    person = Person(rng, regions)
    body = negatives.body(rng, person, scenario, ticks)
    shown = [] if rng.random() < scenario.idle else expressions(rng, person, scenario, body)
    measured = negatives.measured(rng, person, scenario, body.position, body.shake)
    settled = min(int(rng.integers(8, 12)), ticks - 1)  # until then a new face counts as still
    measured[:settled] = measured[settled]
    motion = np.diff(measured, axis=0, prepend=measured[:1])
    return Recording(motion, *truth(shown, ticks), tuple(instance for instance, _ in shown))


def truth(shown: Sequence[tuple[Instance, Array]], ticks: int) -> tuple[Array, Array]:
    """Return intensity (T,) and classes (T, 2) of expressions, given with their activation."""
    intensity = np.zeros(ticks, np.float32)
    classes = np.zeros((ticks, 2), np.float32)
    for instance, course in shown:
        inside = slice(instance.onset, instance.offset + 1)
        intensity[inside] = 0.6 + 0.4 * course
        classes[inside, 0 if instance.kind == "macro" else 1] = 1
    _open_gaps(intensity, [instance for instance, _ in shown])
    return intensity, classes


class Shown(Protocol):
    """Somebody who shows expressions: ``Person``, or a head that is rendered."""

    @property
    def level(self) -> float:
        """How noisy this face is measured, 1 on average."""

    def face(self, rng: Rng, chosen: tuple[int, ...]) -> Array:
        """Return what units at their strongest do, (R, 2) or as this one counts it."""

    def reach(self, face: Array) -> float:
        """Return how far the region that moves most gets, in inter-ocular distances."""


class Busy(Protocol):
    """What a face does, to which expressions are added: ``Body``, or the weights of a rendered head's shapes."""

    @property
    def position(self) -> Array:
        """(T, R, 2), changed in place; or as ``Shown.face`` counts it."""

    @property
    def mouth(self) -> NDArray[np.bool_]:
        """(T,), where the mouth speaks or chews, and shortly before and after."""


def expressions(rng: Rng, person: Shown, scenario: Scenario, body: Busy) -> list[tuple[Instance, Array]]:
    """Add expressions to the positions; return each with its activation from onset to offset."""
    out: list[tuple[Instance, Array]] = []
    length = len(body.position)
    rate = scenario.expressions * float(np.exp(rng.uniform(-1, 1.2)))
    micro = scenario.micro * rng.uniform(0, 2)
    favourite = _units(rng, scenario.combinations)
    start = 12 + int(rng.exponential(1800 / rate))
    while start < length - 20:
        talking = bool(body.mouth[start : start + 30].any())
        kind: Kind = "micro" if rng.random() < micro and not talking else "macro"
        chosen = favourite if rng.random() < 0.5 else _units(rng, scenario.combinations)
        faint = rng.random() < scenario.faint
        train = kind == "macro" and rng.random() < scenario.trains
        if train and rng.random() < 0.6:
            chosen = ((26,), (27,))[rng.integers(2)]
        while not _possible(chosen, kind, talking):
            chosen = _units(rng, scenario.combinations)
        face = person.face(rng, chosen)
        peak = max(person.reach(face), 1e-6)
        floor = _JAW_FLOOR if kind == "macro" and set(chosen) <= _JAW else scenario.floor(kind)
        floor = max(floor, _ABOVE_NOISE[kind] * person.level) * (1.5 if talking else 1.0)
        strength = (
            rng.uniform(0.12, 0.5) if kind == "micro" else min(float(np.exp(rng.normal(-0.45, 0.4))), 1.3)
        )
        strength = (
            floor / peak * rng.uniform(0.1, 0.6)
            if faint
            else max(strength, floor / peak * rng.uniform(1, 1.8))
        )
        for _ in range(int(rng.integers(2, 6)) if train else 1):
            course = _brief(rng) if train else _course(rng, kind)
            size = np.float32(
                max(strength * (rng.uniform(0.75, 1.15) if train else 1), 0 if faint else floor / peak)
            )
            end = min(length, start + len(course))
            if end - start < 5:
                break
            course = course[: end - start]
            body.position[start:end] += course[:, None, None] * (face * size)
            if kind == "macro" and len(course) > 40 and not faint and rng.random() < 0.25:
                _second(rng, person, body.position[start:end], scenario.combinations)
            instance = None if faint else _instance(rng, start, course, kind)
            if instance is not None:
                out.append((instance, course[instance.onset - start : instance.offset + 1 - start]))
            start = end + int(rng.integers(5, 22))
        touching = not train and rng.random() < scenario.touching
        pause = int(rng.integers(-2, 4)) if touching else int(6 + rng.exponential(1800 / rate))
        start = max(end + pause, (instance.offset + 4) if instance else end)
    return out


def _possible(chosen: tuple[int, ...], kind: Kind, talking: bool) -> bool:
    """Tell whether anybody could see these units: who speaks moves the lips anyhow."""
    seen = set(chosen)
    return not (seen <= _JAW and kind == "micro") and not (seen <= _SPOKEN and talking)


def _units(rng: Rng, combinations: units.Combinations) -> tuple[int, ...]:
    """Draw units that act together, now and then at random."""
    if rng.random() < 0.12:
        known = list(units.UNITS)
        return tuple(known[i] for i in rng.choice(len(known), rng.integers(1, 4), replace=False))
    weights = np.array([weight for weight, _ in combinations])
    return combinations[rng.choice(len(weights), p=weights / weights.sum())][1]


def _course(rng: Rng, kind: Kind) -> Array:
    if kind == "micro":
        total = int(rng.integers(8, MICRO_TICKS + 5))
        rise = max(2, round(total * rng.uniform(0.25, 0.5)))
        hold = int(rng.integers(0, 4))
        return courses.expression(rng, rise, hold, max(3, total - rise - hold))
    rise = int(np.clip(np.exp(rng.normal(np.log(9), 0.45)), 4, 30))
    fall = int(np.clip(rise * np.exp(rng.normal(0.25, 0.4)), 5, 50))
    hold = int(np.clip(np.exp(rng.normal(np.log(12), 1.0)), 0, 240))
    if rng.random() < 0.08:
        hold = int(rng.integers(60, 240))
    return courses.expression(rng, rise, max(hold, MICRO_TICKS + 3 - rise - fall), fall)


def _brief(rng: Rng) -> Array:
    """Return one of several like it, with stillness between: half a second to a second."""
    rise, fall = int(rng.integers(4, 10)), int(rng.integers(5, 12))
    return courses.expression(rng, rise, int(rng.integers(3, 12)), fall)


def _second(rng: Rng, person: Shown, position: Array, combinations: units.Combinations) -> None:
    """Let further units come and go within an expression; they belong to it."""
    rise, fall = int(rng.integers(5, 12)), int(rng.integers(5, 14))
    room = len(position) - rise - fall
    if room < 2:
        return
    hold = int(rng.integers(0, room))
    start = int(rng.integers(0, room - hold + 1))
    course = courses.expression(rng, rise, hold, fall)
    face = person.face(rng, _units(rng, combinations)) * np.float32(rng.uniform(0.2, 0.8))
    position[start : start + len(course)] += course[:, None, None] * face


def _instance(rng: Rng, start: int, course: Array, kind: Kind) -> Instance | None:
    """Return the instance that an annotator would write down, None if too little of it was seen."""
    apex = int(course.argmax())
    after = course[apex:] < _OFFSET_LEVEL
    onset = int((course >= _ONSET_LEVEL).argmax())
    offset = apex + int(after.argmax()) - 1 if after.any() else len(course) - 1
    if offset - onset < 4:
        return None
    reach = min(apex - onset, offset - apex)
    point = apex if reach < 1 else apex + int(np.clip(rng.normal(0, 0.5), -1, 1) * reach)
    return Instance(start + onset, start + apex, start + offset, kind, start + point)


def _open_gaps(intensity: Array, instances: list[Instance]) -> None:
    """Let the curve dip where one expression follows another, so that they stay two."""
    for before, after in pairwise(instances):
        if after.onset - before.offset < 5:
            middle = (before.offset + after.onset) // 2
            intensity[middle - 1 : middle + 2] = 0.0
