"""Expressions of a simulated or rendered person: when they occur, which action units they show, how they unfold."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from streamspot.datasets.recording import Instance
from streamspot.simulation import time_courses, units
from streamspot.simulation.person import FreeMovement
from streamspot.simulation.scenario import Scenario
from streamspot.simulation.time_courses import Array, Rng
from streamspot.types import Kind

MICRO_TICKS = 15
"""A micro-expression lasts at most half a second."""

_ONSET_LEVEL, _OFFSET_LEVEL = 0.06, 0.12
"""Share of the peak from which, and down to which, an annotator sees an expression."""

_ABOVE_NOISE = {"macro": 0.024, "micro": 0.016}
"""Four times what a face of average noise wanders while such an expression lasts."""

_JAW_FLOOR = 0.12
"""An opening mouth alone is speech unless it opens this wide."""


class Performer(Protocol):
    """Somebody who shows expressions: a simulated ``Person`` or a rendered actor."""

    @property
    def level(self) -> float:
        """Factor on the measurement noise of this face."""

    def face(self, rng: Rng, chosen: tuple[int, ...]) -> Array:
        """Draw what action units do at their strongest: displacements (R, 2), or weights of shapes (S, 1)."""

    def free(self, rng: Rng) -> FreeMovement:
        """Draw any muscles that contract together."""

    def reach(self, face: Array) -> float:
        """Return the largest displacement of any region, in inter-ocular distances."""


def expressions(
    rng: Rng, person: Performer, scenario: Scenario, position: Array, mouth: NDArray[np.bool_]
) -> list[tuple[Instance, Array]]:
    """Add chance expressions to positions.

    Args:
        rng: Source of chance.
        person: Who shows them.
        scenario: How many, and how strong.
        position: (T, R, 2), or (T, S, 1) of an actor; changed in place.
        mouth: (T,), true where the mouth speaks or chews, and shortly before and after.

    Returns:
        The expressions in order of onset, each with its activation in [0, 1] from onset to offset.
    """
    out: list[tuple[Instance, Array]] = []
    length = len(position)
    rate = scenario.expressions * float(np.exp(rng.uniform(-1, 1.2)))
    micro = scenario.micro * rng.uniform(0, 2)
    favourite = _units(rng, scenario.combinations)
    start = 12 + int(rng.exponential(1800 / rate))
    while start < length - 20:
        talking = bool(mouth[start : start + 30].any())
        brief = rng.random() < micro and (scenario.micro_in_speech or not talking)
        kind: Kind = "micro" if brief else "macro"
        chosen = favourite if rng.random() < 0.5 else _units(rng, scenario.combinations)
        faint = rng.random() < scenario.faint
        train = kind == "macro" and rng.random() < scenario.trains
        free = _free(rng, person, scenario, kind, talking)
        if train and rng.random() < 0.6:
            chosen = ((26,), (27,))[rng.integers(2)]
        while not _possible(chosen, kind, talking):
            chosen = _units(rng, scenario.combinations)
        face = free.face if free else person.face(rng, chosen)
        opening = free.opening if free else set(chosen) <= units.JAW
        floor = _JAW_FLOOR if kind == "macro" and opening else scenario.floor(kind)
        floor = max(floor, _ABOVE_NOISE[kind] * person.level) * (1.5 if talking else 1.0)
        least = floor / max(person.reach(face), 1e-6)
        strength = _strength(rng, kind, least, free=free is not None, faint=faint)
        for _ in range(int(rng.integers(2, 6)) if train else 1):
            course = (
                _brief(rng)
                if train
                else _course(rng, kind, at_any_speed=free is not None, held=scenario.held)
            )
            again = rng.uniform(0.75, 1.15) if train else 1
            size = np.float32(max(strength * again, 0 if faint else least))
            end = min(length, start + len(course))
            if end - start < 5:
                break
            course = course[: end - start]
            position[start:end] += course[:, None, None] * (face * size)
            if kind == "macro" and len(course) > 40 and not faint and rng.random() < 0.25:
                _second(rng, person, position[start:end], scenario.combinations)
            instance = None if faint else instance_of(rng, start, course, kind)
            if instance is not None:
                out.append((instance, course[instance.onset - start : instance.offset + 1 - start]))
            start = end + int(rng.integers(5, 22))
        touching = not train and rng.random() < scenario.touching
        pause = int(rng.integers(-2, 4)) if touching else int(6 + rng.exponential(1800 / rate))
        start = max(end + pause, (instance.offset + 4) if instance else end)
    return out


def _strength(rng: Rng, kind: Kind, least: float, *, free: bool, faint: bool) -> float:
    """Draw the share of its strongest at which an expression is shown; only a faint one stays under the least."""
    usual = rng.uniform(0.12, 0.5) if kind == "micro" else min(np.exp(rng.normal(-0.45, 0.4)), 1.3)
    if free:
        usual = float(np.exp(rng.uniform(np.log(0.25), np.log(1.5))))
    return float(least * rng.uniform(0.1, 0.6) if faint else max(usual, least * rng.uniform(1, 1.8)))


def _free(rng: Rng, person: Performer, scenario: Scenario, kind: Kind, talking: bool) -> FreeMovement | None:
    """Draw muscles that move freely, None where known units are to be shown."""
    if not scenario.free or rng.random() >= scenario.free:
        return None
    while True:
        drawn = person.free(rng)
        if not (drawn.opening and kind == "micro") and not (drawn.spoken and talking):
            return drawn


def _possible(chosen: tuple[int, ...], kind: Kind, talking: bool) -> bool:
    """Return whether units can be told apart from speech and, in a micro-expression, from an opening mouth."""
    seen = set(chosen)
    return not (seen <= units.JAW and kind == "micro") and not (seen <= units.SPOKEN and talking)


def _units(rng: Rng, combinations: units.Combinations) -> tuple[int, ...]:
    """Draw a known combination of units; one time in eight one to three units at random."""
    if rng.random() < 0.12:
        known = list(units.UNITS)
        return tuple(known[i] for i in rng.choice(len(known), rng.integers(1, 4), replace=False))
    weights = np.array([weight for weight, _ in combinations])
    return combinations[rng.choice(len(weights), p=weights / weights.sum())][1]


def _course(rng: Rng, kind: Kind, *, at_any_speed: bool, held: float) -> Array:
    """Draw the time course of an expression; at any speed, brief ones are as brief as 0.2 s and more are fast."""
    if kind == "micro":
        total = int(rng.integers(6 if at_any_speed else 8, MICRO_TICKS + 5))
        rise = max(2, round(total * rng.uniform(0.25, 0.5)))
        hold = int(rng.integers(0, 4))
        return time_courses.expression(rng, rise, hold, max(3, total - rise - hold))
    rise = int(np.clip(np.exp(rng.normal(np.log(9), 0.45)), 4, 30))
    fall = int(np.clip(rise * np.exp(rng.normal(0.25, 0.4)), 5, 50))
    if at_any_speed and rng.random() < 0.4:
        rise, fall = int(rng.integers(2, 7)), int(rng.integers(3, 10))
    hold = int(np.clip(np.exp(rng.normal(np.log(12), 1.0)), 0, 240))
    if rng.random() < held:
        hold = int(rng.integers(60, 240))
    return time_courses.expression(rng, rise, max(hold, MICRO_TICKS + 3 - rise - fall), fall)


def _brief(rng: Rng) -> Array:
    """Draw the time course of one expression of a train, half a second to a second long."""
    rise, fall = int(rng.integers(4, 10)), int(rng.integers(5, 12))
    return time_courses.expression(rng, rise, int(rng.integers(3, 12)), fall)


def _second(rng: Rng, person: Performer, position: Array, combinations: units.Combinations) -> None:
    """Let further units come and go within an expression, as part of it."""
    rise, fall = int(rng.integers(5, 12)), int(rng.integers(5, 14))
    room = len(position) - rise - fall
    if room < 2:
        return
    hold = int(rng.integers(0, room))
    start = int(rng.integers(0, room - hold + 1))
    course = time_courses.expression(rng, rise, hold, fall)
    face = person.face(rng, _units(rng, combinations)) * np.float32(rng.uniform(0.2, 0.8))
    position[start : start + len(course)] += course[:, None, None] * face


def instance_of(rng: Rng, start: int, course: Array, kind: Kind) -> Instance | None:
    """Return the instance that an annotator would write down, None if fewer than five ticks of it are seen."""
    apex = int(course.argmax())
    after = course[apex:] < _OFFSET_LEVEL
    onset = int((course >= _ONSET_LEVEL).argmax())
    offset = apex + int(after.argmax()) - 1 if after.any() else len(course) - 1
    if offset - onset < 4:
        return None
    reach = min(apex - onset, offset - apex)
    point = apex if reach < 1 else apex + int(np.clip(rng.normal(0, 0.5), -1, 1) * reach)
    return Instance(kind, start + onset, start + apex, start + offset, start + point)
