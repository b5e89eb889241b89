"""The contract with consumers, made from what is published: JSON Schema of an event, AsyncAPI of all topics.

``docs/schema`` holds both as files, which ``python -m streamspot.mqtt.contract docs/schema`` writes anew; a test
keeps them current.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from streamspot import __version__
from streamspot.commands import COMMAND
from streamspot.events import CONTENT_TYPE, ENVELOPE
from streamspot.mqtt.payloads import ErrorPayload, IntensityPayload, LeasePayload, StatePayload, StatsPayload
from streamspot.mqtt.ros import FaceExpression, TrackedFaces
from streamspot.types import Status


class _Published(GenerateJsonSchema):
    """What is published holds every field; a title is for types and does not repeat the names of fields."""

    def field_is_required(self, field: Any, total: bool) -> bool:  # noqa: ARG002
        """Require the field, whether it has a default or not; a command alone may leave its face out."""
        return (field["type"], field.get("name")) != ("dataclass-field", "face")

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        """Leave the title of a field out."""
        return False

    def tagged_union_schema(self, schema: Any) -> dict[str, Any]:
        """Leave out the discriminator: OpenAPI's form of it is none in AsyncAPI."""
        union = super().tagged_union_schema(schema)
        union.pop("discriminator", None)
        return union


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of an event as it is published, logged and journalled."""
    schema = ENVELOPE.json_schema(mode="serialization", schema_generator=_Published)
    return {
        "$schema": GenerateJsonSchema.schema_dialect,
        "$id": schema["properties"]["dataschema"]["const"],
        **schema,
    }


@dataclass(frozen=True, slots=True)
class _Topic:
    address: str
    summary: str
    payload: TypeAdapter[Any]
    qos: int = 1
    retain: bool = False
    content: str = "application/json"


_NODE, _STREAM = "streamspot/{node}", "streamspot/{node}/{stream}"
_STATUS: TypeAdapter[Any] = TypeAdapter(Status)
_TOPICS = {
    "nodeStatus": _Topic(
        f"{_NODE}/status", "Whether the node runs; offline is its will.", _STATUS, 1, True, "text/plain"
    ),
    "streamStatus": _Topic(
        f"{_STREAM}/status",
        "Whether the stream runs; stopped has ended, offline has failed; valid while the node is online.",
        _STATUS,
        1,
        True,
        "text/plain",
    ),
    "event": _Topic(f"{_STREAM}/event", "One phase of one expression.", ENVELOPE, content=CONTENT_TYPE),
    "state": _Topic(
        f"{_STREAM}/state",
        "What each face does now: on change and every 10 s.",
        TypeAdapter(StatePayload),
        retain=True,
    ),
    "intensity": _Topic(
        f"{_STREAM}/intensity",
        "The curve since the last message, ten times a second, more at once of a recording; may be lost.",
        TypeAdapter(IntensityPayload),
        qos=0,
    ),
    "stats": _Topic(f"{_STREAM}/stats", "Counts and latencies, every 10 s.", TypeAdapter(StatsPayload)),
    "error": _Topic(f"{_STREAM}/error", "A trouble and its remedy, one sentence.", TypeAdapter(ErrorPayload)),
    "set": _Topic(f"{_STREAM}/set", "A command.", COMMAND),
    "lease": _Topic(
        f"{_STREAM}/lease",
        "In a fleet: which engine runs the source.",
        TypeAdapter(LeasePayload),
        retain=True,
    ),
    "rosTracked": _Topic(
        f"{_STREAM}/ros/tracked",
        "With --ros: the faces in view, in the shape of ROS' hri_msgs/msg/IdsList.",
        TypeAdapter(TrackedFaces),
    ),
    "rosExpression": _Topic(
        f"{_STREAM}/ros/{{face}}/expression",
        "With --ros: what a face does from now on, in the shape of streamspot_msgs/msg/Expression.",
        TypeAdapter(FaceExpression),
    ),
    "homeAssistant": _Topic(
        "homeassistant/device/streamspot_{node}/{stream}/config",
        "With --homeassistant: the device that Home Assistant shows; in both names _ is doubled.",
        TypeAdapter(dict[str, Any]),
        retain=True,
    ),
}
_PARAMETERS = {
    "node": "Machine or installation.",
    "stream": "Source.",
    "face": "Place that a face in view takes: f0, f1, …",
}
_SERVERS = {
    "mqtt": (1883, "Plain, for a trusted network."),
    "mqtts": (8883, "Encrypted."),
    "ws": (80, "Plain, over WebSocket, for browsers."),
    "wss": (443, "Encrypted, over WebSocket."),
}


def asyncapi() -> dict[str, Any]:
    """Return the AsyncAPI 3.0 document of every topic that streamspot writes or reads."""
    payloads, definitions = TypeAdapter.json_schemas(
        [(name, "serialization", topic.payload) for name, topic in _TOPICS.items()],
        ref_template="#/components/schemas/{model}",
        schema_generator=_Published,
    )

    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "streamspot",
            "version": __version__,
            "description": "Facial-expression events over MQTT 3.1.1 or 5. No pictures, no emotions.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {protocol: _server(protocol, *about) for protocol, about in _SERVERS.items()},
        "channels": {name: _channel(name, topic) for name, topic in _TOPICS.items()},
        "operations": {name: _operation(name, topic) for name, topic in _TOPICS.items()},
        "components": {
            "messages": {
                name: {
                    "name": name,
                    "summary": topic.summary,
                    "contentType": topic.content,
                    "payload": payloads[name, "serialization"],
                }
                for name, topic in _TOPICS.items()
            },
            "schemas": definitions["$defs"],
        },
    }


def _server(protocol: str, port: int, about: str) -> dict[str, Any]:
    return {
        "host": "{host}:{port}",
        **({"pathname": "/mqtt"} if protocol.startswith("ws") else {}),
        "protocol": protocol,
        "protocolVersion": "3.1.1",
        "description": f"Your broker. {about} MQTT 5 is spoken on request.",
        "variables": {
            "host": {"default": "127.0.0.1", "description": "Where the broker is."},
            "port": {"default": str(port), "description": "Its port."},
        },
    }


def _channel(name: str, topic: _Topic) -> dict[str, Any]:
    return {
        "address": topic.address,
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
        "parameters": {
            key: {"description": text} for key, text in _PARAMETERS.items() if f"{{{key}}}" in topic.address
        },
    }


def _operation(name: str, topic: _Topic) -> dict[str, Any]:
    return {
        "action": "receive" if name == "set" else "send",
        "channel": {"$ref": f"#/channels/{name}"},
        "bindings": {"mqtt": {"qos": topic.qos, "retain": topic.retain}},
    }


def write(folder: Path) -> None:
    """Write both documents into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, document in (("event.schema.json", json_schema()), ("asyncapi.json", asyncapi())):
        text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/schema"))
