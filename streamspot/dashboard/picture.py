"""The whole picture: which panels stand where at which size of the terminal."""

from __future__ import annotations

from streamspot.dashboard.panels import doing, events_panel, face_panel, footer, header, hint, pipeline_panel
from streamspot.dashboard.text import DIM, Line, beside, elide, ends, fit, plain, run
from streamspot.dashboard.view import Shown

_MOST_FACES = 4
_WIDE, _TALL = 72, 20
"""Below this many columns or rows the picture is reduced to one graph and a few lines."""


def picture(shown: Shown, width: int, height: int) -> list[Line]:
    """Return the dashboard as exactly ``height`` lines of exactly ``width`` terminal cells, each at least 1."""
    if width < _WIDE or height < _TALL:
        lines = _small(shown, width, height)
        return [fit(line, width) for line in [*lines, *[[]] * height][:height]]
    lower = min(max(13, (height - 3) * 2 // 5), height - 3 - 4)
    right = min(max(36, width * 36 // 100), 90)
    return [
        *header(shown, width),
        *_faces(shown, width, height - 3 - lower),
        *beside(events_panel(shown.events, width - right, lower), pipeline_panel(shown, right, lower)),
        footer(shown, width),
    ]


def _faces(shown: Shown, width: int, height: int) -> list[Line]:
    """Return the faces one above the other, or in two columns where that leaves the graphs taller."""
    if not shown.faces:
        return hint(shown, width, height)
    faces = sorted(shown.faces[:_MOST_FACES], key=lambda face: face.track)
    columns = 2 if len(faces) > 1 and (height // len(faces) < 7 or width >= 150) else 1
    rows = min(-(-len(faces) // columns), height // 4)
    lines: list[Line] = []
    for row in range(rows):
        group = faces[row * columns : (row + 1) * columns]
        high = height * (row + 1) // rows - height * row // rows
        wide = [width * (i + 1) // len(group) - width * i // len(group) for i in range(len(group))]
        panels = [face_panel(face, shown.stats, w, high) for face, w in zip(group, wide, strict=True)]
        lines += beside(*panels)
    return lines


def _small(shown: Shown, width: int, height: int) -> list[Line]:
    """Return what fits a small terminal: the source, one graph, the newest events, the state of affairs."""
    stats, broker, faces = shown.stats, shown.delivery, shown.faces
    status = f" {stats.fps:.1f} fps · {stats.dropped} dropped · broker {broker.state}"
    lines = header(shown, width)[: 2 if height >= 10 else 1]
    newest = shown.events[-max(1, min(height // 4, 4)) :]
    tail: list[Line] = [[run(_shortened(plain(event), width))] for event in newest]
    if broker.error or shown.messages:
        tail += [[run(status, DIM)], footer(shown, width)]
    else:
        ending = "" if stats.finished else shown.ending
        tail.append(ends([run(status, DIM)], [run(f"{ending} ", DIM)], width))
    room = height - len(lines) - len(tail)
    if width >= 20 and room >= 4:
        lines += face_panel(faces[0], stats, width, room) if faces else hint(shown, width, room)
    elif faces and room >= 1:
        words, _ = doing(faces[0], finished=stats.finished)
        lines.append([run(elide(f" face {faces[0].track} {words}", width))])
    return [*lines, *tail]


def _shortened(text: str, width: int) -> str:
    """Leave out the last columns that do not fit."""
    while len(text) > width and "  " in text:
        text = text.rpartition("  ")[0].rstrip()
    return text
