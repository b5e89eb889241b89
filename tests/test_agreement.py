"""Agreement of two coders: what both have seen, frame by frame and expression by expression, with Cohen's kappa."""

from __future__ import annotations

import numpy as np
import pytest

from streamspot.review.agreement import compare, kappa
from streamspot.review.labels import GivenLabel, Labels


def _label(
    name: str, kind: str, point: int, onset: int | None = None, offset: int | None = None
) -> GivenLabel:
    return GivenLabel(id=name, kind=kind, point=point, onset=onset, offset=offset)  # type: ignore[arg-type]


def test_kappa_is_that_of_scikit_learn_and_of_cohens_hand() -> None:
    """A published 2 x 2 table, a random one against the library's, and the case in which it is not defined."""
    one = [1] * 25 + [0] * 25
    other = [1] * 20 + [0] * 5 + [1] * 10 + [0] * 15  # 35 of 50 agree, 25 by chance
    assert kappa(one, other) == pytest.approx((0.7 - 0.5) / 0.5)
    assert kappa([0, 0, 0], [0, 0, 0]) is None
    assert kappa([], []) is None
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 3, (2, 500))
    assert kappa(one, other) == pytest.approx(metrics.cohen_kappa_score(one, other))


def test_coders_who_mark_different_faces_do_not_agree() -> None:
    """Of several faces each is compared by itself; where one face alone is named it is the only one."""

    def labelled(*faces: int | None) -> dict[str, Labels]:
        given = (_label(f"{n}", "macro", 15, 10, 19) for n in range(len(faces)))
        of = [one.model_copy(update={"face": face}) for one, face in zip(given, faces, strict=True)]
        return {"a": Labels(tuple(of))}

    apart = compare(labelled(0), labelled(1), {"a": 100})
    assert (apart.videos, apart.frames, apart.expressions) == (1, 200, (1, 1))
    assert (apart.matched, apart.shared) == (0, 0.0)
    assert apart.kappa is not None
    assert apart.kappa < 0
    same = compare(labelled(0, 1), labelled(1, 0), {"a": 100})
    assert (same.kappa, same.matched, same.shared) == (1.0, 2, 1.0)
    assert compare(labelled(0), labelled(None), {"a": 100}).kappa == 1.0


def test_what_marks_no_frame_does_not_change_the_agreement() -> None:
    """Neither a rejected event of another face nor a label behind the last frame."""
    ann = (_label("1", "macro", 15, 10, 19), _label("2", "macro", 40, 35, 44))
    ben = (_label("1", "macro", 18, 13, 22), _label("2", "macro", 70, 65, 74))
    one, other = (tuple(label.model_copy(update={"face": 0}) for label in of) for of in (ann, ben))
    rejected = _label("3", "rejected", 50).model_copy(update={"face": 1})
    behind = _label("4", "macro", 140, 130, 149).model_copy(update={"face": 0})
    plain = compare({"a": Labels(one)}, {"a": Labels(other)}, {"a": 100})
    more = compare({"a": Labels((*one, behind))}, {"a": Labels((*other, rejected, behind))}, {"a": 100})
    assert more == plain


def test_a_point_pairs_with_the_stretch_it_lies_in() -> None:
    """Also with a long one, after the pairs of two stretches; it says nothing of how much they overlap."""
    points = Labels((_label("1", "macro", 30), _label("2", "micro", 135)))
    stretches = Labels((_label("1", "macro", 50, 10, 69), _label("2", "macro", 130, 100, 134)))
    found = compare({"a": points}, {"a": stretches}, {"a": 200})
    assert (found.points, found.matched, found.same_kind, found.overlap) == ((2, 0), 1, 1, None)
    mixed = Labels((_label("1", "macro", 40), _label("2", "macro", 40, 10, 49)))
    found = compare({"a": mixed}, {"a": stretches}, {"a": 200})
    assert (found.points, found.matched, found.overlap) == ((1, 0), 1, 40 / 60)


def test_two_coders_are_compared_on_what_both_have_seen() -> None:
    """Frames of which one is unsure do not count; expressions are paired one-to-one, the closest first."""
    first = {
        "a": Labels(
            (
                _label("1", "macro", 15, 10, 19),
                _label("2", "macro", 65, 60, 69),
                _label("3", "unsure", 90, 85, 94),
            )
        ),
        "only": Labels((_label("1", "macro", 15, 10, 19),)),
    }
    second = {
        "a": Labels((_label("1", "micro", 15, 10, 19), _label("2", "macro", 67, 65, 74))),
        "b": Labels(seen=True),
    }
    found = compare(first, second, {"a": 100, "b": 50})
    assert (found.videos, found.frames) == (1, 90)
    assert (found.expressions, found.matched, found.same_kind, found.overlap) == ((2, 2), 1, 0, 1.0)
    assert found.shared == pytest.approx(15 / 25)
    tracks = np.zeros((2, 90), int)  # frames 85 to 94 are left out
    tracks[0, 10:20], tracks[0, 60:70], tracks[1, 10:20], tracks[1, 65:75] = 1, 1, 2, 1
    assert found.kappa == pytest.approx(kappa(*tracks))
    same = compare(first, first, {"a": 100})
    assert (same.kappa, same.matched, same.overlap, same.shared) == (1.0, 2, 1.0, 1.0)
    assert compare(first, {"b": Labels(seen=True)}, {"a": 100, "b": 50}).kappa is None
