"""Promises of the motion stage: what a head does is not an expression, and no frame rate hides in the numbers."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamspot.errors import SettingsError
from streamspot.face.align import CROP_EYES
from streamspot.motion.flow import FLOWS, make_flow
from streamspot.motion.follow import Follower
from streamspot.motion.fuse import MotionFusion
from streamspot.motion.grid import TickGrid
from streamspot.motion.head import RIGID, PoseNormaliser, fit_rigid, rigid_basis
from streamspot.motion.regions import LAYOUTS, layout
from streamspot.types import TICK_RATE, Face, Frame, RegionMotion

MESH = np.random.default_rng(5).normal(0.0, 0.6, (478, 3)).astype(np.float32)


def test_an_unknown_layout_is_answered_with_the_known_ones():
    """A mistyped layout names the choices."""
    with pytest.raises(SettingsError, match="paper10"):
        layout("paper11")


def test_every_layout_begins_with_the_ten_regions_of_the_paper():
    """Weights for the paper's regions can be fed from any layout by leaving columns out."""
    ten = LAYOUTS["paper10"].vertices
    assert len(ten) == 10
    assert all(other.vertices[:10] == ten for other in LAYOUTS.values())


@given(
    st.lists(st.floats(0.002, 0.4), min_size=2, max_size=60),
    st.floats(0.0, 5.0),
)
def test_any_frame_rate_gives_the_same_ticks(steps: list[float], origin: float):
    """A curve that is linear in time comes out linear on the 30 Hz grid, however its frames are spaced."""
    grid = TickGrid(origin)
    times = origin + np.concatenate([[0.0], np.cumsum(steps)])
    seen = []
    for index, at in enumerate(times):
        value = np.array([3.0 * (at - origin)], np.float32)
        seen += [(tick, pts, float(v[0])) for tick, pts, _, v in grid.push(float(at), index, value)]
    ticks = [tick for tick, _, _ in seen]
    assert ticks == list(range(int((times[-1] - origin) * TICK_RATE + 1e-6) + 1))
    for tick, pts, value in seen:
        assert pts == pytest.approx(origin + tick / TICK_RATE)
        assert value == pytest.approx(3.0 * tick / TICK_RATE, abs=1e-4)


def _turned(mesh: np.ndarray, yaw: float, pitch: float) -> np.ndarray:
    cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]]) @ np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    return mesh @ turn.T.astype(np.float32)


@given(st.floats(-0.5, 0.5), st.floats(-0.4, 0.4), st.floats(0.5, 2.0))
def test_a_turned_or_nearer_head_is_no_expression(yaw: float, pitch: float, scale: float):
    """A mesh that only turns, nods, nears or shifts keeps the positions of its reference pose."""
    points = MESH[np.concatenate([RIGID, LAYOUTS["face17"].vertices])]
    normalise = PoseNormaliser(points)
    rest = normalise(points)
    moved = normalise(_turned(points, yaw, pitch) * np.float32(scale) + 7.0)
    np.testing.assert_allclose(moved, rest, atol=1e-3)


def test_the_flow_of_a_turning_head_is_explained_though_a_hand_covers_it():
    """A small rotation is found exactly from the flow at rigid points, a third of which a hand has moved."""
    points = MESH[RIGID]
    flow = (_turned(points, 0.02, -0.015) - points)[:, :2]
    basis = rigid_basis(points)
    covered = flow.copy()
    covered[::3] += 0.5
    head, _ = fit_rigid(basis, covered)
    left = np.abs(flow - basis @ head)
    left[::3] = 0
    assert left.max() < 2e-3


def _texture(contrast: float) -> np.ndarray:
    noise = np.random.default_rng(0).random((40, 40)).astype(np.float32)
    return (np.kron(noise, np.ones((4, 4))) * contrast).astype(np.uint8)


GRID = (
    np.stack(np.meshgrid(np.arange(20, 140, 8), np.arange(20, 140, 8)), -1).reshape(-1, 2).astype(np.float32)
)


@pytest.mark.parametrize("name", FLOWS)
def test_every_flow_measures_a_shift_in_pixels(name: str):
    """A picture shifted by two pixels to the right has a flow of +2 in x, whichever method is chosen."""
    picture = _texture(255)
    read = make_flow(name)(picture, np.roll(picture, 2, axis=1), GRID)
    assert np.median(read, axis=0) == pytest.approx((2.0, 0.0), abs=0.3)


