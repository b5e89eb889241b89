"""The settings of a run: one tree, from which flags, YAML and environment are made.

``layers`` brings them together. The leaves of the tree have distinct names: ``face_model`` is the flag
``--face-model`` and the variable ``STREAMSPOT_FACE_MODEL``; in a file it stands in its group. An unknown name is an
error.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from streamspot.credentials import redacted
from streamspot.errors import SettingsError, cut, unknown
from streamspot.shipped import DEFAULT_WEIGHTS
from streamspot.types import SESSION_NAME, STREAM_NAME, Choice, DeviceName, FlowName, Policy

_NAME = "give 1 to 40 small letters, digits, _ or -"
_REMEDIES = {
    "speed": "give max, or a number above 0 (1 is the recording's own pace)",
    "stream": _NAME,
    "node": _NAME,
    "session": "give 1 to 64 letters, digits, _, . or -",
}
_RANGES = {"faces": "give 1 to 16", "sensitivity": "give a number from 0 to 1"}
"""What to say where the words of the validation do not help, and where they name one end of a range."""

Speed = Literal["max"] | Annotated[float, Field(gt=0, allow_inf_nan=False)]


class FromYaml(BaseModel):
    """What a file of YAML holds: an unknown key is an error, and so is a value of which YAML makes another.

    That is true or false where a number or a word is asked for (YAML reads yes, no, on and off as true and false,
    which would be 1 and 0), and a fraction where a name is (1.10 would be 1.1).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _as_meant(cls, value: Any, info: ValidationInfo) -> Any:
        kind = cls.model_fields[info.field_name or ""].annotation
        if isinstance(value, bool) and kind is not bool:
            raise PydanticCustomError("truth", "write a number, or a word in quotation marks")
        if isinstance(value, float) and "str" in str(kind) and "float" not in str(kind):
            raise PydanticCustomError("fraction", "write it in quotation marks")
        return value


class _Group(FromYaml):
    model_config = ConfigDict(coerce_numbers_to_str=True)


class CaptureSettings(_Group):
    """How the source is read."""

    policy: Policy | None = Field(
        None,
        description="every: lose no frame; latest: drop old ones. Default: latest for cameras and live addresses, "
        "every otherwise.",
    )
    speed: Speed = Field("max", description="Replay pace: max, or 1 for the recording's own.")


class FaceSettings(_Group):
    """How faces are found."""

    faces: int = Field(1, ge=1, le=16, description="Most faces to follow.")
    choose: Choice = Field(
        "first", description="Whom to follow if there are more: first (who was there first), largest, middle."
    )
    face_model: Path | None = Field(
        None, description="A face_landmarker.task; takes FaceLandmarker instead of FaceMesh."
    )


class MotionSettings(_Group):
    """How their motion is measured."""

    flow: FlowName = Field("lk", description="Optical flow: lk, dis, farneback or tvl1.")


class ModelSettings(_Group):
    """What judges it."""

    weights: str = Field(DEFAULT_WEIGHTS, description="Name of shipped weights or a .safetensors file.")
    device: DeviceName = Field("auto", description="auto, cpu or cuda.")


class SpottingSettings(_Group):
    """How much is reported."""

    sensitivity: float = Field(
        0.5, ge=0.0, le=1.0, description="From 0 (only the clearest) to 1 (the faintest)."
    )


_Name = Annotated[str, Field(pattern=f"^{STREAM_NAME}$")]


class NameSettings(_Group):
    """What the run is called."""

    stream: _Name | None = Field(None, description="Name of the stream in topics. Default: from the source.")
    node: _Name | None = Field(None, description="Name of this machine in topics. Default: its host name.")
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
    client_id: str | None = Field(
        None, min_length=1, max_length=120, description="Name of the MQTT session. Default: a random one."
    )
    journal: Path | None = Field(None, description="Folder of the delivery journal, or its file (.sqlite).")
    fsync: float = Field(
        1.0,
        ge=0.0,
        description="Seconds between two writes to the disk: what a power failure may cost. 0: at every event.",
    )
    commands: bool = Field(
        True, description="Obey commands of subscribers: pause, resume, sensitivity, label."
    )
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
        None, description="Append finished expressions, one row each, to FILE.csv or FOLDER.parquet."
    )
    record: Path | None = Field(
        None, description="Record region motion (no picture) to replay with --source."
    )
    force: bool = Field(
        False,
        description="Let outputs replace recordings, what a camera gave before, and files of others.",
    )
    osc: str | None = Field(None, description="Drive an avatar: vrchat://host:9000 or vmc://host:39540.")
    osc_map: str = Field("", description="Blend shapes that vmc:// drives: macro=NAME,micro=NAME.")
    lsl: bool = Field(
        False, description="Offer markers and the curve to Lab Streaming Layer in the local network."
    )
    metrics: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="Port at which Prometheus may fetch /metrics; 0: any, which is said.",
    )
    metrics_host: str = Field(
        "127.0.0.1", description="Address that port is open at; 0.0.0.0 for every network."
    )


