"""From the scores of all folds to ``results.json``: decoder settings for each subject, detections, tables."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from streamspot.evaluation.evaluate import evaluate
from streamspot.evaluation.matching import Counts
from streamspot.evaluation.results import SubjectCounts, count_subjects
from streamspot.evaluation.search import Curves, Scores, choose_scores
from streamspot.spotting.settings import SpotSettings
from streamspot.training.folds import Job, deal, plan
from streamspot.training.provenance import commit
from streamspot.training.settings import TrainSettings
from streamspot.types import Detection


def outcome(job: Job, *, seconds: float) -> dict[str, Any]:
    """Choose decoder settings for every subject, decode, and return the content of ``results.json``.

    All folds must be finished; ``seconds`` is the wall time of the session that ends here.
    """
    dataset, settings = job.dataset, job.settings
    chosen = choose_decoders(job)
    last: dict[str, Scores] = {}
    best_epochs: SubjectCounts = {}
    spent = 0.0
    for fold in plan(dataset.subjects, settings):
        epochs, seconds_spent = job.scores(fold)
        spent += seconds_spent
        if not fold.outer:
            continue
        last |= epochs[settings.epochs - 1]
        for subject in fold.held_out:
            recordings, decoder = dataset.of([subject]), chosen[subject]
            tables = [
                count_subjects(
                    recordings, decode_all({r.name: scores[r.name] for r in recordings}, decoder), "paper"
                )[subject]
                for scores in epochs.values()
            ]
            best_epochs[subject] = max(tables, key=lambda table: sum(table.values(), Counts()).f1)
    look_ahead = settings.network.look_ahead if job.method.streams else None
    return {
        **evaluate(dataset.recordings, last, chosen, look_ahead=look_ahead, best_epochs=best_epochs),
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
        "wall_s": round(seconds, 1),
        "compute_s": round(spent, 1),
    }


def decoders_of(results: Mapping[str, Any], settings: TrainSettings) -> dict[str, SpotSettings]:
    """Return the decoder settings of every subject from the content of ``results.json`` and its settings."""
    return {
        subject: replace(settings.decoder, macro_score=macro, micro_score=micro)
        for subject, (macro, micro) in results["min_scores"].items()
    }


def decode_all(scores: Mapping[str, Scores], decoder: SpotSettings) -> dict[str, list[Detection]]:
    """Return the detections of every recording, by name."""
    curves = Curves(scores, decoder)
    return {name: curves.decode(name, decoder.macro_score, decoder.micro_score) for name in scores}


def choose_decoders(job: Job) -> dict[str, SpotSettings]:
    """Return the decoder settings of every subject, chosen on the scores of other subjects.

    For a group of subjects the scores come from the inner folds that hold the group out, or, for the pooled choice,
    from the folds of the others.
    """
    dataset, settings = job.dataset, job.settings
    pooled = settings.choice == "pooled"
    folds = [fold for fold in plan(dataset.subjects, settings) if fold.outer == pooled]
    groups = [fold.held_out for fold in folds] if pooled else deal(dataset.subjects, settings.groups)
    last = {fold: job.scores(fold)[0][settings.epochs - 1] for fold in folds}
    chosen: dict[str, SpotSettings] = {}
    for group in groups:
        scores = ChainMap(*(last[fold] for fold in folds if pooled or set(group) < set(fold.held_out)))
        others = dataset.of([s for s in dataset.subjects if s not in group])
        curves = {r.name: scores[r.name] for r in others}
        decoder = choose_scores(others, curves, settings.decoder, settings.micro_share)
        chosen |= dict.fromkeys(group, decoder)
    return chosen
