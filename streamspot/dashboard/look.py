"""What the person before the dashboard looks at, and the keys that change it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from streamspot.commands import Command, Label, Pause, Resume, Sensitivity, Undo
from streamspot.dashboard.curve import TickSpan
from streamspot.dashboard.view import Shown
from streamspot.types import MARK_KEYS, TICK_RATE

ZOOMS = (6.0, 12.0, 30.0, 60.0, 120.0, 300.0, 600.0)
"""Seconds that a graph may show."""

KEYS = {
    "q": "end the run",
    "space": "pause or go on; a camera is let go meanwhile",
    "+ -": "sensitivity, tried on the last minute",
    "m u x": "label what you saw: macro, micro, unsure",
    "backspace": "take the last label back",
    "left right": "through the last ten minutes; home: now",
    "[ ]": "zoom in and out",
    "tab": "one face alone, the next one, all",
    "e": "all events, or the graphs",
    "?": "this page",
}
"""Every key and what it does."""

_STEP = 0.05


@dataclass(frozen=True, slots=True)
class Look:
    """What the person before the dashboard looks at: the page, the stretch of time, the face.

    Attributes:
        page: Graphs, all events, or the keys.
        seconds: Time that a graph shows.
        edges: While scrolled back, the tick at the right edge of each stream's graphs; empty while they follow.
        only: Stream and face that are shown alone, None for all.
        said: What the last key did, in a few words.
        tried: By stream and face, what another sensitivity makes of the last minute; empty unless just changed.
    """

    page: Literal["graphs", "events", "keys"] = "graphs"
    seconds: float = 12.0
    edges: Mapping[str, int] = field(default_factory=dict)
    only: tuple[str, int] | None = None
    said: str = ""
    tried: Mapping[tuple[str, int], list[TickSpan]] = field(default_factory=dict)


def moved(look: Look, key: str, shown: Shown) -> Look:
    """Return what is looked at after a key that changes nothing but that; the same if it is none of these."""
    match key:
        case "e" | "?":
            page: Literal["events", "keys"] = "events" if key == "e" else "keys"
            look = replace(look, page="graphs" if look.page == page else page)
        case "escape":
            look = Look()
        case "[" | "]":
            place = ZOOMS.index(look.seconds) + (1 if key == "]" else -1)
            look = replace(look, seconds=ZOOMS[min(max(place, 0), len(ZOOMS) - 1)])
        case "left" | "right":
            look = _scrolled(look, -1 if key == "left" else 1, shown)
        case "home":
            look = replace(look, edges={})
        case "tab":
            look = replace(look, only=_next(look, shown))
    return look


def there(look: Look, shown: Shown) -> Look:
    """Return what can be looked at: a face that is shown alone and is not kept any more gives way to all."""
    kept = {(one.stats.stream, face.track) for one in shown.streams for face in one.faces}
    return look if look.only is None or look.only in kept else replace(look, only=None)


def command(key: str, shown: Shown, stream: str, face: int | None = None) -> Command | None:
    """Return what a key asks of a stream, None if nothing; a label is for the face that is shown alone, if any."""
    controls = next(one.controls for one in shown.streams if one.stats.stream == stream)
    match key:
        case " ":
            return Resume() if controls.paused else Pause()
        case "+" | "=" | "-":
            wanted = controls.sensitivity + (-_STEP if key == "-" else _STEP)
            return Sensitivity(min(max(round(wanted / _STEP) / round(1 / _STEP), 0.0), 1.0))
        case "backspace":
            return Undo()
    return Label(MARK_KEYS[key], face) if key in MARK_KEYS else None


def done(asked: Mapping[str, Command]) -> str:
    """Return in a few words what commands have done, by the name of the stream where they differ.

    Of sensitivities the numbers alone, in the order of the streams: a line of 80 columns holds no more.
    """
    values = [f"{one.value:.2f}" for one in asked.values() if isinstance(one, Sensitivity)]
    if values:
        return f"sensitivity {' · '.join(values[:1] if len(set(values)) == 1 else values)}"
    said = {name: _done(one) for name, one in asked.items()}
    if len(set(said.values())) == 1:
        return next(iter(said.values()))
    return " · ".join(f"{name}: {words}" for name, words in said.items())


def _done(asked: Command) -> str:
    match asked:
        case Label(value, face):
            return f"labelled: {value}" if face is None else f"labelled: {value}, face {face}"
        case Undo():
            return "the last label is taken back"
    return "paused; space goes on" if isinstance(asked, Pause) else "going on"


def _scrolled(look: Look, way: int, shown: Shown) -> Look:
    """Return the graphs moved by half of what they show; they follow again once they reach the newest tick."""
    now = {one.stats.stream: max((face.edge for face in one.faces), default=0) for one in shown.streams}
    step = way * round(look.seconds * TICK_RATE / 2)
    edges = {name: max(look.edges.get(name, edge) + step, 0) for name, edge in now.items()}
    following = all(edges[name] >= edge for name, edge in now.items())
    return replace(look, edges={} if following else edges)


def _next(look: Look, shown: Shown) -> tuple[str, int] | None:
    """Return the face after the one that is shown alone; after the last one come all."""
    faces = [
        (one.stats.stream, track)
        for one in shown.streams
        for track in sorted(face.track for face in one.faces)
    ]
    if look.only not in faces:
        return faces[0] if faces else None
    place = faces.index(look.only) + 1
    return faces[place] if place < len(faces) else None
