"""The panels of the picture: header, face, events, pipeline; each a pure function of the telemetry."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rich.style import Style

from streamspot.dashboard.curve import (
    MARKS,
    Span,
    Window,
    braille,
    mark_row,
    spans,
    threshold_dots,
    time_axis,
)
from streamspot.dashboard.snapshot import FaceNow
from streamspot.dashboard.text import (
    ALARM,
    BOLD,
    CALM,
    DIM,
    FRAME,
    KIND,
    MACRO,
    MICRO,
    PLAIN,
    RULE,
    Line,
    bar,
    box,
    clock,
    elide,
    ends,
    fit,
    length,
    run,
    timing,
    wrap,
)
from streamspot.telemetry import STAGES, BrokerState, Telemetry
from streamspot.types import TICK_RATE, Event

NOTICE = ("observing: people in view should know", " · facial movement only, never emotion")
GUTTER = 5
"""Cells left of a graph for the labels of its vertical axis."""
_STATE = {"macro": (MARKS["apex", "macro"], MACRO), "micro": (MARKS["apex", "micro"], MICRO)}
_BROKER: dict[BrokerState, tuple[str, Style]] = {
    "none": ("○", DIM),
    "connecting": ("◌", PLAIN),
    "online": ("●", CALM),
    "retrying": ("◐", MACRO),
    "refused": ("✕", ALARM),
    "stopped": ("○", DIM),
}
_PIECES = re.compile("\u2800+|[^\u2800]+")


def header(telemetry: Telemetry, elapsed: float, width: int) -> list[Line]:
    """Return two lines: what is observed and for how long; and what the people in view should know."""
    policy = "every frame" if telemetry.policy == "every" else "latest frame"
    state = "finished" if telemetry.finished else "live" if telemetry.live else "replay"
    right = [run(f"{state} {clock(telemetry.pts, 1)}", BOLD), run(f" · up {clock(elapsed, 0)} ", DIM)]
    left = [run(" streamspot ", Style(bold=True, reverse=True)), run("  ")]
    room = width - length(left) - length(right) - 1
    source, policy = telemetry.source or "no source yet", f" · {policy}"
    tail = f"{policy} · {telemetry.model}"
    if not telemetry.model or len(source) + len(tail) > room:
        tail = policy if room - len(policy) >= min(len(source), 20) else ""
    source = elide(source, max(room - len(tail), 8))
    first = ends([*left, run(source, BOLD), run(tail, DIM)], right, width)
    sign = run(" ○ " if telemetry.finished else " ◉ ", DIM if telemetry.finished else ALARM)
    notice = "".join(NOTICE) if 3 + len("".join(NOTICE)) <= width else NOTICE[0]
    return [first, fit([sign, run(notice, DIM)], width)]


def hint(telemetry: Telemetry, width: int, height: int) -> list[Line]:
    """Return the panel that stands where a face would be: what the stream waits for."""
    if telemetry.frames:
        title, text = "nobody in view", "No face is found in this part of the recording."
        if telemetry.live:
            text = "Face the camera, come closer, and have the light in front of you."
    else:
        title, text = "starting", f"Waiting for the first frame of {telemetry.source or 'the source'}."
    inner = width - 2
    blank: list[Line] = [[] for _ in range(max((height - 3) // 2, 0))]
    text = elide(text, inner)
    return box(
        [run(title, DIM)], [], [*blank, [run(" " * ((inner - len(text)) // 2)), run(text)]], width, height
    )


def face_panel(face: FaceNow, telemetry: Telemetry, width: int, height: int) -> list[Line]:
    """Return one face: its state in the frame, marks, the curve over its thresholds, the time axis.

    Args:
        face: What to draw.
        telemetry: Of the stream; gives the thresholds and the look-ahead.
        width: Cells, at least 20.
        height: Lines, at least 4.
    """
    rows, columns = height - 3, width - 2 - GUTTER - 1
    last = face.scores[-1] if face.scores else None
    edge = last.tick + round(face.silent * TICK_RATE) if last else 0
    window = Window.ending_at(edge, columns)
    marks, owner = mark_row(spans(face.marks), window)
    styles = [(CALM if face.visible else DIM) if span is None else _span_style(span) for span in owner]
    body = [[run(" " * GUTTER), *_runs(marks, styles)]]
    lines = threshold_dots(telemetry.thresholds if rows >= 3 else (), rows)
    middle = rows // 2
    for row, text in enumerate(braille(window.samples(face.scores), columns, rows)):
        dot, value = lines.get(row, (" ", 0.0))
        label = f"{value:.2f}".removesuffix("0") if value else {0: "1.0", rows - 1: "0.0"}.get(row, "")
        if not label and rows >= 7 and row == middle and not {middle - 1, middle + 1} & lines.keys():
            label = "0.5"
        body.append([run(f"{label:>4} ", DIM), *_graph(text, styles, dot)])
    if face.visible:
        sign, style = _STATE.get(face.state, ("·", DIM))
        state = run(f"  {sign} {face.state}" + (f" {last.intensity:.2f}" if last else ""), style)
    else:
        state = run("  ✕ face lost" + (f" {face.silent:.0f} s ago" if face.silent >= 1 else ""), ALARM)
    note = [run(f" look-ahead {telemetry.look_ahead / TICK_RATE:.2f} s", DIM)] if telemetry.look_ahead else []
    axis = time_axis(window, clock(last.pts + face.silent if last else telemetry.pts, 1))
    foot = [run("─" * GUTTER + axis + "─", FRAME)]
    return box([run(f"face {face.track}", BOLD), state], note, body, width, height, foot)


def _span_style(span: Span | None) -> Style:
    if span is None:
        return PLAIN
    return DIM if span.cancelled else KIND[span.kind]


def _runs(text: str, styles: Sequence[Style]) -> Line:
    """Join neighbouring characters of one style."""
    line: Line = []
    start = 0
    for end in range(1, len(text) + 1):
        if end == len(text) or styles[end] is not styles[start]:
            line.append(run(text[start:end], styles[start]))
            start = end
    return line


def _graph(text: str, styles: Sequence[Style], dot: str) -> Line:
    """Return one row of braille, its empty cells blank or, on a threshold, dotted."""
    line: Line = []
    for piece in _PIECES.finditer(text):
        start, end = piece.span()
        if text[start] == "\u2800":
            line.append(run((dot or " ") * (end - start), DIM))
        else:
            line.extend(_runs(text[start:end], styles[start:end]))
    return line


def events_panel(events: Sequence[Event], width: int, height: int) -> list[Line]:
    """Return the last events, newest first; columns that do not fit are left out, the least needed first."""
    inner = width - 2
    alone = len({event.face for event in events}) < 2
    columns = [
        # heading, cells, priority (the highest is left out first)
        ("time", 9, 0),
        ("face", 4, 9 if alone else 1),
        ("kind", 5, 0),
        ("phase", 8, 0),
        ("lasted", 6, 2),
        ("peak", 4, 4),
        ("decided", 7, 3),
    ]
    while len(columns) > 1 and sum(size + 1 for _, size, _ in columns) + 1 > inner:
        columns.remove(max(columns, key=lambda column: column[2]))
    spare = inner - sum(size + 1 for _, size, _ in columns) - 1
    gap = " " * min(1 + spare // len(columns), 6)
    body: list[Line] = [[run(" " + gap.join(f"{name:<{size}}" for name, size, _ in columns), DIM)]]
    for event in list(reversed(events))[: height - 3]:
        at, lasted, late = timing(event)
        style = DIM if event.phase == "cancelled" else KIND[event.kind]
        bold = BOLD if event.phase == "offset" else PLAIN
        text = {
            "time": (clock(at), bold),
            "face": (str(event.face), PLAIN),
            "kind": (event.kind, style),
            "phase": (f"{MARKS[event.phase, event.kind]} {event.phase}"[:8], style),
            "lasted": ("" if lasted is None else f"{lasted:.2f} s", bold),
            "peak": (f"{event.intensity:.2f}", PLAIN),
            "decided": (f"+{late:.2f} s", PLAIN),
        }
        line: Line = [run(" ")]
        if event.phase == "cancelled":
            text["decided"] = text["peak"] = text["lasted"] = ("", PLAIN)
        for name, size, _ in columns:
            line += [run(f"{text[name][0]:<{size}}", text[name][1]), run(gap)]
        body.append(line)
        if event.phase == "cancelled" and event.reason:
            used = 1 + sum(
                size + len(gap) for name, size, _ in columns if name in {"time", "face", "kind", "phase"}
            )
            body[-1] = [*fit(line, used), run(event.reason, DIM)]
    if len(body) == 1:
        body += [[], [run(" no expression yet", DIM)]]
    legend = "─ ▲ onset  ◆ apex  ▼ offset · filled macro, hollow micro "
    foot = [run(legend, FRAME)] if inner > len(legend) else None
    return box([run("events", BOLD)], [], body, width, height, foot)


def pipeline_panel(telemetry: Telemetry, messages: Sequence[str], width: int, height: int) -> list[Line]:
    """Return how the stream fares: rate, losses, latency of each stage, delivery, warnings."""
    inner = width - 2
    body = [*_rate(telemetry, inner), *_latency(telemetry, inner), *_broker(telemetry, inner, height)]
    room = height - 2 - len(body) - 1
    if messages and room > 0:
        body.append([RULE, run("messages", BOLD)])
        wrapped = [wrap(f"! {message}", inner - 1) for message in messages]
        lines = [line for message in wrapped for line in message]
        body += [[run(f" {line}")] for line in lines[-room:]]
    return box([run("pipeline", BOLD)], [], body, width, height)


def _rate(telemetry: Telemetry, inner: int) -> list[Line]:
    nominal = telemetry.nominal_fps
    slow = telemetry.live and nominal is not None and telemetry.frames > 60 and telemetry.fps < 0.9 * nominal
    rate: Line = [run(f" {telemetry.fps:.1f}", ALARM if slow else BOLD)]
    rate += [run(f" of {nominal:g}", DIM)] if nominal else []
    rate.append(run(" fps"))
    if slow:
        rate.append(run("  ! too slow", ALARM))
    elif nominal and not telemetry.live and telemetry.fps > 1.1 * nominal:
        rate.append(run(f"  {telemetry.fps / nominal:.1f} x real time", DIM))
    lost = telemetry.dropped
    losses = [
        run(f" {lost}", ALARM if lost > 0.01 * telemetry.frames else PLAIN),
        run(" dropped · ", DIM),
        run(f"{telemetry.faceless}"),
        run(" without face", DIM),
    ]
    return [ends(rate, [run(f"{telemetry.frames}"), run(" frames ", DIM)], inner), fit(losses, inner)]


def _latency(telemetry: Telemetry, inner: int) -> list[Line]:
    stages = [(name, *telemetry.stages[name].quantiles()) for name in STAGES if name in telemetry.stages]
    scale = max((p99 for name, _, p99 in stages if name != "wait"), default=0.0)  # idle time is no cost
    size = inner - 26
    body: list[Line] = [[RULE, run("latency", BOLD), run("  p50 ━  p99 ─  ms", DIM)]]
    for name, p50, p99 in stages:
        style = BOLD if name == "total" else PLAIN
        numbers = f" {name:<9}{1e3 * p50:6.1f} {1e3 * p99:6.1f}  "
        drawn = "" if name == "wait" else bar(p50, p99, scale, size)
        body.append([run(numbers, style), run(drawn, CALM)])
    return body


def _broker(telemetry: Telemetry, inner: int, height: int) -> list[Line]:
    broker = telemetry.broker
    sign, style = _BROKER[broker.state]
    title = [RULE, run("broker", BOLD), run(f" {_short(broker.address, inner - 11)}", DIM)]
    if broker.state == "none":
        return [title, [run(" ○ none, nothing is published", DIM)]]
    word = " acknowledged · " if inner >= 44 else " acked · "
    state = [run(f" {sign} {broker.state}", style), run(f" · {broker.acknowledged}"), run(word, DIM)]
    state += [run(f"{broker.queued}", MACRO if broker.queued else PLAIN), run(" queued", DIM)]
    room = max(min(height - 2 - 12, 3), 0)
    return [title, state, *([run(f" {line}", ALARM)] for line in wrap(broker.error, inner - 2)[:room])]


def _short(address: str, width: int) -> str:
    return address if len(address) <= width else elide(address.rpartition("://")[2], width)


def footer(telemetry: Telemetry, messages: Sequence[str], log: str, width: int) -> Line:
    """Return the last line: what is wrong, or how to end; and where native libraries' messages went."""
    left = [run(" Ctrl-C ends the run", DIM)]
    if telemetry.broker.error and telemetry.broker.state in {"retrying", "refused"}:
        left = [run(" ✕ " + elide(telemetry.broker.error, width - 4), ALARM)]
    elif messages:
        left = [run(" ! " + elide(messages[-1], width - 4), MACRO)]
    return ends(left, [run(f"native messages: {log} ", DIM)] if log else [], width)
