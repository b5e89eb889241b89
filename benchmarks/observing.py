"""What a stream measures of a rendered clip."""

from __future__ import annotations

from collections.abc import Iterator

from heads import Clip

from streamspot.config import load_settings
from streamspot.face.detectors import make_detector
from streamspot.face.tracker import FaceTracker
from streamspot.flow.regions import layout
from streamspot.observer import Observer
from streamspot.telemetry import Telemetry
from streamspot.types import Sighting


def observe(clip: Clip) -> Iterator[Sighting]:
    """Yield the region motion of a clip's faces, measured as a stream does with its default settings."""
    settings = load_settings({"source": "0"})
    tracker = FaceTracker(make_detector(settings.faces, settings.face_model), settings.faces)
    observer = Observer(tracker, layout("face17"), Telemetry(), flow=settings.flow)
    try:
        for frame in clip.frames():
            yield from observer.push(frame)
        yield from observer.finish()
    finally:
        observer.close()
