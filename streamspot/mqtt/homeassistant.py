"""Home Assistant: the stream appears there as a device, by MQTT discovery."""

from __future__ import annotations

from typing import Any, get_args

from streamspot import __version__
from streamspot.events import dumps, topic_name
from streamspot.mqtt.bridges import Message
from streamspot.types import Phase, State, Update

_FACE = "value_json.faces[value_json.faces | map('int') | min | default('') | string]"
"""The lowest-numbered face in view, undefined if there is none."""

_THROTTLED = (
    f"{{% set peak = {_FACE}.intensity | max | round(2) %}}"
    "{% set shown = this.state | float(0) %}"
    "{{ peak if peak > shown or (now() - this.last_updated).total_seconds() >= 1 else shown }}"
)
"""The curve comes ten times a second: a rise shows at once, a fall once a second, so no peak is missed."""

_SILENCE = 5
"""Seconds without a curve (no face, paused) after which the intensity counts as unavailable."""

_ALIVE = "{{ 'online' if value == 'online' else 'offline' }}"
"""Home Assistant knows these two; ``stopped`` is as good as ``offline``."""


class HomeAssistant:
    """Makes the stream appear in Home Assistant (2024.11 or later) by itself, through MQTT discovery.

    The device shows the state and the intensity of the lowest-numbered face in view and the events and, where the
    stream obeys commands, a switch that pauses and the sensitivity. All of them read the topics that every consumer
    reads.

    Args:
        node: As given to the publisher.
        stream: As given to the publisher.
        commands: Whether the stream obeys commands.
        prefix: Home Assistant's discovery prefix.
    """

    def __init__(
        self, node: str, stream: str, *, commands: bool = True, prefix: str = "homeassistant"
    ) -> None:
        node, stream = topic_name(node), topic_name(stream)
        self._commands = commands
        self._title = f"streamspot {node} {stream}"
        self._node = f"streamspot/{node}"
        self._stream = f"streamspot/{node}/{stream}"
        self._topic = f"{prefix}/device/streamspot_{_level(node)}/{_level(stream)}/config"

    def announce(self) -> list[Message]:
        """Return the discovery message; it is retained, so a restarted Home Assistant finds it."""
        config = {
            "device": {
                "identifiers": [self._stream],
                "name": self._title,
                "manufacturer": "streamspot",
                "model": "facial-expression spotter",
                "sw_version": __version__,
            },
            "origin": {"name": "streamspot", "sw_version": __version__},
            "availability": [
                {"topic": f"{place}/status", "value_template": _ALIVE} for place in (self._node, self._stream)
            ],
            "availability_mode": "all",
            "qos": 1,
            "components": self._sensors() | (self._controls() if self._commands else {}),
        }
        return [Message(self._topic, dumps(config), retain=True)]

    def update(self, update: Update) -> list[Message]:  # noqa: ARG002
        """Return nothing: Home Assistant reads the topics that every consumer reads."""
        return []

    def _sensors(self) -> dict[str, Any]:
        """Return what the device shows: the state, the intensity and the events."""
        return {
            "state": self._part(
                "sensor",
                "Expression",
                state_topic=f"{self._stream}/state",
                device_class="enum",
                options=list(get_args(State)),
                value_template=f"{{{{ ({_FACE} | default({{}})).state | default('neutral') }}}}",
            ),
            "intensity": self._part(
                "sensor",
                "Intensity",
                state_topic=f"{self._stream}/intensity",
                state_class="measurement",
                suggested_display_precision=2,
                expire_after=_SILENCE,
                value_template=_THROTTLED,
            ),
            "event": self._part(
                "event",
                "Event",
                state_topic=f"{self._stream}/event",
                event_types=list(get_args(Phase)),
                value_template="{{ {'event_type': value_json.data.phase, 'kind': value_json.data.kind, "
                "'face': value_json.data.face, 'intensity': value_json.data.intensity} | tojson }}",
            ),
        }

    def _controls(self) -> dict[str, Any]:
        """Return what the device lets its user change: whether the stream is active, and its sensitivity."""
        topics = {"command_topic": f"{self._stream}/set", "state_topic": f"{self._stream}/state"}
        return {
            "active": self._part(
                "switch",
                "Active",
                **topics,
                payload_on='{"command":"resume"}',
                payload_off='{"command":"pause"}',
                state_on="on",
                state_off="off",
                value_template="{{ 'off' if value_json.paused else 'on' }}",
            ),
            "sensitivity": self._part(
                "number",
                "Sensitivity",
                **topics,
                min=0,
                max=1,
                step=0.05,
                value_template="{{ value_json.sensitivity }}",
                command_template='{"command":"sensitivity","value":{{ value }}}',
            ),
        }

    def _part(self, platform: str, name: str, **settings: Any) -> dict[str, Any]:
        """Return one entity of the device: a sensor, an event, a switch or a number."""
        return {
            "platform": platform,
            "name": name,
            "unique_id": f"{self._stream}/{name.lower()}",
            **settings,
        }


def _level(name: str) -> str:
    """Return a name as a part of a level of a discovery topic; different pairs of names stay different."""
    return name.replace("_", "__")
