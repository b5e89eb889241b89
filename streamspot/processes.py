"""Long work done by several workers; processes of this computer, which end with the one that started them."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from typing import Any, Protocol, TypeVar

from streamspot.errors import SettingsError, StreamspotError

Task = TypeVar("Task")
Shared = TypeVar("Shared")
Result = TypeVar("Result")
Advance = Callable[[float], None]
"""Told how much has been done since it was last called."""

_worker: dict[str, Any] = {}


class Workers(Protocol):
    """Who does the tasks of long work: processes of this computer, or a Ray cluster (``cluster.py``)."""

    def __call__(
        self,
        work: Callable[[Shared, Task, Advance], Result],
        shared: Shared,
        tasks: Sequence[Task],
        advance: Advance,
    ) -> Iterator[tuple[Task, Result]]:
        """Do every task and yield it with its result as it is finished.

        Args:
            work: A function of a module; it depends on ``shared`` and the task alone and leaves nothing behind but
                its result, so that a task may be begun again elsewhere.
            shared: Given to each worker once.
            tasks: Begun in this order.
            advance: Takes the progress of all, perhaps in another thread.

        Raises:
            StreamspotError: A worker was killed.
        """


class Processes:
    """Processes of this computer; one job, or one task, is done in this process.

    Raises:
        SettingsError: ``jobs`` is not positive.
    """

    def __init__(self, jobs: int = 1) -> None:
        if jobs < 1:
            raise SettingsError(f"--jobs {jobs} is impossible; give 1 or more")
        self._jobs = jobs

    def __call__(
        self,
        work: Callable[[Shared, Task, Advance], Result],
        shared: Shared,
        tasks: Sequence[Task],
        advance: Advance,
    ) -> Iterator[tuple[Task, Result]]:
        """Do the tasks; see `Workers`."""
        if self._jobs == 1 or len(tasks) < 2:
            yield from ((task, work(shared, task, advance)) for task in tasks)
            return
        context = multiprocessing.get_context("spawn")
        counts: multiprocessing.Queue[float | None] = context.Queue()

        def drain() -> None:
            while (count := counts.get()) is not None:
                advance(count)

        listener = threading.Thread(target=drain, daemon=True)
        listener.start()
        child_end, parent_end = context.Pipe(duplex=False)
        pool = ProcessPoolExecutor(
            min(self._jobs, len(tasks)), context, _start, (work, shared, counts.put, child_end)
        )
        try:
            running = {pool.submit(_do, task): task for task in tasks}
            for done in as_completed(running):
                yield running[done], done.result()
            pool.shutdown()
        except BrokenProcessPool:
            raise StreamspotError(
                "a process was killed, perhaps for memory; "
                "run the same command again with fewer --jobs, what is finished is kept"
            ) from None
        finally:
            parent_end.close()
            pool.shutdown(wait=False, cancel_futures=True)
            counts.put(None)
            counts.cancel_join_thread()
            listener.join(1)


def _start(work: Any, shared: Any, advance: Advance, parent: Connection) -> None:
    """Prepare a process, which exits as soon as the one that started it closes its end of the pipe or dies."""
    _worker.update(work=work, shared=shared, advance=advance)

    def follow() -> None:
        parent.poll(None)
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _do(task: Any) -> Any:
    return _worker["work"](_worker["shared"], task, _worker["advance"])
