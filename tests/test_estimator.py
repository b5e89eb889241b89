"""Promises of the estimator: landmarks are looked for where they are needed, and nothing is missed in between."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from streamspot.face.detectors import FaceMesh, has_face_mesh
from streamspot.face.tracker import FaceTracker
from streamspot.motion import fuse
from streamspot.motion.estimator import MotionEstimator
from streamspot.motion.regions import LAYOUTS
from streamspot.sources.synthetic import Synthetic
from streamspot.types import FaceMotion, Frame, Motion, SegmentEnd

pytestmark = pytest.mark.skipif(not has_face_mesh(), reason="this MediaPipe has no FaceMesh")


class Counting:
    """FaceMesh that notes in which frames it was asked."""

    name = "counting"

    def __init__(self) -> None:
        self._mesh = FaceMesh(1)
        self.asked: list[int] = []

    def __call__(self, frame: Frame) -> list[NDArray[np.float32]]:
        """Return the landmarks of every face."""
        self.asked.append(frame.index)
        return self._mesh(frame)

    def close(self) -> None:
        """Free the graph."""
        self._mesh.close()


@pytest.fixture
def mesh() -> Counting:
    """Return a face mesh, closed by the estimator."""
    return Counting()


@pytest.fixture
def estimator(mesh: Counting) -> Iterator[MotionEstimator]:
    """Return an estimator of one face."""
    one = MotionEstimator(FaceTracker(mesh, 1), LAYOUTS["face17"])
    yield one
    one.close()


def shown(picture: Frame, count: int, fps: int = 30, first: int = 0) -> list[Frame]:
    """Return the same picture so many times."""
    return [replace(picture, index=i, pts=i / fps) for i in range(first, first + count)]


def ticks(found: list[Motion]) -> list[int]:
    """Return the ticks whose motion is known."""
    return [one.motion.tick for one in found if isinstance(one, FaceMotion)]


@pytest.mark.parametrize("fps", [25, 30, 60, 200])
def test_a_face_at_rest_is_looked_for_ten_times_a_second(
    estimator: MotionEstimator, mesh: Counting, portrait: Frame, fps: int
):
    """However many frames a camera gives, two seconds of rest need at most 22 looks, and every tick is measured."""
    seen = [one for frame in shown(portrait, 3 * fps, fps) for one in estimator.push(frame)]
    assert sum(frame >= fps for frame in mesh.asked) <= 22
    assert ticks(seen) == list(range(len(seen)))
    assert len(seen) >= 3 * 30 - 1


def test_what_flow_cannot_follow_is_looked_for_in_every_frame(
    estimator: MotionEstimator, mesh: Counting, portrait: Frame
):
    """A face in a picture that breaks up is followed by its landmarks."""
    rng = np.random.default_rng(0)
    for frame in shown(portrait, 60):
        broken = np.clip(portrait.image + rng.normal(0, 60, portrait.image.shape), 0, 255).astype(np.uint8)
        estimator.push(replace(frame, image=broken) if frame.index >= 30 else frame)
    assert [frame for frame in mesh.asked if frame >= 31] == list(range(31, 60))


def test_a_face_that_leaves_is_missed_at_once(
    estimator: MotionEstimator, mesh: Counting, portrait: Frame, nobody: Frame
):
    """No motion is made up after the last frame that shows the face; half a second later its segment ends."""
    frames = shown(portrait, 30) + shown(nobody, 30, first=30)
    seen = [one for frame in frames for one in estimator.push(frame)]
    assert ticks(seen) == list(range(30))
    assert seen[-1] == SegmentEnd(0, "face lost")
    assert [frame for frame in mesh.asked if frame >= 30] == list(range(30, 60))


@pytest.mark.parametrize("first", range(45, 51))
def test_who_is_hidden_for_less_than_half_a_second_is_the_same(
    estimator: MotionEstimator, portrait: Frame, first: int
):
    """Also where flow alone had followed the face for a while when it was hidden, or when pictures were lost."""
    frames = shown(portrait, first) + shown(portrait, 30, first=first + 13)
    seen = [one for frame in frames for one in estimator.push(frame)]
    assert {one.face for one in seen} == {0}
    assert not [one for one in seen if isinstance(one, SegmentEnd)]


def test_what_is_measured_hardly_depends_on_how_often_landmarks_are_looked_for(
    monkeypatch: pytest.MonkeyPatch,
):
    """Expressions of the synthetic clip reach the same positions with landmarks in every frame and where needed."""
    clip = list(Synthetic.parse("synthetic:seconds=8").read())

    def positions() -> tuple[NDArray[np.float32], int]:
        mesh = Counting()
        estimator = MotionEstimator(FaceTracker(mesh, 1), LAYOUTS["face17"])
        found = [one for frame in clip for one in estimator.push(frame)]
        estimator.close()
        moved = [one.motion.displacement for one in found if isinstance(one, FaceMotion)]
        return np.cumsum(moved, axis=0), len(mesh.asked)

    seldom, few = positions()
    for patience in ("_GAP", "_LOOK", "_REST"):
        monkeypatch.setattr(fuse, patience, 0.0)
    always, all_of_them = positions()
    assert few < 0.75 * all_of_them == 0.75 * len(clip)
    assert np.abs(always).max() > 0.1
    assert np.quantile(np.abs(seldom - always), 0.99) < 0.02


def test_a_light_that_is_switched_moves_no_face(portrait: Frame, estimator: MotionEstimator) -> None:
    """A lamp goes off: flow that has lost most of the head is not sure of what is left; landmarks say the rest."""
    rng = np.random.default_rng(0)
    moved, sure = [], []
    for frame in shown(portrait, 32):
        light = portrait.image * (0.3 if frame.index >= 25 else 1.0) + rng.normal(0, 2, portrait.image.shape)
        dark = replace(frame, image=np.clip(light, 0, 255).astype(np.uint8))
        for one in estimator.push(dark):
            if isinstance(one, FaceMotion):
                moved.append(np.abs(one.motion.displacement).max())
                sure.append(one.motion.quality)
    assert max(moved) < 0.08
    assert min(sure[10:]) < 0.1 < sure[-1]


def elsewhere(portrait: Frame, shift: int = 0) -> Frame:
    """Return somebody else in another place: darker, narrower, turned round, and so far to the right."""
    face = cv2.resize(portrait.image[:, ::-1] // 2, (512, 480))
    room = np.full_like(portrait.image, 250)
    room[::60] = room[:, ::60] = 0
    left, wide = 200 + shift, 240
    room[:, left : left + wide] = face[:, 136 : 136 + wide]
    return replace(portrait, image=room)


@pytest.mark.parametrize(("shift", "reason", "ticks"), [(0, "scene cut", 58), (190, "face lost", 43)])
def test_who_is_there_after_a_cut_is_somebody_else(
    estimator: MotionEstimator, portrait: Frame, shift: int, reason: str, ticks: int
) -> None:
    """Also at the same place, where it is known at once; elsewhere who was there is waited for. No leap is motion."""
    frames = shown(portrait, 30) + shown(elsewhere(portrait, shift), 30, first=30)
    seen = [one for frame in frames for one in estimator.push(frame)]
    assert [one for one in seen if isinstance(one, SegmentEnd)] == [SegmentEnd(0, reason)]
    moved = [one for one in seen if isinstance(one, FaceMotion)]
    assert [one.face for one in moved] == [0] * 30 + [1] * (len(moved) - 30)
    assert len(moved) >= ticks
    assert max(np.abs(one.motion.displacement).max() for one in moved) < 0.02


def test_a_single_picture_of_something_else_changes_nothing(
    estimator: MotionEstimator, portrait: Frame
) -> None:
    """A flash, or a picture of another scene that a faulty stream slips in, is as good as lost."""
    frames = shown(portrait, 60)
    for strange in (25, 40):
        frames[strange] = replace(elsewhere(portrait), index=strange, pts=strange / 30)
    seen = [one for frame in frames for one in estimator.push(frame)]
    assert ticks(seen) == list(range(60))
    assert {one.face for one in seen} == {0}
    assert max(np.abs(one.motion.displacement).max() for one in seen if isinstance(one, FaceMotion)) < 0.02


@pytest.mark.parametrize("between", [1, 3, 8])
def test_a_cut_through_black_is_one(estimator: MotionEstimator, portrait: Frame, between: int) -> None:
    """Pictures that show nothing do not make the next scene that of before."""
    black = replace(portrait, image=np.zeros_like(portrait.image))
    frames = shown(portrait, 30) + shown(black, between, first=30)
    frames += shown(elsewhere(portrait), 30, first=30 + between)
    seen = [one for frame in frames for one in estimator.push(frame)]
    assert [one for one in seen if isinstance(one, SegmentEnd)] == [SegmentEnd(0, "scene cut")]


def test_a_cut_is_seen_where_one_array_holds_every_picture(
    estimator: MotionEstimator, portrait: Frame
) -> None:
    """A camera's own memory is written over by the next picture."""
    memory = portrait.image.copy()
    ends = []
    for frame in shown(portrait, 20) + shown(elsewhere(portrait), 20, first=20):
        memory[:] = frame.image
        ends += [one for one in estimator.push(replace(frame, image=memory)) if isinstance(one, SegmentEnd)]
    assert ends == [SegmentEnd(0, "scene cut")]


