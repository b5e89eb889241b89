"""HR-Pro (Zhang et al., AAAI 2024), its second stage; the first is ``similar_interval``.

"HR-Pro: Point-Supervised Temporal Action Localization via Hierarchical Reliability Propagation" learns in this
stage from whole instances. The proposal of highest contrast that holds a point is reliable. A head learns how much
a proposal overlaps a reliable one, and how to move its ends so that it overlaps it more.

Where this differs from the paper and its code:

* The head sees the frozen encoder's features, whose width is 32 instead of 2048 (see ``proposals``).
* Where the code draws as many poor proposals as good ones, the poor ones are weighed down to the same share.
* Negative proposals are drawn where no expression can be, with lengths of the recording's own proposals.
* A recording without a reliable proposal teaches nothing; in the code all its proposals are poor ones.
* A proposal's confidence is the mean of predicted overlap and contrast; the code takes the sum.
* Of two detections the surer stays, whatever they share; the code weakens the other by soft-NMS.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from experiments.baselines.proposals import Proposals, head, interval_iou, plateaus, proposals_of, sections
from streamspot.datasets.recording import Recording
from streamspot.evaluation.search import Scores
from streamspot.model.network import Network
from streamspot.training.settings import TrainSettings
from streamspot.types import KINDS

GOOD = 0.3
"""Overlap with a reliable proposal from which on a proposal's ends are taught."""

_PASSES, _BATCH, _RATE = 40, 128, 1e-3


class InstanceHead(nn.Module):
    """Features of proposals (M, 3D) to predicted overlap (M,) and shifts of both ends (M, 2), in lengths."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fusion = nn.Sequential(nn.Linear(3 * width, width), nn.ReLU(), nn.Dropout(0.5))
        self.completeness = head(width, 1)
        self.start, self.end = head(width, 1), head(width, 1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Judge proposals."""
        left, inside, right = features.chunk(3, 1)
        whole = torch.sigmoid(self.completeness(self.fusion(features))).squeeze(1)
        return whole, torch.cat((self.start(inside - left), self.end(inside - right)), 1)


class InstanceStage:
    """Judges and refines a network's proposals by a head that was trained on reliable ones.

    Args:
        network: The first stage, trained.
        recordings: The training subjects' recordings.
        settings: Seed, k_c and the decoder.
    """

    def __init__(self, network: Network, recordings: Sequence[Recording], settings: TrainSettings) -> None:
        rng = np.random.default_rng(settings.seed)
        self._network, self._decoder = network, settings.decoder
        self._head = InstanceHead(network.config.width)
        features, spans, best = [], [], []
        for recording in recordings:
            found = proposals_of(network, recording, self._decoder)
            reliable = _reliable(found, recording)
            if not len(reliable):
                continue
            span = torch.cat((found.span, _negatives(found, recording, settings.labels.duration, rng)))
            features.append(sections(found.encoded, span))
            spans.append(span)
            best.append(reliable[interval_iou(span[:, None], reliable).argmax(1)])
        if features:
            self._train(torch.cat(features), torch.cat(spans), torch.cat(best))
        self._head.eval()

    def _train(self, features: Tensor, span: Tensor, best: Tensor) -> None:
        optimiser = torch.optim.AdamW(self._head.parameters(), _RATE)
        target = interval_iou(span, best)
        for _ in range(_PASSES):
            for part in torch.split(torch.randperm(len(span)), _BATCH):
                whole, shift = self._head(features[part])
                good = (target[part] >= GOOD).float()
                share = (good.sum() / (1 - good).sum().clamp(min=1)).clamp(max=1)
                weight = good + (1 - good) * share
                moved = interval_iou(_moved(span[part], shift), best[part])
                loss = _mean(nn.functional.smooth_l1_loss(whole, target[part], reduction="none"), weight)
                loss = loss + _mean(
                    nn.functional.smooth_l1_loss(moved, torch.ones_like(moved), reduction="none"), good
                )
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()

    @torch.no_grad()
    def __call__(self, recordings: Sequence[Recording]) -> dict[str, Scores]:
        """Return scores ``(T, 3)`` by name."""
        return {r.name: self._judge(r) for r in recordings}

    def _judge(self, recording: Recording) -> Scores:
        found = proposals_of(self._network, recording, self._decoder)
        whole, shift = self._head(sections(found.encoded, found.span))
        refined = _moved(found.span, shift)
        again, _ = self._head(sections(found.encoded, refined))
        span = torch.cat((found.span, refined)).tolist()
        confidence = (torch.cat((whole, again)) + found.contrast.repeat(2)) / 2
        judged = zip(span, found.kind.repeat(2).tolist(), confidence.tolist(), strict=True)
        return plateaus(found.curve, judged, self._decoder)


def _reliable(found: Proposals, recording: Recording) -> Tensor:
    """Return the proposal of highest contrast for each point that lies in one of its kind, (P, 2)."""
    chosen = []
    stamps = sorted(i.stamp for i in recording.instances)
    for instance in recording.instances:
        point = instance.stamp
        near = [s for s in stamps if s != point]
        before = max((s for s in near if s < point), default=-1)
        after = min((s for s in near if s > point), default=np.inf)
        first, stop = found.span.unbind(1)
        holds = (first <= point) & (point < stop) & (found.kind == KINDS.index(instance.kind))
        alone = holds & (first > before) & (stop <= after)
        holds = alone if alone.any() else holds
        if holds.any():
            chosen.append(found.span[found.contrast.masked_fill(~holds, -torch.inf).argmax()])
    return torch.stack(chosen) if chosen else torch.zeros(0, 2)


def _negatives(
    found: Proposals, recording: Recording, duration: tuple[int, int], rng: np.random.Generator
) -> Tensor:
    """Return half as many intervals as there are proposals, where no expression can be, (N, 2)."""
    length = rng.choice((found.span[:, 1] - found.span[:, 0]).numpy(), (len(found.span) + 1) // 2)
    first = rng.uniform(0, np.maximum(1, len(recording.motion) - length))
    free = np.ones(len(length), bool)
    for instance in recording.instances:
        reach = duration[KINDS.index(instance.kind)]
        free &= (first + length < instance.stamp - reach) | (first > instance.stamp + reach)
    return torch.from_numpy(np.stack((first, first + length), 1)[free]).float()


def _moved(span: Tensor, shift: Tensor) -> Tensor:
    """Return intervals whose ends are shifted, in shares of their length."""
    return span + shift * (span[:, 1:] - span[:, :1])


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / weight.sum().clamp(min=1)
