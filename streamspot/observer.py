"""From frames to the motion of every face in them."""

from __future__ import annotations

import time
from dataclasses import dataclass

from streamspot.face.tracker import LOST_AFTER, FaceTracker
from streamspot.flow.motion import MotionExtractor
from streamspot.flow.optical import FlowName
from streamspot.flow.regions import Layout
from streamspot.telemetry import Telemetry
from streamspot.types import Frame, Sighting


@dataclass(slots=True)
class _Seen:
    extractor: MotionExtractor
    pts: float


class Observer:
    """Finds, follows and measures the faces of one source.

    Args:
        tracker: Finds and follows them; owned.
        layout: Regions to measure.
        telemetry: Takes the latencies of the stages ``face`` and ``flow``.
        flow: Which optical flow to use.

    Example:
        >>> for frame in frames:  # doctest: +SKIP
        ...     for sighting in observer.push(frame):
        ...         print(sighting.face, sighting.motion)
    """

    def __init__(
        self, tracker: FaceTracker, layout: Layout, telemetry: Telemetry, *, flow: FlowName = "lk"
    ) -> None:
        self._tracker = tracker
        self._layout = layout
        self._telemetry = telemetry
        self._flow: FlowName = flow
        self._faces: dict[int, _Seen] = {}
        self._pts: float | None = None
        self.origin: float | None = None
        """Time of tick 0, the first frame's, in seconds; None before it."""

    def push(self, frame: Frame) -> list[Sighting]:
        """Take the next frame; return what is now known of every face's motion, in order of track number.

        A face unseen for more than half a second, or a gap of that length between two frames, ends its segment.
        """
        if self.origin is None:
            self.origin = frame.pts
        gap = self._pts is not None and frame.pts - self._pts > LOST_AFTER
        self._pts = frame.pts
        sightings = self._end(frame.pts, "gap in the source" if gap else "face lost")
        started = time.perf_counter()
        faces = self._tracker.track(frame)
        found = time.perf_counter()
        for face in faces:
            seen = self._faces.get(face.track)
            if seen is None:
                extractor = MotionExtractor(self._layout, origin=self.origin, flow=self._flow)
                seen = self._faces[face.track] = _Seen(extractor, frame.pts)
            seen.pts = frame.pts
            sightings += [Sighting(face.track, motion) for motion in seen.extractor.push(frame, face)]
        self._telemetry.stages["face"].add(found - started)
        self._telemetry.stages["flow"].add(time.perf_counter() - found)
        self._telemetry.faceless += not faces
        return sightings

    def _end(self, now: float, reason: str) -> list[Sighting]:
        lost = [face for face, seen in self._faces.items() if now - seen.pts > LOST_AFTER]
        for face in lost:
            del self._faces[face]
        return [Sighting(face, None, reason) for face in sorted(lost)]

    def finish(self, reason: str | None = None) -> list[Sighting]:
        """End every segment and forget who is who: None says that the source has ended."""
        self._tracker.forget()
        ended = [Sighting(face, None, reason) for face in sorted(self._faces)]
        self._faces.clear()
        return ended

    def close(self) -> None:
        """Free the face detector."""
        self._tracker.close()