def moved(picture: Frame, right: float) -> Frame:
    """Return the picture shifted so many pixels to the right."""
    by = np.array([[1, 0, right], [0, 1, right / 2]])
    shape = picture.image.shape[1::-1]
    return replace(picture, image=cv2.warpAffine(picture.image, by, shape, borderMode=cv2.BORDER_REPLICATE))


@pytest.mark.parametrize("fps", [10, 15])
def test_a_swaying_camera_makes_nobody_somebody_else(
    estimator: MotionEstimator, portrait: Frame, fps: int
) -> None:
    """A phone in the hand of who walks: farther from picture to picture than flow reaches."""
    frames = [
        replace(moved(portrait, 35 * np.sin(4 * np.pi * i / fps)), index=i, pts=i / fps)
        for i in range(3 * fps)
    ]
    seen = [one for frame in frames for one in estimator.push(frame)]
    assert {one.face for one in seen} == {0}
    assert not [one for one in seen if isinstance(one, SegmentEnd)]
    assert len(ticks(seen)) > 80


@pytest.mark.parametrize("speed", [40, 90, 200])
def test_who_passes_in_front_takes_nobodys_number(
    estimator: MotionEstimator, portrait: Frame, speed: int
) -> None:
    """Also when the last picture of the face shows it half hidden, and the first one after that a free view."""
    rng = np.random.default_rng(0)
    cloth = cv2.resize(rng.integers(20, 200, (12, 8, 3), np.uint8), (300, 480), interpolation=cv2.INTER_CUBIC)
    frames = shown(portrait, 75)
    for number, frame in enumerate(frames[30:]):
        left = max(number * speed - 300, 0)
        part = cloth[:, -(number * speed) :] if number * speed < 300 else cloth
        image = portrait.image.copy()
        image[:, left : left + part.shape[1]] = part[:, : max(640 - left, 0)]
        frames[30 + number] = replace(frame, image=image)
    seen = [one for frame in frames for one in estimator.push(frame)]
    assert {one.face for one in seen} == {0}
    assert not [one for one in seen if isinstance(one, SegmentEnd)]


