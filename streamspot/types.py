"""The things that flow: Frame → Face → RegionMotion → Score → Detection → Event.

Every stage imports these types and nothing of its neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Phase = Literal["onset", "apex", "offset", "cancelled"]
Kind = Literal["macro", "micro"]

TICK_RATE = 30.0
"""Ticks a second; the model and everything after it live on this grid, whatever the camera's frame rate."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of the source.

    Attributes:
        index: Number of the picture in the source, 0-based, dropped pictures counted.
        pts: Presentation time in seconds on the source's own time line, strictly increasing.
        captured_ns: ``time.monotonic_ns()`` at which the picture became available to this process.
        image: ``(H, W, 3)`` uint8, BGR.
    """

    index: int
    pts: float
    captured_ns: int
    image: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Face:
    """One tracked face in one frame.

    Attributes:
        track: Number of the person within the session; a face that was lost and returns gets a new one.
        landmarks: ``(468, 3)`` or ``(478, 3)`` float32: x, y in pixels of the frame, z in the same unit.
        confidence: In [0, 1].
        transform: ``(2, 3)`` float32, the similarity from frame pixels to the aligned crop.
    """

    track: int
    landmarks: NDArray[np.float32]
    confidence: float
    transform: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class RegionMotion:
    """How far each facial region moved since the last tick, head motion removed.

    Attributes:
        tick: Number on the 30 Hz grid that starts at the source's first frame.
        pts: Time of the tick in seconds on the source's time line.
        frame: Index of the source frame nearest to the tick.
        displacement: ``(R, 2)`` float32, x to the image's right and y down, in inter-ocular distances.
        quality: In [0, 1]; how far to trust it (head motion, low light, residual of the fit).
    """

    tick: int
    pts: float
    frame: int
    displacement: NDArray[np.float32]
    quality: float = 1.0


@dataclass(frozen=True, slots=True)
class Sighting:
    """One tick of one face's motion, or the end of its segment.

    Attributes:
        face: Track number.
        motion: What moved; None where the segment ends.
        reason: Why it ended ("face lost"), None at the regular end of the source.
    """

    face: int
    motion: RegionMotion | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """What the network says of one tick; it is known ``look_ahead`` ticks later.

    Attributes:
        tick: The tick judged.
        pts: Its time in seconds on the source's time line.
        frame: Index of the source frame nearest to the tick.
        intensity: Expression intensity in [0, 1].
        macro: Probability in [0, 1] that what moves is a macro-expression.
        micro: The same for a micro-expression; the two need not sum to 1.
    """

    tick: int
    pts: float
    frame: int
    intensity: float
    macro: float
    micro: float


@dataclass(frozen=True, slots=True)
class Detection:
    """A phase of an expression as the spotter sees it, in ticks of one face's segment.

    Attributes:
        number: Number of the expression within the segment, 0-based; all phases of one expression share it.
        phase: ``onset``, ``apex``, ``offset`` (complete and final) or ``cancelled``.
        kind: Macro or micro: the best guess so far, final in ``offset``.
        onset: Tick of the onset.
        apex: Tick of the apex, None while unknown.
        offset: Last tick of the expression (inclusive), None while unknown.
        intensity: Highest intensity so far.
        score: Outer-inner-contrastive score in [-1, 1] (Eq. 15 of the GIM paper), 0 while unknown.
        decided: Tick of the newest score that was known when this was decided.
        reason: Why the expression was cancelled, None otherwise.
    """

    number: int
    phase: Phase
    kind: Kind
    onset: int
    apex: int | None
    offset: int | None
    intensity: float
    score: float
    decided: int
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant on every clock a consumer may hold.

    Attributes:
        tick: Number on the 30 Hz grid.
        frame: Index of the nearest source frame.
        pts: Seconds on the source's time line.
        time: Wall-clock time, RFC 3339 with microseconds and ``Z``.
    """

    tick: int
    frame: int
    pts: float
    time: str


@dataclass(frozen=True, slots=True)
class Event:
    """One phase of one expression, as delivered.

    Attributes:
        session: Identifies the run; a replay of the same recording has the same session.
        stream: Name of the source within the session.
        face: Track number of the face.
        expression: Identifies the expression; all its phases share it.
        phase: ``onset``, ``apex``, ``offset`` (complete in itself and final) or ``cancelled``.
        kind: Macro- or micro-expression; final in ``offset``.
        seq: Number of the event within session and stream, without gaps.
        onset: When the expression began.
        apex: When it was strongest, None while unknown.
        offset: Its last moment, None while unknown.
        intensity: Peak intensity in [0, 1].
        score: Outer-inner-contrastive score in [-1, 1], 0 while unknown.
        decided_at: The newest moment the program had seen when it decided.
        look_ahead: Ticks the network looks ahead.
        model: Name of the weights.
        reason: Why the expression was cancelled, None otherwise.
    """

    session: str
    stream: str
    face: int
    expression: str
    phase: Phase
    kind: Kind
    seq: int
    onset: Moment
    apex: Moment | None
    offset: Moment | None
    intensity: float
    score: float
    decided_at: Moment
    look_ahead: int
    model: str
    reason: str | None = None

    @property
    def id(self) -> str:
        """Stable id: the same event has the same id however often it is delivered."""
        return f"{self.session}/{self.stream}/{self.seq}"


@dataclass(frozen=True, slots=True)
class Session:
    """What every event of a run carries.

    Attributes:
        id: Identifies the run; equal for two replays of the same recording.
        stream: Short name of the source.
        origin: Time of tick 0 on the source's time line, seconds.
        start: Wall-clock time of tick 0.
    """

    id: str
    stream: str
    origin: float
    start: datetime

    def moment(self, tick: int, frame: int) -> Moment:
        """Return tick and frame on every clock."""
        wall = self.start + timedelta(seconds=tick / TICK_RATE)
        stamp = wall.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        return Moment(tick, frame, round(self.origin + tick / TICK_RATE, 6), stamp)
