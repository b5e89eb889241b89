"""The tables for analysts: one row a phase, one row an expression, or one row a tick."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from streamspot.types import DECIMALS, Event, Moment

CURVE = "tick,pts,intensity,macro,micro"
"""The head of the curve, one row a tick; where there are several faces ``face`` follows."""

_MOMENTS = ("onset", "apex", "offset", "decided_at")
_TYPES: dict[Any, type] = {int: int, float: float}


@dataclass(frozen=True, slots=True)
class Table:
    """What a table holds.

    Attributes:
        columns: Name to type: int, float, str or datetime; a time is RFC 3339 text in a row.
        row: Returns the row of an event, None if it has none.
    """

    columns: dict[str, type]
    row: Callable[[Event], dict[str, Any] | None]


def _columns() -> dict[str, type]:
    """Return every field of an event, moments spread out: ``onset_tick`` and so on."""
    columns: dict[str, type] = {}
    for name, field in Event.model_fields.items():
        if name not in _MOMENTS:
            columns[name] = _TYPES.get(field.annotation, str)
            continue
        for part, inner in Moment.model_fields.items():
            columns[f"{name}_{part}"] = datetime if part == "time" else _TYPES[inner.annotation]
    return columns


def _phase(event: Event) -> dict[str, Any]:
    """Return the event as one row; what is unknown is None, what moved is text: ``lips=0.24;chin=0.11``."""
    row: dict[str, Any] = {}
    for name, value in event:
        if name in _MOMENTS:
            row |= {f"{name}_{part}": getattr(value, part, None) for part in Moment.model_fields}
        elif name == "moved":
            row[name] = ";".join(f"{one.region}={one.share:g}" for one in value)
        else:
            row[name] = value
    return {name: _rounded(value) for name, value in row.items()}


def _expression(event: Event) -> dict[str, Any] | None:
    """Return the row of a finished expression; ``duration`` is in seconds, from onset to offset."""
    if event.phase != "offset" or event.offset is None:
        return None
    row = _phase(event) | {"duration": _rounded(event.offset.pts - event.onset.pts)}
    return {name: row[name] for name in EXPRESSIONS.columns}


def _rounded(value: Any) -> Any:
    return round(value, DECIMALS) if isinstance(value, float) else value


PHASES = Table(_columns(), _phase)
EXPRESSIONS = Table(
    {
        name: kind
        for name, kind in (_columns() | {"duration": float}).items()
        if name not in {"phase", "seq", "reason"} and not name.startswith("decided_at")
    },
    _expression,
)
