"""The last events as a table: as many columns as fit, and why an expression was cancelled."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.segment import Segment

from streamspot.dashboard.curve import MARKS
from streamspot.dashboard.text import (
    BOLD,
    DIM,
    FRAME,
    KIND,
    PLAIN,
    Line,
    box,
    clock,
    elide,
    padded,
    run,
    timing,
)
from streamspot.dashboard.view import Shown
from streamspot.motion.moved import in_words
from streamspot.types import Moved


def events_panel(shown: Shown, width: int, height: int) -> list[Line]:
    """Return the last events, newest first."""
    body = (
        event_lines(shown, width - 2, height - 2) if shown.events else [[], [run(" no expression yet", DIM)]]
    )
    legend = "─ macro ▲ ◆ ▼  micro △ ◇ ▽  ✕ cancelled "
    foot = [run(legend, FRAME)] if width - 2 > len(legend) else None
    return box([run("events", BOLD)], [], body, width, height, foot)


def event_lines(shown: Shown, width: int, height: int) -> list[Line]:
    """Return a head and the last events, newest first; columns that do not fit are left out, the least needed first.

    Why an expression was cancelled stands in place of the phase, or in a line of its own where that is too narrow.
    """
    columns = _columns(shown, width)
    spare = width - sum(columns.values()) - len(columns) - 1
    gap = " " * max(1, min(1 + spare // len(columns), 3))
    room = width - 1 - sum(columns.values()) - len(columns) * len(gap) + columns.get("moved", 0)
    lines: list[Line] = [[run(" " + gap.join(f"{name:<{size}}" for name, size in columns.items()), DIM)]]
    for event in reversed(shown.events):
        at, lasted, late = timing(event)
        bold = BOLD if event.phase == "offset" else PLAIN
        cancelled = event.phase == "cancelled"
        style = DIM if cancelled else KIND[event.kind]
        cells = {
            "time": (clock(at), bold),
            "stream": (elide(event.stream, columns.get("stream", 0)), PLAIN),
            "face": (str(event.face), PLAIN),
            "kind": (event.kind, style),
            "phase": (f"{MARKS[event.kind][event.phase]} {event.phase}", style),
            "lasted": ("" if lasted is None else f"{lasted:.2f} s", bold),
            "peak": (f"{event.intensity:.2f}", PLAIN),
            "decided": (f"+{late:.2f} s", PLAIN),
            "moved": (_that_fits(event.moved, room), PLAIN),
        }
        written = [*columns][: [*columns].index("phase")] if cancelled else columns
        row = [
            run(" "),
            *(run(padded(cells[name][0], columns[name]) + gap, cells[name][1]) for name in written),
        ]
        lines.append(row)
        if cancelled:
            reason = event.reason or "cancelled"
            beside = 2 + len(reason) <= width - Segment.get_line_length(row)
            row.append(run(f"✕ {reason if beside else 'cancelled'}", DIM))
            if not beside:
                lines.append([run(f"   {reason}", DIM)])
    return lines[:height]


def _columns(shown: Shown, width: int) -> dict[str, int]:
    """Return the widths of the columns that fit; a stream, and a face, that is the only one on show needs none."""
    streams = max(cell_len(event.stream) for event in shown.events)
    columns = {
        "time": 9,
        "stream": min(streams, 12),
        "face": 4,
        "kind": 5,
        "phase": 8,
        "lasted": 6,
        "peak": 4,
        "decided": 7,
        "moved": 22,
    }
    names = {event.stream for event in shown.events} | {one.stats.stream for one in shown.streams}
    if len(names) < 2:
        del columns["stream"]
    faces = {event.face for event in shown.events} | {
        face.track for one in shown.streams for face in one.faces
    }
    alone = len(faces) < 2
    for name in (*["face"] * alone, "moved", "peak", "decided", "lasted", "face", "stream"):
        if sum(columns.values()) + len(columns) + 1 > width:
            columns.pop(name, None)
    if "stream" in columns:
        spare = width - sum(columns.values()) - len(columns) - 1
        columns["stream"] += min(streams - columns["stream"], spare)
    return columns


def _that_fits(moved: Sequence[Moved], width: int) -> str:
    """Return in words the regions that moved most, as many of them as fit."""
    texts = (in_words(moved[:count]) for count in range(len(moved), 0, -1))
    return next((text for text in texts if len(text) <= width), "")
