"""The commands that make data and hand models on: extract, label, export."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from streamspot.console import QuietStderr
from streamspot.errors import DataError, SettingsError

_SHOWN = 8
"""Notes and faults printed; all of them stand in the report."""


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(extract)


def extract(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The data set as it was unpacked.")],
    layout: Annotated[str, typer.Option(help="How it is laid out: casme2, sammlv, casme3 or folder.")],
    out: Annotated[Path, typer.Option(help="Folder to write; an interrupted extraction goes on there.")],
    regions: Annotated[str, typer.Option(help="Regions to measure: face17 or paper10.")] = "face17",
    flow: Annotated[str, typer.Option(help="Optical flow: dis, farneback or tvl1.")] = "dis",
    stride: Annotated[
        int, typer.Option(min=1, help="Look at every so many frames only; 3 is enough at 200 fps.")
    ] = 1,
    jobs: Annotated[int, typer.Option(min=1, help="Processes. Default: one a core.")] = os.cpu_count() or 1,
    ui: Annotated[bool, typer.Option("--ui/--no-ui", help="Progress bar, or nothing.")] = True,
) -> None:
    """Measure the region motion of a data set, once, for train, crossval and evaluate.

    A video that cannot be used is named at the end and left out; the exit code is 0 only if there is none.

    [dim]Examples:[/]
      streamspot extract CASME2 --layout casme2 --out casme2
      streamspot extract SAMMLV --layout sammlv --out sammlv --stride 3
      streamspot extract clips --layout folder --out clips-motion
    """
    from streamspot.datasets.extract import extract as work_off  # noqa: PLC0415 - OpenCV takes a while
    from streamspot.datasets.layouts import read_layout  # noqa: PLC0415
    from streamspot.datasets.measure import Measures  # noqa: PLC0415

    if flow not in ("dis", "farneback", "tvl1"):
        raise SettingsError(f"there is no flow {flow!r}; choose dis, farneback or tvl1")
    measures = Measures(regions, flow, stride)  # type: ignore[arg-type]
    found = read_layout(folder, layout)
    with ExitStack() as stack:
        console = Console(stderr=True)
        if not os.environ.get("STREAMSPOT_DEBUG"):
            console = stack.enter_context(QuietStderr()).console
        bar = stack.enter_context(
            Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TaskProgressColumn(),
                TextColumn("{task.completed:.0f} frames"),
                TimeRemainingColumn(elapsed_when_finished=True),
                console=console,
                disable=not ui,
            )
        )
        task = bar.add_task(f"{len(found.videos)} videos", total=None)
        outcome = work_off(
            found,
            out,
            measures,
            jobs=jobs,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
        bar.update(task, completed=1, total=1) if outcome.resumed == len(found.videos) else None
    report = [*outcome.notes, *(f"left out: {fault}" for fault in outcome.broken.values())]
    (out / "report.txt").write_text("".join(f"{line}\n" for line in report), encoding="utf-8")
    again = f", {outcome.resumed} of them measured before" if outcome.resumed else ""
    typer.echo(f"{out}: {outcome.videos} of {len(found.videos)} videos{again}", err=True)
    for note in outcome.notes[:_SHOWN]:
        typer.echo(f"  {note}", err=True)
    if len(outcome.notes) > _SHOWN:
        typer.echo(f"  … and {len(outcome.notes) - _SHOWN} more notes in {out / 'report.txt'}", err=True)
    if outcome.broken:
        faults = list(outcome.broken.values())
        more = f"\n… and {len(faults) - _SHOWN} more in {out / 'report.txt'}" if len(faults) > _SHOWN else ""
        raise DataError(
            f"{len(faults)} of {len(found.videos)} videos could not be used:\n"
            + "\n".join(faults[:_SHOWN])
            + more
        )
