"""The whole picture: which panels stand where at which size of the terminal."""

from __future__ import annotations

from streamspot.dashboard.events import event_lines, events_panel
from streamspot.dashboard.look import Look, there
from streamspot.dashboard.panels import (
    doing,
    face_panel,
    footer,
    header,
    hint,
    keys_panel,
    pipeline_panel,
)
from streamspot.dashboard.text import DIM, Line, beside, elide, ends, fit, run
from streamspot.dashboard.view import LOST_FOR, FaceShown, Shown, StreamShown

_MOST_PANELS = 8
_WIDE, _TALL = 78, 20
"""Below this many columns or rows the picture is reduced to one graph and a few lines."""

_Panel = tuple[StreamShown, FaceShown | None]


def picture(shown: Shown, look: Look, width: int, height: int) -> list[Line]:
    """Return the dashboard as exactly ``height`` lines of exactly ``width`` terminal cells, each at least 1."""
    look = there(look, shown)
    if look.page != "graphs" and height >= 6 and width >= 20:
        middle = height - 3
        page = keys_panel(width, middle) if look.page == "keys" else events_panel(shown, width, middle)
        return [*header(shown, width), *page, fit(footer(shown, look, width), width)]
    if width < _WIDE or height < _TALL:
        lines = _small(shown, look, width, height)
        return [fit(line, width) for line in [*lines, *[[]] * height][:height]]
    several = len(shown.streams) > 1
    lower = min(max(13, (height - 3) * (1 if several else 2) // 5), height - 3 - 4)
    right = min(max(36, width * 36 // 100), 90)
    return [
        *header(shown, width),
        *_faces(shown, look, width, height - 3 - lower),
        *beside(events_panel(shown, width - right, lower), pipeline_panel(shown, right, lower)),
        footer(shown, look, width),
    ]


def _panels(shown: Shown, look: Look) -> list[_Panel]:
    """Return the faces to show, and streams without one, in the order of streams and track numbers."""
    panels: list[_Panel] = []
    for stream in shown.streams:
        faces = [
            face
            for face in stream.faces
            if look.only == (stream.stats.stream, face.track)
            or (look.only is None and (look.edges or face.silent < LOST_FOR))
        ]
        panels += [(stream, face) for face in sorted(faces, key=lambda face: face.track)]
        if not faces and look.only is None:
            panels.append((stream, None))
    return panels


def _chosen(panels: list[_Panel], most: int) -> list[_Panel]:
    """Return as many panels as fit, in their order: faces in view before any other, those long gone last."""

    def rank(place: int) -> tuple[int, float]:
        face = panels[place][1]
        return (1, 0.0) if face is None else (0 if face.state else 2, face.silent)

    return [panels[place] for place in sorted(sorted(range(len(panels)), key=rank)[:most])]


def _panel(panel: _Panel, look: Look, width: int, height: int) -> list[Line]:
    stream, face = panel
    return hint(stream, width, height) if face is None else face_panel(stream, face, look, width, height)


def _faces(shown: Shown, look: Look, width: int, height: int) -> list[Line]:
    """Return the faces one above the other, or in two columns where that leaves the graphs taller."""
    panels = _chosen(_panels(shown, look), _MOST_PANELS)
    columns = 2 if len(panels) > 1 and (height // len(panels) < 7 or width >= 150) else 1
    rows = min(-(-len(panels) // columns), max(height // 4, 1))
    panels = _chosen(panels, rows * columns)
    lines: list[Line] = []
    for row in range(rows):
        group = panels[row * columns : (row + 1) * columns]
        high = height * (row + 1) // rows - height * row // rows
        wide = [width * (i + 1) // len(group) - width * i // len(group) for i in range(len(group))]
        lines += beside(*[_panel(one, look, w, high) for one, w in zip(group, wide, strict=True)])
    return lines


def _small(shown: Shown, look: Look, width: int, height: int) -> list[Line]:
    """Return what fits a small terminal: the source, one graph, the newest events, the state of affairs."""
    stats, broker = shown.streams[0].stats, shown.delivery
    ((stream, face),) = _chosen(_panels(shown, look), 1)
    dropped = sum(one.stats.dropped for one in shown.streams)
    rate = "" if stats.motion else f"{stats.fps:.1f} fps · {dropped} dropped · "
    status = f" {rate}broker {broker.state}"
    lines = header(shown, width)[: 2 if height >= 10 else 1]
    newest = event_lines(shown, width, max(2, min(height // 3, 6))) if shown.events else []
    tail = newest if height >= 10 else newest[1:]
    if look.said or broker.error or shown.messages:
        tail += [[run(status, DIM)], footer(shown, look, width)]
    else:
        ending = "" if stats.finished else shown.ending
        tail.append(ends([run(status, DIM)], [run(f"{ending} ", DIM)], width))
    room = height - len(lines) - len(tail)
    if width >= 20 and room >= 4:
        lines += _panel((stream, face), look, width, room)
    elif face and room >= 1:
        words, _ = doing(face, finished=stats.finished)
        lines.append([run(elide(f" face {face.track} {words}", width))])
    return [*lines, *tail]
