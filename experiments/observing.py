"""What the pipeline makes of pictures: the one place where experiments run it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from streamspot.engine import Run
from streamspot.face.detectors import make_detector
from streamspot.face.tracker import FaceTracker
from streamspot.model import Model
from streamspot.motion.estimator import MotionEstimator
from streamspot.motion.flow import FlowName
from streamspot.motion.fuse import ANCHOR
from streamspot.motion.regions import layout
from streamspot.pipeline import Interpreter
from streamspot.settings import load_settings
from streamspot.sources.motion import Recorder, Recording
from streamspot.telemetry import Telemetry
from streamspot.types import Event, Frame, Session, Sighting

_SESSION = Session("experiment", "experiment", 0.0, datetime.fromtimestamp(0, UTC))


def observe(frames: Iterable[Frame], flow: FlowName = "lk", anchor: float = ANCHOR) -> Iterator[Sighting]:
    """Yield the region motion of a face, measured as a stream does unless ``flow`` or ``anchor`` say otherwise."""
    estimator = MotionEstimator(
        FaceTracker(make_detector()), layout("face17"), Telemetry(), flow=flow, anchor=anchor
    )
    try:
        for frame in frames:
            yield from estimator.push(frame)
        yield from estimator.finish()
    finally:
        estimator.close()


def record(frames: Iterable[Frame], path: Path) -> None:
    """Record the region motion of pictures, whole or not at all."""
    part = path.with_suffix(".part")
    with Recorder(part, _SESSION, "face17") as recorder:
        recorder.extend(observe(frames))
    part.replace(path)


def events_of_recording(path: Path, model: Model) -> tuple[list[Event], int]:
    """Return the events of recorded motion under a stream's default settings, and the ticks with a measured face."""
    interpreter = Interpreter(model, _SESSION, Telemetry())
    events: list[Event] = []
    measured = 0
    for sighting in Recording(path).sightings():
        measured += sighting.motion is not None
        events += interpreter.push(sighting)[1]
    return events, measured


def events_of_clip(clip: Path, weights: str, faces: int, sensitivity: float) -> tuple[list[Event], float]:
    """Return the events of a video file and its length in seconds."""
    settings = load_settings(
        {"source": str(clip), "weights": weights, "faces": faces, "sensitivity": sensitivity}
    )

    async def run() -> tuple[list[Event], float]:
        async with Run(settings) as running:
            events = [event async for batch in running for event in batch.events]
            return events, running.telemetry.pts

    return asyncio.run(run())
