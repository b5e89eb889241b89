"""The decoder of the GIM paper (§3.6.3) for one hill of the curve: proposals, contrast, soft-NMS, NMS.

A hill is a stretch above the floor that no trough divides. Hills do not overlap, so intersections over
union across them are 0 and neither soft-NMS nor NMS crosses from one to the next: decoding hill by hill is
decoding the whole recording.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate

from streamspot.spotting.settings import SpotSettings
from streamspot.types import Kind

_KINDS: tuple[Kind, Kind] = ("macro", "micro")

MOST_PROPOSALS = 64
"""The most confident proposals of a hill are considered: soft-NMS is quadratic and a hill must stay cheap."""


@dataclass(slots=True)
class Hill:
    """Consecutive ticks above the floor, and the neutral ticks on either side.

    Attributes:
        start: Tick of the first value.
        before: Intensities just before, at most ``outer_ticks``; none at the recording's start, after
            a cut or after a trough.
        rest: The remainder of an expression that was cut: never an expression itself.
        beside: Whether a trough bounds it on either side.
        values: Intensities.
        macro: Probabilities of a macro-expression, one a value.
        micro: The same of a micro-expression.
    """

    start: int
    before: tuple[float, ...] = ()
    rest: bool = False
    beside: bool = False
    values: list[float] = field(default_factory=list)
    macro: list[float] = field(default_factory=list)
    micro: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A run of a hill taken for an expression; places are counted from the hill's first tick.

    Attributes:
        kind: Macro or micro.
        first: Place of the onset.
        apex: Place of the (first) highest value.
        last: Place of the offset, inclusive.
        score: Outer-inner contrast in [-1, 1].
        confidence: The score with the class probability weighed in, as soft-NMS left it.
    """

    kind: Kind
    first: int
    apex: int
    last: int
    score: float
    confidence: float

    def iou(self, other: Proposal) -> float:
        """Return intersection over union, both ends inclusive."""
        shared = min(self.last, other.last) - max(self.first, other.first) + 1
        if shared <= 0:
            return 0.0
        return shared / (self.last - self.first + other.last - other.first + 2 - shared)


def runs(values: Sequence[float], threshold: float) -> Iterator[tuple[int, int]]:
    """Yield the first and last place of each run of values above the threshold."""
    first = -1
    for place, value in enumerate(values):
        if value > threshold:
            if first < 0:
                first = place
        elif first >= 0:
            yield first, place - 1
            first = -1
    if first >= 0:
        yield first, len(values) - 1


def separable(hill: Hill, cut: int, settings: SpotSettings) -> bool:
    """Return whether the values before a trough last long enough to be an expression of the likelier kind."""
    if hill.rest:
        return True
    if not cut:
        return False
    apex = hill.values.index(max(hill.values[:cut]))
    kind: Kind = "micro" if hill.micro[apex] > hill.macro[apex] else "macro"
    return cut >= settings.lengths(kind, beside=True)[0]


def propose(hill: Hill, after: Sequence[float], settings: SpotSettings) -> tuple[list[Proposal], str]:
    """Return the admissible proposals of a hill, and why there is none.

    The contrast is Eq. 15 with L of Eq. 16, except that the outer mean is taken over the ticks that exist: a
    margin ends at the next hill and at the ends of the recording, and is not wider than ``outer_ticks``. The
    trough between two hills is in neither's margin: it is not neutral, so it says nothing about the contrast.
    Without any outer tick the outer mean is 0. Lengths and scores are filtered before soft-NMS: what cannot
    be reported shall not weaken what can. Beside a trough a proposal must last longer and may score less.
    """
    values, lead = hill.values, len(hill.before)
    total = (0.0, *accumulate((*hill.before, *values, *after)))
    spans = dict.fromkeys(span for level in settings.levels for span in runs(values, level))
    found: list[Proposal] = []
    kind_seen = length_seen = False
    for first, last in spans:
        length = last - first + 1
        kinds: list[tuple[Kind, float]] = []
        apex = -1
        for kind in _KINDS:
            least, greatest = settings.lengths(kind, beside=hill.beside)
            fits = least <= length <= greatest
            if apex < 0:
                apex = values.index(max(values[first : last + 1]), first)
            probability = (hill.macro if kind == "macro" else hill.micro)[apex]
            clear = probability > settings.class_floor
            kind_seen |= clear
            length_seen |= clear and fits
            if clear and fits:
                kinds.append((kind, probability))
        if not kinds:
            continue
        width = settings.margin(length)
        left, right = max(0, lead + first - width), min(len(total) - 1, lead + last + 1 + width)
        inner = total[lead + last + 1] - total[lead + first]
        outside = right - left - length
        outer = (total[right] - total[left] - inner) / outside if outside else 0.0
        score = inner / length - outer
        for kind, probability in kinds:
            confidence = score + settings.class_weight * probability
            if confidence >= settings.least_score(kind, beside=hill.beside):
                found.append(Proposal(kind, first, apex, last, score, confidence))
    if found:
        return found, ""
    return found, "too weak" if length_seen else "too short or too long" if kind_seen else "no clear kind"


def _rank(proposal: Proposal) -> tuple[float, int, int, str]:
    """Order by confidence; ties go to the earlier, the longer, the macro-expression."""
    return -proposal.confidence, proposal.first, -proposal.last, proposal.kind


def select(proposals: list[Proposal], settings: SpotSettings, *, beside: bool = False) -> list[Proposal]:
    """Return the detections among the proposals of a hill in order of onset.

    Gaussian soft-NMS within each kind, the least scores once more (those beside a trough if the hill is),
    then greedy NMS across the kinds.
    """
    pool = sorted(proposals, key=_rank)[:MOST_PROPOSALS]
    ranked: list[Proposal] = []
    while pool:
        best = min(pool, key=_rank)
        pool.remove(best)
        ranked.append(best)
        pool = [_decayed(other, best, settings) if other.kind == best.kind else other for other in pool]
    kept: list[Proposal] = []
    for proposal in ranked:
        strong = proposal.confidence >= settings.least_score(proposal.kind, beside=beside)
        if strong and all(proposal.iou(other) <= settings.overlap for other in kept):
            kept.append(proposal)
    return sorted(kept, key=lambda proposal: (proposal.first, proposal.last, proposal.kind))


def _decayed(proposal: Proposal, by: Proposal, settings: SpotSettings) -> Proposal:
    iou = proposal.iou(by)
    if not iou:
        return proposal
    return replace(proposal, confidence=proposal.confidence * math.exp(-iou * iou / settings.soft_nms_sigma))
