"""The commands that train weights and judge them: train, crossval, evaluate, calibrate."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from streamspot.errors import SettingsError
from streamspot.files import write_atomically
from streamspot.progress import Bars
from streamspot.shipped import DEFAULT_WEIGHTS

if TYPE_CHECKING:
    from streamspot.training.adapt import Adapted

app = typer.Typer()

Data = Annotated[
    Path, typer.Option("--data", help="Folder with features.npz, annotations.csv and perhaps meta.yaml.")
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="YAML with settings that differ from the default, or the name of a shipped one (casme2, sammlv, …).",
    ),
]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="Overrides the seed of the settings.")]
Epochs = Annotated[int | None, typer.Option("--epochs", min=1, help="Overrides the epochs of the settings.")]
Start = Annotated[
    str | None,
    typer.Option(
        "--from",
        help="Weights to begin with, by name (streamspot-base) or path; instead of those of the settings.",
    ),
]
Ui = Annotated[bool, typer.Option("--ui/--no-ui", help="Progress bar, or nothing.")]


@app.command("train")
def train_command(
    *,
    data: Data,
    out: Annotated[
        Path,
        typer.Option(
            "--out", help="Where to write the weights (.safetensors); an interrupted training goes on."
        ),
    ],
    config: Config = None,
    begin: Start = None,
    seed: Seed = None,
    epochs: Epochs = None,
    force: Annotated[
        bool, typer.Option("--force", help="With --from: write weights that are no better, too.")
    ] = False,
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "cpu",
    ui: Ui = True,
) -> None:
    """Train a model on all subjects of a data set from one time stamp an expression.

    With --from it begins with other weights, holds a part of the recordings back, shows how they are judged before
    and after, and writes the new weights only if they are better.

    [dim]Examples:[/]
      streamspot train --from streamspot-base --data mine --out mine.safetensors
      streamspot train --data casme2 --config casme2 --out casme2.safetensors
    """
    from streamspot.threads import one_thread  # noqa: PLC0415 - as below
    from streamspot.training.adapt import adapt  # noqa: PLC0415 - as below
    from streamspot.training.settings import load_settings  # noqa: PLC0415 - so is this
    from streamspot.training.train import train  # noqa: PLC0415 - torch is slow to import

    one_thread()  # as each fold of crossval; two that wait for each other on a busy machine take twenty times as long
    settings = load_settings(config, start=begin, seed=seed, epochs=epochs)
    if force and settings.start is None:
        raise SettingsError(
            "--force is for training that begins with other weights; add --from, or leave it out"
        )
    console = Console(stderr=True)
    with Bars(console if ui else None) as bar:
        steps = settings.simulated.steps
        first = bar.add_task("simulated motion", total=steps, visible=steps > 0, unit="steps")
        epochs = settings.epochs * (1 if settings.start is None else 2)
        task = bar.add_task("training", total=epochs, unit="epochs")

        def show(share: float, loss: float) -> None:
            known = "" if math.isnan(loss) else f", loss {loss:.4f}"
            bar.update(task, advance=share, description=f"training{known}")

        adapted = None
        if settings.start is not None:
            adapted = adapt(data, out, settings, device=device, force=force, on_step=show)
            model = adapted.model
        else:
            model = train(
                data,
                out,
                settings,
                device=device,
                on_simulated=lambda _step, _loss: bar.advance(first),
                on_step=show,
            )
    if adapted is not None:
        _show_adapted(adapted, console)
    console.print(f"{out}: {model.parameters} weights, look-ahead {model.config.look_ahead} ticks")
    _suggest("use it with", f"streamspot run --source 0 --weights {shlex.quote(str(out))}", console)


@app.command("crossval")
def crossval_command(
    *,
    data: Annotated[
        list[Path],
        typer.Option("--data", help="Folder as for train; may be given several times, for one table of all."),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            help="Folder for results.json, of several data sets one folder each; an interrupted run goes on.",
        ),
    ],
    config: Config = None,
    begin: Start = None,
    seed: Seed = None,
    epochs: Epochs = None,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Processes, one core each.")] = 1,
    ray: Annotated[
        str | None, typer.Option("--ray", metavar="ADDRESS", help="Train on this Ray cluster instead.")
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "cpu",
    report: Annotated[bool, typer.Option("--report", help="Write report.html beside results.json.")] = False,
    ui: Ui = True,
) -> None:
    """Judge every subject by a model that never saw it, and write results.json.

    [dim]Examples:[/]
      streamspot crossval --data casme2 --config casme2 --out run --jobs 2 --report
    """
    from streamspot.cluster import workers  # noqa: PLC0415 - so is this
    from streamspot.datasets.store import load  # noqa: PLC0415 - so is this
    from streamspot.training.crossval import crossval  # noqa: PLC0415 - torch is slow to import
    from streamspot.training.settings import load_settings  # noqa: PLC0415 - so is this

    console = Console(stderr=True)
    settings = load_settings(config, start=begin, seed=seed, epochs=epochs)
    hands = workers(jobs, ray, gpus=0.25 if device == "cuda" else 0.0)
    strict: dict[str, Any] = {}
    places = {folder: out if len(data) == 1 else out / folder.resolve().name for folder in data}
    if len(set(places.values())) < len(data):
        raise SettingsError(
            "the results of each data set go into a folder of its name, and two have one name; rename one"
        )
    for folder in data[1:]:  # the first is read at once, the others hours later
        load(folder)
    for folder, place in places.items():
        results = crossval(
            folder, place, settings, workers=hands, device=device, console=console if ui else None
        )
        strict[results["dataset"]] = results["strict"]
        _show(results, console)
        console.print(f"{place / 'results.json'}")
        if report:
            from streamspot.training.report import write_crossval  # noqa: PLC0415 - torch is slow to import

            write_crossval(place / "report.html", place, folder)
            console.print(f"{place / 'report.html'}")
    if len(data) > 1:
        _show_all(strict, console)
    if not report:
        console.print("for a page with curves: the same again with --report, nothing is trained again")
    given = {"--config": config, "--from": begin, "--seed": seed, "--epochs": epochs}
    same = "".join(f" {flag} {shlex.quote(str(one))}" for flag, one in given.items() if one is not None)
    again = f"streamspot train --data {shlex.quote(str(data[0]))}{same} --out mine.safetensors"
    _suggest("train on everybody", again, console)


@app.command("evaluate")
def evaluate_command(
    *,
    data: Data,
    weights: Annotated[str, typer.Option("--weights", help="Name of shipped weights, or a path.")],
    out: Annotated[
        str | None, typer.Option("--out", help="Write the tables as JSON to this file, - for stdout.")
    ] = None,
    report: Annotated[Path | None, typer.Option("--report", help="Write a report (.html).")] = None,
    choose: Annotated[
        bool, typer.Option("--choose", help="Choose the minimum scores on this very data (optimistic).")
    ] = False,
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Judge a data set with given weights under the strict protocol and the paper's.

    Where only the point of an expression is known, it is found if that lies within a detection.

    [dim]Examples:[/]
      streamspot evaluate --data mine --weights mine.safetensors --report mine.html
    """
    from streamspot.destinations import check_page, check_result  # noqa: PLC0415 - loads OpenCV
    from streamspot.training.train import evaluate_weights  # noqa: PLC0415 - torch is slow to import

    if out not in {None, "-"}:
        check_result(Path(str(out)), ".json")
    if report is not None:
        check_result(report, ".html", "--report")
        check_page(report, (), remedy="name another with --report")
    results = evaluate_weights(data, weights, choose=choose, device=device)
    console = Console(stderr=True)
    _show(results, console)
    text = json.dumps(results, indent=2, sort_keys=True)
    if out == "-":
        typer.echo(text)
    elif out is not None:
        with write_atomically(Path(out)) as part:
            part.write_text(text + "\n", encoding="utf-8")
    if report is not None:
        from streamspot.training.report import write_evaluation  # noqa: PLC0415 - as above

        write_evaluation(report, results, data, weights)
        console.print(f"{report}")
    else:
        console.print("with curves, as one page: add --report report.html")


