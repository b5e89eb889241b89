"""What the topics beside the events carry: ``state``, ``intensity``, ``stats``, ``error``, ``lease``.

Each payload is a model here; the contract is made from the same models.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer

from streamspot.credentials import redacted
from streamspot.events import dumps
from streamspot.stats import Delivery, Latency, Stats
from streamspot.types import FaceState, Number, Score, State, Trouble, Update, utc

TICKS = 60
"""Of the curve, in one message at most: fewer numbers than a face has landmarks."""

Unit = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Amount = Annotated[float, Field(ge=0)]


_Moment = Annotated[AwareDatetime, PlainSerializer(utc), Field(json_schema_extra={"format": "date-time"})]


class Payload(BaseModel):
    """What every payload beside the events has."""

    model_config = ConfigDict(frozen=True)

    time: _Moment = Field(
        default_factory=lambda: datetime.now(UTC),
        description="When this was published: wall-clock time, RFC 3339, UTC.",
    )

    def encode(self) -> bytes:
        """Return the payload as JSON."""
        return dumps(self.model_dump())


class Face(BaseModel):
    """What one face in view does now."""

    state: State = Field(description="neutral, or the kind of the expression that was announced and goes on.")
    expression: str | None = Field(description="Its id, null while neutral.")
    since: float | None = Field(
        description="Its onset, seconds on the source's time line; null while neutral."
    )
    intensity: Unit = Field(description="Of the newest tick judged.")
    trouble: Trouble | None = Field(
        description="What stands in the way of judging it: small (eyes under 32 pixels apart), outside (in part out "
        "of the picture), turned (away), dark, seldom (found), covered (a hand on the mouth), unclear (covered by "
        "something else, or blurred); null for nothing."
    )


class StatePayload(Payload):
    """The settings in force and what each face in view does."""

    paused: bool = Field(description="Whether the stream rests until it is told to resume.")
    sensitivity: Unit = Field(description="How much is reported; 0.5 is what the weights come with.")
    no_picture_since: _Moment | None = Field(
        description="When the newest picture came, while a camera or stream is lost; null while pictures come."
    )
    faces: dict[str, Face] = Field(description="By track number.")


class Curve(BaseModel):
    """A stretch of one face's curve: lists of one length, an item a tick."""

    tick: list[Number] = Field(description="Number on the 30 Hz grid.")
    pts: list[float] = Field(description="Seconds on the source's time line.")
    intensity: list[Unit] = Field(description="Expression intensity.")
    macro: list[Unit] = Field(description="Probability that what moves is a macro-expression.")
    micro: list[Unit] = Field(description="The same for a micro-expression.")


class IntensityPayload(Payload):
    """The curve of each face since the last message."""

    faces: dict[str, Curve] = Field(description="By track number.")


class Quantiles(BaseModel):
    """How long the last 512 calls of a stage took, milliseconds."""

    p50: Amount = Field(description="Half of them at most.")
    p99: Amount = Field(description="99 of 100 at most.")


class StatsPayload(Payload):
    """What the stream measures of itself."""

    source: str = Field(description="Name of the source, without credentials.")
    model: str = Field(description="Name of the weights.")
    look_ahead: Count = Field(description="Ticks the network looks ahead.")
    fps: Amount = Field(description="Frames processed a second, over the last two seconds.")
    pts: float = Field(description="Time of the newest frame, seconds on the source's time line.")
    frames: Count = Field(description="Frames processed.")
    dropped: Count = Field(description="Frames dropped because a newer one was there.")
    faceless: Count = Field(description="Frames in which no face was found.")
    latency_ms: dict[str, Quantiles] = Field(
        description="By stage that has run; total is from frame to events."
    )
    queued: Count = Field(description="Events that the broker does not have yet.")
    acknowledged: Count = Field(description="Events that the broker has acknowledged.")
    lost: Count = Field(description="Events dropped undelivered, by a bound of the journal.")


class ErrorPayload(Payload):
    """A trouble and its remedy."""

    message: str = Field(description="One sentence.")


class LeasePayload(Payload):
    """The payload of ``…/lease``, retained: which engine of a fleet runs the source."""

    epoch: Count = Field(description="Number of the lease; grows with every grant of this source.")
    engine: str = Field(description="Name of the engine: another each time that one joins.")


def state(update: Update) -> bytes:
    """Return the payload of ``state``."""
    faces = {str(number): _face(face) for number, face in sorted(update.faces.items())}
    controls = update.controls
    return StatePayload(
        paused=controls.paused,
        sensitivity=controls.sensitivity,
        no_picture_since=update.no_picture_since,
        faces=faces,
    ).encode()


def state_key(update: Update) -> object:
    """Return what makes the state another one: everything but the intensities, which change with every tick."""
    faces = {number: replace(face, intensity=0.0) for number, face in update.faces.items()}
    return update.controls, update.no_picture_since, faces


def intensity(curve: Iterable[tuple[int, Score]]) -> bytes:
    """Return the payload of ``intensity``.

    Args:
        curve: (face, score) of at most `TICKS` ticks judged since the last message, in order.
    """
    faces: dict[str, Curve] = {}
    for number, score in curve:
        one = faces.setdefault(str(number), Curve(tick=[], pts=[], intensity=[], macro=[], micro=[]))
        one.tick.append(score.tick)
        one.pts.append(score.pts)
        one.intensity.append(score.intensity)
        one.macro.append(score.macro)
        one.micro.append(score.micro)
    return IntensityPayload(faces=faces).encode()


def stats(measured: Stats, delivery: Delivery) -> bytes:
    """Return the payload of ``stats``."""
    return StatsPayload(
        source=redacted(measured.source),
        model=measured.model,
        look_ahead=measured.look_ahead,
        fps=measured.fps,
        pts=measured.pts,
        frames=measured.frames,
        dropped=measured.dropped,
        faceless=measured.faceless,
        latency_ms={name: _milliseconds(stage) for name, stage in measured.stages.items() if stage.count},
        queued=delivery.queued,
        acknowledged=delivery.acknowledged,
        lost=delivery.lost,
    ).encode()


def error(message: str) -> bytes:
    """Return the payload of ``error``."""
    return ErrorPayload(message=message).encode()


def _face(face: FaceState) -> Face:
    return Face(**asdict(face))


def _milliseconds(stage: Latency) -> Quantiles:
    p50, p99 = stage.quantiles()
    return Quantiles(p50=round(1e3 * p50, 3), p99=round(1e3 * p99, 3))
