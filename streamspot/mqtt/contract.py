"""The contract with consumers, generated from the types: JSON Schema of an event, AsyncAPI of all topics.

``docs/schema`` holds both as files, which ``python -m streamspot.mqtt.contract docs/schema`` writes anew; a test
keeps them current.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any, get_args

from streamspot import __version__
from streamspot.events import CONTENT_TYPE, CloudEvent
from streamspot.types import State

_TIME = {"type": "string", "format": "date-time", "description": "RFC 3339, UTC."}


def json_schema(*, definitions: str = "#/$defs/") -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of an event as it is published, logged and journalled.

    Args:
        definitions: Where references to the parts lead.
    """
    schema = CloudEvent.model_json_schema(ref_template=f"{definitions}{{model}}", mode="serialization")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": CloudEvent.model_fields["dataschema"].default,
        **schema,
        "title": "streamspot event",
    }


def asyncapi() -> dict[str, Any]:
    """Return the AsyncAPI 3.0 document of every topic that streamspot writes or reads."""
    event = json_schema(definitions="#/components/schemas/")
    definitions = event.pop("$defs")
    for key in ("$schema", "$id"):
        del event[key]
    topics = _topics()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "streamspot",
            "version": __version__,
            "description": "Facial-expression events over MQTT 3.1.1 or 5. No pictures, no emotions.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {name: _channel(topic) for name, topic in topics.items()},
        "operations": {
            name: {
                "action": "receive" if name == "set" else "send",
                "channel": {"$ref": f"#/channels/{name}"},
                "bindings": {"mqtt": {"qos": topic.qos, "retain": topic.retain}},
            }
            for name, topic in topics.items()
        },
        "components": {
            "messages": {
                name: {
                    "name": name,
                    "summary": topic.summary,
                    "contentType": topic.content,
                    "payload": {"$ref": "#/components/schemas/CloudEvent"}
                    if name == "event"
                    else topic.payload,
                }
                for name, topic in topics.items()
            },
            "schemas": {"CloudEvent": event, **definitions},
        },
    }


@dataclasses.dataclass(frozen=True, slots=True)
class _Topic:
    address: str
    summary: str
    payload: dict[str, Any]
    qos: int = 1
    retain: bool = False
    content: str = "application/json"


def _topics() -> dict[str, _Topic]:
    stream = "streamspot/{node}/{stream}/"
    unit = {"type": "number", "minimum": 0, "maximum": 1}
    status = {"enum": ["online", "stopped", "offline"]}
    curve = {
        name: {"type": "array", "items": {"type": "integer"} if name == "tick" else unit}
        for name in ("tick", "intensity", "macro", "micro")
    }
    curve["pts"] = {"type": "array", "items": {"type": "number"}}
    face = {
        "state": {"enum": list(get_args(State))},
        "expression": {"type": ["string", "null"]},
        "since": {"type": ["number", "null"], "description": "Onset, seconds on the source's time line."},
        "intensity": unit,
    }
    number = {"type": "number", "minimum": 0}
    count = {"type": "integer", "minimum": 0}
    stats = {"time": _TIME, "source": {"type": "string"}, "model": {"type": "string"}, "look_ahead": count}
    stats |= {"fps": number, "pts": number, "frames": count, "dropped": count, "faceless": count}
    stats |= {"latency_ms": _map(_object({"p50": number, "p99": number}))}
    stats |= {"queued": count, "acknowledged": count, "lost": count}
    controls = {"paused": {"type": "boolean"}, "sensitivity": unit}
    command = {
        "command": {"enum": ["pause", "resume", "sensitivity", "label"]},
        "value": {
            "description": "Sensitivity: 0 to 1, 0.5 as trained. Label: macro or micro, at its apex now."
        },
    }
    stamp = _object({"sec": count, "nanosec": count})
    header = _object({"stamp": stamp, "frame_id": {"type": "string", "description": "face_<number>"}})
    zero = {"const": 0, "description": "No emotion is judged."}
    return {
        "nodeStatus": _Topic(
            "streamspot/{node}/status",
            "Whether the node runs; offline is its will.",
            status,
            1,
            True,
            "text/plain",
        ),
        "streamStatus": _Topic(
            stream + "status",
            "Whether the stream runs; valid while the node is online.",
            status,
            1,
            True,
            "text/plain",
        ),
        "event": _Topic(stream + "event", "One phase of one expression.", {}, content=CONTENT_TYPE),
        "state": _Topic(
            stream + "state",
            "What goes on now: on change and every 10 s.",
            _object({"time": _TIME, **controls, "faces": _map(_object(face))}),
            retain=True,
        ),
        "intensity": _Topic(
            stream + "intensity",
            "The curve since the last message, at most ten a second; may be lost.",
            _object({"time": _TIME, "faces": _map(_object(curve))}),
            qos=0,
        ),
        "stats": _Topic(stream + "stats", "Counters and latencies, every 10 s.", _object(stats)),
        "error": _Topic(
            stream + "error",
            "A trouble and its remedy, one sentence.",
            _object({"time": _TIME, "message": {"type": "string"}}),
        ),
        "hri": _Topic(
            stream + "hri",
            "Only on request: what a face does, in the shape of ROS' hri_msgs/msg/Expression.",
            _object(
                {
                    "header": header,
                    "expression": face["state"],
                    "valence": zero,
                    "arousal": zero,
                    "confidence": unit,
                }
            ),
        ),
        "set": _Topic(stream + "set", "A command.", {**_object(command), "required": ["command"]}),
    }


def _channel(topic: _Topic) -> dict[str, Any]:
    name = next(key for key, other in _topics().items() if other.address == topic.address)
    described = {"node": "Machine or installation.", "stream": "Source."}
    return {
        "address": topic.address,
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
        "parameters": {
            key: {"description": text} for key, text in described.items() if f"{{{key}}}" in topic.address
        },
    }


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _map(values: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": values}


def write(folder: Path) -> None:
    """Write both documents into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, document in (("event.schema.json", json_schema()), ("asyncapi.json", asyncapi())):
        (folder / name).write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/schema"))
