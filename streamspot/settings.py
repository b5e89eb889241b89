"""Settings of a run: default < file < environment < flag; an unknown key is an error."""

from __future__ import annotations

import os
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from streamspot.errors import SettingsError

_PREFIX = "STREAMSPOT_"

_ELSEWHERE = frozenset(
    {"STREAMSPOT_DATA", "STREAMSPOT_DEBUG", "STREAMSPOT_MQTT_PASSWORD", "STREAMSPOT_MQTT_PASSWORD_FILE"}
)
"""Variables of that prefix that are no setting of a run."""

_NAME = "give 1 to 40 small letters, digits, _ or -"
_REMEDIES = {
    "speed": "give max, or a number above 0 (1 is the recording's own pace)",
    "stream": _NAME,
    "node": _NAME,
    "session": "give 1 to 64 letters, digits, _, . or -",
}
"""What to say where the words of the validation do not help."""


class RunSettings(BaseModel):
    """Everything ``streamspot run`` can be told, under the names of its flags."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str = "0"
    policy: Literal["every", "latest"] | None = None
    speed: Literal["max"] | Annotated[float, Field(gt=0, allow_inf_nan=False)] = "max"
    weights: str = "streamspot-base"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    faces: int = Field(1, ge=1, le=16)
    face_model: Path | None = None
    flow: Literal["lk", "dis", "farneback", "tvl1"] = "lk"
    sensitivity: float = Field(0.5, ge=0.0, le=1.0)
    stream: str | None = Field(None, pattern=r"^[a-z0-9_-]{1,40}$")
    session: str | None = Field(None, pattern=r"^[A-Za-z0-9_.-]{1,64}$")
    broker: str | None = None
    node: str | None = Field(None, pattern=r"^[a-z0-9_-]{1,40}$")
    journal: Path | None = None
    fsync: float = Field(1.0, ge=0.0)
    ros: bool = False
    homeassistant: bool = False
    osc: str | None = None
    metrics: int | None = Field(None, ge=0, le=65535)
    log: Path | None = None
    events: str | None = None
    intensity: Path | None = None
    record: Path | None = None


def load_settings(flags: Mapping[str, Any], file: Path | None = None) -> RunSettings:
    """Merge the file, the environment (``STREAMSPOT_SOURCE`` …) and the flags that were given.

    Args:
        flags: Setting to value; None stands for a flag that was not given.
        file: YAML with the same keys.

    Raises:
        SettingsError: The file cannot be read, a key is unknown or a value impossible.
    """
    known = set(RunSettings.model_fields)
    merged: dict[str, Any] = {}
    origin: dict[str, str] = {}
    layers = ((str(file), _read(file)), ("the environment", _environment()), ("the command line", flags))
    for where, layer in layers:
        for key, value in layer.items():
            if key not in known:
                close = get_close_matches(key, known, 1)
                hint = f"did you mean {close[0]!r}?" if close else f"choose from {', '.join(sorted(known))}"
                raise SettingsError(f"there is no setting {key!r} (in {where}); {hint}")
            if value is not None:
                merged[key], origin[key] = value, where
    try:
        return RunSettings.model_validate(merged)
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0])
        remedy = _REMEDIES.get(key) or first["msg"].replace("Input should", "it should")
        raise SettingsError(
            f"{key} = {merged.get(key)!r} (in {origin.get(key)}) is impossible: {remedy}"
        ) from error


def state_folder() -> Path:
    """Return where what outlives a run is kept (journals, the log): ``$XDG_STATE_HOME/streamspot``."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "streamspot"


def _environment() -> dict[str, Any]:
    return {
        name.removeprefix(_PREFIX).lower(): value
        for name, value in os.environ.items()
        if name.startswith(_PREFIX) and name not in _ELSEWHERE
    }


def _read(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise SettingsError(
            f"the settings file {file} cannot be read ({error.strerror}); check its name"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"the settings file {file} is not YAML; it holds lines of the form key: value"
        ) from error
    if not isinstance(content, dict):
        raise SettingsError(f"the settings file {file} holds no keys; it holds lines of the form key: value")
    return {str(key).replace("-", "_"): value for key, value in content.items()}
