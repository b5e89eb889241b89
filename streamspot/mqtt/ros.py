"""ROS 2: which faces are in view and what each does, in the shape of messages and topics of REP-155 (ROS4HRI)."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count
from typing import Any

from pydantic import BaseModel, Field

from streamspot.events import dumps, topic_name
from streamspot.mqtt.bridges import Message
from streamspot.mqtt.payloads import Count, Unit
from streamspot.types import Event, Kind, Moment, Phase, State, Update


class Stamp(BaseModel):
    """Wall-clock time as ROS has it, ``builtin_interfaces/msg/Time``."""

    sec: Count
    nanosec: Count


class Header(BaseModel):
    """A ROS header, ``std_msgs/msg/Header``."""

    stamp: Stamp
    frame_id: str = Field(description="face_<faceID>; empty where no face is meant.")


class TrackedFaces(BaseModel):
    """The faces in view, ``hri_msgs/msg/IdsList``."""

    header: Header
    ids: list[str] = Field(description="f0, f1, …: places that faces in view take, lowest first.")


class FaceExpression(BaseModel):
    """What one face does from now on, ``streamspot_msgs/msg/Expression``.

    Of ``hri_msgs/msg/Expression`` none of the listed names is claimed: they are emotions.
    """

    header: Header = Field(description="stamp: when the program decided.")
    track: Count = Field(
        description="Track number of the face; a face that was lost and returns gets a new one."
    )
    expression: str = Field(description="Identifies the expression; all its phases share it.")
    phase: Phase = Field(description="onset, apex, offset (complete in itself and final) or cancelled.")
    kind: Kind = Field(description="Macro- or micro-expression; final in offset.")
    state: State = Field(description="What the face does from this phase on.")
    onset: Stamp = Field(description="When the expression began.")
    apex: Stamp = Field(description="When it was strongest, 0 while unknown.")
    offset: Stamp = Field(description="Its last moment, 0 while unknown.")
    intensity: Unit = Field(description="Peak intensity so far.")


class Ros:
    """JSON that ika's mqtt_client maps as it is: ``…/<stream>/ros/tracked`` and ``…/<stream>/ros/<face>/expression``.

    A static configuration needs face ids that do not run away, so an id is a place: ``f0`` to ``f15``, the lowest
    free one for each face that comes into view.

    Args:
        node: As given to the publisher.
        stream: As given to the publisher.
    """

    def __init__(self, node: str, stream: str) -> None:
        self._base = f"streamspot/{topic_name(node)}/{topic_name(stream)}/ros"
        self._places: dict[int, int] = {}  # track → place

    def announce(self) -> list[Message]:
        """Return which faces are in view."""
        return [self._tracked()]

    def update(self, update: Update) -> list[Message]:
        """Return which faces are in view, where that changed, and between the two what they do from now on."""
        messages = []
        faces = update.faces.keys()
        if come := (faces | {event.face for event in update.events}) - self._places.keys():
            for track in sorted(come):
                taken = self._places.values()
                self._places[track] = next(place for place in count() if place not in taken)
            messages.append(self._tracked())
        for event in update.events:
            face = f"f{self._places[event.face]}"
            messages.append(Message(f"{self._base}/{face}/expression", dumps(_expression(event, face))))
        if gone := self._places.keys() - faces:
            for track in gone:
                del self._places[track]
            messages.append(self._tracked())
        return messages

    def _tracked(self) -> Message:
        header = Header(stamp=_stamp(datetime.now(UTC)), frame_id="")
        faces = TrackedFaces(header=header, ids=[f"f{place}" for place in sorted(self._places.values())])
        return Message(f"{self._base}/tracked", dumps(faces.model_dump()))


def _expression(event: Event, face: str) -> dict[str, Any]:
    return FaceExpression(
        header=Header(stamp=_at(event.decided_at), frame_id=f"face_{face}"),
        track=event.face,
        expression=event.expression,
        phase=event.phase,
        kind=event.kind,
        state=event.state,
        onset=_at(event.onset),
        apex=_at(event.apex),
        offset=_at(event.offset),
        intensity=event.intensity,
    ).model_dump()


def _at(moment: Moment | None) -> Stamp:
    return Stamp(sec=0, nanosec=0) if moment is None else _stamp(datetime.fromisoformat(moment.time))


def _stamp(time: datetime) -> Stamp:
    return Stamp(sec=int(time.timestamp()), nanosec=1000 * time.microsecond)
