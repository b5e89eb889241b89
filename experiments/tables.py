"""Run the ablations of configs/ and write docs/results.md from their results.json, never by hand.

python benchmarks/tables.py run --data DIR --runs RUNS [--quick] [--seed 0 --seed 1] [NAME ...]
python benchmarks/tables.py render --runs RUNS

A run that is finished is not repeated, an interrupted one goes on; one whose results lack the live figures
is judged again from its folds.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from streamspot.evaluation.live import HEADS, live_table

CONFIGS = Path(__file__).parents[1] / "configs"
DOCUMENT = Path(__file__).parents[1] / "docs" / "results.md"
QUICK = {"folds": 5, "choice": "pooled"}

app = typer.Typer(no_args_is_help=True, add_completion=False)


def _title(config: Path) -> str:
    lines = [line[2:] for line in config.read_text(encoding="utf-8").splitlines() if line.startswith("# ")]
    return " ".join(lines).rstrip(".")


def _configs(names: list[str]) -> list[Path]:
    every = [CONFIGS / "train" / "casme2.yaml", *sorted((CONFIGS / "tables").glob("*.yaml"))]
    return [path for path in every if not names or path.stem in names]


@app.command()
def run(
    *,
    names: Annotated[list[str] | None, typer.Argument(help="Names of configs; all if none.")] = None,
    data: Annotated[Path, typer.Option(help="Folder with features.npz and annotations.csv.")],
    runs: Annotated[Path, typer.Option(help="Folder for the runs.")],
    seed: Annotated[list[int] | None, typer.Option(help="May be given several times.")] = None,
    jobs: int = 1,
    quick: Annotated[
        bool, typer.Option(help="Five folds and the pooled choice, a sixth of the work.")
    ] = False,
) -> None:
    """Cross-validate every config with every seed."""
    from streamspot.training.runner import crossval  # noqa: PLC0415 - torch is slow to import
    from streamspot.training.settings import load_settings  # noqa: PLC0415

    console = Console(stderr=True)
    for number in seed or [0]:
        for config in _configs(names or []):
            out = runs / f"{'quick-' if quick else ''}{config.stem}-seed{number}"
            done = out / "results.json"
            if done.exists() and "live" in json.loads(done.read_text(encoding="utf-8")):
                continue
            console.print(out.name)
            settings = load_settings(config, seed=number, **(QUICK if quick else {}))
            crossval(data, out, settings, jobs=jobs, console=console)


@app.command()
def render(*, runs: Annotated[Path, typer.Option(help="Folder of the runs.")]) -> None:
    """Write docs/results.md."""
    text = [INTRODUCTION]
    for quick, title in ((False, FULL), (True, FIVE)):
        rows = []
        for config in _configs([]):
            prefix = f"{'quick-' if quick else ''}{config.stem}-seed"
            found = [json.loads(p.read_text()) for p in sorted(runs.glob(f"{prefix}[0-9]*/results.json"))]
            if found:
                rows.append(_row(config, found))
        if rows:
            text += [title, _HEAD, *rows]
    text += _live(runs)
    DOCUMENT.write_text("\n".join(text) + "\n", encoding="utf-8")


_HEAD = (
    "| what | seeds | overall F1 | macro F1 | micro F1 | TP / FP overall | apex error (ticks) | "
    "false alarms / h | paper protocol F1 | minutes of one core | commit |\n" + "|---" * 11 + "|"
)


def _spread(found: list[dict[str, Any]], protocol: str, kind: str) -> str:
    values = [r[protocol][kind]["f1"] for r in found]
    if len(values) == 1:
        low, high = found[0][protocol][kind]["f1_interval"]
        return f"{values[0]:.3f} [{low:.2f}, {high:.2f}]"
    return f"{statistics.mean(values):.3f} ± {statistics.stdev(values):.3f}"


def _row(config: Path, found: list[dict[str, Any]]) -> str:
    first = found[0]
    seeds = ", ".join(str(r["seed"]) for r in found)
    both = first["strict"]["overall"]
    commits = ", ".join(sorted({r["commit"] for r in found}))
    return (
        f"| {_title(config)} (`{config.relative_to(CONFIGS)}`) | {seeds} | "
        f"{_spread(found, 'strict', 'overall')} | {_spread(found, 'strict', 'macro')} | "
        f"{_spread(found, 'strict', 'micro')} | {both['tp']} / {both['fp']} | {both['apex_error']} | "
        f"{first['false_alarms_per_hour']} | {_spread(found, 'paper', 'overall')} | "
        f"{first['compute_s'] / 60:.0f} | {commits} |"
    )


def _live(runs: Path) -> list[str]:
    """Return the section on what a live user feels."""
    rows = [row for quick in (False, True) for row in _live_rows(runs, quick=quick)]
    if not rows:
        return []
    head = "| " + " | ".join(("look-ahead", "protocol", "kind", *HEADS[1:])) + " |"
    text = [LIVE_TITLE, head, "|---" * (len(HEADS) + 2) + "|", *rows]
    path = runs / "live.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if "trade_off" in known:
        text.append(PLOTTED)
    if "exact" in known:
        text.append(EXACT.format(**known["exact"]))
    if "streamed" in known:
        text += [STREAMED, "", *_streamed_rows(known["streamed"])]
    if "touching" in known:
        text += [TOUCHING, "", *_touching_rows(known["touching"])]
    if "stream" in known:
        text += [STREAM, "", *_stream_rows(known["stream"])]
    return text


def _streamed_rows(rows: list[dict[str, Any]]) -> Iterator[str]:
    yield "| encoder | trained | recordings | ticks | largest difference: intensity | class probability |"
    yield "|---" * 6 + "|"
    for row in rows:
        yield (
            f"| {row['encoder']}, {row['width']} channels | {row['epochs']} epochs, {row['subjects']} subjects | "
            f"{row['recordings']} | {row['ticks']} | {row['intensity']:.1e} | {row['classes']:.1e} |"
        )


def _touching_rows(tried: list[dict[str, Any]]) -> Iterator[str]:
    yield (
        "| settings | seed | folds | trough ≥ 20 %: concatenated | overlapped | both | ≥ 25 % | ≥ 30 % | ≥ 40 % |"
    )
    yield "|---" * 9 + "|"
    columns = (
        ("concatenated", "0.2"),
        ("overlapped", "0.2"),
        *(("all", d) for d in ("0.2", "0.25", "0.3", "0.4")),
    )
    for table in tried:
        shares = (table[how].get(least, (0, 0)) for how, least in columns)
        cells = " | ".join(f"{right} of {all_}" for right, all_ in shares)
        yield f"| {_named(table['settings'])} | {table['seed']} | {table['folds']} | {cells} |"


def _stream_rows(tried: list[dict[str, Any]]) -> Iterator[str]:
    yield "| " + " | ".join(("settings", "seed", "overall F1", *HEADS[1:])) + " |"
    yield "|---" * (len(HEADS) + 2) + "|"
    for table in tried:
        cells = live_table(table["live"])[-1][1:]
        about = (_named(table["settings"]), str(table["seed"]), f"{table['f1']:.3f}")
        yield "| " + " | ".join((*about, *cells)) + " |"


def _named(settings: dict[str, Any]) -> str:
    return ", ".join(f"`{name}` {value}" for name, value in settings.items()) or "default"


def _live_rows(runs: Path, *, quick: bool) -> Iterator[str]:
    """Yield a row a kind of every run that has the figures, by look-ahead."""
    for config in LIVE:
        for path in sorted(runs.glob(f"{'quick-' if quick else ''}{config}-seed[0-9]*/results.json")):
            results = json.loads(path.read_text(encoding="utf-8"))
            if "live" not in results:
                continue
            ticks = results["live"]["look_ahead"]
            folds = "5 folds, pooled" if quick else "22 folds, nested"
            for kind, *cells in live_table(results["live"]):
                if kind != "overall":
                    about = (f"{ticks} ticks ({ticks / 30:.2f} s)", f"{folds}, seed {results['seed']}", kind)
                    yield "| " + " | ".join((*about, *cells)) + " |"


LIVE = ("look-ahead-0", "look-ahead-4", "casme2", "look-ahead-16")

LIVE_TITLE = """
## What a live user feels

