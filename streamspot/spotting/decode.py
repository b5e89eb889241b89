"""The decoder of the GIM paper (§3.6.3) for one component of the curve: proposals, contrast, soft-NMS, NMS.

Components do not overlap (see ``components``), so intersections over union across them are 0 and neither soft-NMS
nor NMS crosses from one to the next: decoding component by component is decoding the whole recording.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import NamedTuple

from streamspot.spotting.components import Component
from streamspot.spotting.extent import MEAN, moving_mean, peaks
from streamspot.spotting.overlap import Span, iou
from streamspot.spotting.settings import SpotSettings, on_grid
from streamspot.types import KINDS, TICK_RATE, Detection, Kind, Phase

MAX_PROPOSALS = 64
"""How many proposals of a component, the most confident ones, are considered: soft-NMS is quadratic."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A run of a component taken for an expression; places are counted from the component's first tick.

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

    @property
    def span(self) -> Span:
        """First place and the one after the last."""
        return self.first, self.last + 1


class Miss(NamedTuple):
    """A bound that something proposed misses.

    Attributes:
        stage: Which: 0 the class probability, 1 the length in ticks, 2 the score.
        nearness: Minus the distance to the bound, so that the greatest miss is the one that came farthest.
        value: What it has.
        bound: What it should have.
    """

    stage: int
    nearness: float
    value: float
    bound: float

    @classmethod
    def of(cls, stage: int, value: float, bound: float) -> Miss:
        """Return a miss with its nearness."""
        return cls(stage, -abs(value - bound), value, bound)

    def __str__(self) -> str:
        """Say which bound was missed, and by how much."""
        if self.stage == 1:
            way, least = ("short", "least") if self.value < self.bound else ("long", "most")
            lasted, allowed = ((ticks - 1) / TICK_RATE for ticks in (self.value, self.bound))
            return f"too {way}: {lasted:.2f} s of at {least} {allowed:.2f} s"
        digits = next((n for n in range(2, 9) if round(self.value, n) != round(self.bound, n)), 2)
        what, over = ("too weak", "") if self.stage else ("no clear kind", "over ")
        return f"{what}: {self.value:z.{digits}f} of {over}{self.bound:z.{digits}f}"


def _length_miss(length: int, bounds: tuple[int, int]) -> Miss:
    return Miss.of(1, length, bounds[0] if length < bounds[0] else bounds[1])


def runs(values: Sequence[float], threshold: float) -> list[tuple[int, int]]:
    """Return the first and last place of each run of values above the threshold."""
    below = [-1, *(place for place, value in enumerate(values) if value <= threshold), len(values)]
    return [(before + 1, behind - 1) for before, behind in pairwise(below) if behind - before > 1]


def propose(component: Component, settings: SpotSettings) -> tuple[list[Proposal], str]:
    """Return the admissible proposals of a component, its peaks or its runs, and, if there is none, why.

    The reason is the bound missed by what came farthest: past the class probability, past the length, nearest to the
    minimum score.
    """
    method = propose_runs if settings.usual is None else propose_peaks
    found, missed = method(component, settings)
    return found, "" if found else str(max(missed, default="no clear kind"))


