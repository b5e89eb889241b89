"""A made-up stream and what the dashboard shows of it."""

from __future__ import annotations

import io
import time
from contextlib import contextmanager
from datetime import UTC, datetime

import numpy as np
from rich.console import Console

from streamspot.console import QuietStderr
from streamspot.dashboard.live import Dashboard
from streamspot.dashboard.look import Look
from streamspot.dashboard.picture import picture
from streamspot.dashboard.view import Views
from streamspot.state import fold
from streamspot.stats import Delivery, Stats
from streamspot.types import Controls, Event, FaceMotion, RegionMotion, Score, SegmentEnd, Session, Update

SESSION = Session("r", "s", "clip", 0.0, datetime(2026, 1, 1, tzinfo=UTC))
RED = "#d7263d"
ALL = Look()


def event(seq=0, *, phase="offset", kind="macro", onset=318, apex=330, offset=373, decided=381, reason=None):
    """Return an event in the form the pipeline announces."""
    return Event(
        run="r",
        session="s",
        stream="clip",
        face=1,
        expression="1",
        phase=phase,
        kind=kind,
        seq=seq,
        onset=SESSION.moment(onset, onset),
        apex=None if phase == "onset" else SESSION.moment(apex, apex),
        offset=SESSION.moment(offset, offset) if phase == "offset" else None,
        intensity=0.82,
        score=0.4,
        decided_at=SESSION.moment(decided, decided),
        look_ahead=8,
        model="m",
        reason=reason,
    )


class Stream:
    """A made-up stream: what its engine would count, and the updates it would give to ``take``."""

    def __init__(self, name="clip", *, take=lambda *_: None):
        self.stats = Stats(
            "clip.mp4", stream=name, nominal_fps=30.0, model="small", look_ahead=8, thresholds=(0.3, 0.6)
        )
        self.delivery = Delivery("mqtt://127.0.0.1:1883", "online")
        self.takers = [take]
        self.faces = {}
        for latency in self.stats.stages.values():
            latency.add(0.004)

    def push(self, tick, *, faces=(1,), events=(), ended=(), reason=None, messages=(), controls=None):
        """Say that a tick came, of which every face was seen and the one 8 ticks before it is judged."""
        self.stats.frames, self.stats.pts, self.stats.fps = tick + 1, tick / 30, 29.9
        still = np.zeros((17, 2), np.float32)
        motion = [FaceMotion(face, RegionMotion(tick, tick / 30, tick, still)) for face in faces]
        motion += [SegmentEnd(face, reason) for face in ended]
        judged, level = tick - 8, 0.5 + 0.5 * np.sin(tick / 20)
        score = Score(judged, judged / 30, judged, level, 0.5, 0.5)
        scores = [(face, score) for face in faces if judged >= 0]
        self.faces = fold(self.faces, motion, scores, events)
        update = Update(
            SESSION,
            tick,
            tick / 30,
            tuple(motion),
            tuple(scores),
            tuple(events),
            self.faces,
            tuple(messages),
            controls or Controls(),
        )
        for take in self.takers:
            take(self.stats.stream, update)

    def run(self, faces=1, ticks=408):
        """Play the first seconds, with one expression in them."""
        phases = {
            327: event(0, phase="onset", decided=327),
            348: event(1, phase="apex", decided=348),
            389: event(2, decided=389),
        }
        for tick in range(ticks):
            events = [phases[tick]] if tick in phases else []
            self.push(tick, faces=tuple(range(1, faces + 1)), events=events)
        return self


def running(faces=1, ticks=408):
    """Return a stream in full swing and the view of it."""
    stream = Stream()
    view = Views([stream.stats], stream.delivery)
    stream.takers = [view.take]
    return stream.run(faces, ticks), view


def text_of(view, width=120, height=36, look=ALL, **more):
    """Return the picture without its colours."""
    lines = picture(view.shown(**more), look, width, height)
    return "\n".join("".join(segment.text for segment in line) for line in lines)


def red(view):
    """Return all that is written in the alarm colour."""
    segments = [segment for line in picture(view.shown(), Look(), 120, 36) for segment in line]
    return " ".join(s.text for s in segments if s.style and s.style.color and s.style.color.name == RED)


def until(condition, seconds=20.0):
    """Wait for a condition; return whether it came true."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


class Terminal(io.StringIO):
    """A file that says it is a terminal."""

    def isatty(self):
        """Say yes."""
        return True


def terminal(width=100, height=30):
    """Return a console on a made-up terminal."""
    size = {"width": width, "height": height}
    return Console(file=Terminal(), force_terminal=True, legacy_windows=False, highlight=False, **size)


@contextmanager
def dashboard_on(console, stats, delivery):
    """Draw a stream, or several, on a made-up terminal."""
    with QuietStderr() as quiet:
        quiet.console = console
        with Dashboard(
            stats if isinstance(stats, list) else [stats], delivery, quiet, on_quit=lambda: None
        ) as dashboard:
            yield dashboard


def replace_event(one, expression):
    """Return an event of another expression."""
    return one.model_copy(update={"expression": expression})
