"""The settings of a run: one tree, from which flags, YAML and environment are made.

default < file < environment < flag; an unknown key is an error. The leaves of the tree have distinct names:
``face_model`` is the flag ``--face-model`` and the variable ``STREAMSPOT_FACE_MODEL``; in a file it stands in its
group.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from streamspot.errors import SettingsError
from streamspot.shipped import settings_file
from streamspot.types import SESSION_NAME, STREAM_NAME, DeviceName, FlowName, Policy

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

Speed = Literal["max"] | Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CaptureSettings(_Group):
    """How the source is read."""

    policy: Policy | None = Field(
        None, description="every: lose no frame; latest: drop old ones. Default: latest for cameras only."
    )
    speed: Speed = Field("max", description="Replay pace: max, or 1 for the recording's own.")


class FaceSettings(_Group):
    """How faces are found."""

    faces: int = Field(1, ge=1, le=16, description="Most faces to follow.")
    face_model: Path | None = Field(
        None, description="A face_landmarker.task; takes FaceLandmarker instead of FaceMesh."
    )


class MotionSettings(_Group):
    """How their motion is measured."""

    flow: FlowName = Field("lk", description="Optical flow: lk, dis, farneback or tvl1.")


class ModelSettings(_Group):
    """What judges it."""

    weights: str = Field("streamspot-base", description="Name of shipped weights or a .safetensors file.")
    device: DeviceName = Field("auto", description="auto, cpu or cuda.")


class SpottingSettings(_Group):
    """How much is reported."""

    sensitivity: float = Field(
        0.5, ge=0.0, le=1.0, description="From 0 (only the clearest) to 1 (the faintest)."
    )


class NameSettings(_Group):
    """What the run is called."""

    stream: str | None = Field(
        None,
        pattern=f"^{STREAM_NAME}$",
        description="Name of the stream in topics. Default: from the source.",
    )
    node: str | None = Field(
        None,
        pattern=f"^{STREAM_NAME}$",
        description="Name of this machine in topics. Default: its host name.",
    )
    session: str | None = Field(
        None,
        pattern=f"^{SESSION_NAME}$",
        description="Name of the session. Default: the same for every run over a recording.",
    )
    subject: str | None = Field(
        None,
        min_length=1,
        max_length=80,
        description="Whose face it is, for labels. Default: the stream's name.",
    )


class MqttSettings(_Group):
    """Where events are delivered."""

    broker: str | None = Field(
        None, description="mqtt:// or mqtts://user@host:port, ws:// or wss://, or embedded. Default: none."
    )
    journal: Path | None = Field(None, description="Folder of the delivery journal.")
    fsync: float = Field(1.0, ge=0.0, description="Seconds of events a power failure may cost; 0 for none.")
    ros: bool = Field(False, description="Also publish what ROS' mqtt_client maps (REP-155).")
    homeassistant: bool = Field(False, description="Announce the stream to Home Assistant.")


class OutputSettings(_Group):
    """What else is written or sent."""

    events: str | None = Field(None, description="Write events as JSON lines to this file, - for stdout.")
    intensity: Path | None = Field(
        None, description="Write the curve as CSV: tick, pts, intensity, macro, micro."
    )
    log: Path | None = Field(None, description="Append the events to a table: FILE.csv or FOLDER.parquet.")
    expressions: Path | None = Field(
        None, description="Append the finished expressions to such a table, one row each."
    )
    record: Path | None = Field(
        None, description="Record region motion (no picture) to replay with --source."
    )
    force: bool = Field(False, description="Let outputs replace recordings and files of other programs.")
    osc: str | None = Field(None, description="Drive an avatar: vrchat://host:9000 or vmc://host:39540.")
    osc_map: str = Field("", description="Blend shapes that vmc:// drives: macro=NAME,micro=NAME.")
    metrics: int | None = Field(
        None, ge=0, le=65535, description="Port at which Prometheus may fetch /metrics."
    )
    metrics_host: str = Field(
        "127.0.0.1", description="Address that port is open at; 0.0.0.0 for every network."
    )


class Settings(_Group):
    """Everything ``streamspot run`` can be told."""

    source: str = Field(
        "0",
        description="Camera (0, /dev/video2), file, rtsp:// or http:// address, folder of images, - (standard "
        "input), synthetic, or a recording of region motion. Default: 0.",
    )
    capture: CaptureSettings = CaptureSettings()
    face: FaceSettings = FaceSettings()
    motion: MotionSettings = MotionSettings()
    model: ModelSettings = ModelSettings()
    spotting: SpottingSettings = SpottingSettings()
    name: NameSettings = NameSettings()
    mqtt: MqttSettings = MqttSettings()
    output: OutputSettings = OutputSettings()


class Analysis(TypedDict, total=False):
    """The settings that concern the analysis, as keywords of the Python interface; see ``Settings`` for each."""

    policy: Policy | None
    speed: Literal["max"] | float
    faces: int
    face_model: str | Path | None
    flow: FlowName
    weights: str | Path
    device: DeviceName
    sensitivity: float
    stream: str | None
    session: str | None


def leaves() -> Iterator[tuple[str, str, FieldInfo]]:
    """Yield every setting: its group ("" at the top), its name and its field."""
    for name, info in Settings.model_fields.items():
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, _Group):
            yield from ((name, leaf, field) for leaf, field in kind.model_fields.items())
        else:
            yield "", name, info


def load_settings(flags: Mapping[str, Any], config: str | Path | None = None) -> Settings:
    """Merge the file, the environment (``STREAMSPOT_SOURCE`` …) and the flags that were given.

    Args:
        flags: Name of a setting to value; None stands for a flag that was not given.
        config: YAML file, nested as ``Settings`` is, or the name of a shipped one.

    Raises:
        SettingsError: The file cannot be read, a key is unknown or a value impossible.
    """
    file = None if config is None else settings_file(config)
    groups = {leaf: group for group, leaf, _ in leaves()}
    merged: dict[str, Any] = {}
    origin: dict[str, str] = {}
    layers = (
        (str(file), _flattened(_read(file), groups, str(file))),
        ("the environment", _environment()),
        ("the command line", flags),
    )
    for where, layer in layers:
        for leaf, value in layer.items():
            if leaf not in groups:
                raise _unknown(leaf, groups, where)
            if value is not None:
                merged[leaf], origin[leaf] = value, where
    return build(merged, origin)


def build(values: Mapping[str, Any], origin: Mapping[str, str] | None = None) -> Settings:
    """Return the tree of settings by name.

    Args:
        values: Name of a setting to value.
        origin: Where each was given, for the sentence that refuses it.

    Raises:
        SettingsError: A name is unknown or a value impossible.
    """
    groups = {leaf: group for group, leaf, _ in leaves()}
    tree: dict[str, Any] = {}
    for leaf, value in values.items():
        if leaf not in groups:
            raise _unknown(leaf, groups, "")
        (tree.setdefault(groups[leaf], {}) if groups[leaf] else tree)[leaf] = value
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        leaf = str(next(part for part in first["loc"] if part in values))
        remedy = _REMEDIES.get(leaf) or first["msg"].replace("Input should", "it should")
        where = f" (in {origin[leaf]})" if origin else ""
        raise SettingsError(f"{leaf} = {values[leaf]!r}{where} is impossible: {remedy}") from error


def state_folder() -> Path:
    """Return where what outlives a run is kept (journals, the log): ``$XDG_STATE_HOME/streamspot``."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "streamspot"


