"""One face's stream of scores."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from streamspot.errors import ModelError
from streamspot.model.step import StepState
from streamspot.model.weights import Model
from streamspot.types import RegionMotion, Score


class ModelStream:
    """Scores of one face's segment, tick by tick, each ``look_ahead`` ticks after its motion.

    A displacement that is not finite counts as no motion of that region; later scores are as if it had been 0.

    Example:
        >>> stream = ModelStream(model)  # doctest: +SKIP
        >>> scores = [score for motion in recording for score in stream.push(motion)]  # doctest: +SKIP
        >>> scores += stream.finish()  # doctest: +SKIP
    """

    def __init__(self, model: Model) -> None:
        self._step: Callable[[NDArray[np.float32]], Sequence[float]]
        if model.single is not None:
            self._step = StepState(model.single).step
        else:
            state = model.new_state(1)
            self._step = lambda moved: model.step(moved[None], state)[0].tolist()
        self._look_ahead, self._ticks = model.config.look_ahead, 0
        self._pending: deque[tuple[int, float, int]] = deque()
        self._still = np.zeros((model.config.regions, 2), np.float32)
        self._finished = False

    def push(self, motion: RegionMotion) -> list[Score]:
        """Take one tick and return the score that it completes: none at first, then one each.

        Raises:
            ModelError: The stream is finished or the number of regions is not the model's.
        """
        if self._finished:
            raise ModelError(f"tick {motion.tick} came after the stream was finished; open a new stream")
        self._pending.append((motion.tick, motion.pts, motion.frame))
        return self._advance(motion.displacement)

    def finish(self) -> list[Score]:
        """End the segment and return the scores held back, the last ``look_ahead`` of it."""
        scores: list[Score] = []
        while self._pending:
            scores += self._advance(self._still)
        self._finished = True
        return scores

    def _advance(self, displacement: NDArray[np.float32]) -> list[Score]:
        intensity, macro, micro = self._step(displacement)
        self._ticks += 1
        if self._ticks <= self._look_ahead:
            return []
        tick, pts, frame = self._pending.popleft()
        return [Score(tick, pts, frame, intensity, macro, micro)]