From every phase the online spotter gives on curves of unseen subjects, the look-ahead included. *Before apex*:
share of the expressions found (strict protocol) whose onset was announced before the annotated apex. Delays run
from the annotated onset to its announcement and from the annotated offset to the final event, over the
expressions found; delays and apex error are medians, the 95 % quantile in brackets. *Cancelled early*: share of the
announcements made while an expression was under way that were cancelled, and how many an hour. *False*: final
events that found nothing. Decoded as in the tables above, which differs from a stream's default settings: outer
margins of up to 16 ticks instead of 8, which an event waits for, macro-expressions of 18 to 90 ticks, no troughs; the
onset announced at 0.4 instead of 0.5.
"""

PLOTTED = """
![Announced before the apex against cancelled announcements](look-ahead.svg)

Share of the found expressions announced before their apex against cancelled announcements, by look-ahead and by
the level that the curve must exceed for an early onset (five folds; `benchmarks/look_ahead.py levels`)."""

EXACT = """
**Online equals offline** on all recordings under the five-fold models of three seeds, look-ahead 8, with the
evaluated decoder and with a stream's default one: {curves} decodings, {events} events, {different} decodings with any
difference from a decoder that sees the whole array (`benchmarks/look_ahead.py exact`)."""


STREAMED = """
**Streaming equals offline**: scores of `Model.step`, tick by tick with the recordings side by side, against
`Model.forward` on whole recordings, trained weights (`benchmarks/look_ahead.py streamed`)."""

STREAM = """
**A stream's default settings**, and what the others cost: the look-ahead 8 curves of all 97 recordings (five folds),
both kinds together; no setting is fitted to a fold, but the defaults were chosen as said above."""

TOUCHING = """
**Touching expressions**: the real motion of two macro-expressions of one subject, one straight after the other or
overlapped by a fifth to a half of the shorter, between neutral ticks, judged by networks that never saw the
subject (five folds, look-ahead 8, `benchmarks/look_ahead.py touching`), decoded with a stream's defaults (the shipped
weights bring others).
Of the pairs whose curve stays above the floor between two peaks above 0.4, and whose trough is so
deep (share of the lower peak), those with an event on either side of the trough. The defaults for
troughs were chosen by the pairs of folds 0 and 1 and the false alarms of all recordings of seed 0, with the figures
of the other folds in view; between `trough_ticks` 12 and 13, and for the least scores, also with those of the other
seeds. `trough_ticks` 1 and `trough_allowance` 0: no rule of its own for what a trough bounds. `trough_share` 0.2
divides a smile held for a minute under jitter (standard deviation 0.07 around 0.75) into 4.5 pieces on average, the
default into 1.1."""

INTRODUCTION = """# Results

