"""The panels of the picture: header, face, pipeline; each a pure function of what is shown."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style

from streamspot.dashboard import wire
from streamspot.dashboard.curve import BLANK, MARKS, Window, braille, mark_row, threshold_dots, time_axis
from streamspot.dashboard.look import KEYS, Look
from streamspot.dashboard.text import (
    ALARM,
    BOLD,
    CALM,
    DIM,
    FRAME,
    KIND,
    MACRO,
    PLAIN,
    RULE,
    Line,
    bar,
    box,
    clock,
    elide,
    ends,
    fit,
    run,
    wrapped,
)
from streamspot.dashboard.view import FaceShown, Shown, StreamShown
from streamspot.errors import cut
from streamspot.stats import Delivery, Stats
from streamspot.types import TICK_RATE, Controls, Trouble

NOTICE = ("observing: people in view should know", " · facial movement only, never emotion")
GUTTER = 5
"""Cells left of a graph for the labels of its vertical axis."""
_ROOM_FOR_WIRE = 90
"""A face is drawn beside graphs in panels of at least so many cells."""
_TROUBLES: dict[Trouble, str] = {
    "small": "too small",
    "outside": "partly out of the picture",
    "turned": "turned away",
    "dark": "too dark",
    "seldom": "lost again and again",
    "covered": "a hand on the mouth",
    "unclear": "hidden or blurred",
}
"""What stands in the way of judging a face, in the few words that a title has room for."""
_BROKER = {
    "connecting": ("◌", PLAIN),
    "online": ("●", CALM),
    "retrying": ("◐", MACRO),
    "refused": ("✕", ALARM),
}


def header(shown: Shown, width: int) -> list[Line]:
    """Return two lines: what is observed, where it stands and for how long; what the people in view should know."""
    over = all(one.stats.finished for one in shown.streams)
    stats = shown.streams[0].stats
    source, policy, model = stats.source, f" · {stats.policy} frame", stats.model
    right = [*_where(shown, width), run(f" · up {clock(shown.elapsed, 0)} " if width >= 72 else " ", DIM)]
    left = [run(" streamspot ", Style(bold=True, reverse=True)), run("  ")]
    room = width - Segment.get_line_length([*left, *right]) - 1
    if len(shown.streams) > 1:
        source, policy = f"{len(shown.streams)} sources", ""
    tail = f"{policy} · {model}"
    if not model or cell_len(source) + len(tail) > room:
        tail = policy if room - len(policy) >= min(cell_len(source), 20) else ""
    source = elide(source, max(room - len(tail), 8))
    first = ends([*left, run(source, BOLD), run(tail, DIM)], right, width)
    sign = run(" ○ " if over else " ◉ ", DIM if over else ALARM)
    notice = NOTICE[0] + NOTICE[1]
    return [first, fit([sign, run(notice if 3 + len(notice) <= width else NOTICE[0], DIM)], width)]


def _where(shown: Shown, width: int) -> Line:
    """Return where the streams stand: one in its own time, several by how many go on and how many are paused."""
    if len(shown.streams) > 1:
        unfinished = [one.controls.paused for one in shown.streams if not one.stats.finished]
        lost = sum(one.stats.no_picture_since is not None for one in shown.streams)
        counts = {"going on": unfinished.count(False), "paused": unfinished.count(True)}
        text = " · ".join(f"{count} {words}" for words, count in counts.items() if count)
        return [run(text or "finished", BOLD), run(f" · {lost} without a picture" if lost else "", ALARM)]
    stats, controls = shown.streams[0].stats, shown.streams[0].controls
    if stats.no_picture_since is not None and not stats.finished:
        return [run(f"no picture for {time.monotonic() - stats.no_picture_since:.0f} s", ALARM)]
    state = "live" if stats.live else "replay"
    state = "finished" if stats.finished else "paused" if controls.paused else state
    return [run(f"{state} {clock(stats.pts, 1)}", BOLD), *_left(stats, width)]


def _left(stats: Stats, width: int) -> Line:
    """Return how long a file is, and how long the rest of it takes."""
    if stats.duration is None or stats.live:
        return []
    text = f" of {clock(stats.duration, 1)}"
    if not stats.finished and stats.nominal_fps and stats.fps > 0 and width >= 100:
        rest = max(stats.duration - stats.pts, 0.0)
        text += f", {clock(rest * stats.nominal_fps / stats.fps, 0)} to go"
    return [run(text, DIM)]


def hint(stream: StreamShown, width: int, height: int) -> list[Line]:
    """Return the panel that stands where a face would be: what the stream waits for."""
    stats = stream.stats
    if stats.no_picture_since is not None and not stats.finished:
        title, text = "no picture", f"{stats.source} gives none; it is opened again as soon as it is there."
    elif stream.begun:
        closer = "Face the camera, come closer, and have the light in front of you."
        title, text = (
            "nobody in view",
            closer if stats.live else "No face is found in this part of the recording.",
        )
    elif stats.finished:
        title, text = "ended", "The run ended before the first frame."
    elif not stats.model:
        title, text = "starting", "Loading the network."
    else:
        title, text = "starting", "Waiting for the first frame."
    inner = width - 2
    lines: list[Line] = [[run(" " * ((inner - cell_len(line)) // 2) + line)] for line in wrapped(text, inner)]
    blank: list[Line] = [[]] * ((height - 2 - len(lines)) // 2)
    return box([run(f"{stream.prefix}{title}", DIM)], [], [*blank, *lines], width, height)


def doing(face: FaceShown, *, finished: bool) -> tuple[str, Style]:
    """Return in words what a face does now, or why it is not in view."""
    if face.state is not None:
        kind, trouble = face.state.state, face.state.trouble
        text, style = (
            ("· neutral", DIM) if kind == "neutral" else (f"{MARKS[kind]['apex']} {kind}", KIND[kind])
        )
        return (text, style) if trouble is None else (f"{text} · {_TROUBLES[trouble]}", ALARM)
    if face.reason in {None, "stopped", "paused"}:
        return "· paused" if face.reason == "paused" else "· ended", DIM
    ago = f" {face.silent:.0f} s ago" if face.silent >= 1 and not finished else ""
    return f"✕ {face.reason}{ago}", DIM if finished else ALARM


def face_panel(stream: StreamShown, face: FaceShown, look: Look, width: int, height: int) -> list[Line]:
    """Return one face: its state in the frame, marks, the curve over its thresholds, the time axis.

    Where there is room a face stands beside the curve whose regions show what moves. At least 20 cells are needed,
    and 4 lines.
    """
    stats, moved = stream.stats, face.moved
    drawn = height - 2 >= wire.HEIGHT and width >= _ROOM_FOR_WIRE and moved is not None and not look.edges
    beside_it = wire.WIDTH + 2 if drawn else 0
    rows, columns = height - 3, width - 2 - GUTTER - 1 - beside_it
    last = face.history.newest
    edge = look.edges.get(stats.stream, face.edge)
    window = Window(edge, columns, look.seconds)
    spans = look.tried.get((stats.stream, face.track), face.spans.values())
    marks, owner = mark_row(spans, window)
    calm = CALM if face.state else DIM
    styles = [calm if span is None else DIM if span.cancelled else KIND[span.kind] for span in owner]
    body = [[run(" " * GUTTER), *_runs(marks, styles)]]
    lines = threshold_dots(stats.thresholds if rows >= 3 else (), rows)
    middle = rows // 2
    for row, text in enumerate(braille(window.samples(face.history), columns, rows)):
        dot, value = lines.get(row, (" ", 0.0))
        label = f"{value:.2f}".removesuffix("0") if value else {0: "1.0", rows - 1: "0.0"}.get(row, "")
        if not label and rows >= 7 and row == middle and not {middle - 1, middle + 1} & lines.keys():
            label = "0.5"
        body.append([run(f"{label:>4} ", DIM), *_runs(text, styles, dot)])
    if drawn and moved is not None:
        picture = [*wire.wire_face(moved), *[[]] * height]
        body = [[*fit(line, width - 2 - beside_it), *of] for line, of in zip(body, picture, strict=False)]
    words, style = ("", PLAIN) if look.edges else doing(face, finished=stats.finished)
    note = [run(f" intensity {last.intensity:.2f}", PLAIN)] if last and face.state else []
    if look.edges:
        ago = (face.edge - edge) / TICK_RATE
        note = [
            run(f" {ago:.0f} s ago" if ago < 100 else f" {clock(ago, 0)} ago", ALARM),
            run(" · home: now", DIM),
        ]
    elif stats.look_ahead:
        note.append(run(f"{' ·' if note else ''} look-ahead {stats.look_ahead / TICK_RATE:.2f} s", DIM))
    now = last.pts + (edge - last.tick) / TICK_RATE if last else stats.pts
    axis = time_axis(window, clock(now, 1))
    foot = [run("─" * GUTTER + axis + "─", FRAME)]
    name, words = f"{stream.prefix}face {face.track}", words and f"  {words}"
    if style is DIM and cell_len(name) + len(words) > width - 6:
        words = ""
    title = [run(elide(name, max(width - 6 - len(words), 10)), BOLD), run(words, style)]
    return box(title, note, body, width, height, foot)


def _runs(text: str, styles: Sequence[Style], blank: str = " ") -> Line:
    """Join neighbouring characters of one style, empty braille replaced by ``blank``."""
    cells = ((blank, DIM) if c == BLANK else (c, style) for c, style in zip(text, styles, strict=True))
    return [run("".join(c for c, _ in cells), style) for style, cells in groupby(cells, itemgetter(1))]


def pipeline_panel(shown: Shown, width: int, height: int) -> list[Line]:
    """Return how the stream fares: rate, losses, latency of each stage, delivery, warnings."""
    inner = width - 2
    stats = [one.stats for one in shown.streams]
    if len(stats) == 1:
        body = [*_rate(stats[0], shown.streams[0].controls, inner), *_latency(stats[0], inner)]
    else:
        body = _each(stats, inner)
    body += _broker(shown.delivery, inner, height)
    room = height - 2 - len(body) - 1
    if shown.delivery.topics and room >= 0:
        body.append([run(f" below {elide(shown.delivery.topics, inner - 8)}", DIM)])
        room -= 1
    if shown.messages and room > 0:
        body.append([RULE, run("messages", BOLD)])
        lines: list[str] = []
        for text in reversed(shown.messages):
            told = wrapped(f"! {text}", inner - 1)
            if lines and len(told) + len(lines) > room:
                break
            lines = [*told, *lines]
        body += [[run(f" {line}")] for line in lines[:room]]
    return box([run("pipeline", BOLD)], [], body, width, height)


def _each(streams: Sequence[Stats], inner: int) -> list[Line]:
    """Return a line for each of several streams: its rate, what was left out, how long a frame takes."""
    room = max(inner - 25, 8)
    body: list[Line] = [[run(f" {'source':<{room}}   fps  drop   p50/99 ms", DIM)]]
    for stats in streams:
        p50, p99 = stats.stages["total"].quantiles()
        gone = stats.no_picture_since is not None and not stats.finished
        sign = "✕" if gone else "·" if stats.finished else " "
        size = inner - 2 if stats.motion else room
        name = set_cell_size(cut(stats.stream, size), size)  # its beginning tells more than its end
        line = [run(f"{sign}{name}", ALARM if gone else PLAIN)]
        if not stats.motion:
            fps = "" if stats.finished else f"{stats.fps:.1f}"
            line.append(run(f" {fps:>5}", ALARM if _slow(stats) else PLAIN))
            line.append(run(f" {stats.dropped:5d}", ALARM if stats.dropped > 0.01 * stats.frames else PLAIN))
            line += [run(f" {ms:5.{int(ms < 1000)}f}") for ms in (1e3 * p50, 1e3 * p99)]
        body.append(line)
    return body


def _slow(stats: Stats) -> bool:
    """Tell whether a live source that goes on gives clearly fewer frames than it promises."""
    nominal, goes_on = stats.nominal_fps, stats.live and not stats.finished
    return goes_on and nominal is not None and stats.frames > 60 and stats.fps < 0.9 * nominal


def _rate(stats: Stats, controls: Controls, inner: int) -> list[Line]:
    tuned = [run(f"sensitivity {controls.sensitivity:.2f} ", DIM)]
    if stats.motion:
        return [ends([run(f" {stats.pts:.1f} s", BOLD), run(" of motion")], tuned, inner)]
    rate: Line = [run(" ended", BOLD)] if stats.finished else _speed(stats)
    lost = stats.dropped
    losses = [
        run(f" {lost}", ALARM if lost > 0.01 * stats.frames else PLAIN),
        run(" dropped · ", DIM),
        run(f"{stats.faceless}"),
        run(" without face", DIM),
    ]
    return [ends(rate, [run(f"{stats.frames}"), run(" frames ", DIM)], inner), ends(losses, tuned, inner)]


def _speed(stats: Stats) -> Line:
    nominal, slow = stats.nominal_fps, _slow(stats)
    rate: Line = [run(f" {stats.fps:.1f}", ALARM if slow else BOLD)]
    rate += [run(f" of {nominal:.4g}", DIM)] if nominal else []
    rate.append(run(" fps"))
    if slow:
        rate.append(run("  ! too slow", ALARM))
    elif nominal and not stats.live and stats.fps > 1.1 * nominal:
        rate.append(run(f"  {stats.fps / nominal:.1f} x real time", DIM))
    return rate


def _latency(stats: Stats, inner: int) -> list[Line]:
    stages = [(name, *latency.quantiles()) for name, latency in stats.stages.items()]
    if stats.motion:
        stages = [one for one in stages if one[2]]
    scale = max((p99 for name, _, p99 in stages if name != "wait"), default=0.0)  # idle time is no cost
    body: list[Line] = [[RULE, run("latency", BOLD), run("  p50 ━  p99 ─  ms", DIM)]]
    for name, p50, p99 in stages:
        style = BOLD if name == "total" else PLAIN
        numbers = f" {name:<9}{1e3 * p50:6.1f} {1e3 * p99:6.1f}  "
        drawn = "" if name == "wait" else bar(p50, p99, scale, inner - 26)
        body.append([run(numbers, style), run(drawn, CALM)])
    return body


def _broker(broker: Delivery, inner: int, height: int) -> list[Line]:
    sign, style = _BROKER.get(broker.state, ("○", DIM))
    address, room = broker.address, inner - 11
    short = address if cell_len(address) <= room else elide(address.rpartition("://")[2], room)
    title = [RULE, run("broker", BOLD), run(f" {short}" if short else "", DIM)]
    if broker.state == "none":
        return [title, [run(" ○ none, nothing is published", DIM)]]
    word = " acknowledged · " if inner >= 44 else " acked · "
    state = [run(f" {sign} {broker.state}", style), run(f" · {broker.acknowledged}"), run(word, DIM)]
    state += [run(f"{broker.queued}", MACRO if broker.queued else PLAIN), run(" queued", DIM)]
    error = wrapped(broker.error, inner - 2)[: max(min(height - 14, 3), 0)]
    return [title, state, *([run(f" {line}", ALARM)] for line in error)]


def footer(shown: Shown, look: Look, width: int) -> Line:
    """Return the last line: what is wrong or was just done, how to end, which keys there are."""
    broker = shown.delivery
    over = all(one.stats.finished for one in shown.streams)
    ending = [] if over else [run(f" {shown.ending} ", DIM)]
    room = width - 4 - Segment.get_line_length(ending)
    if look.said:
        return ends([run(" › " + elide(look.said, room), BOLD)], ending, width)
    if broker.error and broker.state in {"retrying", "refused"}:
        return ends([run(" ✕ " + elide(broker.error, room), ALARM)], ending, width)
    if shown.messages:
        return ends([run(" ! " + elide(shown.messages[-1], room), MACRO)], ending, width)
    return ends(ending, [run(f"native messages: {shown.log} ", DIM)] if shown.log else [], width)


def keys_panel(width: int, height: int) -> list[Line]:
    """Return the page that says what each key does."""
    body: list[Line] = [[]]
    for key, does in KEYS.items():
        first, *rest = wrapped(does, max(width - 16, 10))
        body += [[run(f"  {key:<11}", BOLD), run(first)], *([run(" " * 13 + line)] for line in rest)]
    return box([run("keys", BOLD)], [run(" any of them works on every page", DIM)], body, width, height)
