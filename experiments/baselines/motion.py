"""The rule without learning: a fixed window round the peaks of motion."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streamspot.datasets.recording import Recording
from streamspot.evaluation.search import Scores

_HALF_WINDOW = 8
_BEFORE, _AFTER = 14, 19
"""The fixed window that covers most macro-expressions."""


class MotionRule:
    """A fixed window round the peaks of motion: what point supervision has to beat.

    The strength of a tick is the mean over regions of how far each moved within 17 ticks round it; peaks are
    taken from the strongest on, each claiming its window.

    Args:
        recordings: Their strength of motion gives the scale of the scores; nothing else is taken from them.
    """

    def __init__(self, recordings: Sequence[Recording]) -> None:
        self._scale = float(np.quantile(np.concatenate([_strength(r) for r in recordings]), 0.99))

    def __call__(self, recordings: Sequence[Recording]) -> dict[str, Scores]:
        """Return scores ``(T, 3)`` by name; every peak is called macro."""
        return {r.name: self._judge(r) for r in recordings}

    def _judge(self, recording: Recording) -> Scores:
        strength = 1 - np.exp(-_strength(recording) / self._scale)
        scores = np.zeros((len(strength), 3), np.float32)
        scores[:, 1] = 1
        free = np.ones(len(strength), bool)
        for tick in np.argsort(-strength, kind="stable"):
            first, stop = max(0, tick - _BEFORE), tick + _AFTER + 1
            if free[first:stop].all():
                scores[first + 1 : stop - 1, 0] = strength[tick]
                free[first:stop] = False
        return scores


def _strength(recording: Recording) -> NDArray[np.float64]:
    curve = np.cumsum(recording.motion, 0, dtype=np.float64)
    padded = np.pad(curve, ((_HALF_WINDOW, _HALF_WINDOW), (0, 0), (0, 0)), mode="edge")
    moved = padded[2 * _HALF_WINDOW :] - padded[: -2 * _HALF_WINDOW]
    return np.asarray(np.linalg.norm(moved, axis=2).mean(1))
