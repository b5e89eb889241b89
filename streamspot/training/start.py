"""Simulated motion before and beside a data set's: what the data is too small to teach, micro-expressions above all.

Simulation knows every label and no person, so a network that starts from it has seen nobody who is judged later.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from streamspot.errors import SettingsError
from streamspot.model.network import Network
from streamspot.motion.regions import LAYOUTS
from streamspot.simulation import simulate
from streamspot.simulation.units import mirror
from streamspot.training.labelled import Example, OnStep, augment, learn, stacked
from streamspot.training.settings import TrainSettings

TICKS = 600
BATCH = 15
Weights = Mapping[str, Tensor]


class Simulated:
    """Simulated recordings of 20 s as a data set of that layout would have recorded them.

    Example:
        >>> motion, targets = Simulated("paper10", seed=0, recordings=2).draw(1)
        >>> motion.shape, targets.shape
        (torch.Size([1, 600, 10, 2]), torch.Size([1, 600, 4]))

    Args:
        layout: Name of the region layout.
        seed: The same seed gives the same draws.
        recordings: How many to choose from.

    Raises:
        SettingsError: Nothing is known of such regions.
    """

    def __init__(self, layout: str, *, seed: int, recordings: int) -> None:
        if layout not in LAYOUTS:
            raise SettingsError(
                f"motion of the layout {layout} cannot be simulated, only that of {', '.join(LAYOUTS)}; "
                "leave `simulated` out or extract the data anew"
            )
        self._across = mirror(LAYOUTS[layout])
        self._alone = 1.0 if layout == "paper10" else 0.3  # the public features have no landmarks
        self._rng = np.random.default_rng([seed, 51])
        self._pool = [
            Example.of(simulate(seed * 100_000 + number, TICKS, layout=layout), TICKS)
            for number in range(recordings)
        ]

    def some(self, count: int) -> list[Example]:
        """Return so many recordings, each varied anew."""
        chosen = self._rng.integers(0, len(self._pool), count)
        return [augment(self._rng, self._pool[i], self._across, self._alone) for i in chosen]

    def draw(self, count: int, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
        """Return the same as motion (B, T, R, 2) and targets (B, T, 4)."""
        return stacked(self.some(count), device)


def start(
    settings: TrainSettings,
    layout: str,
    regions: int,
    device: str = "cpu",
    on_step: OnStep | None = None,
) -> Weights | None:
    """Return weights that have learned from simulated motion alone, None if the settings want none.

    Raises:
        SettingsError: The layout cannot be simulated.
    """
    steps = settings.simulated.steps
    if not steps:
        return None
    pool = Simulated(layout, seed=settings.seed, recordings=settings.simulated.recordings)
    torch.manual_seed(settings.seed)
    network = Network(settings.network.config("start", layout, regions)).to(device)
    learned = learn(network, lambda: pool.some(BATCH), steps=steps, on_step=on_step)
    return {key: value.cpu() for key, value in learned.state_dict().items()}
