"""The commands that look at a machine: cameras, doctor, schema, bench."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from streamspot.console import QuietStderr
from streamspot.doctor import examine
from streamspot.errors import SettingsError
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
        typer.echo("No camera found: plug one in and check that your user may read /dev/video*.")
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
    weights: Annotated[str, typer.Option(help="Weights to try.")] = "streamspot-base",
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
    weights: Annotated[str, typer.Option(help="Weights to run.")] = "streamspot-base",
    frames: Annotated[int, typer.Option(min=10, help="How many frames to measure.")] = 600,
    output: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.")] = None,
) -> None:
    """Measure what a frame costs, beside MediaPipe's face mesh alone on the same frames."""
    from streamspot.bench import bench as measure  # noqa: PLC0415 - torch takes seconds to import

    with QuietStderr():
        result = measure(source, weights, frames)
    if output is not None:
        try:
            output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise SettingsError(
                f"{output} cannot be written ({error.strerror}); name another file"
            ) from error
    _print(result)


def _print(result: dict[str, Any]) -> None:
    yardstick = f"{result['yardstick']} alone"
    rows = {**result["stages_ms"], "whole frame": result["frame_ms"], yardstick: result["yardstick_ms"]}
    costs = Table("", "mean ms", "p50 ms", "p99 ms", box=None, title=result["protocol"], title_justify="left")
    for name, value in rows.items():
        costs.add_row(name, *(f"{value[key]:.2f}" for key in ("mean", "p50", "p99")))
    many = Table("device", "streams", "step p50 ms", "p99 ms", "ticks a second", box=None)
    for row in result["many_streams"]:
        steps = (f"{row['step_ms'][key]:.2f}" for key in ("p50", "p99"))
        many.add_row(row["device"], str(row["streams"]), *steps, f"{row['ticks_per_second']:,}")
    console = Console(highlight=False)
    console.print(costs)
    console.print(
        f"ratio to {yardstick}: {result['ratio_of_means']:.2f} (means), "
        f"{result['ratio_of_medians']:.2f} (medians); {result['frames_per_second']:.0f} frames a second on one core; "
        f"landmarks looked for in {result['looked']:.0%} of the frames"
    )
    console.print(many)
