"""``run --out``: many files, one after the other, with progress and what went wrong."""

from __future__ import annotations

import shlex
from pathlib import Path

import typer

from streamspot.console import QuietStderr
from streamspot.dashboard.text import counted
from streamspot.errors import DataError, first_few
from streamspot.processes import Workers
from streamspot.progress import Bars
from streamspot.settings import Settings


def run_files(settings: Settings, out: Path, hands: Workers, *, draw: bool) -> None:
    """Analyse every file of the source into the folder ``out`` and say what became of them; Ctrl-C stops it.

    Raises:
        StreamspotError: A file could not be analysed, or none is there.
    """
    from streamspot.batch import run_batch  # noqa: PLC0415 - OpenCV takes a while
    from streamspot.clips import TOGETHER, passed_over  # noqa: PLC0415 - so does this

    so_far = "files"

    def show(done: int, total: int, files: int, there: int) -> None:
        nonlocal so_far
        so_far = f"{files} of {counted(there, 'file')}"
        bar.update(task, completed=done, total=total or None, description=so_far)

    try:
        with QuietStderr() as quiet, Bars(quiet.console if draw else None) as bar:
            task = bar.add_task(so_far, total=None)
            outcome = run_batch(settings, out, workers=hands, progress=show)
            whole = bar.tasks[0].completed or 1
            bar.update(task, completed=whole, total=whole)
    except KeyboardInterrupt:
        done = "before the first file" if so_far == "files" else f"with {so_far} done"
        typer.echo(f"streamspot: stopped {done}; the same command goes on with the rest", err=True)
        raise typer.Exit(130) from None
    again = f", {outcome.resumed} of them there already" if outcome.resumed else ""
    typer.echo(
        f"{out}: results of {counted(outcome.done, 'file')}{again}; all expressions in {out / TOGETHER}"
    )
    if earlier := outcome.earlier:
        typer.echo(
            f"! {out} also holds results of earlier runs, of {', '.join(first_few(earlier))}; they count "
            "too, in the table and in a report: move their files elsewhere if they should not",
            err=True,
        )
    if folders := passed_over(str(settings.source), out):
        pattern = Path(str(settings.source), "**", "*.mp4")
        typer.echo(
            f"! not looked into: {', '.join(folders)}; for all of them give a pattern: '{pattern}'", err=True
        )
    typer.echo(f"read them with: streamspot report {shlex.quote(str(out))}")
    if outcome.broken:
        faults = [
            f"{path}: {fault}" if str(path) not in fault else fault for path, fault in outcome.broken.items()
        ]
        listed = "\n".join(first_few(faults))
        raise DataError(f"{counted(len(faults), 'file')} could not be analysed:\n{listed}")
