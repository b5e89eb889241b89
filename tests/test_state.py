"""Promises of the state: what a face does now follows from what was announced, and from nothing else."""

from __future__ import annotations

from brokers import make_event
from hypothesis import given
from hypothesis import strategies as st

from streamspot.state import fold
from streamspot.types import FaceMotion, FaceState, RegionMotion, Score, SegmentEnd


def _tick(face: int) -> FaceMotion:
    return FaceMotion(face, RegionMotion(0, 0.0, 0, None))  # type: ignore[arg-type]


def test_a_face_is_in_view_from_its_first_tick_to_the_end_of_its_segment():
    """It is neutral at first, and gone with its segment, whatever was going on."""
    faces = fold({}, [_tick(0)], [], [])
    assert faces == {0: FaceState()}
    faces = fold(faces, [_tick(0)], [(0, Score(0, 0.0, 0, 0.7, 0.9, 0.1))], [make_event(0, "onset")])
    assert (faces[0].state, faces[0].intensity) == ("macro", 0.7)
    assert fold(faces, [SegmentEnd(0, "face lost")], [], []) == {}


@given(st.lists(st.sampled_from(["onset", "apex", "offset", "cancelled"]), min_size=1))
def test_an_expression_goes_on_until_its_last_word(phases: list[str]):
    """The last phase announced decides; the expression's id and onset are there as long as it goes on."""
    faces: dict[int, FaceState] = {}
    for number, phase in enumerate(phases):
        faces = fold(faces, [], [], [make_event(number, phase)])
    (face,) = faces.values()
    ongoing = phases[-1] in {"onset", "apex"}
    assert (face.state != "neutral") == (face.expression is not None) == (face.since is not None) == ongoing


def test_what_was_told_before_is_not_changed():
    """Whoever keeps an old state keeps it as it was."""
    before = fold({}, [_tick(1)], [], [])
    kept = dict(before)
    fold(before, [_tick(2)], [(1, Score(0, 0.0, 0, 1.0, 0.0, 0.0))], [])
    assert before == kept
