"""Curves with what was found on them, as figures of Plotly: plain dictionaries, which the page draws."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamspot.types import TICK_RATE

Figure = dict[str, Any]

COLOURS = {"macro": "#4477aa", "micro": "#cc6677", "labelled": "#228833", "other": "#aa8800"}
"""Told apart by every common colour vision; each has its own row or place as well."""

_CLOSE = 0.004
"""How far the drawn curve may be from the true one: half a line's width."""

_INK = "#222"
_DAY = 946_684_800_000
"""Midnight as the axis of time has it, ms: times of a source are shown as times of that day."""
_LOOK = {
    "font": {"family": "system-ui, sans-serif", "size": 13, "color": _INK},
    "plot_bgcolor": "#fff",
    "paper_bgcolor": "#fff",
}


@dataclass(frozen=True, slots=True)
class FigureSpan:
    """An expression, or a label, as a figure shows it; times in seconds.

    Attributes:
        start: Its beginning.
        end: Its end; equal to the beginning for a point.
        name: ``macro``, ``micro``, ``labelled`` or ``other``: its colour and its entry in the legend.
        text: What a pointer shows.
        at: Where the mark stands: the apex, or the point.
    """

    start: float
    end: float
    name: str
    text: str
    at: float


@dataclass(frozen=True, slots=True)
class Panel:
    """One curve and what is drawn round it.

    Attributes:
        title: Of the panel, empty for none.
        curve: (n, 2): time in seconds, intensity; None where it is not known.
        rows: What is drawn below the curve, one row each: found, labelled, found by another run.
        lines: Further curves over the same time, by name.
    """

    title: str
    curve: NDArray[np.float64] | None
    rows: Sequence[Sequence[FigureSpan]]
    lines: Mapping[str, NDArray[np.float64]]


