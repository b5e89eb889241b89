"""What the pipeline makes of pictures: the one place where experiments run it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import streamspot
from streamspot.files import write_atomically
from streamspot.model import Model
from streamspot.motion.estimator import MotionEstimator
from streamspot.motion.regions import layout
from streamspot.pipeline import Pipeline
from streamspot.sources.motion import MotionRecording, MotionWriter
from streamspot.types import Event, FaceMotion, Frame, Motion, Session

_SESSION = Session("experiment", "experiment", "experiment", 0.0, datetime.fromtimestamp(0, UTC))


def observe(frames: Iterable[Frame]) -> Iterator[Motion]:
    """Yield the region motion of a face, measured as a stream does."""
    with closing(MotionEstimator.open(layout("face17"))) as estimator:
        for frame in frames:
            yield from estimator.push(frame)
        yield from estimator.finish()


def record(frames: Iterable[Frame], path: Path) -> None:
    """Record the region motion of pictures, whole or not at all."""
    with write_atomically(path) as part, MotionWriter(part) as writer:
        writer.begin(_SESSION, "face17")
        writer.extend(observe(frames), _SESSION)


def events_of_recording(path: Path, model: Model) -> tuple[list[Event], int]:
    """Return the events of recorded motion under a stream's default settings, and the ticks with a measured face."""
    found = MotionRecording(path).read()  # when it was recorded is of no account here
    motion = [one for one in found if not isinstance(one, Session)]
    return events_of_motion(motion, model), sum(isinstance(one, FaceMotion) for one in motion)


def events_of_motion(motion: Iterable[Motion], model: Model) -> list[Event]:
    """Return the events of motion under a stream's default settings."""
    pipeline = Pipeline(model, _SESSION)
    events: list[Event] = []
    for one in motion:
        events += pipeline.push(one).events
    return events + list(pipeline.finish().events)


def events_of_clip(clip: Path, weights: str, faces: int, sensitivity: float) -> tuple[list[Event], float]:
    """Return the events of a video file and its length in seconds."""
    events: list[Event] = []
    last = 0.0
    with streamspot.open(clip, weights=weights, faces=faces, sensitivity=sensitivity) as stream:
        for update in stream:
            events += update.events
            last = max(last, update.pts)
    return events, last
