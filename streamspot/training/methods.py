"""The methods that can be trained and compared, behind one function."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from streamspot.datasets.recording import Recording
from streamspot.evaluation.search import Scores
from streamspot.training.baselines import MotionRule
from streamspot.training.loop import OnEpoch, Trainer, predict
from streamspot.training.settings import TrainSettings

Scorer = Callable[[Sequence[Recording]], dict[str, Scores]]
"""Judges recordings: scores ``(T, 3)`` by name."""


def train_network(
    recordings: Sequence[Recording],
    settings: TrainSettings,
    *,
    layout: str,
    on_epoch: OnEpoch | None = None,
    device: str = "cpu",
) -> Scorer:
    """Train by the method the settings name and return what judges recordings."""
    if settings.method == "motion":
        return MotionRule(recordings)
    network = Trainer(recordings, settings, layout=layout, device=device).run(on_epoch)
    return lambda unseen: predict(network, unseen)
