"""The command ``review``: a page for looking and labelling, and how far coders agree."""

from __future__ import annotations

import asyncio
import webbrowser
from collections.abc import Collection, Mapping
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any

import typer

from streamspot.console import QuietStderr
from streamspot.dashboard.text import counted
from streamspot.errors import DataError, SettingsError, StreamspotError, needs
from streamspot.loop import on_signals, run_to_end
from streamspot.shipped import DEFAULT_WEIGHTS

app = typer.Typer()


@app.command()
def review(
    source: Annotated[
        str,
        typer.Argument(help="A video, a recording of region motion, or a folder of them or of pictures."),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder of the label files. Default: where the videos lie.")
    ] = None,
    coder: Annotated[
        str, typer.Option(help="Name of the coder, who gets label files of their own and sees no others.")
    ] = "",
    blind: Annotated[
        bool, typer.Option("--blind", help="Begin without curve, motion and events; h shows them.")
    ] = False,
    agreement: Annotated[
        bool, typer.Option("--agreement", help="Print how far the coders agree, instead of the page.")
    ] = False,
    subject: Annotated[str | None, typer.Option(help="Whose face it is. Default: the video's name.")] = None,
    faces: Annotated[int, typer.Option(min=1, max=16, help="Most faces to follow.")] = 1,
    sensitivity: Annotated[
        float, typer.Option(min=0, max=1, help="From 0 (only the clearest events) to 1 (the faintest).")
    ] = 0.5,
    weights: Annotated[
        str, typer.Option(help="Name of shipped weights or a .safetensors file.")
    ] = DEFAULT_WEIGHTS,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on loopback; 0 for a free one.")] = 0,
    show: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
) -> None:
    """Look at videos beside what the program sees in them, and label them, in your browser on this computer.

    Nothing leaves the computer and nothing but labels is written: points.csv and annotations.csv, at each key. Ctrl-C
    ends it.

    [dim]Examples:[/]
      streamspot review clip.mp4
      streamspot review videos --coder ann --blind
      streamspot review videos --agreement
    """
    from streamspot.clips import passed_over  # noqa: PLC0415 - the help comes without what takes a while
    from streamspot.review.files import LabelFiles  # noqa: PLC0415
    from streamspot.review.items import find_items  # noqa: PLC0415

    if out is not None and not out.is_dir():
        raise SettingsError(f"there is no folder {out}; make it, or name another with --out")
    items, labels = find_items(source, out)
    if folders := passed_over(source, labels):
        typer.echo(f"! not looked into: {', '.join(folders)}; review each by itself", err=True)
    if agreement:
        _agreement(items, labels, alone=Path(items[0].source) == Path(source))
        return
    try:
        from streamspot.review.server import ReviewServer  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise SettingsError(needs("the review page", "aiohttp", "review", error)) from None
    from streamspot.review.reviewing import Reviewing  # noqa: PLC0415

    settings: Any = {"faces": faces, "sensitivity": sensitivity, "weights": weights}
    reviewing = Reviewing(items, LabelFiles(labels, coder), settings, subject=subject, hidden=blind)
    run_to_end(_serve(reviewing, ReviewServer(reviewing, port=port), show=show))


async def _serve(reviewing: Any, server: Any, *, show: bool) -> None:
    """Serve until Ctrl-C or SIGTERM; then write what is not written yet.

    Raises:
        DataError: Labels could not be written.
    """
    over = asyncio.Event()
    on_signals(over.set)
    if len(reviewing.items) == 1:
        reviewing.opened(0)  # what cannot be read is said here, not on the page
    try:
        async with server.running() as address:
            typer.echo(address)
            typer.echo(f"labels: {reviewing.files.points.path}; Ctrl-C ends the review", err=True)
            if show:
                webbrowser.open(address)
            with QuietStderr():
                await over.wait()
    finally:
        reviewing.close()
        if unsaved := await reviewing.save_all():
            raise DataError("; ".join(unsaved))


def _agreement(items: Any, folder: Path, *, alone: bool) -> None:
    """Print how far each pair of coders agrees on the items of a folder, or on the one that is asked for alone."""
    from streamspot.review.agreement import compare  # noqa: PLC0415
    from streamspot.review.files import LabelFiles, coders  # noqa: PLC0415
    from streamspot.review.items import facts_of  # noqa: PLC0415
    from streamspot.review.pictures import times_of  # noqa: PLC0415

    videos = {item.video for item in items}
    labelled = {name: LabelFiles(folder, name).all() for name in coders(folder)}
    coded = {name: {v: one for v, one in given.items() if v in videos} for name, given in labelled.items()}
    if len(coded) < 2:
        raise SettingsError(
            f"agreement needs label files of two coders in {folder} and there {'is' if coded else 'are'} "
            f"{len(coded) or 'none'}; label with --coder NAME"
        )
    frames, unread = {}, {}
    for item in items:
        try:
            known = facts_of(item).frames  # of a variable frame rate by its nominal one
            frames[item.video] = len(times_of(item.source)) or known
        except StreamspotError as error:
            unread[item.video] = str(error)
    both = {v for one, other in combinations(labelled.values(), 2) for v in one.keys() & other.keys()}
    _tell_left_out(both & videos if alone else both, unread, folder)
    for one, other in combinations(coded, 2):
        found = compare(coded[one], coded[other], frames)
        names = " and ".join(name or "the coder without a name" for name in (one, other))
        if not found.videos:
            typer.echo(f"{names}: no video that both have labelled")
            continue
        kappa = "not defined (both use one category alone)" if found.kappa is None else f"{found.kappa:.3f}"
        typer.echo(
            f"{names}, {counted(found.videos, 'video')} that both have labelled, {found.frames} frames:"
        )
        typer.echo(f"  Cohen's kappa of the frames (none, macro, micro)    {kappa}")
        typer.echo(
            f"  expressions of each                                 {found.expressions[0]}, {found.expressions[1]}"
        )
        typer.echo(
            f"  points alone among them                             {found.points[0]}, {found.points[1]}"
        )
        typer.echo(
            f"  pairs that overlap by half, or a point within       {found.matched}, of one kind {found.same_kind}"
        )
        overlap = "-" if found.overlap is None else f"{found.overlap:.3f}"
        typer.echo(f"  mean overlap of the pairs without such points       {overlap}")
        typer.echo(f"  frames marked by both, of those marked by one       {found.shared:.3f}")


def _tell_left_out(both: Collection[str], unread: Mapping[str, str], folder: Path) -> None:
    """Name the videos that two coders have labelled and that cannot be compared: not there, or unreadable."""
    for video in sorted(both):
        if video in unread:
            typer.echo(f"left out: {unread[video]}", err=True)
        elif not (folder / video).exists():
            typer.echo(f"left out: there is no {folder / video}; put it back to compare its labels", err=True)
