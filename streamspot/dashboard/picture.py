"""The whole picture: which panels stand where at which size of the terminal."""

from __future__ import annotations

from streamspot.dashboard.panels import (
    events_panel,
    face_panel,
    footer,
    header,
    hint,
    pipeline_panel,
)
from streamspot.dashboard.snapshot import FaceNow, copied, faces_now
from streamspot.dashboard.text import DIM, Line, beside, elide, ends, fit, run
from streamspot.telemetry import Telemetry
from streamspot.types import Event

MOST_FACES = 4
WIDE, TALL = 72, 20
"""Below this many columns or rows the picture is reduced to one graph and a few lines."""
LOST_FOR = 10.0
"""Seconds for which a face that was lost stays in the picture."""


def picture(
    telemetry: Telemetry, width: int, height: int, *, elapsed: float = 0.0, log: str = ""
) -> list[Line]:
    """Return the dashboard as exactly ``height`` lines of exactly ``width`` terminal cells.

    Args:
        telemetry: What to show; another thread may be writing it.
        width: Columns of the terminal, at least 1.
        height: Rows of the terminal, at least 1.
        elapsed: Seconds the session has lasted.
        log: Path of the log of native libraries' messages, empty if there is nothing in it.
    """
    faces = faces_now(telemetry, LOST_FOR)
    events, messages = copied(telemetry.events), copied(telemetry.messages)
    if width < WIDE or height < TALL:
        lines = _small(telemetry, faces, events, messages, elapsed, width, height)
        lines = [fit(line, width) for line in [*lines, *([] for _ in range(height))][:height]]
    else:
        lower = min(max(13, (height - 3) * 2 // 5), height - 3 - 4)
        upper = height - 3 - lower
        right = min(max(36, width * 36 // 100), 90)
        lines = [
            *header(telemetry, elapsed, width),
            *_faces(telemetry, faces, width, upper),
            *beside(
                events_panel(events, width - right, lower), pipeline_panel(telemetry, messages, right, lower)
            ),
            footer(telemetry, messages, log, width),
        ]
    return lines


def _faces(telemetry: Telemetry, faces: list[FaceNow], width: int, height: int) -> list[Line]:
    """Return the faces one above the other, or in two columns where that leaves the graphs taller."""
    if not faces:
        return hint(telemetry, width, height)
    shown = sorted(faces[:MOST_FACES], key=lambda face: face.track)
    columns = 2 if len(shown) > 1 and (height // len(shown) < 7 or width >= 150) else 1
    rows = min(-(-len(shown) // columns), height // 4)
    lines: list[Line] = []
    for row in range(rows):
        group = shown[row * columns : (row + 1) * columns]
        high = height * (row + 1) // rows - height * row // rows
        wide = [width * (i + 1) // len(group) - width * i // len(group) for i in range(len(group))]
        lines += beside(*(face_panel(face, telemetry, w, high) for face, w in zip(group, wide, strict=True)))
    return lines


def _small(  # noqa: PLR0917
    telemetry: Telemetry,
    faces: list[FaceNow],
    events: list[Event],
    messages: list[str],
    elapsed: float,
    width: int,
    height: int,
) -> list[Line]:
    """Return what fits a small terminal: the source, one graph, the newest events, the state of affairs."""
    broker = telemetry.broker
    status = f" {telemetry.fps:.1f} fps · {telemetry.dropped} dropped · broker {broker.state}"
    lines = header(telemetry, elapsed, width)[: 2 if height >= 10 else 1]
    tail: list[Line] = [
        [run(_shortened(plain(event), width))] for event in events[-max(1, min(height // 4, 4)) :]
    ]
    tail.append(ends([run(status, DIM)], [], width))
    if broker.error or messages:
        tail.append(footer(telemetry, messages, "", width))
    room = height - len(lines) - len(tail)
    if width >= 20 and room >= 4:
        lines += face_panel(faces[0], telemetry, width, room) if faces else hint(telemetry, width, room)
    elif faces and room >= 1:
        state = faces[0].state if faces[0].visible else "face lost"
        lines.append([run(elide(f" face {faces[0].track} {state}", width))])
    return [*lines, *tail]


def _shortened(text: str, width: int) -> str:
    """Leave out the last columns that do not fit."""
    while len(text) > width and "  " in text:
        text = text.rpartition("  ")[0].rstrip()
    return text
