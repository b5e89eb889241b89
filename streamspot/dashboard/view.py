"""What the dashboard keeps of a stream: ten minutes of every face, the last events and messages."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from streamspot.commands import Command, obeyed
from streamspot.dashboard.curve import TickSpan
from streamspot.dashboard.history import KEPT, History
from streamspot.spotting import SpotSettings, decode
from streamspot.stats import Delivery, Stats
from streamspot.types import TICK_RATE, Controls, Event, FaceMotion, FaceState, SegmentEnd, Update

LOST_FOR = 10.0
"""Seconds for which a face that was lost stands among the others."""

_FACES, _SPANS = 12, 256
"""Faces that are kept, and announced expressions of each."""

_UNCONFIRMED_S = 2.0
"""Seconds for which what a key asked for counts while updates say otherwise: they were on their way before it."""

_MINUTE = int(60 * TICK_RATE)
_DECAY = 0.9
"""Of what a region has moved so much is left after a tick."""


@dataclass(slots=True)
class FaceShown:
    """One face as the dashboard shows it.

    Attributes:
        track: Its number.
        state: What it does now; None if it is not in view.
        history: Its curve.
        spans: Its announced expressions by id, oldest first.
        moved: ``(R, 2)`` how far its regions have just moved, inter-ocular distances; None where that is unknown.
        silent: Seconds since its curve ended; 0 while it is in view.
        reason: Why it is not in view, None at the regular end of the source.
    """

    track: int
    state: FaceState | None = None
    history: History = field(default_factory=History)
    spans: dict[str, TickSpan] = field(default_factory=dict)
    moved: NDArray[np.float32] | None = None
    silent: float = 0.0
    reason: str | None = None

    @property
    def edge(self) -> int:
        """The tick that is now, by its own grid."""
        newest = self.history.newest
        return 0 if newest is None else newest.tick + round(self.silent * TICK_RATE)

    def respotted(self, settings: SpotSettings) -> list[TickSpan]:
        """Return the expressions that these settings find in the last minute of the curve."""
        newest = self.history.newest
        if newest is None:
            return []
        scores = self.history.segments(max(newest.tick - _MINUTE + 1, 0), _MINUTE)
        found = [one for segment in scores for one in decode(segment, settings)]
        return [TickSpan(one.onset, one.kind, one.apex, one.offset) for one in found]


@dataclass(frozen=True, slots=True)
class StreamShown:
    """All that one picture shows of one stream.

    Attributes:
        stats: Counts, rates and durations.
        prefix: Stands before the number of a face where there are several streams.
        faces: Those in view and those lost a while ago, the lost ones last.
        begun: Whether the first frame has been analysed.
        controls: The settings in force, or asked for just now.
    """

    stats: Stats
    prefix: str
    faces: list[FaceShown]
    begun: bool
    controls: Controls


class View:
    """Takes one stream's updates and gives what is to be shown of it; constant in size."""

    def __init__(self, stats: Stats) -> None:
        self.stats = stats
        """Counts, rates and durations."""
        self.expressions = 0
        """Expressions that were found and are over."""
        self._faces: dict[int, FaceShown] = {}
        self._last = Update()
        self._asked: Controls | None = None
        self._asked_at = 0.0

    @property
    def controls(self) -> Controls:
        """The settings in force, or asked for just now."""
        return self._last.controls if self._asked is None else self._asked

    def ask(self, command: Command) -> None:
        """Let what was asked for count until an update brings it; soon after, whatever an update says."""
        if (wanted := obeyed(self.controls, command)) != self.controls:
            self._asked, self._asked_at = wanted, time.monotonic()

    def take(self, update: Update) -> None:
        """Note what an update brought to light."""
        for track, score in update.scores:
            self._face(track).history.add(score)
        for event in update.events:
            self._note(event)
        for one in update.motion:
            if isinstance(one, SegmentEnd):
                self._face(one.face).reason = one.reason
            else:
                self._move(one)
        for track in update.faces:
            self._face(track)
        for track, face in self._faces.items():
            face.state = update.faces.get(track)
            newest = face.history.newest
            end = newest.pts if newest else -math.inf
            face.silent = 0.0 if face.state else max(update.pts - end, 0.0)
        self._forget()
        confirmed = update.controls == self._asked != self._last.controls
        if confirmed or time.monotonic() - self._asked_at > _UNCONFIRMED_S:
            self._asked = None
        self._last = update

    def shown(self, prefix: str) -> StreamShown:
        """Return what is to be shown now; the prefix is that of ``StreamShown``."""
        faces = [
            replace(face, history=deepcopy(face.history), spans=face.spans.copy())
            for face in self._faces.values()
        ]
        faces.sort(key=lambda face: (face.state is None, face.silent, face.track))
        return StreamShown(self.stats, prefix, faces, self._last.session is not None, self.controls)

    def _face(self, track: int) -> FaceShown:
        return self._faces.setdefault(track, FaceShown(track))

    def _move(self, one: FaceMotion) -> None:
        face, step = self._face(one.face), one.motion.displacement
        before = face.moved
        face.moved = step if before is None or before.shape != step.shape else before * _DECAY + step

    def _forget(self) -> None:
        """Let go of faces of which nothing that is kept could still be shown, and of the oldest beyond a dozen."""
        gone = sorted(
            (face for face in self._faces.values() if face.state is None), key=lambda face: -face.silent
        )
        beyond = len(self._faces) - _FACES
        for place, face in enumerate(gone):
            if place < beyond or face.silent * TICK_RATE >= KEPT:
                del self._faces[face.track]

    def _note(self, event: Event) -> None:
        self.expressions += event.phase == "offset"
        face = self._face(event.face)
        apex = None if event.apex is None else event.apex.tick
        offset = None if event.offset is None else event.offset.tick
        cancelled = event.phase == "cancelled"
        if cancelled:  # it ends with the newest score that was known
            newest = face.history.newest or event.decided_at
            offset = min(event.decided_at.tick, newest.tick)
        face.spans[event.expression] = TickSpan(event.onset.tick, event.kind, apex, offset, cancelled)
        while len(face.spans) > _SPANS:
            del face.spans[next(iter(face.spans))]


