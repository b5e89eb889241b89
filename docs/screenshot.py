"""Make ``docs/dashboard.svg``, the picture of the dashboard in the README, from made-up telemetry.

Run ``python docs/screenshot.py`` from the root of the repository.
"""  # noqa: INP001

from __future__ import annotations

import io
import math
import re
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.segment import Segment, Segments

from streamspot.dashboard import picture
from streamspot.telemetry import FaceView, Telemetry
from streamspot.types import TICK_RATE, Event, Kind, Moment, Phase, Score

LOOK_AHEAD = 8
EXPRESSIONS: dict[int, list[tuple[int, int, int, Kind, float]]] = {
    1: [(41, 60, 96, "macro", 0.82), (160, 165, 172, "micro", 0.47), (235, 270, 330, "macro", 0.93)],
    2: [(90, 97, 104, "micro", 0.52), (300, 322, 371, "macro", 0.71)],
}
"""For each face: (onset, apex, offset, kind, peak), ticks of a pattern of 400 that repeats."""
PERIOD = 400


def intensity(face: int, tick: int) -> float:
    """Return a curve like the network's: a noisy floor, a steep rise, a slower fall."""
    noise = math.sin(tick * 0.61 + face) * math.sin(tick * 0.173 * face) * math.sin(tick * 1.7)
    level = 0.05 + 0.035 * abs(noise)
    for onset, apex, offset, _, peak in EXPRESSIONS[face]:
        at = tick % PERIOD
        rise = (at - onset) / (apex - onset) if at <= apex else (offset - at) / (offset - apex)
        if rise > -0.15:
            level = max(level, peak / (1.0 + math.exp(-9.0 * (min(rise, 1.0) - 0.42))) + 0.02 * noise)
    return level


def moment(tick: int) -> Moment:
    """Return a tick on every clock, the wall clock a made-up one."""
    seconds = tick / TICK_RATE
    return Moment(tick, tick, seconds, f"2026-01-01T12:{int(seconds) // 60:02d}:{seconds % 60:09.6f}Z")


def announced(until: int) -> list[Event]:
    """Return the events that would have been announced up to a tick, in order."""
    found: list[tuple[int, Phase, int, int, int, int, Kind, float]] = []
    for face, pattern in EXPRESSIONS.items():
        for start in range(0, until + 1, PERIOD):
            for onset, apex, offset, kind, peak in pattern:
                on, top, off = start + onset, start + apex, start + offset
                found += [
                    (on + LOOK_AHEAD + 3, "onset", face, on, top, off, kind, peak),
                    (top + LOOK_AHEAD + 5, "apex", face, on, top, off, kind, peak),
                    (off + LOOK_AHEAD + 2, "offset", face, on, top, off, kind, peak),
                ]
    events: list[Event] = []
    for decided, phase, face, on, top, off, kind, peak in sorted(row for row in found if row[0] <= until):
        event = Event(
            session="demo",
            stream="camera",
            face=face,
            expression=f"{face}-{on}",
            phase=phase,
            kind=kind,
            seq=len(events),
            onset=moment(on),
            apex=None if phase == "onset" else moment(top),
            offset=moment(off) if phase == "offset" else None,
            intensity=peak,
            score=0.4,
            decided_at=moment(decided),
            look_ahead=LOOK_AHEAD,
            model="streamspot-small",
        )
        events.append(event)
    return events


def demo(now: int, *, faces: int = 2) -> Telemetry:
    """Return the telemetry of a made-up camera stream at a tick."""
    rng = np.random.default_rng(now)
    telemetry = Telemetry(
        source="/dev/video0 · 1280 x 720",
        live=True,
        policy="latest",
        nominal_fps=30.0,
        model="streamspot-small",
        look_ahead=LOOK_AHEAD,
        thresholds=(0.3, 0.6),
        frames=now,
        dropped=now // 250,
        faceless=12,
        fps=29.9 + 0.1 * math.sin(now / 20),
        pts=now / TICK_RATE,
    )
    costs = {"read": 0.6, "face": 4.0, "flow": 2.6, "model": 0.9, "spotting": 0.1, "total": 8.3}
    for name, milliseconds in costs.items():
        for value in milliseconds * rng.lognormal(0.0, 0.12, 200):
            telemetry.stages[name].add(value / 1e3)
    newest = now - LOOK_AHEAD
    for face in range(1, faces + 1):
        view = FaceView()
        view.curve.extend(
            Score(t, t / TICK_RATE, t, intensity(face, t), 0.5, 0.5)
            for t in range(max(newest - 899, 0), newest + 1)
        )
        telemetry.faces[face] = view
    for event in announced(now):
        view = telemetry.faces.get(event.face, FaceView())
        at = {"onset": event.onset, "apex": event.apex, "offset": event.offset}.get(
            event.phase
        ) or event.onset
        view.marks.append((at.tick, event.phase, event.kind))
        view.state = "neutral" if event.phase == "offset" else event.kind
        if event.face <= faces:
            telemetry.events.append(event)
    telemetry.broker.address = "mqtt://192.168.0.17:1883"
    telemetry.broker.state = "online"
    telemetry.broker.acknowledged = telemetry.events[-1].seq + 1 if telemetry.events else 0
    telemetry.messages.append("the camera gave 24 fps in low light: more light helps")
    return telemetry


def svg(telemetry: Telemetry, width: int, height: int) -> str:
    """Return the dashboard as a self-contained SVG picture of a terminal."""
    console = Console(
        record=True, width=width, force_terminal=True, color_system="truecolor", file=io.StringIO()
    )
    lines = picture(telemetry, width, height, elapsed=telemetry.pts + 2.0)
    console.print(
        Segments([segment for line in lines for segment in [*line, Segment.line()]]), end="", crop=False
    )
    drawn = console.export_svg(title="streamspot")
    local = re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.DOTALL)  # rich fetches fonts from afar
    return local.replace("Fira Code", "Fira Code, DejaVu Sans Mono, Menlo, Consolas")


if __name__ == "__main__":
    (Path(__file__).parent / "dashboard.svg").write_text(svg(demo(740), 120, 36), encoding="utf-8")
