"""Cross-validation in one or several processes, with progress bars; interrupted, it goes on where it was."""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
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

    Args:
        data: Folder with ``features.npz`` and ``annotations.csv``.
        out: Folder for results.
        settings: Every choice.
        method: What is trained and judged.
        jobs: Processes, each computing on one core.
        device: ``cpu`` or ``cuda``; several jobs share one GPU.
        console: Where the progress is shown; nowhere if None.

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
        whole = bar.add_task(f"{len(folds)} trainings", total=len(folds) * settings.epochs)
        bar.advance(whole, (len(folds) - len(todo)) * settings.epochs)
        if todo and settings.simulated.steps:
            first = bar.add_task("simulated motion", total=settings.simulated.steps)
            begin(job, lambda _step, _loss: bar.advance(first))
            bar.remove_task(first)
        if jobs == 1:
            for fold in todo:
                execute(fold, job, lambda _key, _epoch: bar.advance(whole))
        else:
            _in_processes(todo, job, jobs, lambda: bar.advance(whole))
    results = outcome(job, seconds=time.perf_counter() - started)
    with write_atomically(out / "results.json") as part:
        part.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return results


def _in_processes(todo: Sequence[Fold], job: Job, jobs: int, advance: Callable[[], None]) -> None:
    """Work off the folds, those with most training data first."""
    context = multiprocessing.get_context("spawn")
    ticks: multiprocessing.Queue[str | None] = context.Queue()

    def drain() -> None:
        while ticks.get() is not None:
            advance()

    listener = threading.Thread(target=drain, daemon=True)
    listener.start()
    ordered = sorted(todo, key=lambda fold: sum(len(r.motion) for r in job.dataset.of(fold.held_out)))
    pool = ProcessPoolExecutor(jobs, context, _start_worker, (job, ticks))
    try:
        for done in as_completed([pool.submit(_work, fold) for fold in ordered]):
            done.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        ticks.put(None)
        listener.join(1)


def _start_worker(job: Job, ticks: Any) -> None:
    """Keep the data in the process, which ends with the one that started it, however that ends."""
    _worker.update(job=job, ticks=ticks)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(fold: Fold) -> str:
    execute(fold, _worker["job"], lambda key, _: _worker["ticks"].put(key))
    return fold.key
