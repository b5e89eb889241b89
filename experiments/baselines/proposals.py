"""Proposals of a trained network with their features, which the second stages of HR-Pro and TSP-Net judge.

Proposals are the decoder's own (runs of the intensity above each threshold, a kind where the class is clear), of
more lengths than it would report, since their ends may still be moved. Features are the frozen encoder's, read
within the proposal and a quarter of its length on either side; HR-Pro and TSP-Net read the input features.

What a second stage says goes back into a curve: a plateau for each proposal that is kept, as high as it is
sure. So the same decoder, its minimum scores chosen in the same way, judges every row of the tables. A plateau is
known only once the whole proposal and the quarter behind it have passed, and it gives way to a surer one that
touches it: a baseline for recordings, not for a stream.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from streamspot.datasets.recording import Recording
from streamspot.evaluation.search import MIN_SCORE, Scores
from streamspot.model.network import Network
from streamspot.spotting.components import Component
from streamspot.spotting.decode import propose
from streamspot.spotting.settings import SpotSettings
from streamspot.types import KINDS

_PEAK = 2.0**-10
"""How far a plateau's highest tick stands out, so that the decoder finds the apex."""

_BINS = 12
"""Places at which a proposal is read, a sixth of them in each margin."""


@dataclass(frozen=True, slots=True)
class Proposals:
    """The M proposals of one recording.

    Attributes:
        span: (M, 2) float, first tick and one behind the last.
        kind: (M,) 0 macro, 1 micro.
        contrast: (M,) the decoder's score.
        curve: (T,) intensity of the recording.
        encoded: (T, D) features of the recording.
    """

    span: Tensor
    kind: Tensor
    contrast: Tensor
    curve: Tensor
    encoded: Tensor


@torch.no_grad()
def proposals_of(network: Network, recording: Recording, decoder: SpotSettings) -> Proposals:
    """Return what the network proposes in a recording."""
    device = next(network.parameters()).device
    output = network.eval()(torch.from_numpy(recording.motion)[None].to(device))
    curve, macro, micro = output.scores[0].T.tolist()
    wide = replace(
        decoder, macro_ticks=(8, 120), micro_ticks=(4, 24), macro_score=MIN_SCORE, micro_score=MIN_SCORE
    )
    brief = [a * p for a, p in zip(curve, micro, strict=True)]
    found, _ = propose(Component(0, values=curve, macro=macro, micro=micro, brief=brief), wide)
    return Proposals(
        torch.tensor([(p.first, p.last + 1.0) for p in found]).view(-1, 2),
        torch.tensor([KINDS.index(p.kind) for p in found], dtype=torch.long),
        torch.tensor([p.score for p in found]),
        output.intensity[0].float().cpu(),
        output.features[0].float().cpu(),
    )


def sections(encoded: Tensor, span: Tensor) -> Tensor:
    """Return the surrounding-contrast feature of intervals, (M, 3D): inside less before, inside, inside less after.

    Each part is the maximum over its places, read between ticks where they fall there; outside of the recording
    everything is 0.

    Args:
        encoded: (T, D).
        span: (M, 2).
    """
    length = span[:, 1:] - span[:, :1]
    share = (torch.arange(_BINS) + 0.5) / _BINS * 1.5 - 0.25
    at = span[:, :1] + share * length - 0.5  # (M, bins)
    low = at.floor()
    padded = nn.functional.pad(encoded, (0, 0, 1, 1))
    left, right = ((low + step).clamp(0, len(encoded) + 1).long() for step in (1, 2))
    read = torch.lerp(padded[left], padded[right], (at - low)[..., None])  # (M, bins, D)
    edge = _BINS // 6
    before, inside, after = (part.amax(1) for part in (read[:, :edge], read[:, edge:-edge], read[:, -edge:]))
    return torch.cat((inside - before, inside, inside - after), 1)


def interval_iou(one: Tensor, other: Tensor) -> Tensor:
    """Return the intersections over union of half-open intervals (..., 2) and (..., 2), broadcast against each other.

    ``evaluation.matching.iou`` compares finished detections; this one is differentiable in the ends.
    """
    shared = torch.minimum(one[..., 1], other[..., 1]) - torch.maximum(one[..., 0], other[..., 0])
    shared = shared.clamp(min=0)
    lengths = (one[..., 1] - one[..., 0]) + (other[..., 1] - other[..., 0])
    return shared / (lengths - shared).clamp(min=1e-6)


def head(width: int, out: int) -> nn.Sequential:
    """Return the small perceptron that both methods put on a proposal's features."""
    return nn.Sequential(nn.Linear(width, width // 2), nn.ReLU(), nn.Linear(width // 2, out))


def plateaus(
    curve: Tensor, judged: Iterable[tuple[Sequence[float], int, float]], decoder: SpotSettings
) -> Scores:
    """Return scores ``(T, 3)`` with one plateau for each judged proposal: the surest first, none touching another.

    Args:
        curve: (T,) the network's intensity, which tells the apex.
        judged: Span, kind and confidence in [0, 1] of each proposal.
        decoder: Its lengths are those that are kept, its floor is the height from which plateaus rise.
    """
    floor, ticks = decoder.thresholds[0], len(curve)
    scores = np.zeros((ticks, 3), np.float32)
    free = np.ones(ticks + 2, bool)
    for (start, end), kind, confidence in sorted(judged, key=lambda one: (-one[2], *one[0])):
        first, stop = max(0, round(start)), min(ticks, round(end))
        shortest, longest = decoder.lengths(KINDS[kind])
        if shortest <= stop - first <= longest and free[first : stop + 2].all():
            scores[first:stop, 0] = floor + (1 - floor - _PEAK) * min(1.0, max(0.0, confidence))
            scores[first + int(curve[first:stop].argmax()), 0] += _PEAK
            scores[first:stop, 1 + kind] = 1
            free[first + 1 : stop + 1] = False
    return scores
