"""Cross-validation in one or several processes, with progress bars; interrupted, it goes on where it was."""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from streamspot.datasets.store import load
from streamspot.errors import SettingsError
from streamspot.files import write_atomically
from streamspot.training.folds import Fold, Job, begin, execute, open_folder, plan
from streamspot.training.method import Method, NetworkMethod
from streamspot.training.outcome import outcome
from streamspot.training.settings import TrainSettings

_NETWORK = NetworkMethod()
_worker: dict[str, Any] = {}


def crossval(
    data: Path,
    out: Path,
    settings: TrainSettings,
    *,
    method: Method = _NETWORK,
    jobs: int = 1,
    device: str = "cpu",
    console: Console | None = None,
) -> dict[str, Any]:
    """Cross-validate and write ``out/results.json``.

    Whatever ``out`` already holds of the same data, settings and method is used; each fold depends on its
    settings and seed alone, so the result is the same whether the work was interrupted or not.

    Each of the ``jobs`` processes computes on one core; they may share one GPU. The progress is shown on ``console``,
    nowhere if that is None.

    Returns:
        The content of ``results.json``.

    Raises:
        DataError: The data cannot be used.
        SettingsError: ``jobs`` is not positive, or ``out`` belongs to other data or settings.
    """
    if jobs < 1:
        raise SettingsError(f"--jobs {jobs} is impossible; give 1 or more")
    started = time.perf_counter()
    dataset = load(data, seed=settings.seed)
    folds = plan(dataset.subjects, settings)
    job = Job(dataset, settings, method, open_folder(out, dataset, settings, method), device)
    todo = [fold for fold in folds if not job.file(fold).exists()]
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("epochs"),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=console,
        disable=console is None,
        refresh_per_second=4,
    )
    with bar:
        before, total = (n * settings.epochs for n in (len(folds) - len(todo), len(folds)))
        whole = bar.add_task(f"{len(folds)} trainings", total=total, completed=before)
        if todo and settings.simulated.steps:
            first = bar.add_task("simulated motion", total=settings.simulated.steps)
            begin(job, lambda _step, _loss: bar.advance(first))
            bar.remove_task(first)
        if jobs == 1:
            for fold in todo:
                execute(fold, job, lambda: bar.advance(whole))
        else:
            _in_processes(todo, job, jobs, lambda done: bar.update(whole, completed=before + done))
    results = outcome(job, seconds=time.perf_counter() - started)
    with write_atomically(out / "results.json") as part:
        part.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return results


def _in_processes(todo: Sequence[Fold], job: Job, jobs: int, show: Callable[[int], object]) -> None:
    """Work off the folds, those with most training data first; ``show`` is given the number of epochs done."""
    context = multiprocessing.get_context("spawn")
    epochs = context.Value("i", 0)
    ordered = sorted(todo, key=lambda fold: sum(len(r.motion) for r in job.dataset.of(fold.held_out)))
    pool = ProcessPoolExecutor(jobs, context, _start_worker, (job, epochs))
    try:
        working = {pool.submit(_work, fold) for fold in ordered}
        while working:
            done, working = wait(working, timeout=0.2, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()
            show(epochs.value)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _start_worker(job: Job, epochs: Any) -> None:
    """Keep the data in the process, which ends with the one that started it, however that ends."""
    _worker.update(job=job, epochs=epochs)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(fold: Fold) -> None:
    execute(fold, _worker["job"], _count_epoch)


def _count_epoch() -> None:
    with _worker["epochs"].get_lock():
        _worker["epochs"].value += 1
