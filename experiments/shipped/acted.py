"""The recording of a rendered actor: the motion that was measured, and its truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamspot.datasets.recording import Instance
from streamspot.simulation import Simulation


@dataclass(frozen=True, slots=True)
class Acted(Simulation):
    """Measured motion of an actor.

    Attributes:
        flow: ``motion`` as measured by dense flow with next to no correction by landmarks.
    """

    flow: NDArray[np.float32]

    def save(self, path: Path) -> None:
        """Write a NumPy archive."""
        rows = [(one.kind == "micro", one.onset, one.apex, one.offset, one.point) for one in self.instances]
        np.savez_compressed(
            path,
            motion=self.motion,
            flow=self.flow,
            intensity=self.intensity,
            classes=self.classes,
            instances=np.array(rows, np.int32).reshape(-1, 5),
        )

    @classmethod
    def load(cls, path: Path) -> Acted:
        """Read what ``save`` wrote."""
        with np.load(path) as file:
            instances = tuple(
                Instance("micro" if micro else "macro", onset, apex, offset, point)
                for micro, onset, apex, offset, point in file["instances"].tolist()
            )
            return cls(file["motion"], file["intensity"], file["classes"], instances, file["flow"])
