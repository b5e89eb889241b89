"""Detections against annotated expressions: one-to-one, per class, in order of score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from streamspot.datasets.recording import Instance
from streamspot.spotting.overlap import iou
from streamspot.types import KINDS, Detection, Kind

Protocol = Literal["strict", "paper"]
"""How hits are counted, see ``overlap`` and ``match``."""

CLASSES: Mapping[str, tuple[Kind, ...]] = {"macro": ("macro",), "micro": ("micro",), "overall": KINDS}
"""The rows of every table of results, and the kinds that each counts."""

MIN_IOU = 0.5
"""Overlap from which on a detection has found an expression."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Hits and misses; the counts of several recordings add up.

    Attributes:
        tp: Detections that found an expression.
        fp: Detections that found none.
        fn: Expressions that were not found.
        apex_error: Sum of |detected - annotated apex| over the true positives, ticks.
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0
    apex_error: int = 0

    def __add__(self, other: Counts) -> Counts:
        """Return the sum, field by field."""
        return Counts(
            self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.apex_error + other.apex_error
        )

    @property
    def precision(self) -> float:
        """Share of detections that found an expression, 0 without detections."""
        return self.tp / max(1, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """Share of expressions that were found, 0 without expressions."""
        return self.tp / max(1, self.tp + self.fn)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, 0 if nothing was found."""
        return 2 * self.tp / max(1, 2 * self.tp + self.fp + self.fn)


def overlap(detection: Detection, instance: Instance, protocol: Protocol = "strict") -> float:
    """Return the intersection over union of a detection and an expression (Eq. 17).

    Of an expression of which only a point is known it is 1 where the point lies within the detection, else 0.

    ``strict`` counts frames, both ends inclusive. ``paper`` does what the paper's code does: the detection
    ends one behind its last frame, the expression at it, and lengths are end - start.

    Raises:
        ValueError: The detection has no offset yet.
    """
    if detection.offset is None:
        raise ValueError("only finished detections can be compared with an expression")
    if not instance.bounded:
        return float(detection.onset <= instance.stamp <= detection.offset)
    last = instance.offset + 1 if protocol == "strict" else instance.offset
    return iou((detection.onset, detection.offset + 1), (instance.onset, last))


def match(
    detections: Sequence[Detection], instances: Sequence[Instance], kind: Kind, protocol: Protocol = "strict"
) -> tuple[Counts, list[tuple[Detection, Instance | None]]]:
    """Match the detections of one class in one recording with its expressions.

    In order of score (ties: onset first) each detection takes the free expression that it overlaps most, if
    by at least half.

    Returns:
        The counts, and each detection with what it found.
    """
    free = [i for i in instances if i.kind == kind]
    total, found, error = len(free), 0, 0
    pairs: list[tuple[Detection, Instance | None]] = []
    mine = sorted((d for d in detections if d.kind == kind), key=lambda d: (-d.score, d.onset))
    for detection in mine:
        best = max(free, key=lambda i: overlap(detection, i, protocol), default=None)
        if best is None or overlap(detection, best, protocol) < MIN_IOU:
            pairs.append((detection, None))
            continue
        free.remove(best)
        found += 1
        error += abs((detection.onset if detection.apex is None else detection.apex) - best.apex)
        pairs.append((detection, best))
    return Counts(found, len(mine) - found, total - found, error), pairs


def count(
    detections: Sequence[Detection], instances: Sequence[Instance], protocol: Protocol = "strict"
) -> dict[Kind, Counts]:
    """Count both classes of one recording."""
    return {kind: match(detections, instances, kind, protocol)[0] for kind in KINDS}
