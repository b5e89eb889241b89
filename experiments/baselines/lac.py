"""LAC's losses and its optimal sequence (Lee & Byun, "Learning Action Completeness from PointLabels", ICCV 2021).

Given the curve, all points of a crop are completed together: of all sequences of expressions and neutral
stretches in turn that agree with the points, the one whose segments contrast most with their surroundings. Two
losses then sharpen that contrast, in the scores and between the features of the segments.

Where this differs from the paper and its code:

* The intensity knows no class, so one sequence holds macro- and micro-expressions; LAC has one a class.
* An expression ends within k_c of its point and is at least half of k_c long; LAC bounds it by ticks that it
  trusts to be background.
* LAC searches greedily and keeps 25 hypotheses. The margins of a neutral stretch are here no wider than the
  shortest expression, not a quarter of the stretch, so that they never reach beyond the neighbour; the value of
  a sequence is then a sum over neighbours, and dynamic programming finds the best of all.
* The search is repeated at every step on the step's own curve, not every ten steps.
* A segment's feature is the mean over its ticks, not over three that are drawn, and the segments of a whole
  batch are compared, since a crop seldom holds two expressions.
* Between the points' own few ticks and the neutral ones that no expression can reach, nothing but these losses
  teaches; LAC also lets labels grow round a point while the network is sure.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from experiments.baselines.intervals import contrast
from streamspot.model.network import Output
from streamspot.training.batches import PointLabels
from streamspot.training.settings import LabelSettings

TEMPERATURE = 0.1
"""τ of the contrast between features."""

_TOUCHING = -10.0
"""Worth of two expressions without a neutral tick between them: worse than anything else that is possible."""


@dataclass(frozen=True, slots=True)
class Sequence:
    """Expressions and neutral stretches of one crop in turn; ends are one behind the last tick.

    Attributes:
        expressions: (P, 2) start and end round each point, in order of the points.
        neutral: (G, 2) what lies before, between and behind them.
    """

    expressions: Tensor
    neutral: Tensor


def best_sequence(curve: Tensor, ticks: Tensor, reach: Tensor) -> Sequence:
    """Return the sequence of highest completeness that agrees with the points.

    The completeness of a segment is its contrast: the mean intensity inside minus that of the margins for an
    expression, the reverse for a neutral stretch.

    Args:
        curve: (T,) intensity.
        ticks: (P,) points in ascending order, at least one.
        reach: (P,) k_c of each: how far it may end from its point; half of it is its shortest length.
    """
    length = len(curve)
    total = functional.pad(curve.cumsum(0), (1, 0))
    margin = int(reach.min()) // 2
    steps = torch.arange(int(reach.max()) + 1, device=curve.device)
    worth = torch.zeros(1, device=curve.device)  # of the best sequence that ends at each of ``ends``
    ends = torch.zeros(1, dtype=torch.long, device=curve.device)
    traced: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
    for tick, far in zip(ticks.tolist(), reach.tolist(), strict=True):
        starts, stops = (tick - steps).clamp(min=0), (tick + 1 + steps).clamp(max=length)
        gap = _neutral(total, ends[:, None], starts, margin)  # (ends, starts)
        gap = torch.where(starts > ends[:, None], gap, _TOUCHING if traced else 0.0)
        entry, before = (worth[:, None] + gap).max(0)
        inner = contrast(total, starts[:, None], stops)
        allowed = (steps[:, None] <= far) & (steps <= far) & (steps[:, None] + steps + 1 >= far // 2)
        worth, chosen = (inner + entry[:, None]).masked_fill(~allowed, -torch.inf).max(0)
        traced.append((starts, stops, chosen, before))
        ends = stops
    rest = _neutral(total, ends, torch.full_like(ends, length), margin)
    place = int((worth + torch.where(ends < length, rest, 0.0)).argmax())
    spans: list[tuple[int, int]] = []
    for starts, stops, chosen, before in reversed(traced):
        first = int(chosen[place])
        spans.insert(0, (int(starts[first]), int(stops[place])))
        place = int(before[first])
    edges = [0, *(edge for span in spans for edge in span), length]
    gaps = [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if a < b]
    pairs = (torch.tensor(part, dtype=torch.long, device=curve.device).view(-1, 2) for part in (spans, gaps))
    return Sequence(*pairs)


def _neutral(total: Tensor, start: Tensor, stop: Tensor, margin: int) -> Tensor:
    return -contrast(total, start, stop, max_margin=margin)


def completeness_loss(output: Output, points: PointLabels, inside: Tensor, settings: LabelSettings) -> Tensor:
    """Return the score contrast and the feature contrast of the best sequences, with equal weights as in LAC.

    Score contrast: the square of what the mean completeness of expressions and that of neutral stretches lack
    of 1, added up, for each crop with a point. Feature contrast: expressions of one kind are pulled together
    and pushed away from every other segment.

    Args:
        output: Of a batch of crops.
        points: Those outside ``inside`` are passed over.
        inside: (B, T) ticks that are judged, in one piece for each crop.
        settings: Holds k_c.
    """
    reach = torch.tensor(settings.duration, device=inside.device)
    scores: list[Tensor] = []
    means: list[Tensor] = []
    kinds: list[int] = []
    for crop in sorted(set(points.crop.tolist())):
        judged = inside[crop].nonzero()
        first, stop = (int(judged[0]), int(judged[-1]) + 1) if len(judged) else (0, 0)
        mine = points.select((points.crop == crop) & (points.tick >= first) & (points.tick < stop))
        if not len(mine):
            continue
        order = mine.tick.argsort(stable=True)
        ticks, kind = mine.tick[order] - first, mine.kind[order]
        curve = output.intensity[crop, first:stop]
        found = best_sequence(curve.detach(), ticks, reach[kind])
        total = functional.pad(curve.cumsum(0), (1, 0))
        lacking = 1 - contrast(total, *found.expressions.unbind(1)).mean()
        if len(found.neutral):
            start, end = found.neutral.unbind(1)
            lacking = lacking + 1 - _neutral(total, start, end, int(reach[kind].min()) // 2).mean()
        scores.append(lacking.square())
        spans = torch.cat((found.expressions, found.neutral)).tolist()
        means += [output.features[crop, first + a : first + b].mean(0) for a, b in spans]
        kinds += [*kind.tolist(), *(-1 for _ in found.neutral)]
    if not scores:
        return output.intensity.sum() * 0.0
    return torch.stack(scores).mean() + _feature_contrast(torch.stack(means), torch.tensor(kinds))


def _feature_contrast(means: Tensor, kinds: Tensor) -> Tensor:
    """Return how little expressions of a kind resemble each other rather than the other segments.

    Args:
        means: (S, D).
        kinds: (S,) 0 macro, 1 micro, -1 neutral.
    """
    kinds = kinds.to(means.device)
    unit = functional.normalize(means, dim=1)
    other = ~torch.eye(len(kinds), dtype=torch.bool, device=means.device)
    logit = (unit @ unit.T / TEMPERATURE).masked_fill(~other, -torch.inf)
    same = (kinds[:, None] == kinds) & other
    anchors = (kinds >= 0) & same.any(1)
    if not anchors.any():
        return means.sum() * 0.0
    logit, same = logit[anchors], same[anchors]
    return (logit.logsumexp(1) - logit.masked_fill(~same, -torch.inf).logsumexp(1)).mean()
