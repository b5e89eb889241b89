"""What the dashboard keeps of a stream: half a minute of every face, the last events and messages."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field, replace

from streamspot.dashboard.curve import Span
from streamspot.stats import Delivery, Stats
from streamspot.types import Event, FaceMotion, FaceState, Score, Update

LOST_FOR = 10.0
"""Seconds for which a face that was lost is kept."""

_TICKS, _SPANS = 900, 64
"""Ticks of curve (30 s) and expressions that are kept of each face."""


@dataclass(frozen=True, slots=True)
class FaceShown:
    """One face at the moment of the picture.

    Attributes:
        track: Its number.
        state: What it does now; None if it is not in view.
        scores: Its curve, oldest first.
        spans: Its announced expressions, oldest first.
        silent: Seconds since its curve ended; 0 while it is in view.
        reason: Why it is not in view, None at the regular end of the source.
    """

    track: int
    state: FaceState | None
    scores: list[Score]
    spans: list[Span]
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
    begun: bool = False
    paused: bool = False
    elapsed: float = 0.0
    log: str = ""
    ending: str = "Ctrl-C ends the run"


@dataclass(slots=True)
class _Face:
    scores: deque[Score] = field(default_factory=lambda: deque(maxlen=_TICKS))
    spans: dict[str, Span] = field(default_factory=dict)
    left: float = 0.0
    reason: str | None = None


class View:
    """Takes a stream's updates and gives, in any thread, what is to be shown; constant in size.

    Args:
        stats: Of the stream.
        delivery: Of its events; its messages are taken from it.

    Example:
        >>> view.take(update)  # doctest: +SKIP
        >>> lines = picture(view.shown(), 120, 36)
    """

    def __init__(self, stats: Stats, delivery: Delivery) -> None:
        self.expressions = 0
        """Expressions that were found and are over."""
        self._stats, self._delivery = stats, delivery
        self._faces: dict[int, _Face] = {}
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
                if not isinstance(one, FaceMotion):
                    face = self._face(one.face)
                    face.left = face.scores[-1].pts if face.scores else update.pts
                    face.reason = one.reason
            for track in update.faces:
                self._face(track)
            self._faces = {
                track: face
                for track, face in self._faces.items()
                if track in update.faces or update.pts - face.left < LOST_FOR
            }
            self._messages.extend(update.messages)
            self._last = update

    def shown(self, *, elapsed: float = 0.0, log: str = "", ending: str = "Ctrl-C ends the run") -> Shown:
        """Return what is to be shown now; the arguments are those of ``Shown``."""
        with self._lock:
            told = self._delivery.messages
            self._messages.extend(told.popleft() for _ in range(len(told)))
            faces = [self._face_shown(track, face) for track, face in self._faces.items()]
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

    def _face(self, track: int) -> _Face:
        return self._faces.setdefault(track, _Face())

    def _face_shown(self, track: int, face: _Face) -> FaceShown:
        state = self._last.faces.get(track)
        silent = 0.0 if state is not None else max(self._last.pts - face.left, 0.0)
        return FaceShown(track, state, list(face.scores), list(face.spans.values()), silent, face.reason)

    def _note(self, event: Event) -> None:
        self._events.append(event)
        self.expressions += event.phase == "offset"
        face = self._face(event.face)
        span = face.spans.get(event.expression) or Span(event.onset.tick, event.kind)
        apex = span.apex if event.apex is None else event.apex.tick
        offset = span.offset if event.offset is None else event.offset.tick
        cancelled = event.phase == "cancelled"
        if cancelled:  # it ends with the newest score that was known
            offset = min(
                event.decided_at.tick, face.scores[-1].tick if face.scores else event.decided_at.tick
            )
        face.spans[event.expression] = replace(
            span, onset=event.onset.tick, kind=event.kind, apex=apex, offset=offset, cancelled=cancelled
        )
        while len(face.spans) > _SPANS:
            del face.spans[next(iter(face.spans))]