@dataclass(frozen=True, slots=True)
class Shown:
    """All that one picture shows.

    Attributes:
        streams: In the order in which they were named.
        delivery: How the delivery to a broker fares.
        events: The last ones of all streams, oldest first.
        messages: The last ones, oldest first.
        elapsed: Seconds since the dashboard began.
        log: Path of the log of native libraries' messages, empty if there is nothing in it.
        ending: How the user ends the run, or that it is ending; a few words.
    """

    streams: list[StreamShown]
    delivery: Delivery
    events: list[Event]
    messages: list[str]
    elapsed: float = 0.0
    log: str = ""
    ending: str = "Ctrl-C ends the run"


class Views:
    """What the dashboard keeps of all streams: takes updates and gives, in any thread, what is to be shown.

    It is constant in size. The messages of the delivery are taken from it.

    Args:
        stats: Of each stream, which is known by its name there.
        delivery: How the delivery to the broker fares.

    Example:
        >>> views.take("webcam", update)  # doctest: +SKIP
        >>> lines = picture(views.shown(), Look(), 120, 36)
    """

    def __init__(self, stats: list[Stats], delivery: Delivery) -> None:
        self.by_name = {one.stream: View(one) for one in stats}
        self._delivery = delivery
        self._events: deque[Event] = deque(maxlen=200)
        self._messages: deque[str] = deque(maxlen=20)
        self._lock = threading.Lock()

    @property
    def expressions(self) -> int:
        """Expressions that were found and are over."""
        return sum(view.expressions for view in self.by_name.values())

    @property
    def stats(self) -> list[Stats]:
        """Of each stream."""
        return [view.stats for view in self.by_name.values()]

    def show(self, stats: Sequence[Stats]) -> None:
        """Show these streams and no others; what is kept of one that has other statistics by now is forgotten."""
        with self._lock:
            views = {id(view.stats): view for view in self.by_name.values()}
            self.by_name = {one.stream: views.get(id(one)) or View(one) for one in stats}

    def take(self, stream: str, update: Update) -> None:
        """Note what an update of a stream brought to light."""
        several = f"{stream}: " if len(self.by_name) > 1 else ""
        with self._lock:
            self.by_name[stream].take(update)
            self._events.extend(update.events)
            self._messages.extend(several + message for message in update.messages)

    def ask(self, stream: str, command: Command) -> None:
        """Note what a stream was asked for, before its updates can say so."""
        with self._lock:
            if stream in self.by_name:  # else another has just taken its place
                self.by_name[stream].ask(command)

    def shown(self, *, elapsed: float = 0.0, log: str = "", ending: str = "Ctrl-C ends the run") -> Shown:
        """Return what is to be shown now; the arguments are those of ``Shown``."""
        with self._lock:
            told = self._delivery.messages
            self._messages.extend(told.popleft() for _ in range(len(told)))
            several = len(self.by_name) > 1
            streams = [view.shown(f"{name} · " if several else "") for name, view in self.by_name.items()]
            return Shown(streams, self._delivery, [*self._events], [*self._messages], elapsed, log, ending)
