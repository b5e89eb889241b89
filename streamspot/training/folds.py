"""The trainings of a cross-validation: who is held out of each, and the files that their scores are kept in.

Every subject is judged by a network that never saw it. The decoder's minimum scores are chosen on other subjects
only, by networks that never saw the subject either: subjects are dealt into groups, and for each pair of groups
one network is trained on the rest (an *inner* fold). For a subject of group g the scores of all other groups come
from the inner folds without g, so that nothing of g has any part in its settings.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from streamspot.datasets.recording import Dataset
from streamspot.datasets.store import write_arrays
from streamspot.errors import DataError, SettingsError
from streamspot.evaluation.search import Scores
from streamspot.files import as_file_name, make_private, write_atomically
from streamspot.processes import Advance
from streamspot.training.labelled import OnStep
from streamspot.training.method import Method, Scorer
from streamspot.training.resume import mark
from streamspot.training.settings import TrainSettings
from streamspot.training.simulated import Weights, start

FIRST_JUDGED, ALL_JUDGED = 5, 30
"""The paper's protocol looks at every epoch from the first one on; of a training of more epochs than the second, at
every tenth."""


@dataclass(frozen=True, slots=True)
class Fold:
    """One training of a cross-validation.

    Attributes:
        key: Names the file of its scores.
        held_out: Subjects it does not see and judges.
        outer: Whether its scores are the result; an inner fold serves the choice of decoder settings.
    """

    key: str
    held_out: tuple[str, ...]
    outer: bool


@dataclass(frozen=True, slots=True)
class Job:
    """What all folds of a cross-validation share; their scores are kept in ``folder``.

    Attributes:
        start: The weights that every network starts from, if the settings want any.
    """

    dataset: Dataset
    settings: TrainSettings
    method: Method
    folder: Path
    device: str = "cpu"
    start: Weights | None = None

    def file(self, fold: Fold) -> Path:
        """Where a fold's scores lie."""
        return self.folder / f"{fold.key}.npz"

    def scores(self, fold: Fold) -> tuple[dict[int, dict[str, Scores]], float]:
        """Return a fold's scores ``(T, 3)`` by epoch and name of the recording, and the seconds it took."""
        last = self.settings.epochs - 1
        found: dict[int, dict[str, Scores]] = {last: {}}
        with np.load(self.file(fold)) as file:
            for key in file.files:
                stage, _, name = key.partition("/")
                if name:
                    epoch = last if stage == "last" else int(stage.removeprefix("epoch"))
                    found.setdefault(epoch, {})[name] = file[key].astype(np.float32)
            return found, float(file["seconds"])

    def judged(self) -> dict[int, dict[str, Scores]]:
        """Return the scores of all outer folds: every recording is judged by a network that never saw its subject."""
        found: dict[int, dict[str, Scores]] = {}
        for fold in plan(self.dataset.subjects, self.settings):
            for epoch, scores in self.scores(fold)[0].items() if fold.outer else ():
                found.setdefault(epoch, {}).update(scores)
        return found


def deal(subjects: Sequence[str], groups: int) -> list[tuple[str, ...]]:
    """Deal subjects into groups of nearly equal size, always in the same way."""
    order = sorted(subjects, key=lambda s: hashlib.sha256(s.encode()).hexdigest())
    return [tuple(sorted(order[i::groups])) for i in range(min(groups, len(order)))]


def plan(subjects: Sequence[str], settings: TrainSettings) -> list[Fold]:
    """Return all folds: the outer ones, then, for the nested choice, an inner one for each pair of groups.

    Raises:
        SettingsError: There are fewer than four subjects, or everybody would be held out at once.
    """
    if settings.folds == 1:
        raise SettingsError("folds: 1 holds everybody out; choose 2 or more, or 0 for one subject at a time")
    if len(subjects) < 4:
        raise SettingsError(f"{len(subjects)} subjects are too few for leave-one-subject-out; 4 are needed")
    if settings.folds:
        dealt = deal(subjects, settings.folds)
        outer = [Fold(f"fold-{i}", held_out, outer=True) for i, held_out in enumerate(dealt)]
    else:
        outer = [Fold(f"subject-{as_file_name(subject)}", (subject,), outer=True) for subject in subjects]
    if settings.choice == "pooled":
        return outer
    groups = deal(subjects, settings.groups)
    pairs = combinations(range(len(groups)), 2)
    return outer + [
        Fold(f"inner-{a}-{b}", tuple(sorted(groups[a] + groups[b])), outer=False) for a, b in pairs
    ]


