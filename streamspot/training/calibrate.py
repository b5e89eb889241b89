"""The sensitivity that suits a person or a camera, found from labels."""

from __future__ import annotations

from pathlib import Path

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


def calibrate(data: Path, weights: str | Path) -> dict[float, Counts]:
    """Return what is found and missed of a data set's expressions at each sensitivity, macro and micro together.

    Raises:
        DataError: The data cannot be used, nothing is labelled, or the layout is another than the weights'.
        ModelError: The weights cannot be used.
    """
    dataset, model = load(data), Model.load(weights, device="cpu")
    if not any(recording.instances for recording in dataset.recordings):
        raise DataError(
            f"{data} has no expression to calibrate by; label some with streamspot label or review"
        )
    scores = judge(model, dataset)
    counts: dict[float, Counts] = {}
    for sensitivity in STEPS:
        settings = SpotSettings.from_sensitivity(sensitivity, **model.spotting)
        found = {name: decode(scores_of(*curve.T), settings) for name, curve in scores.items()}
        subjects = count_subjects(dataset.recordings, found)
        counts[sensitivity] = sum((one for kinds in subjects.values() for one in kinds.values()), Counts())
    return counts


def best(counts: dict[float, Counts]) -> float:
    """Return the sensitivity with the highest F1; of equal ones, that nearest to the default."""
    highest = max(one.f1 for one in counts.values())
    equal = [sensitivity for sensitivity, one in counts.items() if one.f1 >= highest - 1e-9]
    return min(equal, key=lambda sensitivity: abs(sensitivity - 0.5))
