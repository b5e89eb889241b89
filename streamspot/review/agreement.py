"""How far two coders agree: Cohen's kappa frame by frame, and how much their expressions overlap."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from streamspot.datasets.annotations import AROUND
from streamspot.evaluation.matching import MIN_IOU
from streamspot.review.labels import GivenLabel, Labels
from streamspot.spotting.overlap import Span, iou
from streamspot.types import KINDS

_UNSURE = len(KINDS) + 1


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two coders agree on the videos that both have coded.

    Attributes:
        videos: How many these are.
        frames: Frames in them of which neither is unsure; of several faces, those of each.
        kappa: Cohen's kappa of the frames' categories (none, macro, micro); None where both use one category alone.
        expressions: How many the first and the second coder marked.
        points: How many of these are points alone.
        matched: Pairs that overlap by at least half, one-to-one, the closest first; then points that the other's
            stretches hold.
        same_kind: Pairs of these that are of one kind.
        overlap: Mean intersection over union of the pairs, but those of a point and a stretch; None without any.
        shared: Frames that both mark, of those that at least one marks; 0 without any.
    """

    videos: int
    frames: int
    kappa: float | None
    expressions: tuple[int, int]
    points: tuple[int, int]
    matched: int
    same_kind: int
    overlap: float | None
    shared: float


def kappa(one: Sequence[int] | NDArray[np.int_], other: Sequence[int] | NDArray[np.int_]) -> float | None:
    """Return Cohen's kappa of two lists of categories; None without items, or where chance alone agrees fully.

    Example:
        >>> kappa([0, 0, 1, 1], [0, 1, 1, 1])
        0.5
    """
    first, second = np.asarray(one), np.asarray(other)
    if not first.size:
        return None
    agreed = float(np.mean(first == second))
    chance = sum(float(np.mean(first == c) * np.mean(second == c)) for c in np.union1d(first, second))
    return None if chance >= 1 else (agreed - chance) / (1 - chance)


def compare(one: Mapping[str, Labels], other: Mapping[str, Labels], frames: Mapping[str, int]) -> Agreement:
    """Compare two coders; in a video of several labelled faces each face by itself, as if it were a video.

    Args:
        one: The first one's labels, by video.
        other: The second one's.
        frames: Number of frames of each video; what lies behind them is left out.
    """
    videos = sorted(one.keys() & other.keys() & frames.keys())
    kept, pairs = [], list[tuple[GivenLabel, GivenLabel, float | None]]()
    marked: tuple[list[GivenLabel], list[GivenLabel]] = [], []
    for video in videos:
        for both in _by_face(*(_counted(each[video], frames[video]) for each in (one, other))):
            tracks = np.stack([_track(labels, frames[video]) for labels in both])
            kept.append(tracks[:, (tracks != _UNSURE).all(0)])
            sides = [[label for label in labels if label.kind in KINDS] for labels in both]
            for every, side in zip(marked, sides, strict=True):
                every.extend(side)
            pairs += _pairs(*sides)
    first, second = np.concatenate(kept, axis=1) if kept else np.zeros((2, 0), int)
    either = np.count_nonzero((first > 0) | (second > 0))
    overlaps = [common for *_, common in pairs if common is not None]
    return Agreement(
        videos=len(videos),
        frames=len(first),
        kappa=kappa(first, second),
        expressions=(len(marked[0]), len(marked[1])),
        points=(sum(map(_is_point, marked[0])), sum(map(_is_point, marked[1]))),
        matched=len(pairs),
        same_kind=sum(a.kind == b.kind for a, b, _ in pairs),
        overlap=float(np.mean(overlaps)) if overlaps else None,
        shared=float(np.count_nonzero((first > 0) & (second > 0)) / either) if either else 0.0,
    )


def _counted(labels: Labels, frames: int) -> list[GivenLabel]:
    """Return the labels that name an expression, or perhaps one, up to the last of so many frames."""
    first = ((label, label.point if label.onset is None else label.onset) for label in labels.given)
    return [label.within(frames - 1) for label, at in first if at < frames and label.kind != "rejected"]


def _by_face(*both: Sequence[GivenLabel]) -> list[list[Sequence[GivenLabel]]]:
    """Return the labels of each coder, face by face where they name several; those that name none by themselves."""
    faces = {label.face for labels in both for label in labels}
    if len(faces - {None}) < 2:
        return [list(both)]
    return [[[label for label in labels if label.face == face] for labels in both] for face in faces]


def _is_point(label: GivenLabel) -> bool:
    return label.onset is None


def _span(label: GivenLabel) -> Span:
    if label.onset is not None and label.offset is not None:
        return label.onset, label.offset + 1
    around = AROUND.get(label.kind, AROUND["micro"])
    return max(0, label.point - around), label.point + around + 1


def _track(labels: Iterable[GivenLabel], frames: int) -> NDArray[np.int_]:
    """Return the category of each frame: 0 none, 1 macro, 2 micro, 3 unsure."""
    track = np.zeros(frames, int)
    for category, kind in enumerate((*KINDS, "unsure"), start=1):
        for label in labels:
            if label.kind == kind:
                start, end = _span(label)
                track[int(start) : int(end)] = category
    return track


def _pairs(
    mine: Sequence[GivenLabel], theirs: Sequence[GivenLabel]
) -> list[tuple[GivenLabel, GivenLabel, float | None]]:
    """Return the expressions that overlap by at least half, one-to-one, the closest first, and by how much.

    Then follow points that lie within the other's stretches, whose overlap nobody knows.
    """
    near = [(a, b, iou(_span(a), _span(b)), _is_point(a) != _is_point(b)) for a, b in product(mine, theirs)]
    free = {label.id for label in mine}, {label.id for label in theirs}
    pairs = []
    for a, b, common, mixed in sorted(near, key=lambda pair: (pair[3], -pair[2])):
        if (_holds(a, b) if mixed else common >= MIN_IOU) and a.id in free[0] and b.id in free[1]:
            free[0].discard(a.id)
            free[1].discard(b.id)
            pairs.append((a, b, None if mixed else common))
    return pairs


def _holds(one: GivenLabel, other: GivenLabel) -> bool:
    """Tell whether the one that is a stretch holds the point of the other."""
    point, stretch = (one, other) if _is_point(one) else (other, one)
    start, end = _span(stretch)
    return start <= point.point < end
