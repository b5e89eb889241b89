"""The section of docs/results.md on what a live user feels."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from statistics import mean
from typing import Any

from experiments.runs import LIVE, RESULTS, Key
from streamspot.dashboard.text import counted
from streamspot.evaluation.live import HEADS, live_table

MEASURED = RESULTS / "look_ahead.json"
"""What the commands of ``experiments.look_ahead`` measured."""


def live_section(runs: dict[Key, dict[str, Any]]) -> list[str]:
    """Return the lines of the section, given all runs."""
    rows = [row for quick in (False, True) for row in _live_rows(runs, quick=quick)]
    if not rows:
        return []
    head = "| " + " | ".join(("look-ahead", "data", "protocol", "seeds", "kind", *HEADS[1:])) + " |"
    text = [LIVE_TITLE, head, "|---" * (len(HEADS) + 4) + "|", *rows]
    known = json.loads(MEASURED.read_text(encoding="utf-8")) if MEASURED.exists() else {}
    if "trade_off" in known:
        text.append(PLOTTED)
    if "streamed" in known:
        text += [STREAMED, "", *_streamed_rows(known["streamed"])]
    if "touching" in known:
        text += [TOUCHING, "", *_touching_rows(known["touching"])]
    if "stream" in known:
        text += [STREAM, "", *_stream_rows(known["stream"])]
    return text


def _live_rows(runs: dict[Key, dict[str, Any]], *, quick: bool) -> Iterator[str]:
    """Yield a row for each kind of every configuration and data set that has the figures, by look-ahead."""
    known = [line for key, line in sorted(runs.items()) if key[2] == quick and line.get("live")]
    for config in LIVE:
        rows = (line for line in known if line["config"] == config)
        for dataset, found in groupby(rows, key=lambda line: line["dataset"]):
            seeds, blocks = zip(*((str(line["seed"]), line["live"]) for line in found), strict=True)
            ticks = blocks[0]["look_ahead"]
            folds = "5 folds, pooled" if quick else "one subject out, nested"
            about = (f"{ticks} ticks ({ticks / 30:.2f} s)", dataset, folds, ", ".join(seeds))
            for kind, *cells in live_table(_whole_rates(_mean(blocks))):
                if kind != "overall":
                    yield "| " + " | ".join((*about, kind, *cells)) + " |"


def _mean(values: Sequence[Any]) -> Any:
    """Return the mean of every figure of such blocks, over those that have it; counts stay whole."""
    known = [value for value in values if value is not None]
    if known and isinstance(known[0], dict):
        return {key: _mean([value[key] for value in known]) for key in known[0]}
    whole = all(isinstance(value, int) for value in known)
    return (round(mean(known)) if whole else mean(known)) if known else None


def _whole_rates(figures: dict[str, Any]) -> dict[str, Any]:
    """Return the block with whole numbers an hour."""
    return {
        name: {key: round(one) if key.endswith("_per_hour") else one for key, one in row.items()}
        if isinstance(row, dict)
        else row
        for name, row in figures.items()
    }


def _streamed_rows(rows: list[dict[str, Any]]) -> Iterator[str]:
    yield "| encoder | trained | recordings | ticks | largest difference: intensity | class probability |"
    yield "|---" * 6 + "|"
    for row in rows:
        learned = f"{counted(row['epochs'], 'epoch')}, {counted(row['subjects'], 'subject')}"
        yield (
            f"| {row['encoder']}, {row['width']} channels | {learned} | "
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
        shares = (table[how].get(depth, (0, 0)) for how, depth in columns)
        cells = " | ".join(f"{right} of {all_}" for right, all_ in shares)
        yield f"| {_named(table['settings'])} | {table['seed']} | {table['folds']} | {cells} |"


def _stream_rows(tried: list[dict[str, Any]]) -> Iterator[str]:
    yield "| " + " | ".join(("settings", "seed", "overall F1", *HEADS[1:])) + " |"
    yield "|---" * (len(HEADS) + 2) + "|"
    for table in tried:
        cells = live_table(_whole_rates(table["live"]))[-1][1:]
        about = (_named(table["settings"]), str(table["seed"]), f"{table['f1']:.3f}")
        yield "| " + " | ".join((*about, *cells)) + " |"


def _named(settings: dict[str, Any]) -> str:
    return ", ".join(f"`{name}` {value}" for name, value in settings.items()) or "default"


LIVE_TITLE = """
## What a live user feels

From every phase the online spotter gives on curves of unseen subjects, the look-ahead included. *Before apex*:
share of the expressions found (strict protocol) whose onset was announced before the annotated apex. Delays run
from the annotated onset to its announcement and from the annotated offset to the final event, over the
expressions found; delays and apex error are medians, the 95 % quantile in brackets. *Cancelled early*: share of the
announcements made while an expression was under way that were cancelled, and how many an hour. *False*: final
events that found nothing. Several seeds: means. Decoded as in the tables above.
"""

PLOTTED = """
![Announced before the apex against cancelled announcements](look-ahead.png)

Share of the found expressions announced before their apex against cancelled announcements, by look-ahead and by
the level that the curve must exceed for an early onset (five folds, seed 0, the networks and the decoder of the rows
`casme2` and `look-ahead-…`, at 8 ticks with the weights that ship as the partner; `python -m experiments.look_ahead
levels`). All below was measured with the networks and the decoder of the row `window-runs`."""

STREAMED = """
**Streaming equals offline**: scores of `Model.step`, tick by tick with the recordings side by side, against
`Model.forward` on whole recordings, trained weights (`python -m experiments.look_ahead streamed`)."""

STREAM = """
**A stream's default settings**, and what the others cost: the look-ahead 8 curves of all 97 recordings (five folds),
both kinds together; no setting is fitted to a fold, but the defaults were chosen as said above."""

TOUCHING = """
**Touching expressions**: the real motion of two macro-expressions of one subject, one straight after the other or
overlapped by a fifth to a half of the shorter, between neutral ticks, judged by networks that never saw the
subject (five folds, look-ahead 8, `python -m experiments.look_ahead touching`), decoded with a stream's defaults (the
shipped weights bring others).
Of the pairs whose curve stays above the floor between two peaks above 0.4, and whose trough is so
deep (share of the lower peak), those with an event on either side of the trough. The defaults for
troughs were chosen by the pairs of folds 0 and 1 and the false alarms of all recordings of seed 0, with the figures
of the other folds in view; between `trough_ticks` 12 and 13, and for the minimum scores, also with those of the other
seeds. `trough_ticks` 1 and `trough_allowance` 0: no rule of its own for what a trough bounds. `trough_share` 0.2
divides a smile held for a minute under jitter (standard deviation 0.07 around 0.75) into 4.5 pieces on average, the
default into 1.1."""
