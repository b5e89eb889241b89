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
from streamspot.evaluation.results import count_subjects, summarise
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

POWERS = (1.0, 3.0)
"""The exponents of the intensity to choose from: as it is, and for a curve that saturates."""


class Curves:
    """The proposals of many recordings, ready to be filtered by any pair of minimum scores.

    Args:
        scores: By name of the recording.
        settings: How to decode; the minimum scores in it are ignored.
    """

    def __init__(self, scores: Mapping[str, Scores], settings: SpotSettings) -> None:
        self._settings = replace(settings, macro_score=MIN_SCORE, micro_score=MIN_SCORE)
        self._decayed = {name: self._decay(curve) for name, curve in scores.items()}

    def _decay(self, scores: Scores) -> list[tuple[Component, int, list[Proposal]]]:
        """Return the components of a recording, when each was complete, and their decayed proposals."""
        found = components(scores_of(*scores.T), self._settings)
        every = [
            (component, decided, decay(propose(component, self._settings)[0], self._settings))
            for component, decided in found
        ]
        return [one for one in every if one[2]]

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
    """Choose the minimum scores, and with ``usual`` the power, that serve best under the strict protocol.

    First the macro's score is chosen with micro-expressions off, then the micro's, then the macro's once more.

    Args:
        recordings: What is judged.
        scores: By name of the recording.
        settings: How to decode.
        micro_share: What is maximised is the overall F1 plus this share of the F1 of micro-expressions.

    Returns:
        The settings with ``macro_score``, ``micro_score`` and ``power`` set.
    """
    powers = (settings.power,) if settings.usual is None else POWERS
    found = [_choose(recordings, scores, replace(settings, power=power), micro_share) for power in powers]
    return max(found, key=lambda one: one[0])[1]


def _choose(
    recordings: Sequence[Recording], scores: Mapping[str, Scores], settings: SpotSettings, micro_share: float
) -> tuple[float, SpotSettings]:
    """Return what the best minimum scores with this power are worth, and the settings with them."""
    curves = Curves(scores, settings)
    never = 2.0  # above any score the decoder knows

    def worth(macro: float, micro: float) -> float:
        found = {r.name: curves.decode(r.name, macro, micro) for r in recordings}
        table = summarise(count_subjects(recordings, found), resamples=0)
        return float(table["overall"]["f1"] + micro_share * table["micro"]["f1"])

    macro = max(GRID, key=lambda score: worth(score, never))
    micro = max((*GRID, never), key=lambda score: worth(macro, score))
    macro = max(GRID, key=lambda score: worth(score, micro))
    return worth(macro, micro), replace(settings, macro_score=macro, micro_score=micro)
