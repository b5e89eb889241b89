"""Simulated region motion with its truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from streamspot.datasets.recording import Instance
from streamspot.motion.regions import layout as layout_named
from streamspot.simulation.body import body
from streamspot.simulation.expressions import expressions
from streamspot.simulation.measurement import measured
from streamspot.simulation.person import Person
from streamspot.simulation.scenario import Scenario
from streamspot.simulation.time_courses import Array


@dataclass(frozen=True, slots=True)
class Simulation:
    """The motion that would be measured of a simulated person, and its truth.

    Attributes:
        motion: (T, R, 2) float32, displacement since the last tick, in inter-ocular distances.
        intensity: (T,) float32 in [0, 1]: 0 when neutral, 0.6 to 1 from onset to offset.
        classes: (T, 2) float32, 1 where a macro- or micro-expression is on.
        instances: In order of their onsets; they do not overlap.
    """

    motion: Array
    intensity: Array
    classes: Array
    instances: tuple[Instance, ...]


def simulate(
    seed: int, ticks: int = 900, *, layout: str = "face17", scenario: Scenario | None = None
) -> Simulation:
    """Simulate one person before one camera for at least 2 ticks; the same seed gives the same simulation.

    Raises:
        SettingsError: There is no such layout.
    """
    regions, scenario = layout_named(layout), scenario or Scenario()
    rng = np.random.default_rng((seed, 0x57A7))
    person = Person(rng, regions)
    moving = body(rng, person, scenario, ticks)
    shown = (
        []
        if rng.random() < scenario.idle
        else expressions(rng, person, scenario, moving.position, moving.mouth)
    )
    position = measured(rng, person, scenario, moving.position, moving.shake)
    settled = min(int(rng.integers(8, 12)), ticks - 1)  # a new face counted as still when the weights learned
    position[:settled] = position[settled]
    motion = np.diff(position, axis=0, prepend=position[:1])
    return Simulation(motion, *truth(shown, ticks), tuple(instance for instance, _ in shown))


def truth(shown: Sequence[tuple[Instance, Array]], ticks: int) -> tuple[Array, Array]:
    """Return intensity (T,) and classes (T, 2) of expressions, each with its activation from onset to offset."""
    intensity = np.zeros(ticks, np.float32)
    classes = np.zeros((ticks, 2), np.float32)
    for instance, course in shown:
        inside = slice(instance.onset, instance.offset + 1)
        intensity[inside] = 0.6 + 0.4 * course
        classes[inside, 0 if instance.kind == "macro" else 1] = 1
    for (before, _), (after, _) in pairwise(shown):
        if after.onset - before.offset < 5:  # a gap of three ticks, so that they stay two
            middle = (before.offset + after.onset) // 2
            intensity[middle - 1 : middle + 2] = 0.0
    return intensity, classes
