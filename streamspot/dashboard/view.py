"""What the dashboard keeps of a stream: half a minute of every face, the last events and messages."""

from __future__ import annotations

import math
import threading
from collections import deque
from dataclasses import dataclass, field, replace

from streamspot.dashboard.curve import Span
from streamspot.stats import Delivery, Stats
from streamspot.types import Event, FaceState, Score, SegmentEnd, Update

LOST_FOR = 10.0
"""Seconds for which a face that was lost is kept."""

_TICKS, _SPANS = 900, 64
"""Ticks of curve (30 s) and expressions that are kept of each face."""


@dataclass(slots=True)
class FaceShown:
    """One face.

    Attributes:
        track: Its number.
        state: What it does now; None if it is not in view.
        scores: Its curve, oldest first.
        spans: Its announced expressions by id, oldest first.
        silent: Seconds since its curve ended; 0 while it is in view.
        reason: Why it is not in view, None at the regular end of the source.
    """

    track: int
    state: FaceState | None = None
    scores: deque[Score] = field(default_factory=lambda: deque(maxlen=_TICKS))
    spans: dict[str, Span] = field(default_factory=dict)
    silent: float = 0.0
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """All that one picture shows.

    Attributes:
        stats: Counts, rates and durations.
        delivery: How the delivery to a broker fares.
        faces: Those in view and those lost a short while ago, the lost ones last.
        events: The last ones, oldest first.
        messages: The last ones, oldest first.
        begun: Whether the first frame has been analysed.
        paused: Whether the stream was asked to pause.
        elapsed: Seconds since the dashboard began.
        log: Path of the log of native libraries' messages, empty if there is nothing in it.
        ending: How the user ends the run, or that it is ending; a few words.
    """

    stats: Stats
    delivery: Delivery
    faces: list[FaceShown]
    events: list[Event]
    messages: list[str]
    begun: bool
    paused: bool
    elapsed: float
    log: str
    ending: str


class View:
    """Takes a stream's updates and gives, in any thread, what is to be shown; constant in size.

    The messages of the delivery are taken from it.

    Example:
        >>> view.take(update)  # doctest: +SKIP
        >>> lines = picture(view.shown(), 120, 36)
    """

    def __init__(self, stats: Stats, delivery: Delivery) -> None:
        self.expressions = 0
        """Expressions that were found and are over."""
        self._stats, self._delivery = stats, delivery
        self._faces: dict[int, FaceShown] = {}
        self._events: deque[Event] = deque(maxlen=50)
        self._messages: deque[str] = deque(maxlen=20)
        self._last = Update()
        self._lock = threading.Lock()

    def take(self, update: Update) -> None:
        """Note what an update brought to light."""
        with self._lock:
            for track, score in update.scores:
                self._face(track).scores.append(score)
            for event in update.events:
                self._note(event)
            for one in update.motion:
                if isinstance(one, SegmentEnd):
                    self._face(one.face).reason = one.reason
            for track in update.faces:
                self._face(track)
            for track, face in list(self._faces.items()):
                face.state = update.faces.get(track)
                end = face.scores[-1].pts if face.scores else -math.inf
                face.silent = 0.0 if face.state else max(update.pts - end, 0.0)
                if face.silent >= LOST_FOR:
                    del self._faces[track]
            self._messages.extend(update.messages)
            self._last = update

    def shown(self, *, elapsed: float = 0.0, log: str = "", ending: str = "Ctrl-C ends the run") -> Shown:
        """Return what is to be shown now; the arguments are those of ``Shown``."""
        with self._lock:
            told = self._delivery.messages
            self._messages.extend(told.popleft() for _ in range(len(told)))
            faces = [
                replace(face, scores=face.scores.copy(), spans=face.spans.copy())
                for face in self._faces.values()
            ]
            return Shown(
                self._stats,
                self._delivery,
                sorted(faces, key=lambda face: (face.state is None, face.silent, face.track)),
                list(self._events),
                list(self._messages),
                self._last.session is not None,
                self._last.controls.paused,
                elapsed,
                log,
                ending,
            )

    def _face(self, track: int) -> FaceShown:
        return self._faces.setdefault(track, FaceShown(track))

    def _note(self, event: Event) -> None:
        self._events.append(event)
        self.expressions += event.phase == "offset"
        face = self._face(event.face)
        apex = None if event.apex is None else event.apex.tick
        offset = None if event.offset is None else event.offset.tick
        cancelled = event.phase == "cancelled"
        if cancelled:  # it ends with the newest score that was known
            newest = face.scores[-1] if face.scores else event.decided_at
            offset = min(event.decided_at.tick, newest.tick)
        face.spans[event.expression] = Span(event.onset.tick, event.kind, apex, offset, cancelled)
        while len(face.spans) > _SPANS:
            del face.spans[next(iter(face.spans))]
