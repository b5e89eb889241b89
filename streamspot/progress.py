"""Progress of long work: a bar with the time left on a terminal, elsewhere a plain line now and then."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

EVERY = 15.0
"""Seconds between two plain lines."""


class Bars(Progress):
    """Bars of tasks under way; ``add_task`` takes besides what it counts, ``unit="epochs"``.

    Args:
        console: Where to draw; None shows nothing. What is no terminal gets a line every ``EVERY`` seconds.
    """

    def __init__(self, console: Console | None) -> None:
        self._plain = console if console is not None and not console.is_terminal else None
        self._said = time.monotonic()
        super().__init__(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            _Counted(),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
            disable=console is None or self._plain is not None,
            refresh_per_second=4,
        )

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        """Take progress."""
        super().advance(task_id, advance)
        self._say(task_id)

    def update(self, task_id: TaskID, **what: Any) -> None:
        """Take progress, and whatever else is new."""
        super().update(task_id, **what)
        self._say(task_id)

    def _say(self, task_id: TaskID) -> None:
        """Print the line of a task if it is time."""
        if self._plain is not None and time.monotonic() - self._said >= EVERY:
            self._said = time.monotonic()
            self._plain.print(line(self._tasks[task_id]), markup=False, highlight=False, soft_wrap=True)


class _Counted(ProgressColumn):
    """How much is done, of how much, in the task's unit."""

    def render(self, task: Task) -> Text:
        return Text(counted(task), style="progress.download")


def counted(task: Task) -> str:
    """Return how much of a task is done, ``12 of 270 epochs``; nothing if it counts nothing worth telling."""
    if not (unit := task.fields.get("unit")):
        return ""
    return f"{task.completed:.0f}{'' if task.total is None else f' of {task.total:.0f}'} {unit}"


def line(task: Task) -> str:
    """Return the state of a task as a line: ``27 trainings: 12 of 270 epochs, 4 %, 0:03:20 left``."""
    share = "" if task.total is None else f"{task.percentage:.0f} %"
    left = "" if task.time_remaining is None else f"{timedelta(seconds=round(task.time_remaining))} left"
    return f"{task.description}: " + ", ".join(filter(None, (counted(task), share, left)))
