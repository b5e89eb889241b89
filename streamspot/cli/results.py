"""The commands for what a run has written: convert."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streamspot.dashboard.text import counted

app = typer.Typer()


@app.command()
def convert(
    events: Annotated[Path, typer.Argument(help="File of run --events.")],
    form: Annotated[str, typer.Option("--to", help="vtt, srt, elan, textgrid, boris, bids, csv or parquet.")],
    out: Annotated[
        Path | None, typer.Option(help="File to write. Default: beside the events, with their name.")
    ] = None,
    video: Annotated[Path | None, typer.Option(help="What was analysed; ELAN then plays it.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write the finished expressions for another program, one entry each, in seconds of the source.

    [dim]Examples:[/]
      streamspot convert clip.jsonl --to vtt
      streamspot convert clip.jsonl --to elan --video clip.mp4
    """
    from streamspot.convert.forms import convert as write  # noqa: PLC0415 - so that the help is fast

    paths, count = write(events, form, out, video=video, force=force)
    typer.echo(f"{' and '.join(map(str, paths))}: {counted(count, 'expression')}")
