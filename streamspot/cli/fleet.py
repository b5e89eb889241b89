"""The command that runs many sources on a cluster: fleet."""

from __future__ import annotations

import json as jsons
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from streamspot.errors import SettingsError, first_few
from streamspot.layers import load_streams
from streamspot.progress import Bars

app = typer.Typer()

_WORDS = ("status", "drain", "use", "stop")
_SHOWN = 20
"""Sources that are named, of those that do not run as they should."""


@app.command()
def fleet(
    what: Annotated[
        str,
        typer.Argument(
            metavar="FILE|status|drain|use|stop", help="The fleet's file, or what to do with one that runs."
        ),
    ],
    node: Annotated[str | None, typer.Argument(help="Which node to drain, or to use again.")] = None,
    *,
    ray: Annotated[
        str, typer.Option(metavar="ADDRESS", help="The Ray cluster: host:6379, or auto.")
    ] = "auto",
    name: Annotated[str | None, typer.Option("--fleet", help="Which fleet, where several run.")] = None,
    cpus: Annotated[
        float | None, typer.Option(min=0.1, help="Cores that an engine takes of its node. Default: all.")
    ] = None,
    gpus: Annotated[float | None, typer.Option(min=0.0, help="GPUs that it takes. Default: all.")] = None,
    metrics: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Port for Prometheus, open to each node's network; 0 takes a free one."
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the status as JSON.")] = False,
    ui: Annotated[
        bool, typer.Option("--ui/--no-ui", help="Wait, with a bar, until every source runs.")
    ] = True,
) -> None:
    """Run many sources on a Ray cluster; when a node is lost, drained or full, they go on elsewhere.

    The file is that of a run with several sources. Started again with a changed file, the fleet changes over little
    by little; other weights are tried by one source first. --cpus, --gpus and --metrics are taken when the fleet
    begins; while it runs they change nothing. Ctrl-C leaves the fleet running.

    [dim]Examples:[/]
      streamspot fleet fleet.yaml --ray head:6379
      streamspot fleet status
      streamspot fleet drain 3f2a9c01
      streamspot fleet stop
    """
    from streamspot.fleet.control import Fleet  # noqa: PLC0415 - an extra
    from streamspot.fleet.plan import Plan  # noqa: PLC0415

    if what not in _WORDS:
        if not Path(what).is_file():
            raise SettingsError(
                f"there is no file {what}; name the fleet's file, or one of {', '.join(_WORDS)}"
            )
        plan = Plan.of(load_streams({}, what))
        weights = next(iter(plan.sources.values())).model.weights
        options = {"cpus": cpus, "gpus": gpus, "metrics": metrics, "weights": weights}
        running = Fleet.start(plan, ray, options)
        if ui:
            _wait(running)
        return
    running = Fleet.find(ray, name)
    if what == "stop":
        running.stop()
    elif what == "status":
        _show(running.status(), json=json)
    elif node is None:
        raise SettingsError(f"name the node to {what}; streamspot fleet status lists them")
    else:
        running.drain(node, leave=what == "drain")


def _wait(running: Any) -> None:
    """Show how many sources run, until all do."""
    from streamspot.fleet.control import waiting  # noqa: PLC0415 - an extra

    console = Console(stderr=True)
    with Bars(console) as bar:
        task = bar.add_task("the fleet", total=None, unit="sources run")
        for status in running.watch():
            missing, total = waiting(status), len(status["sources"])
            bar.update(task, total=total, completed=total - len(missing))
            failed = [one for one in missing if status["sources"][one]["failures"]]
            if len(missing) == len(failed):
                break
    _complain(status, console)


def _show(status: dict[str, Any], *, json: bool) -> None:
    if json:
        typer.echo(jsons.dumps(status, indent=2, sort_keys=True))
        return
    console = Console()
    table = Table("node", "address", "sources", "load", "can carry", "metrics at", "")
    for row in sorted(status["engines"].values(), key=lambda one: str(one["node"])):
        figures = (row["sources"], row["load"], row["capacity"], row.get("metrics", ""))
        state = "draining" if row["draining"] else "silent" if row["silent_s"] > 3 else ""
        table.add_row(row["node"], row.get("address", ""), *map(str, figures), state)
    console.print(table)
    rows = status["sources"].values()
    console.print(f"{sum(row['reporting'] for row in rows)} of {len(rows)} sources run")
    _complain(status, console)


def _complain(status: dict[str, Any], console: Console) -> None:
    """Name the sources with which something is wrong."""
    wrong = [f"{name}: {row['note']}" for name, row in sorted(status["sources"].items()) if row["note"]]
    for line in first_few(wrong, "more; streamspot fleet status --json lists them", _SHOWN):
        console.print(f"  {line}", markup=False)
