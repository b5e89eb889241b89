"""The things that flow: Frame → Face → FaceMotion → Score → Detection → Event → Update.

Every stage imports these types and nothing of its neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Phase = Literal["onset", "apex", "offset", "cancelled"]
"""What is announced of an expression: that it began, that it was strongest, that it is over, or that it was none."""
Kind = Literal["macro", "micro"]
"""A macro-expression is plain and mostly lasts half a second or longer, a micro-expression is faint and lasts half a
second at most; ``SpotSettings`` has the lengths that are told apart."""
KINDS: tuple[Kind, Kind] = ("macro", "micro")
Mark = Literal["macro", "micro", "unsure"]
"""What a person says of an expression just seen; what is unsure is kept for people and counts as nothing."""
MARK_KEYS: Mapping[str, Mark] = {"m": "macro", "u": "micro", "x": "unsure"}
"""The key for each, wherever labels are given by keys."""
State = Literal["neutral", "macro", "micro"]
"""What a face does: nothing, or an expression of a kind."""
Status = Literal["online", "stopped", "offline"]
"""Of a node or a stream: it runs, has ended, or has failed; the broker says the last of a node that vanishes."""
Trouble = Literal["small", "outside", "turned", "dark", "seldom", "covered", "unclear"]
"""What stands in the way of judging a face: its eyes are under 32 pixels apart, part of it is out of the picture, it
is turned away, it is dark, few frames show it, a hand covers its mouth, or what moves is no head (blur, noise)."""
Policy = Literal["every", "latest"]
"""How a source is read: no frame is lost, or old ones are dropped where the analysis is behind."""
FlowName = Literal["lk", "dis", "farneback", "tvl1"]
"""Which optical flow measures motion, see ``motion.flow``; lk is Lucas-Kanade."""
DeviceName = Literal["auto", "cpu", "cuda"]
"""Where the network runs; auto takes a GPU where there is one."""
Choice = Literal["first", "largest", "middle"]
"""Whom to follow if there are more faces than are to be followed."""

STREAM_NAME = r"[a-z0-9_-]{1,40}"
"""Pattern of the name of a stream or a node, which is a level of topics."""
SESSION_NAME = r"[A-Za-z0-9_.-]{1,64}"
"""Pattern of the name of a session."""

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
        transform: ``(2, 3)`` float32, the similarity from frame pixels to the aligned crop.
    """

    track: int
    landmarks: NDArray[np.float32]
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
class FaceMotion:
    """One tick of one face's motion.

    Attributes:
        face: Track number.
        motion: What moved.
        trouble: What stands in the way of judging the face, None for nothing.
    """

    face: int
    motion: RegionMotion
    trouble: Trouble | None = None


@dataclass(frozen=True, slots=True)
class SegmentEnd:
    """The end of a stretch of ticks without a gap; what comes after it begins anew.

    Attributes:
        face: Track number.
        reason: Why it ended ("face lost"), None at the regular end of the source.
    """

    face: int
    reason: str | None = None


Motion = FaceMotion | SegmentEnd
"""What is known of a face's motion, in order of time."""


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
        intensity: Highest intensity so far, at the apex where that is known.
        score: Outer-inner contrast in [-1, 1] (Eq. 15 of the GIM paper), or the height of the peak where expressions
            have a usual length; 0 while unknown.
        decided: Tick of the newest score that was known when this was decided.
        reason: Why the expression was cancelled, with the bound that it missed; None otherwise.
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


Number = Annotated[int, Field(ge=0, le=2**53)]
"""A count that every JSON parser keeps exactly."""

DECIMALS = 6
"""Decimals of every number on the wire: microseconds in time, far below noise elsewhere."""

_ROUND = AfterValidator(lambda value: round(value, DECIMALS) + 0.0)  # + 0.0: never -0.0
Rounded = Annotated[float, _ROUND]
"""A number as it goes over the wire."""
Seconds = Annotated[float, Field(ge=-1e12, le=1e12), _ROUND]
"""A time of a source as it goes over the wire."""


def utc(moment: datetime) -> str:
    """Return a moment as RFC 3339 with microseconds and Z."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


class Moment(BaseModel):
    """An instant on every clock a consumer may hold."""

    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False)

    tick: Number = Field(description="Number on the 30 Hz grid.")
    frame: Number = Field(description="Index of the nearest source frame.")
    pts: Seconds = Field(description="Seconds on the source's time line.")
    time: Annotated[str, Field(json_schema_extra={"format": "date-time"})] = Field(
        description="Wall-clock time, RFC 3339 with microseconds and Z."
    )


Region = Literal[
    "brow_left", "brow_right", "lid_left", "lid_right", "cheek_left", "cheek_right", "nostril_left", "nostril_right",
    "mouth_corner_left", "mouth_corner_right", "lips", "chin",
]  # fmt: skip
"""A region of the face; left is left in the picture, which is the person's right."""


