"""What a stream measures of pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from streamspot.face.detectors import make_detector
from streamspot.face.tracker import FaceTracker
from streamspot.flow.motion import ANCHOR
from streamspot.flow.optical import FlowName
from streamspot.flow.regions import layout
from streamspot.observer import Observer
from streamspot.telemetry import Telemetry
from streamspot.types import Frame, Sighting


def observe(frames: Iterable[Frame], flow: FlowName = "lk", anchor: float = ANCHOR) -> Iterator[Sighting]:
    """Yield the region motion of a face, measured as a stream does if nothing else is said."""
    observer = Observer(FaceTracker(make_detector()), layout("face17"), Telemetry(), flow=flow, anchor=anchor)
    try:
        for frame in frames:
            yield from observer.push(frame)
        yield from observer.finish()
    finally:
        observer.close()