def curves(panels: Sequence[Panel], words: Mapping[str, str]) -> Figure:
    """Return panels one below the other over one time axis; what was found is shaded and marked below the curve.

    There must be something to draw; ``words`` are those of the legend, by the names of spans.
    """
    data: list[dict[str, Any]] = []
    share = 1 / len(panels)
    layout: dict[str, Any] = {
        **_LOOK,
        "height": 75 + 175 * len(panels),
        "margin": {"l": 46, "r": 12, "t": 34, "b": 40},
        "legend": {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom"},
        "hovermode": "closest",
        "dragmode": "zoom",
        "annotations": [],
        "xaxis": _time_axis(panels),
    }
    for number, panel in enumerate(panels):
        axis = "" if number == 0 else str(number + 1)
        top = 1 - number * share
        layout[f"yaxis{axis}"] = {
            "domain": [top - share, top - (share * 0.14 if len(panels) > 1 else 0)],
            "range": [-0.07 - 0.09 * len(panel.rows), 1.05],
            "tickvals": [] if panel.curve is None else [0, 0.5, 1],
            "fixedrange": True,
            "zeroline": False,
            "gridcolor": "#eee",
        }
        if panel.title:
            where = {"xref": "paper", "yref": f"y{axis} domain", "x": 0, "y": 1}
            anchor = {"xanchor": "left", "yanchor": "bottom", "showarrow": False}
            layout["annotations"].append({"text": panel.title, **where, **anchor})
        data += [{**trace, "yaxis": f"y{axis}"} for trace in _traces(panel)]
    shown: set[str] = set()
    for trace in data:
        name = trace["name"]
        trace |= {"legendgroup": name, "showlegend": name not in shown, "name": words.get(name, name)}
        shown.add(name)
    return {"data": data, "layout": layout}


def _time_axis(panels: Sequence[Panel]) -> dict[str, Any]:
    """Return the one axis of time, below the last panel, long enough for all that is drawn."""
    times = [time for panel in panels if panel.curve is not None for time in panel.curve[[0, -1], 0].tolist()]
    times += [
        time for panel in panels for row in panel.rows for span in row for time in (span.start, span.end)
    ]
    return {
        "type": "date",
        "range": _milliseconds((min(times), max(times) + 1 / TICK_RATE)),
        "anchor": f"y{len(panels)}" if len(panels) > 1 else "y",
        "hoverformat": "%H:%M:%S.%L",
        "ticks": "outside",
        "automargin": True,
        "tickformat": "%H:%M:%S",
        "tickformatstops": [
            {"dtickrange": [None, 99], "value": "%M:%S.%2f"},
            {"dtickrange": [100, 999], "value": "%M:%S.%1f"},
            {"dtickrange": [1000, 600_000], "value": "%M:%S"},
        ],
    }


def _traces(panel: Panel) -> Iterator[dict[str, Any]]:
    """Yield what is drawn of a panel, each named as its entry in the legend."""
    if panel.curve is not None:
        x, y = thinned(panel.curve)
        look = {"mode": "lines", "line": {"color": _INK, "width": 1.2}}
        yield {
            "name": "intensity",
            "x": _milliseconds(x),
            "y": y,
            **look,
            "hovertemplate": "%{x}: %{y:.2f}<extra></extra>",
        }
    for name, line in panel.lines.items():
        x, y = thinned(line)
        dash = {"color": COLOURS[name], "width": 1.2, "dash": "dot"}
        yield {
            "name": f"{name} label",
            "x": _milliseconds(x),
            "y": y,
            "mode": "lines",
            "line": dash,
            "hoverinfo": "skip",
        }
    for place, row in enumerate(panel.rows):
        for name in dict.fromkeys(span.name for span in row):
            mine = [span for span in row if span.name == name]
            yield from _row(name, mine, -0.09 - 0.09 * place)
            if place == 0 and panel.curve is not None:
                yield _shade(name, mine)


def _row(name: str, spans: Sequence[FigureSpan], at: float) -> Iterator[dict[str, Any]]:
    """Yield bars at a height, and a mark on each."""
    colour, lasting = COLOURS[name], any(span.end > span.start for span in spans)
    if lasting:
        x = _milliseconds(t for span in spans for t in (span.start, span.end, None))
        look = {"mode": "lines", "line": {"color": colour, "width": 8}, "hoverinfo": "skip"}
        yield {"name": name, "x": x, "y": [at, at, None] * len(spans), **look}
    marker = {"color": "#fff" if lasting else colour, "size": 8, "symbol": "diamond"}
    yield {
        "name": name,
        "x": _milliseconds(span.at for span in spans),
        "y": [at] * len(spans),
        "mode": "markers",
        "marker": {**marker, "line": {"color": colour, "width": 1.5}},
        "text": [span.text for span in spans],
        "hovertemplate": "%{text}<extra></extra>",
    }


def _shade(name: str, spans: Sequence[FigureSpan]) -> dict[str, Any]:
    """Return the shading of the curve's panel while spans last."""
    x = _milliseconds(t for span in spans for t in (span.start, span.start, span.end, span.end, None))
    look = {"mode": "lines", "line": {"width": 0}, "fill": "toself", "fillcolor": f"{COLOURS[name]}33"}
    return {"name": name, "x": x, "y": [0, 1, 1, 0, None] * len(spans), **look, "hoverinfo": "skip"}


def bars(names: Sequence[str], values: Sequence[float], title: str) -> Figure:
    """Return a bar for each name, from 0 to 1."""
    return {
        "data": [{"type": "bar", "x": list(names), "y": list(values), "marker": {"color": COLOURS["macro"]}}],
        "layout": _plain({"title": {"text": title}, "range": [0, 1]}, {"type": "category"}),
    }


def lines(series: Mapping[str, Sequence[float]], title: str, across: str) -> Figure:
    """Return a line for each name over 0, 1, 2, …; what is not finite is left out."""
    return {
        "data": [
            {
                "name": name,
                "x": list(range(len(values))),
                "y": [value if np.isfinite(value) else None for value in values],
                "mode": "lines+markers",
                "line": {"color": COLOURS[name]},
            }
            for name, values in series.items()
        ],
        "layout": _plain({"title": {"text": title}, "rangemode": "tozero"}, {"title": {"text": across}}),
    }


def _plain(y: dict[str, Any], x: dict[str, Any]) -> dict[str, Any]:
    margin = {"l": 50, "r": 12, "t": 20, "b": 60}
    return {**_LOOK, "height": 300, "margin": margin, "yaxis": y, "xaxis": x}


def thinned(curve: NDArray[np.float64]) -> tuple[list[float | None], list[float | None]]:
    """Return time and intensity of the few points whose lines stay close to the curve; a gap breaks them.

    A point is left out while one straight line from the last point kept passes all since then closely (the swinging
    door of process control): an hour at rest is two points, an expression some twenty.
    """
    x: list[float | None] = []
    y: list[float | None] = []
    for piece in np.split(curve, np.flatnonzero(np.diff(curve[:, 0]) > 0.1) + 1):
        kept = _swinging_door(piece)
        x += [*piece[kept, 0].tolist(), None]
        y += [*(round(value, 4) for value in piece[kept, 1].tolist()), None]
    return x[:-1], y[:-1]


def _swinging_door(piece: NDArray[np.float64]) -> list[int]:
    """Return the places of the points that the swinging door keeps of a curve without a gap."""
    times, values = piece.T.tolist()
    kept, last, low, high = [0], 0, -np.inf, np.inf
    for n in range(1, len(times)):
        if not low <= (values[n] - values[last]) / (times[n] - times[last]) <= high:
            last, low, high = n - 1, -np.inf, np.inf
            kept.append(last)
        since = times[n] - times[last]
        low = max(low, (values[n] - _CLOSE - values[last]) / since)
        high = min(high, (values[n] + _CLOSE - values[last]) / since)
    return [*kept, len(times) - 1] if len(times) > 1 else kept


def _milliseconds(seconds: Iterable[float | None]) -> list[int | None]:
    return [None if one is None else _DAY + round(1000 * one) for one in seconds]
