"""Train one model on a whole data set, and judge a data set with any weights."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from streamspot.datasets.recording import Dataset, Recording
from streamspot.datasets.store import load
from streamspot.destinations import check_folder, check_result
from streamspot.errors import DataError, ModelError
from streamspot.evaluation.evaluate import evaluate
from streamspot.evaluation.search import Scores, choose_scores
from streamspot.model.network import Network
from streamspot.model.weights import Model
from streamspot.motion.regions import LAYOUTS
from streamspot.spotting.settings import SpotSettings
from streamspot.training.labelled import OnStep
from streamspot.training.loop import OnShare, Trainer, predict
from streamspot.training.provenance import commit
from streamspot.training.resume import TrainingState, Unfinished, mark
from streamspot.training.settings import TrainSettings
from streamspot.training.simulated import start


def train(
    data: Path,
    out: Path,
    settings: TrainSettings,
    *,
    device: str = "cpu",
    on_simulated: OnStep | None = None,
    on_step: OnShare | None = None,
) -> Model:
    """Train on all subjects and write the weights, their configuration and how they came about.

    Interrupted, it goes on from the last whole epoch when it is called again; learning from simulation begins anew.
    ``on_simulated`` is called after each step on simulated motion alone, where the settings want any, ``on_step``
    after each on the data.

    Raises:
        DataError: The data cannot be used.
        ModelError: The weights cannot be written, or the device is not there.
        SettingsError: ``out`` cannot be written, the data's layout cannot be simulated as the settings want, or
            a training with other data or settings was interrupted there.
    """
    check_folder(out.parent)
    check_result(out, ".safetensors")
    dataset = load(data, seed=settings.seed)
    unfinished = Unfinished(
        out.with_suffix(".unfinished"), mark(dataset.recordings, dataset.layout, settings, {"device": device})
    )
    done, weights = unfinished.read(), None
    if settings.simulated.steps and done is None:
        weights = start(settings, dataset.layout, dataset.regions, device, on_simulated)
    trainer = Trainer(
        dataset.recordings,
        settings,
        layout=dataset.layout,
        start=weights,
        name=out.stem,
        device=device,
        on_step=on_step,
    )
    network = trained(trainer, unfinished, done)
    provenance = described(dataset, settings) | {"partner": trainer.partner_name}
    model = Model(network, provenance, spotting=settings.spotting)
    model.save(out)
    unfinished.remove()
    return model


def trained(trainer: Trainer, unfinished: Unfinished, done: TrainingState | None) -> Network:
    """Train, perhaps going on from what is done, and keep each epoch; return the network."""
    if done is None:
        unfinished.write(trainer.state())
    else:
        trainer.go_on(done)
    return trainer.run(lambda *_: unfinished.write(trainer.state()))


def described(dataset: Dataset, settings: TrainSettings) -> dict[str, Any]:
    """Return what weights learned from and how, for their file."""
    return {
        "dataset": dataset.name,
        "subjects": len(dataset.subjects),
        "supervision": "onsets and offsets" if settings.labels.kind == "full" else "one point an expression",
        "settings": settings.model_dump(mode="json"),
        "seed": settings.seed,
        "commit": commit(),
        "torch": torch.__version__,
    }


def evaluate_weights(
    data: Path, weights: str | Path, *, choose: bool = False, device: str = "auto"
) -> dict[str, Any]:
    """Judge a data set with weights, given by name or path, and return the tables of ``results.json``.

    With ``choose`` the minimum scores are chosen on this very data; the result is then optimistic and says so.

    Raises:
        DataError: The data cannot be used or has another layout than the weights.
        ModelError: The weights cannot be used.
    """
    dataset = load(data)
    model = Model.load(weights, device=device, layout=dataset.layout)
    scores = judge(model, dataset)
    decoder = SpotSettings.from_sensitivity(0.5, **model.spotting)
    if choose:
        decoder = choose_scores(dataset.recordings, scores, decoder)
    return {
        **evaluate(dataset.recordings, scores, decoder, look_ahead=model.config.look_ahead),
        "dataset": dataset.name,
        "weights": model.config.name,
        "provenance": dict(model.provenance),
        "decoder": asdict(decoder),
        "chosen_on_test_data": choose,
        "commit": commit(),
    }


def judge(model: Model, dataset: Dataset) -> dict[str, Scores]:
    """Return the scores of every recording, ``(T, 3)`` by name.

    Regions that the weights know and the data lacks stand still.

    Raises:
        DataError: The data has regions that the weights do not know.
    """
    wanted, given = (LAYOUTS.get(name) for name in (model.config.layout, dataset.layout))
    places: list[int] | None = None
    if wanted is not None and given is not None and set(given.names) < set(wanted.names):
        places = [wanted.names.index(name) for name in given.names]
    elif model.config.layout != dataset.layout:
        raise DataError(
            f"{dataset.name} has the region layout {dataset.layout}, {model.config.name} wants "
            f"{model.config.layout}; extract the data with it or give other weights"
        )

    def placed(recording: Recording) -> Recording:
        if places is None:
            return recording
        motion = np.zeros((len(recording.motion), model.config.regions, 2), np.float32)
        motion[:, places] = recording.motion
        return replace(recording, motion=motion)

    try:
        return predict(model.network, map(placed, dataset.recordings))
    except ModelError as error:
        raise DataError(f"{dataset.name}: {error}") from None
