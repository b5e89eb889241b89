"""What may be asked of a running stream: by a key, from Python, or over ``…/<stream>/set``."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter, with_config

from streamspot.errors import SettingsError
from streamspot.events import first_fault, printable
from streamspot.types import Controls, Mark

MAX_BYTES = 1024
"""No command is longer."""

_STRICT = ConfigDict(strict=True, extra="forbid")


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Pause:
    """Cancel what is open and spot nothing until ``resume``."""

    command: Literal["pause"] = field(default="pause", repr=False)


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Resume:
    """Go on after ``pause``."""

    command: Literal["resume"] = field(default="resume", repr=False)


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Sensitivity:
    """Spot more or less; holds for each face as soon as it is neutral."""

    value: Annotated[float, Field(ge=0, le=1, description="0.5 is what the weights come with.")]
    command: Literal["sensitivity"] = field(default="sensitivity", repr=False)


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Label:
    """Mark the apex of an expression that was seen just now: a point label for training."""

    value: Annotated[
        Mark, Field(description="Macro- or micro-expression; unsure marks a place to look at again.")
    ]
    face: Annotated[
        int | None,
        Field(ge=0, description="Whose it was, by the face's number; needed where several are in view."),
    ] = None
    command: Literal["label"] = field(default="label", repr=False)


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Undo:
    """Take the last label of this run back."""

    command: Literal["undo"] = field(default="undo", repr=False)


Command = Pause | Resume | Sensitivity | Label | Undo
COMMAND: TypeAdapter[Command] = TypeAdapter(Annotated[Command, Field(discriminator="command")])
"""Reads commands and gives their schema."""


def obeyed(controls: Controls, command: Command) -> Controls:
    """Return what is in force once a stream has obeyed a command; a label changes nothing of it."""
    match command:
        case Pause() | Resume():
            return replace(controls, paused=isinstance(command, Pause))
        case Sensitivity(value):
            return replace(controls, sensitivity=value)
    return controls


def parse(payload: bytes) -> Command:
    """Return the command of a message.

    Raises:
        SettingsError: It is none; the message says why.
    """
    if len(payload) > MAX_BYTES:
        raise SettingsError(f"{len(payload)} bytes are no command; the limit is {MAX_BYTES}")
    try:
        return COMMAND.validate_json(payload)
    except (ValueError, OverflowError, RecursionError) as error:
        shown = printable(payload[:60].decode(errors="replace"))
        raise SettingsError(
            f"{shown!r} is no command ({first_fault(error)}); send "
            '{"command":"pause"}, resume or undo, or sensitivity with a "value" from 0 to 1, or label with macro, '
            "micro or unsure"
        ) from None