class Settings(_Group):
    """Everything ``streamspot run`` can be told."""

    source: str = Field(
        "0",
        description="Camera (0, /dev/video2), file, rtsp:// or http:// address, folder of images, - (standard "
        "input), synthetic, or a recording of region motion; repeat it for several. Default: 0.",
    )
    capture: CaptureSettings = CaptureSettings()
    face: FaceSettings = FaceSettings()
    motion: MotionSettings = MotionSettings()
    model: ModelSettings = ModelSettings()
    spotting: SpottingSettings = SpottingSettings()
    name: NameSettings = NameSettings()
    mqtt: MqttSettings = MqttSettings()
    output: OutputSettings = OutputSettings()


class AnalysisSettings(TypedDict, total=False):
    """The settings that concern the analysis, as keywords of the Python interface; see ``Settings`` for each."""

    policy: Policy | None
    speed: Literal["max"] | float
    faces: int
    choose: Choice
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


GROUPS = {leaf: group for group, leaf, _ in leaves()}
"""The group of each setting by its name."""


_NEEDS = {
    **dict.fromkeys(MqttSettings.model_fields.keys() - {"broker"}, ("broker", "mqtt://HOST")),
    "osc_map": ("osc", "vmc://HOST:39540"),
    "metrics_host": ("metrics", "PORT"),
}
"""Settings that do nothing without another, which is named with an example."""


def placed(settings: Settings, stream: str) -> Settings:
    """Return the settings of a stream under its name, which also stands for ``{stream}`` in the files of its own."""
    output = settings.output
    files = {
        leaf: Path(str(path).replace("{stream}", stream))
        for leaf in ("intensity", "record")
        if (path := getattr(output, leaf)) is not None
    }
    return settings.model_copy(
        update={
            "name": settings.name.model_copy(update={"stream": stream}),
            "output": output.model_copy(update=files),
        }
    )


def build(values: Mapping[str, Any], origin: Mapping[str, str] | None = None) -> Settings:
    """Return the tree of settings from values by name; an error says where each was given, if that is known.

    Raises:
        SettingsError: A name is unknown or a value impossible, or needs a broker and none is named.
    """
    tree: dict[str, Any] = {}
    where = {leaf: f" (in {place})" for leaf, place in (origin or {}).items()}
    for leaf, value in values.items():
        if leaf not in GROUPS:
            raise unknown(leaf, GROUPS, where.get(leaf, ""))
        group = GROUPS[leaf]
        (tree.setdefault(group, {}) if group else tree)[leaf] = value
    try:
        settings = Settings.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        leaf = str(next(part for part in first["loc"] if part in values))
        remedy = _RANGES.get(leaf) if first["type"].endswith("_than_equal") else _REMEDIES.get(leaf)
        remedy = remedy or first["msg"].replace("Input should", "it should")
        raise SettingsError(
            f"{leaf} = {cut(redacted(repr(values[leaf])))}{where.get(leaf, '')} is impossible: {remedy}"
        ) from error
    _check_effect(settings, where)
    return settings


def _check_effect(settings: Settings, where: Mapping[str, str]) -> None:
    """Refuse what would be left undone without a word: for lack of another setting, or in a name that all share."""
    for leaf in ("events", "log", "expressions", "journal"):
        if "{stream}" in str(getattr(getattr(settings, GROUPS[leaf]), leaf)):
            raise SettingsError(
                f"{leaf}{where.get(leaf, '')} holds what all streams give, and no stream's name is put into its own; "
                "leave {stream} out of it"
            )
    for leaf, (other, example) in _NEEDS.items():
        group = getattr(settings, GROUPS[leaf])
        given = getattr(group, leaf) != type(group).model_fields[leaf].default
        if given and getattr(group, other) is None:
            raise SettingsError(
                f"{leaf}{where.get(leaf, '')} does nothing without {other}; add --{other} {example}, or leave it out"
            )


def state_folder() -> Path:
    """Return where what outlives a run is kept (journals, the log): ``$XDG_STATE_HOME/streamspot``."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "streamspot"
