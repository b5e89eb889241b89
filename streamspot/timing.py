"""How long each stage of the pipeline takes, measured from outside it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from streamspot.types import Frame, Motion, Update

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from streamspot.face.detectors import FaceDetector
    from streamspot.pipeline import Pipeline


class TimedDetector:
    """A face detector that tells how long it took.

    Args:
        detector: What finds faces; owned.
    """

    def __init__(self, detector: FaceDetector) -> None:
        self.name = detector.name
        self._detector = detector
        self._seconds = 0.0

    def __call__(self, frame: Frame) -> list[NDArray[np.float32]]:
        """Return the landmarks of every face."""
        started = time.perf_counter()
        try:
            return self._detector(frame)
        finally:
            self._seconds += time.perf_counter() - started

    def take(self) -> float:
        """Return the seconds since this was last asked, 0 if no face was looked for."""
        seconds, self._seconds = self._seconds, 0.0
        return seconds

    def close(self) -> None:
        """Free the native graph."""
        self._detector.close()


def push_timed(
    pipeline: Pipeline, item: Frame | Motion, detector: TimedDetector | None
) -> tuple[Update, dict[str, float]]:
    """Push a frame or a piece of motion; return the update and the seconds of each stage that ran.

    Args:
        pipeline: Where to.
        item: What.
        detector: The pipeline's face detector; None where motion comes in.
    """
    begun = time.perf_counter()
    motion = pipeline.measure(item)
    measured = time.perf_counter()
    scores = pipeline.score(motion)
    judged = time.perf_counter()
    update = pipeline.spot(motion, scores)
    spotted = time.perf_counter()
    seconds: dict[str, float] = {}
    if detector is not None:
        looked = detector.take()
        seconds["flow"] = measured - begun - looked
        if looked:
            seconds["face"] = looked
    if motion:
        seconds |= {"model": judged - measured, "spotting": spotted - judged}
    return update, seconds