def _unknown(leaf: str, known: Mapping[str, str], where: str) -> SettingsError:
    close = get_close_matches(leaf, known, 1)
    hint = f"did you mean {close[0]!r}?" if close else f"choose from {', '.join(sorted(known))}"
    return SettingsError(f"there is no setting {leaf!r}{f' (in {where})' if where else ''}; {hint}")


def _environment() -> dict[str, Any]:
    return {
        name.removeprefix(_PREFIX).lower(): value
        for name, value in os.environ.items()
        if name.startswith(_PREFIX) and name not in _ELSEWHERE
    }


def _flattened(content: Mapping[str, Any], groups: Mapping[str, str], where: str) -> dict[str, Any]:
    """Return the leaves of a file's tree by name."""
    flat: dict[str, Any] = {}
    sections = {group for group in groups.values() if group}
    for key, value in content.items():
        if key in sections and isinstance(value, Mapping):
            for leaf, inner in value.items():
                if groups.get(leaf) != key:
                    known = {name: group for name, group in groups.items() if group == key}
                    raise _unknown(str(leaf), known, f"{key} of {where}")
                flat[leaf] = inner
        elif key in sections:
            raise SettingsError(f"{key} in {where} is a group of settings; write its keys below it, indented")
        elif groups.get(key):
            raise SettingsError(
                f"{key} in {where} belongs into the group {groups[key]}; write it below {groups[key]}:"
            )
        else:
            flat[key] = value
    return flat


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