class Moved(BaseModel):
    """How much of an expression's movement a region made."""

    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False)

    region: Region = Field(description="Left is left in the picture, which is the person's right.")
    share: Rounded = Field(ge=0, le=1, description="Its share of the movement of all regions.")


class Event(BaseModel):
    """One phase of one expression, as delivered."""

    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False)

    run: str = Field(description="Identifies the run; no two runs have the same.")
    session: str = Field(
        description="Identifies what was analysed and how; a second run over the same recording has the same."
    )
    stream: str = Field(description="Name of the source.")
    face: Number = Field(description="Track number of the face.")
    expression: str = Field(description="Identifies the expression; all its phases share it.")
    phase: Phase = Field(description="onset, apex, offset (complete in itself and final) or cancelled.")
    kind: Kind = Field(description="Macro- or micro-expression; final in offset.")
    seq: Number = Field(description="Number of the event within run and stream, without gaps.")
    onset: Moment = Field(description="When the expression began.")
    apex: Moment | None = Field(description="When it was strongest, null while unknown.")
    offset: Moment | None = Field(description="Its last moment, null while unknown.")
    intensity: Rounded = Field(ge=0, le=1, description="Peak intensity in [0, 1].")
    score: Rounded = Field(ge=-1, le=1, description="How far it stands out, in [-1, 1]; 0 while unknown.")
    moved: tuple[Moved, ...] = Field(
        (), description="Regions that moved most from onset to apex, at most four; empty while unknown."
    )
    decided_at: Moment = Field(description="The newest moment the program had seen when it decided.")
    look_ahead: Number = Field(description="Ticks the network looks ahead.")
    model: str = Field(description="Name of the weights.")
    reason: str | None = Field(
        None, description="Why the expression was cancelled, with the bound that it missed; null otherwise."
    )

    @property
    def state(self) -> State:
        """What the face does from this phase on."""
        return self.kind if self.phase in {"onset", "apex"} else "neutral"

    @property
    def id(self) -> str:
        """Stable id: the same event has the same id however often it is delivered."""
        return f"{self.run}/{self.stream}/{self.seq}"


@dataclass(frozen=True, slots=True)
class Session:
    """What every event of a run carries.

    Attributes:
        run: Identifies the run; no two runs have the same.
        id: Identifies the content, what was analysed and how; equal for two runs over the same recording.
        stream: Short name of the source.
        origin: Time of tick 0 on the source's time line, seconds.
        start: Wall-clock time of tick 0.
    """

    run: str
    id: str
    stream: str
    origin: float
    start: datetime

    def moment(self, tick: int, frame: int) -> Moment:
        """Return tick and frame on every clock."""
        wall = self.start + timedelta(seconds=tick / TICK_RATE)
        pts = round(self.origin + tick / TICK_RATE, 6)
        return Moment(tick=tick, frame=frame, pts=pts, time=utc(wall))


Item = Frame | Motion | Session
"""What a source yields: pictures, or recorded motion and the session where its start became known better."""


@dataclass(frozen=True, slots=True)
class FaceState:
    """What one face in view does now.

    Attributes:
        state: ``neutral``, or the kind of the expression that was announced and is not over.
        expression: Its id, None while neutral.
        since: Its onset in seconds on the source's time line, None while neutral.
        intensity: Of the newest tick judged, in [0, 1].
        trouble: What stands in the way of judging it, None for nothing.
    """

    state: State = "neutral"
    expression: str | None = None
    since: float | None = None
    intensity: float = 0.0
    trouble: Trouble | None = None


@dataclass(frozen=True, slots=True)
class Controls:
    """The settings that may be changed while a stream runs, as they are now.

    Attributes:
        paused: Whether it was asked to pause.
        sensitivity: In [0, 1].
    """

    paused: bool = False
    sensitivity: float = 0.5


@dataclass(frozen=True, slots=True)
class Update:
    """What one step of a stream brought to light: everything a consumer sees.

    Attributes:
        session: Of the run; None before the first frame.
        frame: Index of the newest frame.
        pts: Its time in seconds on the source's time line.
        motion: Ticks of faces' motion and ends of their segments.
        scores: (face, score) of every tick that is now judged.
        events: Phases announced, in order.
        faces: What each face in view does now, by track number.
        messages: Troubles, in plain words.
        controls: The settings in force.
        no_picture_since: When the newest picture came, while a live source is lost; else None.
        status: Whether the stream goes on; told where others do.
    """

    session: Session | None = None
    frame: int = 0
    pts: float = 0.0
    motion: tuple[Motion, ...] = ()
    scores: tuple[tuple[int, Score], ...] = ()
    events: tuple[Event, ...] = ()
    faces: Mapping[int, FaceState] = field(default_factory=dict)
    messages: tuple[str, ...] = ()
    controls: Controls = Controls()
    no_picture_since: datetime | None = None
    status: Status = "online"
