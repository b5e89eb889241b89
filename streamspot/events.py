"""What goes over the wire: an event as a CloudEvent in JSON, and back.

The bytes are the same wherever they go (MQTT, journal, JSON lines): keys in a fixed order, no spaces, numbers
rounded to six decimals. Two runs over one recording differ in the run's id and the wall-clock fields only.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from streamspot.errors import DataError, StreamspotError
from streamspot.types import DECIMALS, Event, Phase

CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"
_TYPE = "io.streamspot.expression.{}.v1"
MAX_BYTES = 64 * 1024
"""No event is longer."""
_BACK = 2.0
"""Seconds by which a time line goes back where it begins anew; its own decisions follow each other more closely."""
_JSON = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)
_CONTROLS = re.compile(r"[\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""What JSON allows in a text and a terminal would act on: control characters, and those that turn its direction."""

_UNSAFE = re.compile(r"[^a-z0-9_.-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudEvent:
    """One phase of one facial expression, as a CloudEvent 1.0 (structured mode)."""

    __pydantic_config__ = ConfigDict(strict=True, allow_inf_nan=False)

    specversion: Literal["1.0"] = "1.0"
    id: Annotated[str, Field(description="Stable: a repeated event has the same; drop what you have seen.")]
    source: Annotated[str, Field(description="streamspot/<node>/<stream>, the beginning of the topic.")]
    type: Annotated[str, Field(json_schema_extra={"enum": [_TYPE.format(one) for one in get_args(Phase)]})]
    subject: Annotated[str, Field(description="The expression; all its phases share it.")]
    time: Annotated[
        str,
        Field(
            description="When the program decided, RFC 3339, UTC.", json_schema_extra={"format": "date-time"}
        ),
    ]
    datacontenttype: Literal["application/json"] = "application/json"
    dataschema: Literal["urn:streamspot:event:v1"] = "urn:streamspot:event:v1"
    data: Event


ENVELOPE = TypeAdapter(CloudEvent)
"""Checks what others send, and knows the schema. Ours is not checked again: its event was when it was made."""


def topic_name(text: str) -> str:
    """Return text as one level of a topic: lower case, letters, digits, ``_``, ``.`` and ``-`` only."""
    return _UNSAFE.sub("-", text.lower()).strip("-") or "unnamed"


def dumps(value: Mapping[str, Any]) -> bytes:
    """Return value as compact JSON, its keys in the order given; what a terminal would obey is escaped.

    Raises:
        StreamspotError: A number is not finite.
    """
    return _tame(_JSON.encode(_rounded(value)))


@lru_cache(256)
def _source(node: str, stream: str) -> str:
    return f"streamspot/{topic_name(node)}/{topic_name(stream)}"


def encode(event: Event, *, node: str) -> bytes:
    """Return the event as one line of UTF-8 JSON without a line end; the same event gives the same bytes.

    Its source names ``node``, the name of this machine or installation.
    """
    envelope = CloudEvent(
        id=event.id,
        source=_source(node, event.stream),
        type=_TYPE.format(event.phase),
        subject=event.expression,
        time=event.decided_at.time,
        data=event,
    )
    return _tame(ENVELOPE.dump_json(envelope).decode())


def decode(payload: bytes | str) -> Event:
    """Return the event in a payload; what a later version may have added is ignored.

    Whatever the payload is, it is an event or it is refused, at a cost in proportion to 64 KiB.

    Raises:
        StreamspotError: It is no streamspot event; the message says why.
    """
    if len(payload) > MAX_BYTES:
        raise StreamspotError(f"a payload of {len(payload)} bytes is no event; the limit is {MAX_BYTES}")
    try:
        envelope = ENVELOPE.validate_json(payload)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise StreamspotError(
            f"the payload is no event ({first_fault(error)}); who else writes to this topic?"
        ) from None
    event = envelope.data
    if envelope.type != _TYPE.format(event.phase):
        raise StreamspotError(f"the event {event.id[:80]!r} has an unknown type; update streamspot")
    return event


def read_events(path: Path) -> list[Event]:
    """Return the events of a file of ``--events``, repeated ones once, without a last line that broke off.

    They are in the order of the file, but those of each run and stream in the order of their numbers: what was
    sent once more stands behind newer ones in a file that a consumer wrote.

    Raises:
        DataError: It cannot be read, or a line of it is no event.
    """
    try:
        lines = path.read_bytes().removeprefix(codecs.BOM_UTF8).splitlines(keepends=True)
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror}); name a file that run has written"
        ) from None
    events: dict[str, Event] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            event = decode(line)
        except StreamspotError:
            if events and number == len(lines) and not line.endswith(b"\n"):
                break  # the run was killed while it wrote
            raise DataError(
                f"line {number} of {path} is no event; name a file that streamspot run --events has written"
            ) from None
        events.setdefault(event.id, event)
    of: dict[tuple[str, str], list[Event]] = {}
    for event in sorted(events.values(), key=lambda event: event.seq, reverse=True):
        of.setdefault((event.run, event.stream), []).append(event)
    return [of[event.run, event.stream].pop() for event in events.values()]


def time_lines(events: Iterable[Event]) -> list[list[Event]]:
    """Return events in order, by run, stream and time line; where a fleet's run goes on elsewhere, it begins anew."""
    lines: list[list[Event]] = []
    newest: dict[tuple[str, str], list[Event]] = {}
    for event in events:
        line = newest.get((event.run, event.stream))
        if line is None or event.decided_at.pts < line[-1].decided_at.pts - _BACK:
            line = newest[event.run, event.stream] = []
            lines.append(line)
        line.append(event)
    return lines


def first_fault(error: Exception) -> str:
    """Return in a few printable words what a validation found first."""
    if not isinstance(error, ValidationError):
        return type(error).__name__
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return printable(f"{f'{place}: ' if place else ''}{first['msg']}"[:200])


def printable(text: str) -> str:
    """Return a text of others as it may be printed on a terminal: on one line, with nothing the terminal obeys."""
    return text if text.isprintable() else "".join(one if one.isprintable() else " " for one in text)


def one_line(payload: bytes) -> bytes:
    """Return a message in JSON as it came, but on one line and with nothing that a terminal obeys."""
    return _tame(re.sub(r"[\r\n\t]", " ", payload.decode(errors="replace")))


def _tame(text: str) -> bytes:
    if text.isascii() and "\x7f" not in text:
        return text.encode()
    tame = _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    return tame.encode(errors="replace")  # names of files need not be UTF-8


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