def test_who_turns_up_elsewhere_after_a_cut_has_one_number(portrait: Frame) -> None:
    """Where there is a free place: at once, and it is the same number from then on."""
    estimator = MotionEstimator.open(LAYOUTS["face17"], faces=2)
    frames = shown(portrait, 30) + shown(elsewhere(portrait, 190), 40, first=30)
    seen = [one for frame in frames for one in estimator.push(frame)]
    estimator.close()
    assert {one.face for one in seen} == {0, 1}
    assert [one for one in seen if isinstance(one, SegmentEnd)] == [SegmentEnd(0, "face lost")]
    assert sum(one.face == 1 for one in seen) > 30


@pytest.mark.parametrize("hidden", [2, 7, 14])
def test_who_is_hidden_all_at_once_is_the_same(
    estimator: MotionEstimator, portrait: Frame, nobody: Frame, hidden: int
) -> None:
    """Also where hardly anything else is in the picture."""
    plain = nobody.image.copy()
    plain[60:420, 140:500] = portrait.image[60:420, 140:500]
    frames = shown(replace(portrait, image=plain), 60)
    frames[30 : 30 + hidden] = shown(nobody, hidden, first=30)
    seen = [one for frame in frames for one in estimator.push(frame)]
    assert ticks(seen) == list(range(60))
    assert {one.face for one in seen} == {0}


def test_a_lamp_on_one_side_is_no_cut(estimator: MotionEstimator, portrait: Frame) -> None:
    """It is the same person in the same room when the light comes from the other side all at once."""
    slope = np.linspace(0.1, 1.0, portrait.image.shape[1])[:, None]
    lit = [replace(portrait, image=(portrait.image * by).astype(np.uint8)) for by in (slope, slope[::-1])]
    frames = shown(lit[0], 30) + shown(lit[1], 30, first=30)
    seen = [one for frame in frames for one in estimator.push(frame)]
    assert {one.face for one in seen} == {0}
    assert not [one for one in seen if isinstance(one, SegmentEnd)]


def test_nobody_else_ends_when_one_of_two_goes(portrait: Frame) -> None:
    """One of two people side by side is gone from one picture to the next; half of the picture is another one."""
    half = np.ascontiguousarray(portrait.image[:, 80:560])
    two, one = np.hstack([half, half]), np.hstack([half, np.full_like(half, 20)])
    estimator = MotionEstimator.open(LAYOUTS["face17"], faces=2)
    frames = shown(replace(portrait, image=two), 30) + shown(replace(portrait, image=one), 30, first=30)
    seen = [item for frame in frames for item in estimator.push(frame)]
    estimator.close()
    (end,) = [item for item in seen if isinstance(item, SegmentEnd)]
    assert end.reason == "face lost"
    stays = 1 - end.face
    assert [item.motion.tick for item in seen if item.face == stays] == list(range(60))
