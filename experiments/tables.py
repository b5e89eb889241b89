"""Cross-validate the rows of docs/results.md and write that page.

python -m experiments.tables run --data DIR [--data DIR] --runs RUNS [--quick] [--seed N] [--device cuda] [NAME ...]
python -m experiments.tables add RUNS/*
python -m experiments.tables render

``run`` trains into RUNS: a finished run is not repeated, an interrupted one goes on. Its results go to
``experiments/results/runs.jsonl``; so do those of ``add``, which takes folders of runs made elsewhere. ``render``
reads ``experiments/results`` alone.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from experiments import runs
from experiments.live_tables import live_section

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "results.md"
QUICK = {"folds": 5, "choice": "pooled"}

app = typer.Typer(no_args_is_help=True, add_completion=False)


def configs() -> dict[str, Path]:
    """Return the configurations of the tables by name, the default first."""
    files = [
        ROOT / "configs" / "train" / "casme2.yaml",
        *sorted((ROOT / "experiments/configs").glob("*.yaml")),
    ]
    return {path.stem: path for path in files}


def title(config: Path) -> str:
    """Return what a configuration says of itself in its first lines."""
    lines = [line[2:] for line in config.read_text(encoding="utf-8").splitlines() if line.startswith("# ")]
    return " ".join(lines).rstrip(".")


@app.command()
def run(
    *,
    names: Annotated[list[str] | None, typer.Argument(help="Names of configurations; all if none.")] = None,
    data: Annotated[list[Path], typer.Option(help="Folder as for crossval; may be given several times.")],
    runs_folder: Annotated[Path, typer.Option("--runs", help="Folder for the runs.")],
    seed: Annotated[list[int] | None, typer.Option(help="May be given several times.")] = None,
    jobs: int = 1,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    quick: Annotated[
        bool, typer.Option(help="Five folds and the pooled choice, a sixth of the work.")
    ] = False,
) -> None:
    """Cross-validate every configuration with every seed."""
    from experiments.variants import load_experiment  # noqa: PLC0415 - torch is slow to import
    from streamspot.processes import Processes  # noqa: PLC0415
    from streamspot.training.crossval import crossval  # noqa: PLC0415

    console = Console(stderr=True)
    known = configs()
    for number, folder, name in product(seed or [0], data, names or known):
        out = runs_folder / runs.run_name(name, folder.name, number, quick=quick)
        if not (out / "results.json").exists():
            console.print(out.name)
            settings, method = load_experiment(known[name], seed=number, **(QUICK if quick else {}))
            crossval(
                folder, out, settings, method=method, workers=Processes(jobs), device=device, console=console
            )
        runs.add([out])


@app.command()
def add(folders: Annotated[list[Path], typer.Argument(help="Folders of finished runs.")]) -> None:
    """Add runs made elsewhere to the file of all runs."""
    print(f"{runs.add(folders)} runs added to {runs.FILE}")


@app.command()
def render() -> None:
    """Write docs/results.md."""
    known = runs.read()
    text = [INTRODUCTION]
    datasets = sorted({key[1] for key in known})
    for quick, heading in ((False, FULL), (True, FIVE)):
        rows = []
        for name, config in configs().items():
            for dataset in datasets:
                found = [line for key, line in sorted(known.items()) if key[:3] == (name, dataset, quick)]
                if found:
                    rows.append(_row(config, found))
        if rows:
            text += [heading, _HEAD, *rows]
    text += live_section(known)
    DOCUMENT.write_text("\n".join(text) + "\n", encoding="utf-8")


_HEAD = (
    "| what | data | seeds | overall F1 | macro F1 | micro F1 | TP / FP overall | apex error (ticks) | "
    "false alarms / h | paper protocol F1 | minutes of one core | commit |\n" + "|---" * 12 + "|"
)


def _row(config: Path, found: list[dict[str, Any]]) -> str:
    first = found[0]
    seeds = ", ".join(str(line["seed"]) for line in found)
    both = first["strict"]["overall"]
    error = "-" if both["apex_error"] is None else both["apex_error"]
    commits = ", ".join(sorted({line["commit"] for line in found}))
    return (
        f"| {title(config)} (`{config.stem}`) | {first['dataset']} | {seeds} | {' | '.join(_spreads(found))} | "
        f"{both['tp']} / {both['fp']} | {error} | {first['false_alarms_per_hour']} | "
        f"{_spread(found, 'paper', 'overall')} | {first['compute_s'] / 60:.0f} | {commits} |"
    )


def _spreads(found: list[dict[str, Any]]) -> Iterator[str]:
    for kind in ("overall", "macro", "micro"):
        yield _spread(found, "strict", kind)


def _spread(found: list[dict[str, Any]], protocol: str, kind: str) -> str:
    """Return the F1 of one run with its interval, of several runs their mean and deviation."""
    values = [line[protocol][kind]["f1"] for line in found]
    if len(values) == 1:
        if (interval := found[0][protocol][kind]["f1_interval"]) is None:
            return f"{values[0]:.3f}"
        return "{:.3f} [{:.2f}, {:.2f}]".format(values[0], *interval)
    return f"{statistics.mean(values):.3f} ± {statistics.stdev(values):.3f}"


INTRODUCTION = """# Results

Written by `python -m experiments.tables render` from `experiments/results/`; do not edit. The rows are the
configurations of `experiments/configs/` and `configs/train/casme2.yaml`; any of them is run again by

    python -m experiments.tables run --data DIR --runs RUNS [--quick] [--seed N] [--jobs N] [NAME ...]

Data: `casme2_flow`, CAS(ME)² optical-flow features, 97 recordings, 22 subjects, 300 macro- and 57 micro-expressions,
and `samm_flow`, the same of one half of SAMM-LV's people, 69 recordings, 15 subjects, 174 macro- and 78
micro-expressions; one published time stamp an expression for training (sampled where none is published), causal
network, look-ahead 8 ticks (0.27 s) unless the row says otherwise. Every row has one configuration for both. The
shipped weights of the row's commit, which saw neither set, judge micro-expressions beside the trained network, except
in the baselines and where a row says so.

**Strict protocol** (all columns but one): inclusive IoU ≥ 0.5, one-to-one in order of score, per class, every
recording, every false positive, last epoch, decoder settings chosen without the judged subject; an instance
without an annotated offset ends at onset + 20. **Paper protocol**: each subject's best epoch, false positives of
classes the subject never shows dropped, the official code's overlap. One seed: 95 % bootstrap interval over
subjects in brackets. Several: mean ± standard deviation. Counts, errors and times are the first seed's.

The default's epochs, width, labels, losses, reach, floor and exponent were chosen by comparing five-fold runs of
seed 0 on these same subjects, those of micro-expressions, that kinds may overlap and the shipped weights' half by
five-fold runs of seeds 0 and 1, which no interval here accounts for. Every run of these tables has a line in
`experiments/results/runs.jsonl`, with the settings that differ from the defaults of its commit. A row was made by the
code of its commit; defaults and decoder may have changed since."""

FULL = """
## Leave one subject out, nested choice of minimum scores
"""

FIVE = """
## Five folds of subjects, pooled choice (quick, for comparing rows with each other)

The networks that give the scores on which a subject's minimum scores are chosen have seen that subject in training;
compare these rows with each other, not with the table above.
"""

if __name__ == "__main__":
    app()
