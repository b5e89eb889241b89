"""One face's stream of scores."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streamspot.errors import ModelError
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
        self.judge, self._look_ahead = model.judge, model.config.look_ahead
        self.row = self.judge.open()
        self._close = weakref.finalize(self, self.judge.close, self.row)
        self._still = np.zeros((model.config.regions, 2), np.float32)
        self._pending: deque[tuple[int, float, int]] = deque()
        self._ticks = 0
        self._finished = False

    def push(self, motion: RegionMotion) -> list[Score]:
        """Take one tick and return the score that it completes: none at first, then one each.

        Raises:
            ModelError: The stream is finished or the number of regions is not the model's.
        """
        return advance([self], [motion])[0]

    def finish(self) -> list[Score]:
        """End the segment and return the scores held back, the last ``look_ahead`` of it."""
        scores: list[Score] = []
        while self._pending:
            scores += advance([self], [None])[0]
        self._finished = True
        self._close()
        return scores

    def displaced(self, motion: RegionMotion | None) -> NDArray[np.float32]:
        """Return what moves in the next tick; None stands for the time after the end, in which nothing does."""
        if motion is None:
            return self._still
        if self._finished:
            raise ModelError(f"tick {motion.tick} came after the stream was finished; open a new stream")
        self._pending.append((motion.tick, motion.pts, motion.frame))
        return motion.displacement

    def complete(self, scores: Sequence[float]) -> list[Score]:
        """Return the score that intensity, macro and micro of the newest judged tick make, if it is one."""
        self._ticks += 1
        if self._ticks <= self._look_ahead:
            return []
        return [Score(*self._pending.popleft(), *scores)]


def advance(streams: Sequence[ModelStream], motions: Sequence[RegionMotion | None]) -> list[list[Score]]:
    """Take one tick of several streams of one model at once; return what each completes, see ``ModelStream.push``."""
    moved = [one.displaced(motion) for one, motion in zip(streams, motions, strict=True)]
    scores = streams[0].judge.take([one.row for one in streams], np.stack(moved)).tolist()
    return [one.complete(three) for one, three in zip(streams, scores, strict=True)]