Written by `benchmarks/tables.py render` from the `results.json` of each run; do not edit.

Data: CAS(ME)² optical-flow features, 97 recordings, 22 subjects, 300 macro- and 57 micro-expressions; one published
time stamp an expression for training, causal network, look-ahead 8 ticks (0.27 s) unless the row says otherwise.

**Strict protocol** (all columns but one): inclusive IoU ≥ 0.5, one-to-one in order of score, per class, every
recording, every false positive, last epoch, decoder settings chosen without the judged subject; an instance
without an annotated offset ends at onset + 20. **Paper protocol**: each subject's best epoch, false positives of
classes the subject never shows dropped, the official code's overlap. One seed: 95 % bootstrap interval over
subjects in brackets. Several: mean ± standard deviation. Counts, errors and times are the first seed's.

The default's epochs, width, window and margin were chosen by comparing runs on these same subjects, which no
interval here accounts for; the runs themselves stand in `benchmarks/runs`."""

FULL = """
## Leave one subject out, 22 folds, nested choice of least scores
"""

FIVE = """
## Five folds of subjects, pooled choice (quick, for comparing rows with each other)

The networks that give the scores on which a subject's least scores are chosen have seen that subject in training;
compare these rows with each other, not with the table above.
"""

if __name__ == "__main__":
    app()
