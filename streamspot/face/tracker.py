"""Who is who: stable track numbers for faces that are found frame by frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamspot.face.align import alignment, eyes, inter_ocular
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
    centre: NDArray[np.float32]
    size: float
    seen: float


class FaceTracker:
    """Finds faces and keeps their track numbers stable.

    Args:
        detector: What finds them; owned, closed with the tracker.
        faces: Most faces to report; the largest are kept.
    """

    def __init__(self, detector: FaceDetector, faces: int = 1) -> None:
        self._detector = detector
        self._faces = faces
        self._tracks: list[_Track] = []
        self._next = 0

    def track(self, frame: Frame) -> list[Face]:
        """Return the faces in this frame, ordered by track number."""
        self._tracks = [t for t in self._tracks if frame.pts - t.seen <= LOST_AFTER]
        found = [
            (size, marks)
            for marks in self._detector(frame)
            if np.isfinite(marks).all() and (size := inter_ocular(marks)) >= _SMALLEST
        ]
        found.sort(key=lambda item: -item[0])
        free = list(self._tracks)
        faces = []
        for size, marks in found[: self._faces]:
            centre = np.mean(eyes(marks), axis=0)
            track = self._match(free, centre, size)
            if track is None:
                track = _Track(self._next, centre, size, frame.pts)
                self._next += 1
                self._tracks.append(track)
            else:
                free.remove(track)
                track.centre, track.size, track.seen = centre, size, frame.pts
            faces.append(Face(track.number, marks, 1.0, alignment(marks)))
        return sorted(faces, key=lambda face: face.track)

    @staticmethod
    def _match(free: list[_Track], centre: NDArray[np.float32], size: float) -> _Track | None:
        """Return the nearest free track within reach whose size is alike."""
        best, reach = None, _REACH * size
        for track in free:
            distance = float(np.hypot(*(track.centre - centre)))
            if distance <= reach and 0.6 < track.size / size < 1.67:
                best, reach = track, distance
        return best

    def close(self) -> None:
        """Free the detector."""
        self._detector.close()
