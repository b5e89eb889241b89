"""Cross-validation by one or several workers, with progress bars; interrupted, it goes on where it was."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from streamspot.datasets.store import load
from streamspot.destinations import check_folder
from streamspot.files import write_atomically
from streamspot.processes import Processes, Workers
from streamspot.progress import Bars
from streamspot.training.folds import Job, begin, check, execute, keep, open_folder, plan
from streamspot.training.method import Method, NetworkMethod
from streamspot.training.outcome import outcome
from streamspot.training.settings import TrainSettings

_NETWORK = NetworkMethod()
_HERE = Processes()


def crossval(
    data: Path,
    out: Path,
    settings: TrainSettings,
    *,
    method: Method = _NETWORK,
    workers: Workers = _HERE,
    device: str = "cpu",
    console: Console | None = None,
) -> dict[str, Any]:
    """Cross-validate and write ``out/results.json``.

    Whatever ``out`` already holds of the same data, settings and method is used; each fold depends on its
    settings and seed alone, so the result is the same whether the work was interrupted or not.

    Each of the ``workers`` computes on one core; they may share one GPU. The progress is shown on ``console``,
    nowhere if that is None.

    Returns:
        The content of ``results.json``.

    Raises:
        DataError: The data cannot be used.
        SettingsError: ``out`` cannot be written or belongs to other data or settings.
        StreamspotError: A worker was killed.
    """
    check_folder(out)
    started = time.perf_counter()
    dataset = load(data, seed=settings.seed)
    folds = plan(dataset.subjects, settings)
    check(folds, dataset)
    job = Job(dataset, settings, method, open_folder(out, dataset, settings, method), device)
    todo = [fold for fold in folds if not job.file(fold).exists()]
    with Bars(console) as bar:
        before, total = (n * settings.epochs for n in (len(folds) - len(todo), len(folds)))
        whole = bar.add_task(f"{len(folds)} trainings", total=total, completed=before, unit="epochs")
        if todo and settings.simulated.steps:
            first = bar.add_task("simulated motion", total=settings.simulated.steps, unit="steps")
            job = begin(job, lambda _step, _loss: bar.advance(first))
            bar.remove_task(first)
        # those with most training data first
        todo.sort(key=lambda fold: sum(len(r.motion) for r in dataset.of(fold.held_out)))
        for fold, kept in workers(execute, job, todo, lambda epochs: bar.advance(whole, epochs)):
            keep(fold, job, kept)
    results = outcome(job, seconds=time.perf_counter() - started)
    with write_atomically(out / "results.json") as part:
        part.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return results
