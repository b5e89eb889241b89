"""The commands that make data and hand models on: extract, label, export."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from streamspot.cluster import workers
from streamspot.console import QuietStderr, StatusLine
from streamspot.dashboard.text import counted
from streamspot.errors import DataError, SettingsError, first_few
from streamspot.files import write_atomically
from streamspot.keys import Keys
from streamspot.progress import Bars
from streamspot.shipped import DEFAULT_WEIGHTS
from streamspot.types import MARK_KEYS

app = typer.Typer()


@app.command()
def extract(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The data set as it was unpacked.")],
    layout: Annotated[str, typer.Option(help="How it is laid out: casme2, sammlv, casme3 or folder.")],
    out: Annotated[Path, typer.Option(help="Folder to write; an interrupted extraction goes on there.")],
    regions: Annotated[str, typer.Option(help="Regions to measure: face17 or paper10.")] = "face17",
    flow: Annotated[str, typer.Option(help="Optical flow: lk, dis, farneback or tvl1.")] = "lk",
    stride: Annotated[
        int, typer.Option(min=1, help="Look at every so many frames only; 3 is enough at 200 fps.")
    ] = 1,
    jobs: Annotated[int, typer.Option(min=1, help="Processes, one a core if not given.")] = os.cpu_count()
    or 1,
    faces: Annotated[
        int,
        typer.Option(
            min=1, max=16, help="Most faces to follow where labels name faces: the number given to review."
        ),
    ] = 1,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="Measure on this Ray cluster; every node has to find DIR there."
        ),
    ] = None,
    ui: Annotated[bool, typer.Option("--ui/--no-ui", help="Progress bar, or nothing.")] = True,
) -> None:
    """Measure the region motion of a data set, once, for train, crossval and evaluate.

    Of a video one face is measured, the first that is found; if its labels name faces (review --faces), each face
    that is named. A video that cannot be used is named at the end and left out; the exit code is then 1.

    [dim]Examples:[/]
      streamspot extract CASME2 --layout casme2 --out casme2
      streamspot extract SAMMLV --layout sammlv --out sammlv --stride 3
      streamspot extract clips --layout folder --out clips-motion --faces 2
    """
    from streamspot.datasets.extract import extract as work_off  # noqa: PLC0415 - OpenCV takes a while
    from streamspot.datasets.formats import read_format  # noqa: PLC0415
    from streamspot.datasets.measure import Measures  # noqa: PLC0415
    from streamspot.destinations import check_data_set  # noqa: PLC0415
    from streamspot.motion.flow import make_flow  # noqa: PLC0415

    hands = workers(jobs, ray)
    make_flow(flow)  # a mistyped name is answered before the data are read
    measures = Measures(regions, flow, stride, faces)  # type: ignore[arg-type]
    check_data_set(out, folder)
    found = read_format(folder if ray is None else folder.absolute(), layout)
    with QuietStderr() as quiet, Bars(quiet.console if ui else None) as bar:
        task = bar.add_task(counted(len(found.videos), "video"), total=None, unit="frames")

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        outcome = work_off(found, out, measures, workers=hands, progress=show)
        done = bar.tasks[0].completed
        bar.update(task, completed=done, total=done, visible=done > 0)
    report, faults = out / "report.txt", list(outcome.broken.values())
    lines = [*outcome.notes, *(f"left out: {fault}" for fault in faults)]
    with write_atomically(report) as part:
        part.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    again = f", {outcome.resumed} of them measured before" if outcome.resumed else ""
    typer.echo(f"{out}: {outcome.videos} of {len(found.videos)} videos{again}", err=True)
    for note in first_few(outcome.notes, f"more notes in {report}"):
        typer.echo(f"  {note}", err=True)
    if outcome.videos:
        typer.echo(
            f"train on it with: streamspot train --from {DEFAULT_WEIGHTS} --data {shlex.quote(str(out))} "
            "--out mine.safetensors",
            err=True,
        )
    if faults:
        listed = "\n".join(first_few(faults, f"more in {report}"))
        if not outcome.videos and (out / "annotations.csv").exists():
            listed += f"\n{out} still holds what was extracted before"
        raise DataError(f"{len(faults)} of {len(found.videos)} videos could not be used:\n{listed}")


@app.command()
def label(
    source: Annotated[str, typer.Argument(help="As for run --source; played in its own time.")],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Table of labels; those of other videos in it are kept. "
            "Default: points.csv beside the file, or here for a camera."
        ),
    ] = None,
    subject: Annotated[str | None, typer.Option(help="Whose face it is. Default: the video's name.")] = None,
    speed: Annotated[
        float, typer.Option(min=0.05, max=16.0, help="Pace of a recording; 0.5 is half as fast.")
    ] = 1.0,
    reaction: Annotated[
        float,
        typer.Option(
            min=0.0, max=2.0, help="Seconds from seeing to pressing; labels are set so much earlier."
        ),
    ] = 0.3,
) -> None:
    """Label expressions with one key each while they show: m macro, u micro, x unsure, backspace undo, q quit.

    The video itself is not shown: watch the person, or play the file elsewhere. To see it while you label, use
    streamspot review. A camera is recorded meanwhile, as region motion without a picture, beside the table.

    [dim]Examples:[/]
      streamspot label clip.mp4 --speed 0.5
      streamspot label 0 --subject ann
    """
    from streamspot.datasets import label as labelling  # noqa: PLC0415 - loads torch
    from streamspot.datasets.points import PointsFile  # noqa: PLC0415
    from streamspot.destinations import check_writable  # noqa: PLC0415 - loads OpenCV

    out = labelling.beside(source) if out is None else out
    check_writable(out)
    playing = labelling.play(source, out.parent, speed)
    try:
        name = os.path.relpath(playing.video, out.parent)
    except ValueError:  # of Windows
        raise SettingsError(
            f"{out} is on another drive than {playing.video}; name one there with --out"
        ) from None
    points = PointsFile(out, name, subject or Path(name).stem, playing.fps)
    with (
        terminated_in_order(),
        Keys(gone="q") as keys,
        QuietStderr() as quiet,
        closing(playing.shown) as shown,
    ):
        screen = quiet.console.file
        try:
            whole = labelling.label(
                shown, points, keys, StatusLine(screen), reaction=reaction, pace=playing.pace
            )
        finally:
            screen.write("\n")
    counts = ", ".join(f"{points.count(kind)} {kind}" for kind in MARK_KEYS.values())
    end = "" if whole else "; not seen to its end"
    typer.echo(f"{out}: {counts} labels of {name}{end}", err=True)
    command = f"streamspot extract {shlex.quote(str(out.parent))} --layout folder --out mine"
    if out.name == "points.csv":
        typer.echo(f"measure it with: {command}", err=True)
    else:
        there = out.with_name("points.csv")
        typer.echo(
            f"extract reads {there} alone: move the labels there, then measure with: {command}", err=True
        )


@contextmanager
def terminated_in_order() -> Iterator[None]:
    """Let a termination signal leave the block as an exception, with exit code 143, so that all is put in order."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@app.command()
def export(
    out: Annotated[Path, typer.Option(help="File to write (.onnx).")],
    weights: Annotated[
        str, typer.Option(help="Name of shipped weights or a .safetensors file.")
    ] = DEFAULT_WEIGHTS,
    streams: Annotated[int, typer.Option(min=1, help="Streams stepped at once.")] = 1,
) -> None:
    """Write the streaming step as ONNX, checked against torch: motion and state in, scores and new state out.

    [dim]Examples:[/]
      streamspot export --out step.onnx
    """
    import torch  # noqa: PLC0415 - takes seconds

    from streamspot.model import Model  # noqa: PLC0415
    from streamspot.model.export import export_onnx  # noqa: PLC0415

    torch.set_num_threads(1)
    worst = export_onnx(Model.load(weights, device="cpu"), out, streams=streams)
    typer.echo(f"{out}: agrees with torch to {worst:.1e} over 300 steps of random motion", err=True)