def check(folds: Sequence[Fold], dataset: Dataset) -> None:
    """Refuse, before any training, folds of which one has nothing to learn from.

    Raises:
        DataError: Whoever is left of a fold shows no expression.
    """
    shown = {recording.subject for recording in dataset.recordings if recording.instances}
    for fold in folds:
        if shown <= set(fold.held_out):
            who = ", ".join(sorted(shown)) or "nobody"
            pooled = "" if fold.outer else ", or choose the decoder's settings with choice: pooled"
            raise DataError(
                f"{who} alone shows expressions, so nothing can be learned where all who do are held out; "
                f"label expressions of more subjects{pooled}"
            )


def open_folder(out: Path, dataset: Dataset, settings: TrainSettings, method: Method) -> Path:
    """Return the folder for the folds' scores; create it with a mark of data, settings and method.

    Raises:
        SettingsError: It holds folds of others.
    """
    known = mark(dataset.recordings, dataset.layout, settings, method.describe())
    folder = out / "folds"
    make_private(folder)
    stamp = folder / "fingerprint"
    if not stamp.exists():
        with write_atomically(stamp) as part:
            part.write_text(known, encoding="utf-8")
    if stamp.read_text(encoding="utf-8") != known:
        raise SettingsError(f"{out} holds folds of other data or settings; choose another --out or remove it")
    return folder


def begin(job: Job, on_step: OnStep) -> Job:
    """Let a network learn from simulated motion, once for all folds, which start from its weights."""
    place = job.folder / "start.safetensors"
    if not place.exists():
        torch.set_num_threads(1)
        weights = start(job.settings, job.dataset.layout, job.dataset.regions, job.device, on_step)
        with write_atomically(place) as part:
            save_file(dict(weights), part)
    return replace(job, start=load_file(place))


def execute(job: Job, fold: Fold, advance: Advance) -> dict[str, np.ndarray[Any, Any]]:
    """Train one fold and return its scores, which `keep` writes; ``advance`` is told the epochs done, step by step.

    They are ``last/<recording>`` (T, 3) float32 and, of an outer fold, ``epoch<e>/<recording>`` as float16
    for the paper's protocol.
    """
    torch.set_num_threads(1)
    started = time.process_time()
    dataset, settings = job.dataset, job.settings
    seen = dataset.of([s for s in dataset.subjects if s not in fold.held_out])
    unseen = dataset.of(fold.held_out)
    kept: dict[str, np.ndarray[Any, Any]] = {}
    told = 0.0

    def on_step(share: float, _loss: float = 0.0) -> None:
        nonlocal told
        told += share
        advance(share)

    def look(epoch: int, judge: Scorer) -> None:
        due = settings.epochs <= ALL_JUDGED or (epoch + 1) % 10 == 0
        if fold.outer and due and FIRST_JUDGED <= epoch < settings.epochs - 1:
            kept.update({f"epoch{epoch}/{n}": s.astype(np.float16) for n, s in judge(unseen).items()})
        on_step(epoch + 1 - told)  # of a method that tells no steps

    judge = job.method.fit(
        seen,
        settings,
        layout=dataset.layout,
        start=job.start,
        device=job.device,
        on_step=on_step,
        on_epoch=look,
    )
    kept |= {f"last/{name}": scores for name, scores in judge(unseen).items()}
    return kept | {"seconds": np.array(time.process_time() - started)}


def keep(fold: Fold, job: Job, kept: dict[str, np.ndarray[Any, Any]]) -> None:
    """Write a fold's scores, whole or not at all."""
    with write_atomically(job.file(fold)) as part:
        write_arrays(part, kept)
