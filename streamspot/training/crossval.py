"""Leave-one-subject-out: resumable folds and decoder settings chosen inside the training folds.

Every subject is judged by a network that never saw it. The decoder's least scores are chosen on other
subjects only, by networks that never saw the subject either: subjects are dealt into groups, and for each
pair of groups one network is trained on the rest (an *inner* run). For a subject of group g the scores of
all other groups come from the inner runs without g, so that nothing of g has any part in its settings.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from streamspot.datasets.recording import Dataset
from streamspot.errors import SettingsError
from streamspot.evaluation.live import follow, live_figures
from streamspot.evaluation.matching import Counts
from streamspot.evaluation.results import SubjectCounts, count_subjects, protocols
from streamspot.evaluation.search import Curves, Scores, choose_scores
from streamspot.model.network import Network
from streamspot.spotting.settings import SpotSettings
from streamspot.training.labelled import OnStep
from streamspot.training.methods import finish, train_network
from streamspot.training.provenance import commit
from streamspot.training.settings import TrainSettings
from streamspot.training.start import start
from streamspot.types import Detection

FIRST_JUDGED = 5
"""The paper's protocol looks at every epoch from this one on."""

Progress = Callable[[str, int], None]
"""Called with a run's key and the number of epochs it has finished."""


@dataclass(frozen=True, slots=True)
class Run:
    """One training of a cross-validation.

    Attributes:
        key: Names the file of its result.
        held_out: Subjects it does not see and judges.
        outer: Whether it judges a test subject (else it serves the choice of decoder settings).
    """

    key: str
    held_out: tuple[str, ...]
    outer: bool


def deal(subjects: Sequence[str], groups: int) -> list[tuple[str, ...]]:
    """Deal subjects into groups of nearly equal size, always in the same way."""
    order = sorted(subjects, key=lambda s: hashlib.sha256(s.encode()).hexdigest())
    return [tuple(sorted(order[i::groups])) for i in range(min(groups, len(order)))]


def plan(subjects: Sequence[str], settings: TrainSettings) -> list[Run]:
    """Return all runs: one a subject (or fold), then, for the nested choice, one a pair of groups.

    Raises:
        SettingsError: There are fewer than four subjects.
    """
    if len(subjects) < 4:
        raise SettingsError(f"{len(subjects)} subjects are too few for leave-one-subject-out; 4 are needed")
    if settings.folds:
        folds = deal(subjects, settings.folds)
        outer = [Run(f"fold-{i}", fold, outer=True) for i, fold in enumerate(folds)]
    else:
        outer = [Run(f"subject-{quote(subject, safe='')}", (subject,), outer=True) for subject in subjects]
    if settings.choice == "pooled":
        return outer
    dealt = deal(subjects, settings.groups)
    inner = [
        Run(f"inner-{a}-{b}", tuple(sorted(dealt[a] + dealt[b])), outer=False)
        for a, b in combinations(range(len(dealt)), 2)
    ]
    return outer + inner


def fingerprint(dataset: Dataset, settings: TrainSettings) -> str:
    """Return what identifies data and settings, so that a folder never mixes two cross-validations."""
    digest = hashlib.sha256(settings.model_dump_json().encode())
    for recording in dataset.recordings:
        digest.update(f"{recording.name} {recording.subject} {recording.instances}".encode())
        digest.update(recording.motion.tobytes())
    return digest.hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Job:
    """What all runs of a cross-validation share.

    Attributes:
        dataset: The data.
        settings: Every choice.
        folder: Where runs leave their results.
        device: Where networks are trained.
    """

    dataset: Dataset
    settings: TrainSettings
    folder: Path
    device: str = "cpu"

    @property
    def start(self) -> Path:
        """Where the weights lie that every network starts from, if the settings want any."""
        return self.folder / "start.safetensors"


def begin(job: Job, on_step: OnStep) -> None:
    """Let a network learn from simulated motion, once for all runs."""
    if job.start.exists():
        return
    torch.set_num_threads(1)
    regions = job.dataset.recordings[0].motion.shape[1]
    weights = start(job.settings, job.dataset.layout, regions, job.device, on_step)
    if weights is not None:
        partial = job.start.with_name(f".{job.start.name}.{os.getpid()}")
        save_file(dict(weights), partial)
        partial.replace(job.start)


def execute(run: Run, job: Job, progress: Progress) -> None:
    """Train one run and write its scores, whole or not at all.

    The file holds ``last/<recording>`` (T, 3) float32 and, for a test subject, ``epoch<e>/<recording>`` as
    float16 for the paper's protocol.
    """
    torch.set_num_threads(1)
    started = time.process_time()
    dataset, settings = job.dataset, job.settings
    seen = dataset.of([s for s in dataset.subjects if s not in run.held_out])
    unseen = dataset.of(run.held_out)
    kept: dict[str, np.ndarray[Any, Any]] = {}

    def on_epoch(epoch: int, network: Network, _: float) -> None:
        if run.outer and FIRST_JUDGED <= epoch < settings.epochs - 1:
            for name, scores in finish(network, seen, settings)(unseen).items():
                kept[f"epoch{epoch}/{name}"] = scores.astype(np.float16)
        progress(run.key, epoch + 1)

    weights = load_file(job.start) if settings.simulated.steps else None
    scorer = train_network(
        seen, settings, layout=dataset.layout, start=weights, on_epoch=on_epoch, device=job.device
    )
    kept |= {f"last/{name}": scores for name, scores in scorer(unseen).items()}
    kept["seconds"] = np.array(time.process_time() - started)
    partial = job.folder / f".{run.key}.{os.getpid()}.npz"
    np.savez_compressed(partial, **kept)
    partial.replace(_file(job.folder, run))


