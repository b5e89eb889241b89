"""The search for the minimum scores: the decoder's components once, then every pair of scores on them.

The decoder filters by score before and after soft-NMS, and soft-NMS only weakens what ranks lower, so the filter can
as well come last: the components and their decayed proposals do not depend on it. ``Curves.decode`` is therefore
``spotting.decode`` (a test holds them against each other), many times faster.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from streamspot.datasets.recording import Recording
from streamspot.evaluation.matching import CLASSES, Counts
from streamspot.evaluation.results import count_subjects
from streamspot.spotting.components import Component, components
from streamspot.spotting.decode import Proposal, decay, detection, propose, select
from streamspot.spotting.online import scores_of
from streamspot.spotting.settings import SpotSettings
from streamspot.types import Detection

Scores = NDArray[np.float32]
"""``(T, 3)``: intensity, probability of macro, of micro."""

MIN_SCORE = 1e-6
"""The lowest score that the settings allow."""

GRID = (*(round(1 / (1 + math.exp(-0.2 * step)), 4) for step in range(-22, 23)), 1.0, 1.1)
"""The minimum scores to choose from: close together near 0, where a micro-expression's peak may lie, and near 1."""


class Curves:
    """The proposals of many recordings, ready to be filtered by any pair of minimum scores (not by the settings')."""

    def __init__(self, scores: Mapping[str, Scores], settings: SpotSettings) -> None:
        self._settings = replace(settings, macro_score=MIN_SCORE, micro_score=MIN_SCORE)
        self._decayed: dict[str, list[tuple[Component, int, list[Proposal]]]] = {
            name: [
                (component, decided, decay(found, self._settings))
                for component, decided in components(scores_of(*curve.T), self._settings)
                if (found := propose(component, self._settings)[0])
            ]
            for name, curve in scores.items()
        }

    def decode(self, name: str, macro_score: float, micro_score: float) -> list[Detection]:
        """Return what ``spotting.decode`` returns with these minimum scores, but for the numbers, which are 0."""
        settings = replace(self._settings, macro_score=macro_score, micro_score=micro_score)
        return [
            detection(proposal, component, "offset", number=0, decided=decided)
            for component, decided, ranked in self._decayed[name]
            for proposal in select(ranked, settings, at_trough=component.at_trough)
        ]


def choose_scores(
    recordings: Sequence[Recording],
    scores: Mapping[str, Scores],
    settings: SpotSettings,
    micro_share: float = 0.1,
) -> SpotSettings:
    """Choose the minimum scores that serve best on these recordings under the strict protocol.

    What is maximised is the overall F1 plus ``micro_share`` of the F1 of micro-expressions (of which there are few).
    First the macro's score is chosen with micro-expressions off, then the micro's, then the macro's once more.
    """
    curves = Curves(scores, settings)
    never = 2.0  # above any score the decoder knows

    def worth(macro: float, micro: float) -> float:
        found = {r.name: curves.decode(r.name, macro, micro) for r in recordings}
        counts = count_subjects(recordings, found).values()
        overall, few = (
            sum((each[kind] for each in counts for kind in CLASSES[name]), Counts()).f1
            for name in ("overall", "micro")
        )
        return round(overall, 4) + micro_share * round(few, 4)

    macro = max(GRID, key=lambda score: worth(score, never))
    micro = max((*GRID, never), key=lambda score: worth(macro, score))
    macro = max(GRID, key=lambda score: worth(score, micro))
    return replace(settings, macro_score=macro, micro_score=micro)
