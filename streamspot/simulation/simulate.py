"""Simulated region motion with its truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamspot.datasets.recording import Instance
from streamspot.motion.regions import layout as layout_named
from streamspot.simulation.body import body
from streamspot.simulation.expressions import expressions
from streamspot.simulation.measurement import measured
from streamspot.simulation.person import Person
from streamspot.simulation.scenario import Scenario

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Simulation:
    """The motion that would be measured of a simulated or rendered person, and its truth.

    Attributes:
        motion: (T, R, 2) float32, displacement since the last tick, in inter-ocular distances.
        intensity: (T,) float32 in [0, 1]: 0 when neutral, 0.6 to 1 from onset to offset.
        classes: (T, 2) float32, 1 where a macro- or micro-expression is on.
        instances: In order of their onsets; they do not overlap.
        flow: ``motion`` as measured by dense flow with next to no correction by landmarks; None for simulated motion.
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
    def load(cls, path: Path) -> Simulation:
        """Read what ``save`` wrote."""
        with np.load(path) as file:
            rows = [tuple(int(v) for v in row) for row in file["instances"]]
            instances = tuple(Instance("micro" if k else "macro", *row) for k, *row in rows)
            flow = file.get("flow")
            return cls(file["motion"], file["intensity"], file["classes"], instances, flow)


def simulate(
    seed: int, ticks: int = 900, *, layout: str = "face17", scenario: Scenario | None = None
) -> Simulation:
    """Simulate one person before one camera, with chance expressions and disturbances.

    Args:
        seed: The same seed gives the same simulation.
        ticks: Length T, at least 2.
        layout: Name of a region layout.
        scenario: Rates and sizes of what happens; None for the default.

    Raises:
        SettingsError: There is no such layout.
    """
    regions, scenario = layout_named(layout), scenario or Scenario()
    rng = np.random.default_rng((seed, 0x57A7))
    person = Person(rng, regions)
    moving = body(rng, person, scenario, ticks)
    shown = [] if rng.random() < scenario.idle else expressions(rng, person, scenario, moving)
    position = measured(rng, person, scenario, moving.position, moving.shake)
    settled = min(int(rng.integers(8, 12)), ticks - 1)  # until then a new face counts as still
    position[:settled] = position[settled]
    motion = np.diff(position, axis=0, prepend=position[:1])
    return Simulation(motion, *truth(shown, ticks), tuple(instance for instance, _ in shown))


def truth(shown: Sequence[tuple[Instance, Array]], ticks: int) -> tuple[Array, Array]:
    """Return intensity (T,) and classes (T, 2) of a recording.

    Args:
        shown: Each expression with its activation in [0, 1] at every tick from onset to offset.
        ticks: Length T.
    """
    intensity = np.zeros(ticks, np.float32)
    classes = np.zeros((ticks, 2), np.float32)
    for instance, course in shown:
        inside = slice(instance.onset, instance.offset + 1)
        intensity[inside] = 0.6 + 0.4 * course
        classes[inside, 0 if instance.kind == "macro" else 1] = 1
    _open_gaps(intensity, [instance for instance, _ in shown])
    return intensity, classes


def _open_gaps(intensity: Array, instances: list[Instance]) -> None:
    """Set the intensity to 0 for three ticks between expressions less than 5 ticks apart, so that they stay two."""
    for before, after in pairwise(instances):
        if after.onset - before.offset < 5:
            middle = (before.offset + after.onset) // 2
            intensity[middle - 1 : middle + 2] = 0.0
