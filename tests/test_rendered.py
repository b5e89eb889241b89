"""Rendered heads: pictures that move as smoothly as what they show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from experiments.shipped.actors import FIRST_SEED, Actor
from experiments.shipped.heads import SIZE, HeadModel, RenderedPerson
from experiments.shipped.rasterise import at_once, one_by_one, rasterise
from experiments.strangers.people import FIRST_SEED as STRANGERS
from experiments.strangers.people import Notes, Stranger
from streamspot.face.detectors import make_detector
from streamspot.face.sight import Sight
from streamspot.face.tracker import FaceTracker


@pytest.fixture
def model(data: Path) -> HeadModel:
    """Return the face model, or skip where it is not on this machine."""
    if not (data / "face_models" / "ict_facekit_light.npz").is_file():
        pytest.skip("the face model ICT-FaceKit is not on this machine")
    return HeadModel.load(data / "face_models")


def test_a_tenth_of_a_pixel_shows() -> None:
    """A surface moved by a fraction of a pixel changes by just that fraction."""
    corners = np.array([(50, 50, 0), (53, 50, 0), (53, 53, 0), (50, 53, 0)], np.float32)
    triangles = np.array([(0, 2, 1), (0, 3, 2)])
    first, values = rasterise(corners, triangles, corners[:, :2], SIZE)
    moved = corners + np.array((0.1, 0, 0), np.float32)
    second, later = rasterise(moved, triangles, corners[:, :2], SIZE)
    both = first & second
    assert both.sum() >= 9
    np.testing.assert_allclose((values - later)[both][:, 0], 0.1, atol=1e-4)
    np.testing.assert_allclose((values - later)[both][:, 1], 0.0, atol=1e-4)


def test_the_nearer_surface_hides_the_farther() -> None:
    """A triangle nearer to the camera is seen wherever it covers another."""
    one = np.array([(50, 50, 0), (60, 50, 0), (50, 60, 0)], np.float32)
    points = np.concatenate((one, one + np.array((0, 0, 1), np.float32)))
    colour = np.array([[1], [1], [1], [2], [2], [2]], np.float32)
    for triangles in ([(0, 2, 1), (3, 5, 4)], [(3, 5, 4), (0, 2, 1)]):
        covered, values = rasterise(points, np.array(triangles), colour, SIZE)
        np.testing.assert_allclose(values[covered], 2, atol=1e-4)


def test_compiled_code_draws_the_same() -> None:
    """Triangles one by one, as compiled code draws them, make the picture that all at once make."""
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.uniform(2, 62, (30, 2)), rng.uniform(0, 9, (30, 1))], 1).astype(np.float32)
    points[1::3] = points[::3] + rng.uniform(-5, 5, (10, 3))
    points[2::3] = points[::3] + rng.uniform(-5, 5, (10, 3))
    points[:, :2] = points[:, :2].clip(1, 62)
    triangles, colour = np.arange(30).reshape(-1, 3), rng.uniform(0, 1, (30, 2)).astype(np.float32)
    (one, first), (two, second) = (draw(points, triangles, colour, 64) for draw in (at_once, one_by_one))
    assert one.any()
    assert (one == two).mean() > 0.999
    assert (np.abs(first - second).max(-1) < 1e-3).mean() > 0.995


def test_what_is_known_of_a_stranger_is_kept(model: HeadModel, tmp_path: Path) -> None:
    """A stranger shows what the notes say, and notes are read back as they were written."""
    people = [Stranger(model, STRANGERS + number, 4.0) for number in range(3)]
    for person in people:
        person.notes().save(tmp_path / "notes.json")
        assert Notes.load(tmp_path / "notes.json") == person.notes()
        for one in person.expressions:
            assert np.abs(person.position[one.instance.apex]).max() > 0
        assert not person.expressions or not person.context.startswith("nothing")


def test_a_seed_is_a_clip(model: HeadModel) -> None:
    """A seed gives the same person, expressions and pictures again, and another seed another."""
    one, same, other = (RenderedPerson(model, seed) for seed in (3, 3, 4))
    first, again, different = (next(clip.frames()).image for clip in (one, same, other))
    assert one.instances == same.instances
    assert (first == again).all()
    assert (first != different).any()
    for clip in (one, other):
        for instance in clip.instances:
            assert 0 <= instance.onset < instance.apex <= instance.offset < 180
            assert instance.kind == "macro" or instance.offset - instance.onset < 15


def test_an_actor_moves_as_the_truth_says(model: HeadModel) -> None:
    """A seed is one performance, and its expressions show where the truth has them."""
    actor, same = (Actor(model, FIRST_SEED + 4, 12.0) for _ in range(2))
    assert (next(actor.frames()).image == next(same.frames()).image).all()
    assert [one for one, _ in actor.acted] == [one for one, _ in same.acted]
    inside = np.zeros(len(actor.position), bool)
    for one, course in actor.acted:
        assert len(course) == one.offset - one.onset + 1
        assert np.abs(actor.position[one.apex]).max() > 0.05
        inside[max(0, one.onset - 10) : one.offset + 15] = True
    assert actor.acted
    assert not inside.all()


@pytest.mark.parametrize(("axis", "degrees", "turned"), [(0, 20, False), (0, -48, True), (1, 18, False)])
def test_a_turned_head_is_said(model: HeadModel, axis: int, degrees: float, turned: bool) -> None:
    """A head is called turned where it truly is by more than 35 degrees, and not where by 20."""
    clip = RenderedPerson(model, 5, seconds=2)
    clip._pose[:] = (0, 0, 0, 0, 0, 1)
    clip._pose[:, axis] = np.radians(np.minimum(np.arange(60) * 2, abs(degrees)) * np.sign(degrees))
    tracker, sight = FaceTracker(make_detector(1), 1), Sight()
    for index in range(0, 60, 2):
        frame = clip._shot(index, clip.picture(index))
        faces = tracker.track(frame)
        sight.look(frame, faces[0] if faces else None, 1.0)
    tracker.close()
    assert (sight.trouble == "turned") is turned
