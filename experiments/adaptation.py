"""What ten point labels of a person bring: leave-one-subject-out models before and after adaptation.

python -m experiments.adaptation --data DIR [--data DIR] --runs RUNS [--seed 0 --seed 1]

A subject takes part whose first videos, in order of name, hold ten expressions and whose others hold at least five.
The video of the tenth is cut behind it; its rest belongs to neither part. A model is trained on all other subjects;
its minimum scores are the nested choice of ``crossval``, made without the subject. It is adapted as ``train --from``
does, to the first videos with nothing but ten points, and both judge the other videos under the strict protocol with
the same minimum scores. ``halfway`` are weights halfway between the two; ``calibrated`` are the unadapted weights at
the sensitivity that ``calibrate`` finds in the first videos. Of several seeds a subject's F1 are averaged. RUNS keeps
the models, so that an interrupted run goes on. What is measured goes to ``experiments/results/adaptation.json``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer

from experiments.shipped.parts import mean
from streamspot.datasets.recording import Dataset, Instance, Recording
from streamspot.datasets.store import load
from streamspot.evaluation.matching import Counts
from streamspot.evaluation.results import count_subjects
from streamspot.model.network import Network
from streamspot.model.weights import Model
from streamspot.spotting.settings import SpotSettings
from streamspot.training.calibrate import at_each_step, best
from streamspot.training.folds import Job, execute, keep, open_folder, plan
from streamspot.training.loop import Trainer, predict
from streamspot.training.method import NetworkMethod
from streamspot.training.outcome import choose_decoders, decode_all
from streamspot.training.settings import BEGUN, TrainSettings

RESULT = Path(__file__).parent / "results" / "adaptation.json"

LABELS = 10
"""Expressions of which the adaptation sees one point each."""

OTHERS = 5
"""Expressions that a subject's other videos must hold at least."""


def parted(recordings: Sequence[Recording]) -> tuple[list[Recording], list[Recording]] | None:
    """Return a subject's first recordings, with ten points and nothing else, and the others; None if too few."""
    left, first = LABELS, list[Recording]()
    for place, one in enumerate(recordings):
        order = sorted(one.instances, key=lambda i: i.stamp)
        mine, rest = order[:left], order[left:]
        left -= len(mine)
        end = max((mine[-1].offset + rest[0].onset) // 2, mine[-1].stamp + 1) if rest else len(one.motion)
        points = tuple(Instance(i.kind, i.stamp, i.stamp, i.stamp, i.stamp, bounded=False) for i in mine)
        first.append(replace(one, motion=one.motion[:end], instances=points))
        if not left:
            others = list(recordings[place + 1 :])
            return (first, others) if sum(len(o.instances) for o in others) >= OTHERS else None
    return None


def unadapted(dataset: Dataset, subject: str, settings: TrainSettings, place: Path) -> Path:
    """Return the file of the model that never saw the subject, which is trained if need be."""
    file = place / f"{subject}.safetensors"
    if not file.exists():
        seen = dataset.of([other for other in dataset.subjects if other != subject])
        network = Trainer(seen, settings, layout=dataset.layout, name=subject).run()
        Model(network, {}, spotting=settings.spotting).save(file)
    return file


def decoders(dataset: Dataset, settings: TrainSettings, place: Path) -> dict[str, SpotSettings]:
    """Return every subject's decoder: the nested choice of ``crossval``."""
    method = NetworkMethod()
    job = Job(dataset, settings, method, open_folder(place, dataset, settings, method))
    for fold in plan(dataset.subjects, settings):
        if not fold.outer and not job.file(fold).exists():
            keep(fold, job, execute(job, fold, lambda _: None))
    return choose_decoders(job)


def judged(network: Network, recordings: Sequence[Recording], decoder: SpotSettings) -> Counts:
    """Return the counts of one subject's recordings, both kinds together."""
    (counts,) = count_subjects(recordings, decode_all(predict(network, recordings), decoder)).values()
    return sum(counts.values(), Counts())


def calibrated(network: Network, first: Sequence[Recording], decoder: SpotSettings) -> SpotSettings:
    """Return the decoder at the sensitivity that suits the ten points."""
    spotting = asdict(decoder)
    counts = at_each_step(first, predict(network, first), spotting)
    return SpotSettings.from_sensitivity(best(counts), **spotting)


def difference(before: Sequence[float], after: Sequence[float]) -> dict[str, Any]:
    """Return the mean difference of F1 over subjects and its 95 % interval: paired bootstrap over subjects."""
    apart = np.array(after) - np.array(before)
    drawn = np.random.default_rng(0).integers(0, len(apart), (10_000, len(apart)))
    low, high = np.quantile(apart[drawn].mean(1), (0.025, 0.975))
    return {"mean": round(float(apart.mean()), 3), "interval": [round(float(low), 3), round(float(high), 3)]}


def of_subjects(dataset: Dataset, seed: int, place: Path) -> Iterator[dict[str, Any]]:
    """Yield the F1 of each subject that takes part, by the way in which its other videos are judged."""
    settings = TrainSettings(seed=seed)
    place.mkdir(parents=True, exist_ok=True)
    chosen = decoders(dataset, settings, place)
    for subject in dataset.subjects:
        if (parts := parted(dataset.of([subject]))) is None:
            continue
        first, others = parts
        file = unadapted(dataset, subject, settings, place)
        before = Model.load(file, device="cpu").network
        begun = TrainSettings(seed=seed, start=str(file), partner=None, **BEGUN)
        after = Trainer(first, begun, layout=dataset.layout).run()
        networks = {"before": before, "after": after, "halfway": mean([before, after])}
        f1 = {name: round(judged(one, others, chosen[subject]).f1, 4) for name, one in networks.items()}
        f1["calibrated"] = round(judged(before, others, calibrated(before, first, chosen[subject])).f1, 4)
        yield {"dataset": dataset.name, "subject": subject, "seed": seed, **f1}


def summed_up(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the mean F1 before and the difference that each way makes, each subject's F1 averaged over seeds."""
    subjects = sorted({row["subject"] for row in rows})

    def of(way: str) -> list[float]:
        return [float(np.mean([row[way] for row in rows if row["subject"] == one])) for one in subjects]

    old = of("before")
    found: dict[str, Any] = {"subjects": len(subjects), "before": round(float(np.mean(old)), 3)}
    return found | {way: difference(old, of(way)) for way in ("after", "halfway", "calibrated")}


def main(
    *,
    data: Annotated[list[Path], typer.Option(help="Folder with features.npz and annotations.csv.")],
    runs: Annotated[Path, typer.Option(help="Folder for the models.")],
    seed: Annotated[
        list[int] | None, typer.Option(help="Of both trainings; may be given several times.")
    ] = None,
) -> None:
    """Measure, print and keep the figures."""
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    for number, folder in product(seed or [0], data):
        dataset = load(folder, seed=number)
        for row in of_subjects(dataset, number, runs / f"{dataset.name}-seed{number}"):
            rows.append(row)
            print(json.dumps(row), flush=True)
    result: dict[str, Any] = {"labels": LABELS, "rows": rows}
    for name in [*sorted({row["dataset"] for row in rows}), "all"]:
        result[name] = summed_up([row for row in rows if name in {row["dataset"], "all"}])
        print(name, json.dumps(result[name]))
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
