"""What a cross-validation trains and judges: the network, or whatever else learns from recordings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol, TypedDict, Unpack

from streamspot.datasets.recording import Recording
from streamspot.evaluation.search import Scores
from streamspot.model.network import Network
from streamspot.training.loop import OnShare, Trainer, predict
from streamspot.training.settings import TrainSettings
from streamspot.training.simulated import Weights

Scorer = Callable[[Sequence[Recording]], dict[str, Scores]]
"""Returns the scores ``(T, 3)`` of recordings, by name."""

OnEpochScorer = Callable[[int, Scorer], None]
"""Called after each epoch with its number and what would judge recordings if training ended there."""


class Given(TypedDict):
    """What a network is trained for and begins with; see ``Trainer``."""

    layout: str
    start: Weights | None
    device: str
    on_step: OnShare | None


class Method(Protocol):
    """A way to learn from recordings; it must be picklable, since folds are trained in other processes."""

    @property
    def streams(self) -> bool:
        """Whether scores are known tick by tick, so that the delays of a stream can be given."""

    def describe(self) -> dict[str, Any]:
        """Return every choice beside ``TrainSettings``, for ``results.json``."""

    def fit(
        self,
        recordings: Sequence[Recording],
        settings: TrainSettings,
        on_epoch: OnEpochScorer,
        **given: Unpack[Given],
    ) -> Scorer:
        """Learn from the recordings of the training subjects, beginning with the weights given, if any."""


class NetworkMethod:
    """The method that can stream: scores are the network's output."""

    streams = True

    def describe(self) -> dict[str, Any]:
        """Return the name alone: ``TrainSettings`` holds every choice."""
        return {"name": "network"}

    def fit(
        self,
        recordings: Sequence[Recording],
        settings: TrainSettings,
        on_epoch: OnEpochScorer,
        **given: Unpack[Given],
    ) -> Scorer:
        """Train the network."""
        return learn(Trainer(recordings, settings, **given), on_epoch)


def learn(
    trainer: Trainer,
    on_epoch: OnEpochScorer,
    judge: Callable[[Network, Sequence[Recording]], dict[str, Scores]] = predict,
) -> Scorer:
    """Train a network and return what judges recordings by it, as ``judge`` says."""
    network = trainer.run(lambda epoch, kept, _: on_epoch(epoch, partial(judge, kept)))
    return partial(judge, network)