@app.command("calibrate")
def calibrate_command(
    *,
    data: Data,
    weights: Annotated[
        str, typer.Option("--weights", help="Name of shipped weights, or a path.")
    ] = DEFAULT_WEIGHTS,
) -> None:
    """Find the sensitivity that suits a person or a camera, from labelled recordings.

    [dim]Examples:[/]
      streamspot calibrate --data mine
    """
    from streamspot.training.calibrate import best, calibrate  # noqa: PLC0415 - torch is slow to import

    judging, counts = calibrate(data, weights)
    rows = [
        (f"{sensitivity:.2f}", str(one.tp), str(one.fp), str(one.fn), f"{one.f1:.3f}")
        for sensitivity, one in counts.items()
    ]
    _print(f"{judging} on {data}", ("sensitivity", "TP", "FP", "FN", "F1"), rows, Console(stderr=True))
    if judging.startswith(f"{weights}."):
        typer.echo(f"of --weights {judging}, which a stream takes only if it is told to:", err=True)
    typer.echo(f"--sensitivity {best(counts):g}")


def _print(title: str, heads: Iterable[str], rows: Iterable[Iterable[str]], console: Console) -> None:
    table = Table(title=title, title_justify="left")
    for head in heads:
        table.add_column(head, justify="right")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _suggest(what: str, command: str, console: Console) -> None:
    """Print a command that can be copied as it stands: unwrapped, and its brackets taken for nothing else."""
    console.print(f"{what}: {command}", markup=False, soft_wrap=True)


def _show_adapted(adapted: Adapted, console: Console) -> None:
    """Print how what was held back is judged before and after an adaptation."""
    from streamspot.evaluation.results import RESULT_HEADS, results_table  # noqa: PLC0415 - NumPy is slow to import

    rows = [
        (name, *row[1:])
        for name, table in (("before", adapted.before), ("after", adapted.after))
        for row in results_table({"": table["overall"]})
    ]
    _print(f"expressions held back: {adapted.labels[1]}", RESULT_HEADS, rows, console)


def _show(results: dict[str, Any], console: Console) -> None:
    """Print both protocols' tables and, of what can stream, what a live user feels."""
    from streamspot.evaluation.live import HEADS, live_table  # noqa: PLC0415 - NumPy is slow to import
    from streamspot.evaluation.results import RESULT_HEADS, results_table  # noqa: PLC0415

    for protocol in ("strict", "paper"):
        _print(f"{protocol} protocol", RESULT_HEADS, results_table(results[protocol]), console)
    if points := results["points"]:
        total = results["strict"]["overall"]["tp"] + results["strict"]["overall"]["fn"]
        console.print(
            f"{points} of {total} expressions are points: found if the point lies within a detection, "
            "no interval is made up"
        )
    if (figures := results["live"]) is not None:
        title = f"live, look-ahead {figures['look_ahead']} ticks; delays: median (95 %)"
        _print(title, HEADS, live_table(figures), console)


def _show_all(strict: dict[str, Any], console: Console) -> None:
    """Print the strict tables of several data sets as one."""
    from streamspot.evaluation.results import RESULT_HEADS, results_table  # noqa: PLC0415 - NumPy is slow to import

    rows = [(name, *row) for name, table in strict.items() for row in results_table(table)]
    _print("strict protocol, all data sets", ("data", *RESULT_HEADS), rows, console)
