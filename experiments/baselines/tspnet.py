"""TSP-Net (Xia et al., CVPR 2024) on the proposals of a first stage.

"Realigning Confidence with Temporal Saliency Information for Point-Level Weakly-Supervised Temporal Action
Localization": a proposal is trusted for what it shows and for how well its point stands in its middle. As points
need not be salient, they move to where the proposals that are well centred on them have their centres. Ends are
drawn towards those of similar proposals.

Where this differs from the paper and its code:

* The head sees the frozen encoder's features, whose width is 32 instead of 2048 (see ``proposals``).
* A recording need not be said to contain a class before its proposals are judged.
* Confidence is the geometric mean of class, attention and centre score instead of their product: the order is
  the same, and the grid from which minimum scores are chosen is fine enough for it.
* Of two detections the surer stays, whatever they share; the code weakens the other by soft-NMS.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from experiments.baselines.proposals import Proposals, head, interval_iou, plateaus, proposals_of, sections
from streamspot.datasets.recording import Recording
from streamspot.evaluation.search import Scores
from streamspot.model.network import Network
from streamspot.training.settings import TrainSettings
from streamspot.types import KINDS

CENTRED = 0.8
"""Centre score from which on a proposal has a say in where its point should stand."""

SIMILAR = 0.4
"""Overlap above which proposals draw each other's ends."""

_POINTLESS = 0.4
"""Centre score that is taught where a proposal holds no point."""

_CENTRE_WEIGHT = 20.0
_ROUNDS, _PASSES, _BATCH, _RATE = 10, 4, 128, 1e-3


class CentreHead(nn.Module):
    """Features of proposals (M, 3D) to class logits (M, 3) (the last is neutral), attention and centre score (M,)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fusion = nn.Sequential(nn.Linear(3 * width, width), nn.ReLU(), nn.Dropout(0.5))
        self.kind, self.attention, self.centre = head(width, 3), head(width, 1), head(width, 1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Judge proposals."""
        fused = self.fusion(features)
        attention, centre = (torch.sigmoid(part(fused)).squeeze(1) for part in (self.attention, self.centre))
        return self.kind(fused), attention, centre


class CentreStage:
    """Judges a network's proposals by class and centre, and aligns the ends of similar ones.

    Args:
        network: The first stage, trained.
        recordings: The training subjects' recordings.
        settings: Seed and decoder.
    """

    def __init__(self, network: Network, recordings: Sequence[Recording], settings: TrainSettings) -> None:
        self._network, self._decoder = network, settings.decoder
        self._head = CentreHead(network.config.width)
        found = [(proposals_of(network, recording, self._decoder), recording) for recording in recordings]
        found = [pair for pair in found if len(pair[0].span)]
        if found:
            self._train(found)
        self._head.eval()

    def _train(self, found: Sequence[tuple[Proposals, Recording]]) -> None:
        optimiser = torch.optim.AdamW(self._head.parameters(), _RATE)
        features = [sections(one.encoded, one.span) for one, _ in found]
        kinds = [torch.tensor([KINDS.index(i.kind) for i in r.instances], dtype=torch.long) for _, r in found]
        points = [torch.tensor([float(i.stamp) for i in r.instances]) for _, r in found]
        everything = torch.cat(features)
        for _ in range(_ROUNDS):
            taught = [
                targets(one.span, *pair)
                for (one, _), pair in zip(found, zip(points, kinds, strict=True), strict=True)
            ]
            shown, centre = (torch.cat(part) for part in zip(*taught, strict=True))
            self._head.train()
            for _ in range(_PASSES):
                for part in torch.split(torch.randperm(len(everything)), _BATCH):
                    logit, attention, near = self._head(everything[part])
                    log = (logit * attention[:, None]).log_softmax(1)
                    loss = -(shown[part] * log).sum(1).mean()
                    loss = loss + _CENTRE_WEIGHT * (near - centre[part]).square().mean()
                    optimiser.zero_grad()
                    loss.backward()
                    optimiser.step()
            self._head.eval()
            with torch.no_grad():
                points = [
                    salient(one.span, point, self._head(feature)[2])
                    for (one, _), point, feature in zip(found, points, features, strict=True)
                ]

    @torch.no_grad()
    def __call__(self, recordings: Sequence[Recording]) -> dict[str, Scores]:
        """Return scores ``(T, 3)`` by name."""
        return {r.name: self._judge(r) for r in recordings}

    def _judge(self, recording: Recording) -> Scores:
        found = proposals_of(self._network, recording, self._decoder)
        logit, attention, centre = self._head(sections(found.encoded, found.span))
        judged: list[tuple[list[float], int, float]] = []
        for kind in range(2):
            score = logit.softmax(1)[:, kind] * attention * centre
            confidence = score.pow(1 / 3).tolist()
            judged += zip(align(found.span, score).tolist(), [kind] * len(score), confidence, strict=True)
        return plateaus(found.curve, judged, self._decoder)


def _first_inside(span: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Return which proposals hold which points (M, P), and the first point that each holds (M,), 0 for none."""
    holds = (points > span[:, :1]) & (points < span[:, 1:])
    return holds, holds.long().argmax(1) if holds.shape[1] else torch.zeros(len(span), dtype=torch.long)


def targets(span: Tensor, points: Tensor, kinds: Tensor) -> tuple[Tensor, Tensor]:
    """Return what proposals are taught: the kinds of their points or neutral (M, 3), and the centre score (M,).

    The score is 1 for a point in the very middle and 0 for one at an end.

    Args:
        span: (M, 2).
        points: (P,), as they stand now.
        kinds: (P,) 0 macro, 1 micro.
    """
    holds, first = _first_inside(span, points)
    any_ = holds.any(1)
    shown = torch.stack([(holds & (kinds == k)).any(1) for k in range(2)] + [~any_], 1).float()
    if not len(points):
        return shown, torch.full((len(span),), _POINTLESS)
    place = (points[first] - span[:, 0]) / (span[:, 1] - span[:, 0])
    return shown, torch.where(any_, 1 - 2 * (place - 0.5).abs(), torch.full_like(place, _POINTLESS))


def salient(span: Tensor, points: Tensor, centre: Tensor) -> Tensor:
    """Return the points moved to the mean centre, weighed by centre score, of their well-centred proposals.

    Args:
        span: (M, 2).
        points: (P,), as they stand now.
        centre: (M,) predicted.
    """
    holds, first = _first_inside(span, points)
    moved = points.clone()
    sure = holds.any(1) & (centre > CENTRED)
    for i in range(len(points)):
        mine = sure & (first == i)
        if mine.any():
            moved[i] = (span[mine].mean(1) * centre[mine]).sum() / centre[mine].sum()
    return moved


def align(span: Tensor, score: Tensor) -> Tensor:
    """Return intervals whose ends are the means of similar ones', weighed by score and overlap.

    The best goes first; those it has drawn on keep the ends they had.

    Args:
        span: (M, 2).
        score: (M,).
    """
    out, shared = span.clone(), interval_iou(span[:, None], span)
    done = torch.zeros(len(span), dtype=torch.bool)
    for i in score.argsort(descending=True, stable=True).tolist():
        if done[i]:
            continue
        similar = shared[i] > SIMILAR
        weight = score[similar] * shared[i, similar]
        out[i] = (span[similar] * weight[:, None]).sum(0) / weight.sum().clamp(min=1e-12)
        done |= similar
    return out
