"""The methods that can be trained and compared: what a network's curve, or a second stage on it, says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch

from experiments.baselines import MotionRule
from experiments.hrpro import InstanceStage
from experiments.tspnet import CentreStage
from streamspot.datasets.recording import Recording
from streamspot.evaluation.search import Scores
from streamspot.model.network import Network
from streamspot.training.loop import OnEpoch, Trainer, predict
from streamspot.training.settings import TrainSettings
from streamspot.training.start import Weights

Scorer = Callable[[Sequence[Recording]], dict[str, Scores]]
"""Judges recordings: scores ``(T, 3)`` by name."""


def train_network(
    recordings: Sequence[Recording],
    settings: TrainSettings,
    *,
    layout: str,
    start: Weights | None = None,
    on_epoch: OnEpoch | None = None,
    device: str = "cpu",
) -> Scorer:
    """Train by the method the settings name, from given weights or from chance, and return what judges recordings."""
    if settings.method == "motion":
        return MotionRule(recordings)
    network = Trainer(recordings, settings, layout=layout, start=start, device=device).run(on_epoch)
    return finish(network, recordings, settings)


def finish(network: Network, recordings: Sequence[Recording], settings: TrainSettings) -> Scorer:
    """Return what judges recordings by a trained network, the second stage of its method included.

    Args:
        network: As it is kept, at the last epoch or at an earlier one.
        recordings: What it was trained on, for the second stage.
        settings: For the method.
    """
    if settings.method == "network":
        return partial(predict, network)
    stage = InstanceStage if settings.method == "hrpro" else CentreStage
    with torch.random.fork_rng(devices=[]):  # a training that goes on shall not notice
        torch.manual_seed(settings.seed)
        return stage(network, recordings, settings)
