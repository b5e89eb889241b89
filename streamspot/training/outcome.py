"""From the scores of all folds to ``results.json``: decoder settings for each subject, detections, tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from streamspot.evaluation.evaluate import evaluate
from streamspot.evaluation.matching import Counts
from streamspot.evaluation.results import SubjectCounts, count_subjects
from streamspot.evaluation.search import Curves, Scores, choose_scores
from streamspot.spotting.settings import SpotSettings
from streamspot.training.folds import Job, deal, plan
from streamspot.training.provenance import commit
from streamspot.types import Detection


def outcome(job: Job, *, seconds: float | None = None) -> dict[str, Any]:
    """Choose decoder settings for every subject, decode, and return the content of ``results.json``.

    Args:
        job: A cross-validation whose folds are all finished.
        seconds: Wall time of the session that ends here; None leaves it out.
    """
    dataset, settings = job.dataset, job.settings
    chosen = choose_decoders(job)
    scores: dict[str, Scores] = {}
    best_epochs: SubjectCounts = {}
    spent = 0.0
    for fold in plan(dataset.subjects, settings):
        with np.load(job.file(fold)) as file:
            spent += float(file["seconds"])
            if not fold.outer:
                continue
            epochs = sorted({int(n[5 : n.index("/")]) for n in file.files if n.startswith("epoch")})
            for subject in fold.held_out:
                recordings, decoder = dataset.of([subject]), chosen[subject]
                stages = ["last", *(f"epoch{epoch}" for epoch in epochs)]
                curves = [
                    {r.name: file[f"{stage}/{r.name}"].astype(np.float32) for r in recordings}
                    for stage in stages
                ]
                scores |= curves[0]
                found = [decode_all(one, decoder) for one in curves]
                tables = [count_subjects(recordings, one, "paper")[subject] for one in found]
                best_epochs[subject] = max(tables, key=lambda table: sum(table.values(), Counts()).f1)
    look_ahead = settings.network.look_ahead if job.method.streams else None
    return {
        **evaluate(dataset.recordings, scores, chosen, look_ahead=look_ahead, best_epochs=best_epochs),
        "dataset": dataset.name,
        "subjects": len(dataset.subjects),
        "recordings": len(dataset.recordings),
        "notes": len(dataset.notes),
        "seed": settings.seed,
        "commit": commit(),
        "method": job.method.describe(),
        "configuration": settings.model_dump(mode="json"),
        "decoder": asdict(settings.decoder),
        "min_scores": {s: [c.macro_score, c.micro_score] for s, c in sorted(chosen.items())},
        "powers": {s: c.power for s, c in sorted(chosen.items())},
        "wall_s": None if seconds is None else round(seconds, 1),
        "compute_s": round(spent, 1),
    }


def decode_all(scores: Mapping[str, Scores], decoder: SpotSettings) -> dict[str, list[Detection]]:
    """Return the detections of every recording, by name."""
    curves = Curves(scores, decoder)
    return {name: curves.decode(name, decoder.macro_score, decoder.micro_score) for name in scores}


def choose_decoders(job: Job) -> dict[str, SpotSettings]:
    """Return the decoder settings of every subject, chosen on the scores of other subjects."""
    if job.settings.choice == "pooled":
        return _choose_pooled(job)
    return _choose_nested(job)


def _choose_pooled(job: Job) -> dict[str, SpotSettings]:
    dataset, settings = job.dataset, job.settings
    folds = plan(dataset.subjects, settings)
    pool = {name: scores for fold in folds for name, scores in job.last_scores(fold).items()}
    chosen: dict[str, SpotSettings] = {}
    for fold in folds:
        others = dataset.of([s for s in dataset.subjects if s not in fold.held_out])
        decoder = choose_scores(
            others, {r.name: pool[r.name] for r in others}, settings.decoder, settings.micro_share
        )
        chosen |= dict.fromkeys(fold.held_out, decoder)
    return chosen


def _choose_nested(job: Job) -> dict[str, SpotSettings]:
    dataset, settings = job.dataset, job.settings
    groups = deal(dataset.subjects, settings.groups)
    inner = {fold.key: fold for fold in plan(dataset.subjects, settings) if not fold.outer}
    chosen: dict[str, SpotSettings] = {}
    for mine, group in enumerate(groups):
        scores: dict[str, Scores] = {}
        for other, subjects in enumerate(groups):
            if other == mine:
                continue
            fold = inner[f"inner-{min(mine, other)}-{max(mine, other)}"]
            names = {r.name for r in dataset.of(subjects)}
            scores |= {name: s for name, s in job.last_scores(fold).items() if name in names}
        others = dataset.of([s for s in dataset.subjects if s not in group])
        decoder = choose_scores(others, scores, settings.decoder, settings.micro_share)
        chosen |= dict.fromkeys(group, decoder)
    return chosen
