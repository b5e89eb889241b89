"""Promises of the face stage: who is who, and what happens when a face goes, comes back or cannot be found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from streamspot.errors import ModelError
from streamspot.face.align import CROP_EYES, Eyes, to_crop
from streamspot.face.detectors import FaceMesh, has_face_mesh, make_detector
from streamspot.face.tracker import FaceTracker, faces_to_find
from streamspot.types import Choice, Frame


class Scripted:
    """A detector that says what it is told."""

    name = "scripted"

    def __init__(self, script: list[list[NDArray[np.float32]]]) -> None:
        self._script = iter(script)

    def __call__(self, frame: Frame) -> list[NDArray[np.float32]]:
        return next(self._script)

    def close(self) -> None:
        """Do nothing."""


def mesh(x: float, y: float = 200.0, size: float = 60.0) -> NDArray[np.float32]:
    """Return a mesh whose eyes are ``size`` apart around (x, y)."""
    points = np.random.default_rng(0).normal(0, size / 2, (468, 3)) + np.array([x, y, 0])
    for vertex, side in ((33, -0.5), (133, -0.5), (362, 0.5), (263, 0.5)):
        points[vertex] = (x + side * size, y, 0)
    return points.astype(np.float32)


def frames(count: int, step: float = 1 / 30) -> list[Frame]:
    """Return frames without pictures."""
    return [Frame(i, i * step, 0, np.zeros((4, 4, 3), np.uint8)) for i in range(count)]


def test_two_people_keep_their_numbers_when_the_detector_swaps_them():
    """The order in which faces are found does not matter."""
    a, b = mesh(100), mesh(400)
    tracker = FaceTracker(Scripted([[a, b], [b, a], [mesh(395), mesh(104)]]), faces=2)
    for frame in frames(3):
        faces = tracker.track(frame)
        assert [face.track for face in faces] == [0, 1]
        assert faces[0].landmarks[33, 0] < faces[1].landmarks[33, 0]


def test_a_short_loss_keeps_the_number_and_a_long_one_does_not():
    """Half a second without a face ends its track."""
    there = mesh(100)
    tracker = FaceTracker(Scripted([[there], [], [there], *[[]] * 20, [there]]))
    seen = [[face.track for face in tracker.track(frame)] for frame in frames(24)]
    assert seen[0] == seen[2] == [0]
    assert seen[-1] == [1]


def test_somebody_else_at_the_other_side_is_somebody_else():
    """A face that jumps across the picture is a new person, who takes no place before it is free."""
    tracker = FaceTracker(Scripted([[mesh(100)], *[[mesh(500)]] * 20]))
    numbers = [[face.track for face in tracker.track(frame)] for frame in frames(21)]
    assert numbers == [[0], *[[]] * 15, *[[1]] * 5]


@pytest.mark.parametrize("hidden", [1, 2, 5, 11])
def test_nobody_takes_the_place_of_who_is_hidden_for_a_moment(hidden: int):
    """A detector of one face finds who stands behind and would stay with him; it is shown pictures without him."""

    class Loyal:
        """Stays with whom it has found as long as he is to be seen."""

        name = "loyal"

        def __init__(self) -> None:
            self._with: int | None = None

        def __call__(self, frame: Frame) -> list[NDArray[np.float32]]:
            there = {x: frame.image[200, x, 0] > 0 for x in (150, 480)}
            if self._with is None or not there[self._with]:
                lost, self._with = self._with, next((x for x in there if there[x]), None)
                if lost is not None:  # it looks for others in the next picture
                    return []
            return [] if self._with is None else [mesh(self._with)]

        def close(self) -> None:
            """Do nothing."""

    tracker = FaceTracker(Loyal())
    numbers = []
    for n in range(40):
        image = np.full((480, 640, 3), 90, np.uint8)
        if 10 <= n < 10 + hidden:
            image[:, 50:250] = 0
        numbers.append([face.track for face in tracker.track(Frame(n, n / 30, 0, image))])
    assert {track for found in numbers for track in found} == {0}
    assert numbers[20 + hidden :] == [[0]] * (20 - hidden)


@pytest.mark.parametrize("hidden", [(), (9, 10, 11), (7, 8, 9, 10, 11, 12, 13)])
def test_two_people_who_cross_keep_their_numbers(hidden: tuple[int, ...]):
    """They pass each other at 600 pixels a second; the one behind may be hidden for a quarter of a second."""
    to_the_right = [mesh(100 + 20 * n) for n in range(25)]
    to_the_left = [mesh(500 - 20 * n, size=55) for n in range(25)]
    script = [
        [a] if n in hidden else [b, a] for n, (a, b) in enumerate(zip(to_the_right, to_the_left, strict=True))
    ]
    tracker = FaceTracker(Scripted(script), faces=2)
    for n, frame in enumerate(frames(25)):
        faces = tracker.track(frame)
        at = {face.track: Eyes.of(face.landmarks).x for face in faces}
        expected = {0: 100 + 20 * n} if n in hidden else {0: 100 + 20 * n, 1: 500 - 20 * n}
        if n == 0:
            swapped = at[0] > 300
        assert at == pytest.approx({key ^ swapped: x for key, x in expected.items()})


@pytest.mark.parametrize(
    ("choose", "followed"), [("first", [0, 0, 0, 0]), ("largest", [0, 0, 1, 1]), ("middle", [0, 0, 1, 1])]
)
def test_whom_to_follow_is_a_matter_of_choice(choose: Choice, followed: list[int]):
    """Who comes later is followed only if he is wanted more, and clearly; a little more changes nothing."""
    first, little, much = mesh(60, 60), mesh(265, 265, size=64), mesh(320, 240, size=90)
    if choose == "middle":
        little = mesh(360, 380)
        first, much = mesh(300, 400), mesh(320, 260)
    script = [[first], [first, little], [first, much], [much, first]]
    tracker = FaceTracker(Scripted(script), choose=choose)
    pictures = [Frame(i, i / 2.2, 0, np.zeros((480, 640, 3), np.uint8)) for i in range(4)]
    assert [tracker.track(frame)[0].track for frame in pictures] == followed


@pytest.mark.parametrize("choose", ["largest", "middle"])
def test_one_missed_look_leaves_nobody_in_anothers_place(choose: Choice):
    """Two sit side by side, as large and as near; the one who stands in for a picture is not followed by turns."""
    rng = np.random.default_rng(1)
    script = []
    for n in range(90):
        a, b = mesh(160 + rng.normal(0, 0.7), size=62 + rng.normal(0, 1)), mesh(480 + rng.normal(0, 0.7))
        script.append([b] if n == 30 else [a, b])
    tracker = FaceTracker(Scripted(script), choose=choose)
    pictures = [Frame(n, n / 30, 0, np.zeros((480, 640, 3), np.uint8)) for n in range(90)]
    followed = [tracker.track(frame)[0].track for frame in pictures]
    assert followed == [followed[0]] * 30 + [followed[30]] + [followed[0]] * 59


def test_only_who_may_be_chosen_is_looked_for():
    """Whoever was first stays found; for another choice the detector has to find more than are followed."""
    assert faces_to_find(1, "first") == 1
    assert faces_to_find(1, "largest") > 1


def test_the_largest_faces_win_and_faces_too_small_or_broken_are_left_out():
    """Of two who are there at once the one in front is followed; a few pixels and NaN landmarks never are."""
    broken = mesh(300)
    broken[5] = np.nan
    tracker = FaceTracker(Scripted([[mesh(100, size=30), mesh(400, size=80), mesh(200, size=5), broken]]))
    (face,) = tracker.track(frames(1)[0])
    assert Eyes.of(face.landmarks).distance == pytest.approx(80)


def test_the_aligned_crop_has_level_eyes_at_a_fixed_distance():
    """However near and tilted a face is, its crop is the same size and upright."""
    tilted = mesh(100)
    turn = np.array([[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]], np.float32) * 3
    tilted[:, :2] = tilted[:, :2] @ turn.T
    aligned = to_crop(Eyes.of(tilted).alignment(), tilted)
    assert Eyes.of(aligned).distance == pytest.approx(CROP_EYES, rel=1e-4)
    assert aligned[33, 1] == pytest.approx(aligned[263, 1], abs=1e-2)


@pytest.mark.skipif(not has_face_mesh(), reason="this MediaPipe has no FaceMesh")
def test_face_mesh_finds_the_portrait_and_nobody_in_an_empty_room(portrait: Frame, nobody: Frame):
    """The bundled weights find a face where there is one."""
    detector = FaceMesh(1)
    try:
        (found,) = detector(portrait)
        assert found.shape == (478, 3)
        assert 40 < Eyes.of(found).distance < 200
        assert detector(nobody) == []
    finally:
        detector.close()


@pytest.mark.skipif(not has_face_mesh(), reason="this MediaPipe has no FaceMesh")
def test_the_graph_run_directly_gives_the_library_s_own_landmarks(portrait: Frame):
    """Neither the short way to the graph nor the fast reader changes a bit of what MediaPipe's FaceMesh finds."""
    from mediapipe.python.solutions.face_mesh import FaceMesh as Wrapped

    height, width = portrait.image.shape[:2]
    detector, library = FaceMesh(1), Wrapped(max_num_faces=1, refine_landmarks=True)
    try:
        for _ in range(3):
            (found,) = detector(portrait)
            (face,) = library.process(portrait.image[..., ::-1].copy()).multi_face_landmarks
            expected = np.array([(p.x, p.y, p.z) for p in face.landmark], np.float32)
            np.testing.assert_array_equal(found, expected * np.array([width, height, width], np.float32))
    finally:
        detector.close()
        library.close()


def test_a_face_model_that_is_missing_or_damaged_is_named(tmp_path: Path):
    """The path and the remedy stand in the sentence."""
    with pytest.raises(ModelError, match=r"no\.task"):
        make_detector(1, tmp_path / "no.task")
    (tmp_path / "bad.task").write_bytes(b"nonsense")
    with pytest.raises(ModelError, match=r"bad\.task"):
        make_detector(1, tmp_path / "bad.task")
