"""The commands for what a run has written: report, convert."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamspot.dashboard.text import counted
from streamspot.destinations import check_page
from streamspot.errors import DataError, SettingsError
from streamspot.shipped import DEFAULT_WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamspot.report.account import Account

app = typer.Typer()


@app.command()
def report(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="EVENTS|RECORDING|FOLDER",
            help="Events of run --events, a recording of run --record, a folder of either, or one of crossval.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Page to write. Default: beside it, NAME.html; of a folder, report.html in it."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Data set of a folder of crossval, for its curves.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Compare with labels: points.csv or annotations.csv.")
    ] = None,
    compare: Annotated[
        Path | None, typer.Option(help="Compare with another run: its events or recording.")
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help=f"What judges a recording. Default: {DEFAULT_WEIGHTS}.")
    ] = None,
    sensitivity: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="How much of a recording is reported. Default: 0.5."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file of another program.")] = False,
) -> None:
    """Write one page in plain language: curve and what was found, tables, delays, how well faces could be seen.

    The page is one file of HTML that loads nothing. Beside events clip.jsonl the curve clip.csv and the recording
    clip.motion are read too, if they are there.

    [dim]Examples:[/]
      streamspot report clip.jsonl --labels points.csv
      streamspot report clip.motion --sensitivity 0.7
      streamspot report results
    """
    if labels is not None and compare is not None:
        raise SettingsError("--labels and --compare are two reports; write one after the other")
    page = out or (path / "report.html" if path.is_dir() else path.with_suffix(".html"))
    check_page(page, (path, labels, compare), force=force)
    if (path / "results.json").is_file():
        _refuse(
            "changes nothing in the report of a cross-validation; leave it out",
            labels=labels,
            compare=compare,
            weights=weights,
            sensitivity=sensitivity,
        )
        _report_crossval(page, path, data)
    else:
        _refuse("is for a folder of crossval alone; leave it out", data=data)
        _report_runs(page, path, labels, compare, weights=weights, sensitivity=sensitivity)


def _report_crossval(page: Path, folder: Path, data: Path | None) -> None:
    """Write the report of a cross-validation, with the curves if its data set is given."""
    from streamspot.training.report import write_crossval  # noqa: PLC0415 - torch is slow to import

    write_crossval(page, folder, data)
    typer.echo(f"{page}")


def _report_runs(
    page: Path,
    path: Path,
    labels: Path | None,
    compare: Path | None,
    *,
    weights: str | None,
    sensitivity: float | None,
) -> None:
    """Write the report of the runs in ``path``, perhaps compared with labels or with the runs in ``compare``."""
    from streamspot.report.account import accounts_of, is_written  # noqa: PLC0415 - so that the help is fast
    from streamspot.report.comparison import with_labels, with_run  # noqa: PLC0415
    from streamspot.report.run import write_report  # noqa: PLC0415

    judge = weights or DEFAULT_WEIGHTS
    how_much = 0.5 if sensitivity is None else sensitivity
    accounts = accounts_of(path, judge, how_much, _warn)
    others = accounts_of(compare, judge, how_much, _warn) if compare is not None else []
    if is_written(path) and (compare is None or is_written(compare)):
        _refuse(
            f"changes nothing in events that are written, as in {path}; give the recording (.motion), which is "
            "analysed anew",
            weights=weights,
            sensitivity=sensitivity,
        )
    pairs = _counterparts(path, accounts, compare, others)
    comparisons = [
        with_labels(account, labels, accounts)
        if labels is not None
        else with_run(account, other)
        if other is not None
        else None
        for account, other in zip(accounts, pairs, strict=True)
    ]
    if labels is not None and not any(comparisons):
        raise DataError(f"{labels} names none of the recordings in {path}; give the labels of these")
    write_report(page, accounts, comparisons, accounts[0].name if len(accounts) == 1 else path.resolve().name)
    count = sum(len(account.final) for account in accounts)
    typer.echo(f"{page}: {counted(count, 'expression')} of {counted(len(accounts), 'run')}")


def _counterparts(
    path: Path, accounts: list[Account], compare: Path | None, others: list[Account]
) -> Sequence[Account | None]:
    """Return of each run the one to compare it with; warn where two seem to be over different sources.

    Raises:
        SettingsError: The runs in ``compare`` are over other recordings.
    """
    if compare is None:
        return [None] * len(accounts)
    from streamspot.report.comparison import counterparts  # noqa: PLC0415 - so that the help is fast

    pairs = counterparts(accounts, others)
    if not pairs:
        raise SettingsError(f"{path} and {compare} hold other recordings; give two runs over the same")
    for one, other in zip(accounts, pairs, strict=True):
        if other is None:
            lacking = f"no event of {one.stream}" if one.stream else f"no run that is called {one.name}"
            _warn(f"{compare} has {lacking}, which is compared with nothing")
        elif one.stream and other.stream and one.stream != other.stream:
            _warn(
                f"{path} is of {one.stream} and {compare} of {other.stream}; unless both are one recording, "
                "give two runs over the same"
            )
            break
    return pairs


def _refuse(why: str, **given: object) -> None:
    """Refuse a setting that would change nothing."""
    for name, value in given.items():
        if value is not None:
            raise SettingsError(f"--{name} {why}")


def _warn(sentence: str) -> None:
    typer.echo(f"! {sentence}", err=True)


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

    paths, count = write(events, form, out, video=video, force=force, tell=_warn)
    typer.echo(f"{' and '.join(map(str, paths))}: {counted(count, 'expression')}")
