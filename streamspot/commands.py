"""What may be asked of a running stream: by a key, from Python, or over ``…/<stream>/set``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

from streamspot.errors import SettingsError
from streamspot.types import Kind


@dataclass(frozen=True, slots=True)
class Pause:
    """Stop spotting until ``Resume``."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Go on after ``Pause``."""


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """Spot more or less.

    Attributes:
        value: In [0, 1] as ``--sensitivity``; 0.5 is what the weights come with.
    """

    value: float


@dataclass(frozen=True, slots=True)
class Label:
    """Note that an expression is at its apex now: a point label for training.

    Attributes:
        kind: Macro or micro.
    """

    kind: Kind


Command = Pause | Resume | Sensitivity | Label


def parse(payload: bytes) -> Command:
    """Return the command of a message: ``{"command":"pause"|"resume"|"sensitivity"|"label","value":…}``.

    Raises:
        SettingsError: It is none of these.
    """
    try:
        message = json.loads(payload)
        name: Literal["pause", "resume", "sensitivity", "label"] = message["command"]
        value = message.get("value")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise SettingsError(
            f"{payload[:60].decode(errors='replace')!r} is no command; send something like "
            '{"command":"pause"}'
        ) from None
    match name, value:
        case "pause", None:
            return Pause()
        case "resume", None:
            return Resume()
        case "sensitivity", bool():
            pass
        case "sensitivity", int() | float() if 0 <= value <= 1:
            return Sensitivity(float(value))
        case "label", ("macro" | "micro") as kind:
            return Label(kind)
    raise SettingsError(
        f"there is no command {str(name)[:20]!r} with the value {str(value)[:20]!r}; choose pause, resume, "
        "sensitivity (0 to 1) or label (macro or micro)"
    )
