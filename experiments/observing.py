"""What a stream measures of pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from streamspot.telemetry import Telemetry

from streamspot.face.detectors import make_detector
from streamspot.face.tracker import FaceTracker
from streamspot.motion.estimator import MotionEstimator
from streamspot.motion.flow import FlowName
from streamspot.motion.fuse import ANCHOR
from streamspot.motion.regions import layout
from streamspot.types import Frame, Sighting


def observe(frames: Iterable[Frame], flow: FlowName = "lk", anchor: float = ANCHOR) -> Iterator[Sighting]:
    """Yield the region motion of a face, measured as a stream does if nothing else is said."""
    estimator = MotionEstimator(
        FaceTracker(make_detector()), layout("face17"), Telemetry(), flow=flow, anchor=anchor
    )
    try:
        for frame in frames:
            yield from estimator.push(frame)
        yield from estimator.finish()
    finally:
        estimator.close()
