"""Further messages on the same connection, for systems that expect their own: ROS (hri_msgs), Home Assistant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Protocol

from pydantic import BaseModel, Field

from streamspot import __version__
from streamspot.events import dumps, topic_name
from streamspot.mqtt.payloads import Count, Unit
from streamspot.types import Event, State


@dataclass(frozen=True, slots=True)
class Message:
    """What is published beside the events; if many wait, the oldest is dropped."""

    topic: str
    payload: bytes
    retain: bool = False


class Bridge(Protocol):
    """Says what else is to be published."""

    def announce(self) -> list[Message]:
        """Return what is said at every new connection."""

    def event(self, event: Event) -> list[Message]:
        """Return what is said at an event."""


class Stamp(BaseModel):
    """Wall-clock time as ROS has it."""

    sec: Count
    nanosec: Count


class Header(BaseModel):
    """A ROS header."""

    stamp: Stamp
    frame_id: str = Field(description="face_<number>")


_Zero = Annotated[float, Field(ge=0, le=0, description="No emotion is judged.")]


class Expression(BaseModel):
    """The fields of ``hri_msgs/msg/Expression``."""

    header: Header
    expression: State
    valence: _Zero = 0.0
    arousal: _Zero = 0.0
    confidence: Unit = Field(description="Peak intensity so far, 0 while neutral.")


class Ros:
    """``…/<stream>/hri``: JSON in the shape of ``hri_msgs/msg/Expression``, which ika's mqtt_client maps as it is.

    ``expression`` is ``neutral``, ``macro`` or ``micro``: none of the message's emotions is ever claimed, valence
    and arousal stay 0. ``confidence`` is the intensity, ``header.frame_id`` the face (``face_0``).

    Args:
        node: As given to the publisher.
        stream: As given to the publisher.
    """

    def __init__(self, node: str, stream: str) -> None:
        self._topic = f"streamspot/{topic_name(node)}/{topic_name(stream)}/hri"

    def announce(self) -> list[Message]:
        """Say nothing."""
        return []

    def event(self, event: Event) -> list[Message]:
        """Say what the face does from now on."""
        whole, _, fraction = f"{datetime.fromisoformat(event.decided_at.time).timestamp():.6f}".partition(".")
        stamp = Stamp(sec=int(whole), nanosec=1000 * int(fraction))
        message = Expression(
            header=Header(stamp=stamp, frame_id=f"face_{event.face}"),
            expression=event.state,
            confidence=0.0 if event.state == "neutral" else event.intensity,
        )
        return [Message(self._topic, dumps(message.model_dump()))]


class HomeAssistant:
    """Makes the stream appear in Home Assistant (2024.11 or later) by itself, through MQTT discovery.

    A device with: the state of the lowest-numbered face, its intensity, the events, a switch that pauses, and the
    sensitivity. Everything reads the topics that are there anyway.

    Args:
        node: As given to the publisher.
        stream: As given to the publisher.
        prefix: Home Assistant's discovery prefix.
    """

    def __init__(self, node: str, stream: str, *, prefix: str = "homeassistant") -> None:
        node, stream = topic_name(node), topic_name(stream)
        self._name = f"{node}_{stream}".replace(".", "_").replace("-", "_")
        self._title = f"streamspot {node} {stream}"
        self._node = f"streamspot/{node}"
        self._stream = f"streamspot/{node}/{stream}"
        self._topic = f"{prefix}/device/streamspot_{self._name}/config"

    def announce(self) -> list[Message]:
        """Say, retained, what there is; a restarted Home Assistant finds it."""
        face = "(value_json.faces | dictsort | map(attribute=1) | list | first | default({}))"
        state = f"{self._stream}/state"
        command = {"command_topic": f"{self._stream}/set", "state_topic": state}
        components = {
            "state": self._part(
                "sensor",
                "Expression",
                state_topic=state,
                value_template=f"{{{{ {face}.state | default('neutral') }}}}",
            ),
            "intensity": self._part(
                "sensor",
                "Intensity",
                state_topic=state,
                state_class="measurement",
                value_template=f"{{{{ {face}.intensity | default(0) | round(3) }}}}",
            ),
            "event": self._part(
                "event",
                "Event",
                state_topic=f"{self._stream}/event",
                event_types=["onset", "apex", "offset", "cancelled"],
                value_template="{{ {'event_type': value_json.data.phase, 'kind': value_json.data.kind, "
                "'intensity': value_json.data.intensity} | tojson }}",
            ),
            "active": self._part(
                "switch",
                "Active",
                **command,
                payload_on='{"command":"resume"}',
                payload_off='{"command":"pause"}',
                state_on="on",
                state_off="off",
                value_template="{{ 'off' if value_json.paused else 'on' }}",
            ),
            "sensitivity": self._part(
                "number",
                "Sensitivity",
                **command,
                min=0,
                max=1,
                step=0.05,
                value_template="{{ value_json.sensitivity }}",
                command_template='{"command":"sensitivity","value":{{ value }}}',
            ),
        }
        config = {
            "device": {"identifiers": [f"streamspot_{self._name}"], "name": self._title},
            "origin": {"name": "streamspot", "sw_version": __version__},
            "availability": [{"topic": f"{place}/status"} for place in (self._node, self._stream)],
            "availability_mode": "all",
            "components": components,
        }
        return [Message(self._topic, dumps(config), retain=True)]

    def event(self, event: Event) -> list[Message]:  # noqa: ARG002
        """Say nothing: Home Assistant reads the event's own topic."""
        return []

    def _part(self, platform: str, name: str, **settings: Any) -> dict[str, Any]:
        unique = f"streamspot_{self._name}_{name.lower()}"
        return {"platform": platform, "name": name, "unique_id": unique, **settings}
