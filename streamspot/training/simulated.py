"""Simulated motion before and beside the data: it teaches what few recordings cannot.

All its labels are known and it shows no real person, so a network that starts from it has seen nobody who is
judged later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from streamspot.errors import SettingsError
from streamspot.model.network import Network
from streamspot.model.weights import find_device
from streamspot.motion.regions import LAYOUTS, mirror
from streamspot.simulation import simulate
from streamspot.simulation.time_courses import Array, Rng
from streamspot.training.labelled import Example, OnStep, learn
from streamspot.training.settings import TrainSettings

Weights = Mapping[str, Tensor]

TICKS = 600
"""Length of a simulated recording, in ticks."""
BATCH = 15
"""Simulated recordings in a step of the training on simulation alone."""

FLOW_ALONE_SHARE = 0.3
"""Share of the recordings that are made to look like recordings by flow alone; see ``flow_alone``."""


class SimulationPool:
    """Simulated recordings of 20 s as a data set of that layout would have recorded them; a seed gives its draws.

    Example:
        >>> (example,) = SimulationPool("paper10", seed=0, recordings=2).draw(1)
        >>> example.motion.shape, example.targets.shape
        ((600, 10, 2), (600, 4))

    Raises:
        SettingsError: The layout's regions are unknown to the simulation.
    """

    def __init__(self, layout: str, *, seed: int, recordings: int) -> None:
        if layout not in LAYOUTS:
            raise SettingsError(
                f"motion of the layout {layout} cannot be simulated, only that of {', '.join(LAYOUTS)}; "
                "leave `simulated` out or extract the data anew"
            )
        self._across = mirror(LAYOUTS[layout])
        self._share = 1.0 if layout == "paper10" else FLOW_ALONE_SHARE  # public features have no landmarks
        self.rng = np.random.default_rng([seed, 51])
        self._pool = [
            Example.of(simulate(seed * 100_000 + number, TICKS, layout=layout), TICKS)
            for number in range(recordings)
        ]

    def draw(self, count: int) -> list[Example]:
        """Draw so many recordings, each varied anew."""
        chosen = self.rng.integers(0, len(self._pool), count)
        return [vary(self.rng, self._pool[i], self._across, self._share) for i in chosen]


def start(
    settings: TrainSettings, layout: str, regions: int, device: str = "cpu", on_step: OnStep | None = None
) -> Weights:
    """Return weights that have learned from simulated motion alone.

    Raises:
        ModelError: The device is not there.
        SettingsError: The layout cannot be simulated.
    """
    pool = SimulationPool(layout, seed=settings.seed, recordings=settings.simulated.recordings)
    torch.manual_seed(settings.seed)
    network = Network(settings.network.config("start", layout, regions)).to(find_device(device))
    learned = learn(network, lambda: pool.draw(BATCH), steps=settings.simulated.steps, on_step=on_step)
    return {key: value.cpu() for key, value in learned.state_dict().items()}


def vary(
    rng: Rng, example: Example, across: Sequence[int], flow_alone_share: float = FLOW_ALONE_SHARE
) -> Example:
    """Mirror a recording, scale it, change its speed, add errors and silence regions, each by chance.

    ``across`` names the region across the face from each (see ``mirror``), ``flow_alone_share`` is the probability
    that the result looks like a recording by flow alone (see ``flow_alone``).
    """
    motion, targets = example.motion, example.targets
    if rng.random() < 0.5:
        motion = motion[:, across] * np.array([-1, 1], np.float32)
    motion = motion * np.float32(np.exp(rng.normal(0, 0.2)))
    if rng.random() < 0.4:
        motion, targets = at_speed(motion, targets, float(rng.uniform(0.85, 1.15)))
    if rng.random() < 0.1:
        motion = motion + _jitter(rng, motion.shape, (0.0004, 0.003))
    if rng.random() < 0.1:
        motion = motion + _drift(rng, motion.shape, (0.0003, 0.0015))
    if rng.random() < 0.15:
        motion = motion * (rng.random((1, motion.shape[1], 1)) < 0.85)
    if rng.random() < flow_alone_share:
        motion = flow_alone(rng, motion)
    return Example(motion.astype(np.float32), targets.astype(np.float32))


def at_speed(motion: Array, targets: Array, speed: float) -> tuple[Array, Array]:
    """Return motion and targets of the same recording, played faster or slower."""
    ticks = len(motion)
    at = np.minimum(np.arange(ticks) * speed, ticks - 1)
    left = np.minimum(at.astype(np.int64), ticks - 2)
    share = (at - left)[:, None].astype(np.float32)
    position = motion.cumsum(0).reshape(ticks, -1)
    warped = position[left] * (1 - share) + position[left + 1] * share
    moved = np.diff(warped, axis=0, prepend=warped[:1]).reshape(motion.shape)
    return moved, targets[left] * (1 - share) + targets[left + 1] * share


def flow_alone(
    rng: Rng,
    motion: Array,
    *,
    shrink: float = -0.3,
    spread: float = 0.3,
    drift: tuple[float, float] = (0.0006, 0.0018),
    jitter: tuple[float, float] = (0.0003, 0.0012),
) -> Array:
    """Return motion (T, R, 2) as a program that follows faces by dense flow alone would record it.

    Such recordings, the public features among them, have the ten regions of ``paper10`` only, less motion, and
    errors that no landmark corrects. The defaults are for simulated motion: the errors have the power of the public
    CAS(ME)² features between expressions, the unrest of the faces included. Errors of the size of their quiet half
    taught the network to see an expression in every motion.

    Args:
        rng: Source of chance.
        motion: What moves.
        shrink: Mean of the logarithm of a factor on the motion.
        spread: Standard deviation of that logarithm.
        drift: Smallest and largest size of the errors of a tick, in inter-ocular distances; they add up.
        jitter: The same of errors that do not.
    """
    motion = motion * np.float32(np.exp(rng.normal(shrink, spread)))
    motion = motion + _drift(rng, motion.shape, drift)
    motion = motion + _jitter(rng, motion.shape, jitter)
    return motion * (np.arange(motion.shape[1]) < len(LAYOUTS["paper10"]))[:, None]


def _drift(rng: Rng, shape: tuple[int, ...], size: tuple[float, float]) -> Array:
    """Draw errors of the displacement (T, R, 2), which add up; a third of their power is common to all regions.

    Their standard deviation is drawn between the two sizes.
    """
    deviation = np.float32(np.exp(rng.uniform(np.log(size[0]), np.log(size[1]))))
    own = rng.standard_normal(shape, dtype=np.float32) * np.float32(0.82)
    common = rng.standard_normal((shape[0], 1, 2), dtype=np.float32) * np.float32(0.57)
    return np.asarray(deviation * (own + common), np.float32)


def _jitter(rng: Rng, shape: tuple[int, ...], size: tuple[float, float]) -> Array:
    """Draw errors of the position (T, R, 2), which do not add up: the next tick takes each back."""
    return np.diff(_drift(rng, shape, size), axis=0, prepend=np.float32(0))
