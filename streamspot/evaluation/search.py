"""The search for the least scores: the decoder's hills once, then every pair of scores on them.

The decoder filters by score before and after soft-NMS, and soft-NMS only weakens what ranks lower, so the
filter can as well come last: the hills and their weakened proposals do not depend on it. ``Curves.decode``
is therefore ``spotting.decode`` (a test holds them against each other), many times faster.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from streamspot.datasets.recording import Recording
from streamspot.evaluation.results import count_subjects, summarise
from streamspot.spotting.decode import Hill, Proposal, propose, select
from streamspot.spotting.online import Spotter, scores_of
from streamspot.spotting.settings import SpotSettings
from streamspot.types import Detection

Scores = NDArray[np.float32]
"""``(T, 3)``: intensity, probability of macro, of micro."""

LOWEST = 1e-6
GRID = tuple(round(0.05 * step, 2) for step in range(1, 25))
MICRO_SHARE = 0.1
"""How much the F1 of micro-expressions counts beside the overall one in the choice."""


class _Hills(Spotter):
    """A spotter that keeps the hills instead of judging them."""

    def __init__(self, settings: SpotSettings) -> None:
        super().__init__(settings)
        self.found: list[tuple[Hill, tuple[float, ...], int]] = []

    def _judge(self, hill: Hill, after: Sequence[float], out: list[Detection]) -> None:
        super()._judge(hill, after, out)
        if hill.values and not hill.rest:
            kept = replace(hill, values=list(hill.values), macro=list(hill.macro), micro=list(hill.micro))
            self.found.append((kept, tuple(after), self._now))


@dataclass(frozen=True, slots=True)
class Ranked:
    """The weakened proposals of one hill, best first.

    Attributes:
        start: Tick of the hill's first value.
        decided: Tick at which the hill was judged.
        allowance: How much lower the least scores are for it.
        proposals: With ``confidence`` as soft-NMS left it.
        peaks: Intensity at the apex of each.
    """

    start: int
    decided: int
    allowance: float
    proposals: tuple[Proposal, ...]
    peaks: tuple[float, ...]


class Curves:
    """The proposals of many recordings, ready to be filtered by any pair of least scores.

    Args:
        scores: By name of the recording.
        settings: How to decode; the least scores in it are ignored.
    """

    def __init__(self, scores: Mapping[str, Scores], settings: SpotSettings) -> None:
        self.settings = replace(settings, macro_score=LOWEST, micro_score=LOWEST)
        open_ = replace(self.settings, overlap=1.0)
        self._ranked = {name: list(_rank(curve, open_)) for name, curve in scores.items()}

    def decode(self, name: str, macro_score: float, micro_score: float) -> list[Detection]:
        """Return what ``spotting.decode`` returns with these least scores, but for the numbers."""
        out: list[Detection] = []
        least = {"macro": macro_score, "micro": micro_score}
        for hill in self._ranked[name]:
            kept: list[tuple[Proposal, float]] = []
            for proposal, peak in zip(hill.proposals, hill.peaks, strict=True):
                if proposal.confidence >= least[proposal.kind] - hill.allowance and all(
                    proposal.iou(other) <= self.settings.overlap for other, _ in kept
                ):
                    kept.append((proposal, peak))
            kept.sort(key=lambda pair: (pair[0].first, pair[0].last, pair[0].kind))
            out += [
                Detection(
                    number=0,
                    phase="offset",
                    kind=proposal.kind,
                    onset=hill.start + proposal.first,
                    apex=hill.start + proposal.apex,
                    offset=hill.start + proposal.last,
                    intensity=peak,
                    score=proposal.score,
                    decided=hill.decided,
                )
                for proposal, peak in kept
            ]
        return out


def _rank(scores: Scores, settings: SpotSettings) -> Iterator[Ranked]:
    """Yield the hills of one recording that have a proposal."""
    spotter = _Hills(settings)
    for score in scores_of(scores[:, 0], scores[:, 1], scores[:, 2]):
        spotter.push(score)
    spotter.finish()
    for hill, after, decided in spotter.found:
        proposals = sorted(
            select(propose(hill, after, settings)[0], settings, beside=hill.beside),
            key=lambda p: (-p.confidence, p.first, -p.last, p.kind),
        )
        if proposals:
            peaks = tuple(hill.values[p.apex] for p in proposals)
            allowance = settings.trough_allowance if hill.beside else 0.0
            yield Ranked(hill.start, decided, allowance, tuple(proposals), peaks)


def choose_scores(
    recordings: Sequence[Recording],
    scores: Mapping[str, Scores],
    settings: SpotSettings,
    grid: Sequence[float] = GRID,
) -> SpotSettings:
    """Choose the least scores that serve best on these recordings under the strict protocol.

    The aim is the overall F1 plus a tenth of the micro-expressions' (of which there are few). First the
    macro's score is chosen with micro-expressions off, then the micro's, then the macro's once more.

    Returns:
        The settings with ``macro_score`` and ``micro_score`` set.
    """
    curves = Curves(scores, settings)
    never = 2.0  # above any score the decoder knows

    def worth(macro: float, micro: float) -> float:
        found = {r.name: curves.decode(r.name, macro, micro) for r in recordings}
        table = summarise(count_subjects(recordings, found), resamples=0)
        return float(table["overall"]["f1"] + MICRO_SHARE * table["micro"]["f1"])

    macro = max(grid, key=lambda least: worth(least, never))
    micro = max((*grid, never), key=lambda least: worth(macro, least))
    macro = max(grid, key=lambda least: worth(least, micro))
    return replace(settings, macro_score=macro, micro_score=micro)
