"""What goes over the wire: an event as a CloudEvent in JSON, and back.

The bytes are the same wherever they go (MQTT, journal, JSON lines): keys in a fixed order, no spaces, numbers
rounded to six decimals. Two runs over one recording differ in the wall-clock fields only.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, TypeGuard, get_args

from streamspot.errors import StreamspotError
from streamspot.types import Event, Kind, Moment, Phase

CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"
DATA_SCHEMA = "urn:streamspot:event:v1"
DECIMALS = 6
"""Decimals of every number on the wire: microseconds in time, far below noise elsewhere."""

_TYPE = "io.streamspot.expression.{}.v1"
_MAX_BYTES = 64 * 1024
_UNSAFE = re.compile(r"[^a-z0-9_.-]+")


def topic_name(text: str) -> str:
    """Return text as one level of a topic: lower case, letters, digits, ``_``, ``.`` and ``-`` only."""
    return _UNSAFE.sub("-", text.lower()).strip("-") or "unnamed"


def dumps(value: Mapping[str, Any]) -> bytes:
    """Return value as compact JSON, its keys in the order given.

    Raises:
        StreamspotError: A number is not finite.
    """
    return json.dumps(_rounded(value), separators=(",", ":"), ensure_ascii=False).encode()


def to_cloudevent(event: Event, *, node: str) -> dict[str, Any]:
    """Return the event as a CloudEvents 1.0 object (structured mode).

    Args:
        event: What happened.
        node: Name of this machine or installation, a topic level.
    """
    return {
        "specversion": "1.0",
        "id": event.id,
        "source": f"streamspot/{topic_name(node)}/{topic_name(event.stream)}",
        "type": _TYPE.format(event.phase),
        "subject": event.expression,
        "time": event.decided_at.time,
        "datacontenttype": "application/json",
        "dataschema": DATA_SCHEMA,
        "data": {
            "session": event.session,
            "stream": event.stream,
            "face": event.face,
            "expression": event.expression,
            "phase": event.phase,
            "kind": event.kind,
            "seq": event.seq,
            "onset": _moment(event.onset),
            "apex": _moment(event.apex),
            "offset": _moment(event.offset),
            "intensity": float(event.intensity),
            "score": float(event.score),
            "decided_at": _moment(event.decided_at),
            "look_ahead": event.look_ahead,
            "model": event.model,
            "reason": event.reason,
        },
    }


def encode(event: Event, *, node: str) -> bytes:
    """Return the event as one line of UTF-8 JSON without a line end; the same event gives the same bytes."""
    return dumps(to_cloudevent(event, node=node))


def decode(payload: bytes | str) -> Event:
    """Return the event in a payload; what a later version may have added is ignored.

    Raises:
        StreamspotError: It is no streamspot event; the message says why.
    """
    if len(payload) > _MAX_BYTES:
        raise StreamspotError(f"a payload of {len(payload)} bytes is no event; the limit is {_MAX_BYTES}")
    try:
        envelope = _loads(payload)
    except (ValueError, RecursionError) as error:
        raise StreamspotError(f"the payload is not JSON ({error}); who else writes to this topic?") from None
    data = envelope.get("data") if isinstance(envelope, dict) else None
    if not isinstance(data, dict) or envelope.get("specversion") != "1.0":
        raise StreamspotError("the payload is no CloudEvent 1.0 with data; who else writes to this topic?")
    try:
        event = _event(data)
    except (KeyError, TypeError, ValueError) as error:
        raise StreamspotError(
            f"the event {str(envelope.get('id'))[:80]!r} has a missing or impossible field: {error}"
        ) from None
    if envelope.get("type") != _TYPE.format(event.phase):
        raise StreamspotError(f"the event {event.id!r} has an unknown type; update streamspot")
    return event


def _loads(payload: bytes | str) -> Any:
    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON")

    return json.loads(payload, parse_constant=refuse)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise StreamspotError(f"the number {value} cannot be sent; report this fault of the program")
        return round(value, DECIMALS) + 0.0  # + 0.0 turns -0.0, which would change the bytes, into 0.0
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value


def _moment(moment: Moment | None) -> dict[str, Any] | None:
    if moment is None:
        return None
    return {"tick": moment.tick, "frame": moment.frame, "pts": float(moment.pts), "time": moment.time}


def _event(data: dict[str, Any]) -> Event:
    return Event(
        session=_text(data, "session"),
        stream=_text(data, "stream"),
        face=_whole(data, "face"),
        expression=_text(data, "expression"),
        phase=_phase(data["phase"]),
        kind=_kind(data["kind"]),
        seq=_whole(data, "seq"),
        onset=_to_moment(data, "onset"),
        apex=None if data["apex"] is None else _to_moment(data, "apex"),
        offset=None if data["offset"] is None else _to_moment(data, "offset"),
        intensity=_number(data, "intensity", 0, 1),
        score=_number(data, "score", -1, 1),
        decided_at=_to_moment(data, "decided_at"),
        look_ahead=_whole(data, "look_ahead"),
        model=_text(data, "model"),
        reason=None if data.get("reason") is None else _text(data, "reason"),
    )


def _to_moment(data: dict[str, Any], key: str) -> Moment:
    value = data[key]
    if not isinstance(value, dict):
        raise TypeError(f"{key} is no moment")
    return Moment(
        tick=_whole(value, "tick"),
        frame=_whole(value, "frame"),
        pts=_number(value, "pts", -math.inf, math.inf),
        time=_text(value, "time"),
    )


def _is_phase(value: object) -> TypeGuard[Phase]:
    return value in get_args(Phase)


def _is_kind(value: object) -> TypeGuard[Kind]:
    return value in get_args(Kind)


def _phase(value: object) -> Phase:
    if not _is_phase(value):
        raise ValueError(f"phase is {str(value)[:40]!r}")
    return value


def _kind(value: object) -> Kind:
    if not _is_kind(value):
        raise ValueError(f"kind is {str(value)[:40]!r}")
    return value


def _text(data: dict[str, Any], key: str) -> str:
    value = data[key]
    if not isinstance(value, str):
        raise TypeError(f"{key} is no text")
    return value


def _whole(data: dict[str, Any], key: str) -> int:
    value = data[key]
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{key} is no whole number")
    return value


def _number(data: dict[str, Any], key: str, low: float, high: float) -> float:
    value = data[key]
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"{key} is no number")
    if not low <= float(value) <= high:
        raise ValueError(f"{key} is {value}, not in [{low}, {high}]")
    return float(value)