def test_a_face_in_dim_light_is_followed_too():
    """Where skin and its shades differ by two grey levels, no point is given up and the shift is the same."""
    picture = _texture(3)
    read = make_flow()(picture, np.roll(picture, 2, axis=1), GRID)
    assert not np.isnan(read).any()
    assert np.median(read, axis=0) == pytest.approx((2.0, 0.0), abs=0.3)


def _settling(images: list[np.ndarray], mesh: np.ndarray) -> list[RegionMotion]:
    """Measure a face whose landmarks converge in its first five frames, crops being the pictures' upper left."""
    fusion = MotionFusion(LAYOUTS["face17"], origin=0.0)
    motions = []
    for index, image in enumerate(images):
        frame = Frame(index, index / 30, 0, image)
        astray = np.float32(8 * max(0.0, 1 - index / 5)) * MESH
        fusion.follow(frame)
        motions += fusion.push(frame, Face(0, mesh + astray, np.eye(2, 3, dtype=np.float32)))
    assert [motion.tick for motion in motions] == list(range(len(images)))
    return motions


def test_grain_carries_nobody_away():
    """In three seconds of a still but grainy picture flow carries the regions no farther than in a tenth of one."""
    rng = np.random.default_rng(11)
    picture = np.tile(_texture(127), (2, 2)).astype(np.float32) + 60

    def frame(number: int) -> Frame:
        grey = (picture + rng.normal(0, 20, picture.shape)).clip(0, 255).astype(np.uint8)
        return Frame(number, number / 30, 0, cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR))

    mesh = (np.abs(MESH) * 40 + 30)[np.concatenate([RIGID, layout("face17").vertices])]
    follower = Follower(17, "lk")
    follower.lay(frame(0), Face(0, mesh, np.eye(2, 3, dtype=np.float32)), mesh)
    gone = np.zeros((91, 17, 2))
    for number in range(1, 91):
        step = follower.step(frame(number))
        follower.go(step)
        gone[number] = gone[number - 1] + step.own
    assert 0 < gone[80:].std() < 1.5 * gone[1:11].std()


def test_the_landmarks_of_a_new_face_may_settle():
    """A mesh that converges in the first 0.2 s moves nothing where the pictures do not; the first is unmeasured."""
    still = cv2.cvtColor(np.tile(_texture(255), (2, 2)), cv2.COLOR_GRAY2BGR)
    motions = _settling([still] * 24, np.abs(MESH) * 40 + 30)
    assert [motion.quality > 0 for motion in motions] == [False] + [True] * 23
    assert max(float(np.abs(motion.displacement).max()) for motion in motions) < 1e-3


def test_what_a_new_face_does_before_its_landmarks_settle_is_measured():
    """A mouth corner that moves in the first 0.2 s of a face has moved, and its rest is where it was at first."""
    layout = LAYOUTS["face17"]
    corner = layout.names.index("mouth_corner_left")
    mesh = np.random.default_rng(2).uniform((30, 25, -5), (130, 80, 5), (478, 3)).astype(np.float32)
    mesh[layout.vertices[corner]] = 80, 130, 0
    ground = np.tile(_texture(255), (2, 2))
    images = []
    for index in range(24):
        shift = min(index, 5)
        image = ground.copy()
        image[106:154, 56 + shift : 104 + shift] = ground[106:154, 56:104]
        images.append(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR))
    moved = np.cumsum([motion.displacement for motion in _settling(images, mesh)[:7]], axis=0)[-1]
    assert moved[corner] == pytest.approx((5 / CROP_EYES, 0.0), abs=0.02)
    assert np.abs(np.delete(moved, corner, axis=0)).max() < 0.01


def test_a_flow_that_is_unsure_moves_no_new_face():
    """Where flow says nothing, a face that has just appeared is still until its landmarks have settled."""
    rng = np.random.default_rng(4)
    noise = [rng.integers(0, 255, (240, 320, 3), np.uint8) for _ in range(6)]
    assert not any(motion.displacement.any() for motion in _settling(noise, np.abs(MESH) * 40 + 30))
