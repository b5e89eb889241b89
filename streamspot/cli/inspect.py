"""The commands that look at a machine: cameras, doctor, schema, bench."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from streamspot.console import QuietStderr
from streamspot.destinations import check_result
from streamspot.doctor import examine
from streamspot.errors import SettingsError, needs
from streamspot.files import write_atomically
from streamspot.shipped import DEFAULT_WEIGHTS
from streamspot.sources.cameras import list_cameras

_SIGNS = {"ok": "[green]✓[/]", "warning": "[yellow]![/]", "failure": "[red]✗[/]"}


app = typer.Typer()


@app.command()
def cameras(
    *,
    measured: Annotated[
        bool, typer.Option("--measure/--no-measure", help="Read each camera for a moment to measure its fps.")
    ] = True,
) -> None:
    """List the cameras of this machine, their modes and the frame rate they really give."""
    with QuietStderr():
        found = list_cameras(measure=measured)
    if not found:
        allowed = (
            "your user may read /dev/video*"
            if sys.platform == "linux"
            else "the system's settings of privacy let programs use it"
        )
        typer.echo(f"No camera found: plug one in and check that {allowed}.")
        raise typer.Exit(1)
    table = Table("index", "path", "name", "modes: size, format, declared and measured fps", box=None)
    for camera in found:
        modes = [
            f"{m.width}x{m.height} {m.pixels} {'?' if m.nominal is None else f'{m.nominal:g}'} {m.measured:.1f}"
            for m in camera.modes
        ]
        table.add_row(str(camera.index), camera.path, camera.name, "\n".join(modes) or "not opened")
    Console().print(table)


@app.command()
def doctor(
    weights: Annotated[str, typer.Option(help="Weights to try.")] = DEFAULT_WEIGHTS,
    broker: Annotated[str | None, typer.Option(help="Broker to try.")] = None,
) -> None:
    """Check everything a run needs and name the remedy of what is missing."""
    console = Console(highlight=False)
    failed = False
    with QuietStderr() as quiet:
        for what, verdict, detail in examine(quiet.console, weights, broker):
            console.print(f"{_SIGNS[verdict]} [bold]{what}[/]: ", end="")
            console.print(detail, markup=False)
            failed |= verdict == "failure"
    if failed:
        raise typer.Exit(1)


@app.command()
def schema(
    form: Annotated[
        str, typer.Argument(help="json (JSON Schema of an event) or asyncapi (topics).")
    ] = "json",
) -> None:
    """Print the contract: the JSON Schema of an event, or the AsyncAPI document of all topics."""
    from streamspot.mqtt.contract import asyncapi, json_schema  # noqa: PLC0415

    documents = {"json": json_schema, "asyncapi": asyncapi}
    if form not in documents:
        raise SettingsError(f"there is no schema {form!r}; choose json or asyncapi")
    typer.echo(json.dumps(documents[form](), indent=2))


@app.command()
def bench(
    source: Annotated[str, typer.Option(help="Where the frames come from.")] = "synthetic",
    weights: Annotated[str, typer.Option(help="Weights to run.")] = DEFAULT_WEIGHTS,
    frames: Annotated[int, typer.Option(min=10, help="How many frames to measure.")] = 600,
    seconds: Annotated[float, typer.Option(min=0, help="How long to measure each number of cameras.")] = 10.0,
    output: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.")] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw them to this file, .png or .svg (extra plot).")
    ] = None,
) -> None:
    """Measure what a frame costs, beside MediaPipe's faces alone, and how many cameras this machine carries.

    With --seconds 0 only the frame is measured. On a machine that others use, compare processor times and ratios.

    [dim]Examples:[/]
      streamspot bench --source clip.mp4 --seconds 0 --json figures.json
    """
    from streamspot.bench import bench as measure  # noqa: PLC0415 - torch takes seconds to import
    from streamspot.load import carried  # noqa: PLC0415

    if output is not None:
        check_result(output, ".json", "--json")
    if plot is not None:
        check_result(plot, ".svg" if plot.suffix == ".svg" else ".png", "--plot")
        if find_spec("matplotlib") is None:
            raise SettingsError(needs("--plot", "matplotlib", "plot"))
    with QuietStderr():
        result = measure(source, weights, frames)
        if seconds:
            result |= carried(source, weights, seconds)
    _print(result)
    if output is not None:
        with write_atomically(output) as part:
            part.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    if plot is not None:
        with write_atomically(plot) as part:
            _draw(result, part, plot.suffix[1:])


def _print(result: dict[str, Any]) -> None:
    console = Console(highlight=False)
    costs = Table("", "mean ms", "p50 ms", "p99 ms", box=None, title=result["protocol"], title_justify="left")
    yardsticks = result["yardsticks"]
    rows = {**result["stages_ms"], "whole frame": result["frame_ms"]}
    for name, value in (rows | {f"{name} alone": one["ms"] for name, one in yardsticks.items()}).items():
        costs.add_row(name, *(f"{value[key]:.2f}" for key in ("mean", "p50", "p99")))
    console.print(costs)
    for where, figures in (("", result), (" beside busy processes", result["beside_busy_processes"])):
        for name, one in figures["yardsticks"].items():
            console.print(
                f"ratio to {name} alone{where}: {one['ratio_of_means']:.2f} (means), "
                f"{one['ratio_of_p99']:.2f} (p99), {one['ratio_of_processor_time']:.2f} (processor time)"
            )
    console.print(
        f"{result['frames_per_second']:.0f} frames a second on one core; landmarks looked for in "
        f"{result['looked']:.0%} of the frames"
    )
    if "cameras" not in result:
        return
    many = Table(
        "cameras at 30 fps", "dropped", "within 40 ms", "processor ms a frame", "cameras a core", box=None
    )
    for row in result["cameras"]:
        name = f"{row['cameras']} of {row['size']}"
        figures = (
            f"{row['within_40_ms']:.1%}",
            f"{row['processor_ms_a_frame']:.2f}",
            f"{row['cameras_a_core']}",
        )
        many.add_row(name, str(row["dropped"]), *figures)
    steps = Table(
        "streams of the network", "step p50 ms", "p99 ms", "ticks a second", "kB a stream", box=None
    )
    for row in result["streams_of_the_network"]:
        took = (f"{row['step_ms'][key]:.2f}" for key in ("p50", "p99"))
        name = f"{row['streams']} on {row['device']}"
        steps.add_row(name, *took, f"{row['ticks_per_second']:,}", f"{row['kilobytes_a_stream']}")
    console.print(many, steps, sep="\n")
    start = ", ".join(
        f"{name.replace('_', ' ')} {value:.1f} s" for name, value in result["start_up_s"].items()
    )
    console.print(f"start-up: {start}")


def _draw(result: dict[str, Any], path: Path, form: str) -> None:
    """Draw what a frame costs, stage upon stage, beside the yardsticks."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - an extra

    figure = Figure((7, 3), layout="constrained")
    axes = figure.subplots()
    for place, figures in ((1, result), (0, result["beside_busy_processes"])):
        left = 0.0
        for number, (name, value) in enumerate(figures["stages_ms"].items()):
            label = name if place else None
            axes.barh(place + 0.2, value["mean"], 0.35, left=left, color=f"C{number}", label=label)
            left += value["mean"]
        for name, one in figures["yardsticks"].items():
            axes.barh(place - 0.2, one["ms"]["mean"], 0.35, color="none", edgecolor="0.4")
            axes.text(one["ms"]["mean"], place - 0.2, f" {name}", va="center", fontsize=8)
    axes.set(yticks=[1, 0], yticklabels=["alone", "beside busy\nprocesses"], xlabel="mean of a frame, ms")
    axes.legend(fontsize=8)
    figure.savefig(path, format=form)
