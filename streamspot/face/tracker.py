"""Who is who: stable track numbers for faces that are found frame by frame."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from streamspot.face.align import Eyes
from streamspot.face.detectors import FaceDetector
from streamspot.types import Choice, Face, Frame

LOST_AFTER = 0.5
"""Seconds without a face after which its track ends; the same person coming back gets a new number."""

_SMALLEST = 16.0
"""Inter-ocular distance in pixels below which motion cannot be measured."""

_REACH, _SPREAD = 1.0, 2.0
"""How far from where it was to be a face may turn up and be the same, in its inter-ocular distances; and how much
farther for every second unseen."""

_KEPT = 1.25
"""How much larger, or nearer the middle, a newcomer has to be than somebody who is followed to take his place."""

_HIDDEN, _BESIDE = 2, 0.3
"""Looks for which a stranger is painted over, a detector needs two to look elsewhere, and how much beside him, as a
share of his face."""

_SPARE = 2
"""Faces beyond those followed that are looked for where the largest or the middle ones are wanted."""


def faces_to_find(faces: int, choose: Choice) -> int:
    """Return how many faces a detector has to find so that so many can be chosen.

    Whoever was found first stays found, so nobody else has to be looked for; a detector that may find more looks for
    them in every frame in which it has fewer.
    """
    return faces if choose == "first" else faces + _SPARE


@dataclass(slots=True)
class _Track:
    number: int
    eyes: Eyes
    seen: float
    speed: tuple[float, float] = (0.0, 0.0)  # pixels a second

    def distance(self, eyes: Eyes, now: float) -> float:
        """Return how far eyes are from where this face was to be, as a share of how far they may."""
        if not 0.6 < self.eyes.distance / eyes.distance < 1.67:
            return math.inf
        unseen = now - self.seen
        x, y = self.eyes.x + unseen * self.speed[0], self.eyes.y + unseen * self.speed[1]
        reach = (_REACH + _SPREAD * unseen) * eyes.distance
        return math.hypot(x - eyes.x, y - eyes.y) / reach

    def move(self, eyes: Eyes, now: float) -> None:
        if (unseen := now - self.seen) > 0:
            new = (eyes.x - self.eyes.x) / unseen, (eyes.y - self.eyes.y) / unseen
            self.speed = (self.speed[0] + new[0]) / 2, (self.speed[1] + new[1]) / 2
        self.eyes, self.seen = eyes, now


class FaceTracker:
    """Finds faces, keeps their track numbers stable, and chooses whom to follow. The detector is closed with it.

    A face is taken for the one that was to be there by its place, speed and size, so that two that cross keep their
    numbers, also where one was hidden for less than half a second. So long nobody takes the place of who was there
    first: a detector that finds as many as are followed, and stays with them, is shown pictures without strangers.

    Args:
        detector: Finds ``faces_to_find`` faces.
        faces: How many are followed at most.
        choose: Whom, if there are more: who was there first, the largest, or who is nearest to the picture's middle.
            Who is followed is left for somebody else only where the difference is clear.
    """

    def __init__(self, detector: FaceDetector, faces: int = 1, choose: Choice = "first") -> None:
        self._detector = detector
        self._faces = faces
        self._choose = choose
        self._tracks: list[_Track] = []
        self._next = 0
        self._strangers: list[tuple[int, tuple[slice, slice]]] = []
        """How often the detector is still shown pictures without them, and where they are."""

    def track(self, frame: Frame, followed: Mapping[int, float] = MappingProxyType({})) -> list[Face]:
        """Return the faces in this frame, ordered by track number.

        Args:
            frame: The frame.
            followed: When faces were last seen by who follows them between two calls, seconds, by track number.
        """
        now = frame.pts
        self._tracks = [
            track
            for track in self._tracks
            if now - max(track.seen, followed.get(track.number, -math.inf)) <= LOST_AFTER
        ]
        found = [
            (eyes, marks)
            for marks in self._detector(self._without_strangers(frame))
            if np.isfinite(marks.sum()) and (eyes := Eyes.of(marks)).distance >= _SMALLEST
        ]
        known = self._known([eyes for eyes, _ in found], now)
        middle = frame.image.shape[1] / 2, frame.image.shape[0] / 2
        firm = sorted(track.number for track in self._tracks)[: self._faces]  # and nobody who stands in
        order = sorted(range(len(found)), key=lambda n: self._rank(found[n][0], known.get(n), middle, firm))
        faces = []
        for n in order[: self._faces]:
            eyes, marks = found[n]
            if (track := known.get(n)) is None:
                if self._choose == "first" and len(self._tracks) >= self._faces:
                    self._strangers.append((_HIDDEN, _around(marks)))
                    continue
                track = _Track(self._next, eyes, now)
                self._next += 1
                self._tracks.append(track)
            track.move(eyes, now)
            faces.append(Face(track.number, marks, eyes.alignment()))
        return sorted(faces, key=lambda face: face.track)

    def _without_strangers(self, frame: Frame) -> Frame:
        """Return the frame with strangers painted over, while somebody who was there before them is missed."""
        self._strangers = [(left - 1, box) for left, box in self._strangers if left]
        if len(self._tracks) < self._faces:
            self._strangers.clear()
        if not self._strangers:
            return frame
        image = frame.image.copy()
        for _, box in self._strangers:
            image[box] = 0
        return replace(frame, image=image)

    def _known(self, found: list[Eyes], now: float) -> dict[int, _Track]:
        """Return whose each face is, for those that are somebody's; the nearest pairs first."""
        pairs = sorted(
            (distance, n, place)
            for n, eyes in enumerate(found)
            for place, track in enumerate(self._tracks)
            if (distance := track.distance(eyes, now)) <= 1.0
        )
        known: dict[int, _Track] = {}
        taken: set[int] = set()
        for _, n, place in pairs:
            if n not in known and place not in taken:
                known[n] = self._tracks[place]
                taken.add(place)
        return known

    def _rank(
        self, eyes: Eyes, track: _Track | None, middle: tuple[float, float], firm: Sequence[int]
    ) -> tuple[float, float]:
        """Return what the faces are sorted by, the first are followed: those of the ``firm`` tracks are left last."""
        kept = _KEPT if track is not None and track.number in firm else 1.0
        if self._choose == "middle":
            return math.hypot(eyes.x - middle[0], eyes.y - middle[1]) / kept, 0.0
        number = math.inf if track is None or self._choose == "largest" else track.number
        return number, -eyes.distance * kept

    def forget(self, tracks: Collection[int] | None = None) -> None:
        """End tracks of these numbers, or all: whoever is seen in their place from now on gets a new number."""
        self._tracks = [one for one in self._tracks if tracks is not None and one.number not in tracks]

    def close(self) -> None:
        """Free the detector."""
        self._detector.close()


def _around(marks: NDArray[np.float32]) -> tuple[slice, slice]:
    """Return the rows and columns of a picture that a face with these landmarks and a little beside it fill."""
    first, last = marks[:, :2].min(0), marks[:, :2].max(0)
    beside = _BESIDE * (last - first)
    (left, top), (right, bottom) = np.maximum([first - beside, last + beside], 0).astype(int).tolist()
    return slice(top, bottom), slice(left, right)
