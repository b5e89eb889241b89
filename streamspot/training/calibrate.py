"""The sensitivity that suits a person or a camera, found from labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamspot.datasets.recording import Recording
from streamspot.datasets.store import load
from streamspot.errors import DataError
from streamspot.evaluation.matching import Counts
from streamspot.evaluation.results import count_subjects
from streamspot.model.weights import Model
from streamspot.spotting.online import decode, scores_of
from streamspot.spotting.settings import SpotSettings
from streamspot.training.train import judge

STEPS = tuple(round(0.05 * step, 2) for step in range(21))
"""Sensitivities that are tried; a key of the dashboard goes from one to the next."""

_PULL = 0.05
"""F1 that a sensitivity must bring to be taken instead of one that is nearer to the default, for each 1 between."""


def calibrate(data: Path, weights: str | Path) -> tuple[str, dict[float, Counts]]:
    """Return which weights judge a data set, and what they find and miss at each sensitivity, both kinds together.

    Raises:
        DataError: The data cannot be used, nothing is labelled, nothing labelled is found at any, or the layout is
            another than the weights'.
        ModelError: The weights cannot be used.
    """
    dataset = load(data)
    model = Model.load(weights, device="cpu", layout=dataset.layout)
    if not any(recording.instances for recording in dataset.recordings):
        raise DataError(
            f"{data} has no expression to calibrate by; label some with streamspot label or review"
        )
    counts = at_each_step(dataset.recordings, judge(model, dataset), model.spotting)
    if not any(one.tp for one in counts.values()):
        raise DataError(
            f"no sensitivity finds any of the {counts[0.5].fn} labelled expressions; are they on the right frames? "
            "If so, teach the weights with streamspot train --from"
        )
    return model.config.name, counts


def at_each_step(
    recordings: Sequence[Recording], scores: Mapping[str, NDArray[np.float32]], spotting: Mapping[str, Any]
) -> dict[float, Counts]:
    """Return what is found and missed at each sensitivity, given each recording's scores (T, 3) by its name."""
    counts: dict[float, Counts] = {}
    for sensitivity in STEPS:
        settings = SpotSettings.from_sensitivity(sensitivity, **spotting)
        found = {name: decode(scores_of(*curve.T), settings) for name, curve in scores.items()}
        subjects = count_subjects(recordings, found)
        counts[sensitivity] = sum((one for kinds in subjects.values() for one in kinds.values()), Counts())
    return counts


def best(counts: dict[float, Counts]) -> float:
    """Return the sensitivity with the highest F1, averaged with its neighbours'.

    With the few labels of a person F1 jumps from step to step, so a single one decides nothing. For the same reason
    a step away from the default has to bring something.
    """
    steps = sorted(counts)
    around = {step: steps[max(at - 1, 0) : at + 2] for at, step in enumerate(steps)}
    worth = {
        step: sum(counts[one].f1 for one in near) / len(near) - _PULL * abs(step - 0.5)
        for step, near in around.items()
    }
    return max(steps, key=lambda step: round(worth[step], 9))