def propose_peaks(component: Component, settings: SpotSettings) -> tuple[list[Proposal], list[Miss]]:
    """Return what peaks of intensity times class probability propose (see ``extent``), and what the others miss.

    Each class is looked at by itself. The score is the height of the peak; the apex is the highest level near it
    (see ``Component.level``). An expression reaches over at most half of the neutral ticks on either side, so that
    none can meet one of the next component.
    """
    count = len(component.values)
    earliest, latest = -(len(component.before) // 2), count - 1 + len(component.after) // 2
    found: list[Proposal] = []
    missed: list[Miss] = []
    for kind, usual in zip(KINDS, settings.usual or (), strict=True):
        curve, level = component.brief, component.level(kind)
        if kind == "macro":
            curve = [on_grid(a * p) for a, p in zip(level, component.macro, strict=True)]
        curve = moving_mean(curve)
        lengths = settings.lengths(kind, at_trough=component.at_trough)
        wanted = settings.min_score(kind, at_trough=component.at_trough)
        for begin, peak, end in peaks(curve, usual):
            near = level[max(0, peak - MEAN // 2) : peak + MEAN // 2 + 1]
            apex = max(0, peak - MEAN // 2) + near.index(max(near))
            first, last = max(min(begin, apex), earliest), min(max(end, apex), latest)
            if not lengths[0] <= last - first + 1 <= lengths[1]:
                missed.append(_length_miss(last - first + 1, lengths))
            elif curve[peak] < wanted:
                missed.append(Miss.of(2, curve[peak], wanted))
            else:
                found.append(Proposal(kind, first, apex, last, curve[peak], curve[peak]))
    return found, missed


def propose_runs(component: Component, settings: SpotSettings) -> tuple[list[Proposal], list[Miss]]:
    """Return the admissible runs of a component above each threshold (§3.6.3), and what the others miss.

    The score is the contrast of Eq. 15 with L of Eq. 16, except that the outer mean is taken over the ticks that
    exist: a margin ends at the next component and at the ends of the recording, and is at most ``outer_ticks`` wide.
    The trough between two components is in neither's margin: it is not neutral, so it says nothing about the
    contrast. Without any outer tick the outer mean is 0. Lengths and scores are filtered before soft-NMS, so that
    what cannot be reported does not weaken what can. Beside a trough a proposal must last longer and may score less.
    """
    values, lead, at_trough = component.values, len(component.before), component.at_trough
    total = (0.0, *accumulate((*component.before, *values, *component.after)))
    spans = dict.fromkeys(span for level in settings.levels for span in runs(values, level))
    lengths = {kind: settings.lengths(kind, at_trough=at_trough) for kind in KINDS}
    found: list[Proposal] = []
    missed: list[Miss] = []
    for first, last in spans:
        length = last - first + 1
        apex = values.index(max(values[first : last + 1]), first)
        likely = zip(KINDS, (component.macro[apex], component.micro[apex]), strict=True)
        clear = [(kind, probability) for kind, probability in likely if probability > settings.class_floor]
        kinds = [one for one in clear if lengths[one[0]][0] <= length <= lengths[one[0]][1]]
        if not clear:
            missed.append(Miss.of(0, max(component.macro[apex], component.micro[apex]), settings.class_floor))
        elif not kinds:
            missed += [_length_miss(length, lengths[kind]) for kind, _ in clear]
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
            wanted = settings.min_score(kind, at_trough=at_trough)
            if confidence >= wanted:
                found.append(Proposal(kind, first, apex, last, score, confidence))
            else:
                missed.append(Miss.of(2, confidence, wanted))
    return found, missed


def _rank(proposal: Proposal) -> tuple[float, int, int, str]:
    """Order by confidence; ties go to the earlier, the longer, the macro-expression."""
    return -proposal.confidence, proposal.first, -proposal.last, proposal.kind


def decay(proposals: list[Proposal], settings: SpotSettings) -> list[Proposal]:
    """Return the proposals of a component in order of confidence after Gaussian soft-NMS within each kind."""
    pool = sorted(proposals, key=_rank)[:MAX_PROPOSALS]
    ranked: list[Proposal] = []
    while pool:
        best = min(pool, key=_rank)
        pool.remove(best)
        ranked.append(best)
        pool = [_decayed(other, best, settings) if other.kind == best.kind else other for other in pool]
    return ranked


def select(ranked: Sequence[Proposal], settings: SpotSettings, *, at_trough: bool) -> list[Proposal]:
    """Return the expressions among decayed proposals, in order of onset.

    Those below the minimum scores, which are lower beside a trough, are dropped; then greedy NMS drops what overlaps
    a better one, of its own kind only if ``both_kinds``.
    """
    kept: list[Proposal] = []
    for proposal in ranked:
        strong = proposal.confidence >= settings.min_score(proposal.kind, at_trough=at_trough)
        rivals = [o for o in kept if o.kind == proposal.kind or not settings.both_kinds]
        if strong and all(iou(proposal.span, other.span) <= settings.overlap for other in rivals):
            kept.append(proposal)
    return sorted(kept, key=lambda proposal: (proposal.first, proposal.last, proposal.kind))


def _decayed(proposal: Proposal, by: Proposal, settings: SpotSettings) -> Proposal:
    overlap = iou(proposal.span, by.span)
    if not overlap:
        return proposal
    weight = math.exp(-overlap * overlap / settings.soft_nms_sigma)
    return replace(proposal, confidence=proposal.confidence * weight)


def detection(
    proposal: Proposal, component: Component, phase: Phase, *, number: int, decided: int
) -> Detection:
    """Return one phase (onset, apex or offset) of an expression of a component, all its phases being known.

    What is later than the phase is left out; ``decided`` is the tick at which this was decided.
    """
    final = phase == "offset"
    return Detection(
        number=number,
        phase=phase,
        kind=proposal.kind,
        onset=component.start + proposal.first,
        apex=None if phase == "onset" else component.start + proposal.apex,
        offset=component.start + proposal.last if final else None,
        intensity=component.values[proposal.apex],
        score=proposal.score if final else 0.0,
        decided=decided,
    )