def _file(folder: Path, run: Run) -> Path:
    return folder / f"{run.key}.npz"


def open_folder(out: Path, mark: str) -> Path:
    """Return the folder of the runs' results; create it with its mark.

    Raises:
        SettingsError: It belongs to other data or settings.
    """
    folder = out / "folds"
    folder.mkdir(parents=True, exist_ok=True)
    stamp = folder / "fingerprint"
    if not stamp.exists():
        write_whole(stamp, mark)
    if stamp.read_text(encoding="utf-8") != mark:
        raise SettingsError(f"{out} holds folds of other data or settings; choose another --out or remove it")
    return folder


def pending(runs: Sequence[Run], folder: Path) -> list[Run]:
    """Return the runs that have no result yet."""
    return [run for run in runs if not _file(folder, run).exists()]


def _last(folder: Path, run: Run) -> dict[str, Scores]:
    with np.load(_file(folder, run)) as file:
        return {name[5:]: file[name] for name in file.files if name.startswith("last/")}


def collect(
    dataset: Dataset, settings: TrainSettings, folder: Path, *, seconds: float | None = None
) -> dict[str, Any]:
    """Choose decoder settings for every subject, decode, and return the content of ``results.json``.

    Args:
        dataset: The data.
        settings: The settings of all runs.
        folder: Where all runs have left their results.
        seconds: Wall time of the session that ends here; None leaves it out.
    """
    runs = plan(dataset.subjects, settings)
    chosen = _choose(dataset, settings, folder)
    detections: dict[str, list[Detection]] = {}
    phases: dict[str, list[Detection]] = {}
    oracle: SubjectCounts = {}
    spent = 0.0
    for run in runs:
        with np.load(_file(folder, run)) as file:
            spent += float(file["seconds"])
            if not run.outer:
                continue
            epochs = sorted({int(n[5 : n.index("/")]) for n in file.files if n.startswith("epoch")})
            for subject in run.held_out:
                recordings = dataset.of([subject])
                last = {r.name: file[f"last/{r.name}"] for r in recordings}
                detections |= _decode(last, chosen[subject])
                phases |= {name: follow(scores, chosen[subject]) for name, scores in last.items()}
                early = [
                    {r.name: file[f"epoch{e}/{r.name}"].astype(np.float32) for r in recordings}
                    for e in epochs
                ]
                candidates = [detections, *(_decode(scores, chosen[subject]) for scores in early)]
                tables = [count_subjects(recordings, found, "paper")[subject] for found in candidates]
                oracle[subject] = max(tables, key=lambda table: sum(table.values(), Counts()).f1)
    results = protocols(dataset.recordings, detections, oracle)
    streams = settings.method == "network"  # the others know a plateau only when it is over
    live = live_figures(dataset.recordings, phases, settings.network.look_ahead) if streams else None
    return {
        **results,
        "decision_delay_s": results["decision_delay_s"] if streams else None,
        "live": live,
        "dataset": dataset.name,
        "subjects": len(dataset.subjects),
        "recordings": len(dataset.recordings),
        "notes": len(dataset.notes),
        "seed": settings.seed,
        "commit": commit(),
        "configuration": settings.model_dump(mode="json"),
        "decoder": asdict(settings.decoder),
        "least_scores": {s: [c.macro_score, c.micro_score] for s, c in sorted(chosen.items())},
        "wall_s": None if seconds is None else round(seconds, 1),
        "compute_s": round(spent, 1),
    }


def _decode(scores: Mapping[str, Scores], decoder: SpotSettings) -> dict[str, list[Detection]]:
    curves = Curves(scores, decoder)
    return {name: curves.decode(name, decoder.macro_score, decoder.micro_score) for name in scores}


def _choose(dataset: Dataset, settings: TrainSettings, folder: Path) -> dict[str, SpotSettings]:
    """Return the decoder settings of every subject."""
    runs = plan(dataset.subjects, settings)
    chosen: dict[str, SpotSettings] = {}
    if settings.choice == "pooled":
        pool = {name: s for run in runs for name, s in _last(folder, run).items()}
        for run in runs:
            others = dataset.of([s for s in dataset.subjects if s not in run.held_out])
            decoder = choose_scores(others, {r.name: pool[r.name] for r in others}, settings.decoder)
            chosen |= dict.fromkeys(run.held_out, decoder)
        return chosen
    dealt = deal(dataset.subjects, settings.groups)
    inner = {run.key: run for run in runs if not run.outer}
    for mine, group in enumerate(dealt):
        scores: dict[str, Scores] = {}
        for other, subjects in enumerate(dealt):
            if other == mine:
                continue
            run = inner[f"inner-{min(mine, other)}-{max(mine, other)}"]
            names = {r.name for r in dataset.of(subjects)}
            scores |= {name: s for name, s in _last(folder, run).items() if name in names}
        others = dataset.of([s for s in dataset.subjects if s not in group])
        decoder = choose_scores(others, scores, settings.decoder)
        chosen |= dict.fromkeys(group, decoder)
    return chosen


def write_whole(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def write_results(out: Path, results: Mapping[str, Any]) -> Path:
    """Write ``results.json``."""
    path = out / "results.json"
    write_whole(path, json.dumps(results, indent=2, sort_keys=True) + "\n")
    return path
