"""Who is who: stable track numbers for faces that are found frame by frame."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from streamspot.face.align import Eyes
from streamspot.face.detectors import FaceDetector
from streamspot.types import Face, Frame

LOST_AFTER = 0.5
"""Seconds without a face after which its track ends; the same person coming back gets a new number."""

_SMALLEST = 16.0
"""Inter-ocular distance in pixels below which motion cannot be measured."""

_REACH = 1.0
"""How far a face may move between two frames and stay the same, in its inter-ocular distances."""


@dataclass(slots=True)
class _Track:
    number: int
    eyes: Eyes
    seen: float


class FaceTracker:
    """Finds faces and keeps their track numbers stable; the largest are kept. The detector is closed with it."""

    def __init__(self, detector: FaceDetector, faces: int = 1) -> None:
        self._detector = detector
        self._faces = faces
        self._tracks: list[_Track] = []
        self._next = 0

    def track(self, frame: Frame) -> list[Face]:
        """Return the faces in this frame, ordered by track number."""
        self._tracks = [t for t in self._tracks if frame.pts - t.seen <= LOST_AFTER]
        found = [
            (eyes, marks)
            for marks in self._detector(frame)
            if np.isfinite(marks.sum()) and (eyes := Eyes.of(marks)).distance >= _SMALLEST
        ]
        found.sort(key=lambda item: -item[0].distance)
        free = list(self._tracks)
        faces = []
        for eyes, marks in found[: self._faces]:
            track = self._match(free, eyes)
            if track is None:
                track = _Track(self._next, eyes, frame.pts)
                self._next += 1
                self._tracks.append(track)
            else:
                free.remove(track)
                track.eyes, track.seen = eyes, frame.pts
            faces.append(Face(track.number, marks, eyes.alignment()))
        return sorted(faces, key=lambda face: face.track)

    @staticmethod
    def _match(free: list[_Track], eyes: Eyes) -> _Track | None:
        """Return the nearest free track within reach whose size is alike."""
        best, reach = None, _REACH * eyes.distance
        for track in free:
            distance = math.hypot(track.eyes.x - eyes.x, track.eyes.y - eyes.y)
            if distance <= reach and 0.6 < track.eyes.distance / eyes.distance < 1.67:
                best, reach = track, distance
        return best

    def forget(self) -> None:
        """End every track: whoever is seen from now on gets a new number."""
        self._tracks.clear()

    def close(self) -> None:
        """Free the detector."""
        self._detector.close()
