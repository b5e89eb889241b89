"""Every choice of a training run; a YAML file names the ones that differ from the default.

``configs/train`` holds ready files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, ValidationError, field_validator, model_validator

from streamspot.errors import SettingsError, cut, unknown
from streamspot.layers import read_keys
from streamspot.model.config import MOST_CHANNELS, ModelConfig
from streamspot.settings import FromYaml
from streamspot.shipped import DEFAULT_WEIGHTS, settings_file
from streamspot.spotting.settings import SpotSettings

Ticks = Annotated[int, Field(ge=0, le=108_000)]
"""At most an hour."""
Pair = tuple[Ticks, Ticks]
"""One number for macro-, one for micro-expressions."""
Share = Annotated[float, Field(ge=0, le=1)]


BEGUN = {"learning_rate": 1e-3, "epochs": 5}
"""Defaults of a training that begins with weights, which the rate for random ones would undo."""


class _Settings(FromYaml):
    model_config = ConfigDict(allow_inf_nan=False)


class NetworkSettings(_Settings):
    """What the network is made of; ``ModelConfig`` explains each field."""

    encoder: Literal["causal", "transformer"] = "causal"
    look_ahead: Literal[0, 4, 8, 16] = 8
    width: int = Field(default=32, ge=1, le=MOST_CHANNELS)
    dilations: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    heads: int = Field(default=4, ge=1)
    dropout: float = Field(default=0.3, ge=0, lt=1)
    input_scale: float = Field(default=30.0, gt=0)

    def config(self, name: str, layout: str, regions: int) -> ModelConfig:
        """Return the network's own configuration."""
        return ModelConfig(name=name, layout=layout, regions=regions, **self.model_dump())


class LabelSettings(_Settings):
    """How one time stamp an expression becomes a pseudo-label for every tick."""

    kind: Literal["gim", "hard", "window", "full"] = "gim"
    """``gim``: Gaussians in feature space (Eq. 1-5). ``hard``: 1 in the range that GIM estimates. ``window``: 1 in a
    fixed window round the point. ``full``: 1 from the annotated onset to the annotated offset, which is full
    supervision, the upper bound."""
    duration: Pair = (32, 16)
    """k_c, the usual length of an expression, ticks."""
    hard_reach: Pair = (5, 3)
    """k_s1, how far from the point the hard labels of stage 1 reach, ticks."""
    soft_reach: Pair = (4, 2)
    """k_s2, how far from the point the Gaussians of stage 2 reach, ticks."""
    stretch: float = Field(default=1.8, gt=0)
    """δ, the factor from the rough to the labelled length (Eq. 3; 1.2 in the paper, see docs/experiments.md)."""
    clamp: tuple[Pair, Pair] | None = ((16, 36), (8, 16))
    """Shortest and longest labelled length of macro- and of micro-expressions, as in the official code; None
    leaves the length free, as in the paper."""
    theta: tuple[Share, Share] = (0.5, 0.3)
    """θ at the first epoch and at the end of its decrease (Eq. 3; 0.8 and 0.5 in the paper)."""
    theta_epochs: int = Field(default=4, ge=1)
    """Epoch at which θ reaches its end."""
    stages: Pair = (1, 2)
    """Epochs of stage 1 and of stage 2; stage 3 takes the rest (section 3.6.2)."""
    window: tuple[Pair, Pair] = ((10, 14), (6, 6))
    """Ticks before and after the point, for macro- and for micro-expressions; of the kind ``window`` alone."""

    @field_validator("clamp")
    @classmethod
    def _ascending(cls, value: tuple[Pair, Pair] | None) -> tuple[Pair, Pair] | None:
        """Refuse a shortest length above the longest."""
        if any(shortest > longest for shortest, longest in value or ()):
            raise ValueError("the shortest length of each kind comes first")
        return value


class LossSettings(_Settings):
    """What is minimised."""

    intensity: Literal["mse", "bce"] = "mse"
    """Loss of the intensity (Table 2): squared error or binary cross-entropy."""
    margin: Pair = (6, 3)
    """Ticks beyond a label that are neither expression nor neutral."""
    expression_weight: float = Field(default=5.0, gt=0)
    """Weight of a labelled tick, where a neutral one has 1; 1 is Eq. 9."""
    micro_weight: float = Field(default=2.0, gt=0)
    """Further factor on the weight of a tick of a micro-expression."""
    joint: float = Field(default=1.0, ge=0)
    """Weight of the paper's class loss, which judges class times intensity (Eq. 12-13)."""
    action: float = Field(default=0.5, ge=0)
    """Weight of a loss of the class alone where an expression shows (ours): Eq. 13 never says that an expression
    of one class is none of the other."""


class AugmentSettings(_Settings):
    """How crops of recordings are varied."""

    mirror: bool = True
    """Whether half of the crops are mirrored."""
    scale: float = Field(default=0.2, ge=0)
    """Standard deviation of the logarithm of a factor on all motion of a crop."""
    drop_region: float = Field(default=0.1, ge=0, lt=1)
    """Share of regions whose motion is set to 0."""
    noise: float = Field(default=0.02, ge=0)
    """Standard deviation of added motion, in units of the network's input."""


class SimulatedSettings(_Settings):
    """Simulated motion, whose labels are all known, before and beside the data."""

    recordings: int = Field(default=600, ge=1)
    """Number of simulated recordings of 20 s to draw from."""
    steps: int = Field(default=0, ge=0)
    """Optimiser steps on simulated motion alone before the first epoch; 0 starts from random weights."""
    beside: int = Field(default=0, ge=0)
    """Simulated recordings that join the data in every step of the epochs."""


_SPOTTING: dict[str, Any] = {
    "usual": [[18, 22], [8, 6]],
    "thresholds": [0.1],
    "power": 3.0,
    "macro_score": 0.7,
    "micro_score": 0.3,
    "micro_ticks": [6, 18],
    "outer_ticks": 16,
    "trough_share": 1.0,
    "micro_power": 1.0,
    "micro_floor": 0.05,
    "both_kinds": True,
}
"""How the curves of trained networks are decoded, where that differs from ``SpotSettings``."""


class TrainSettings(_Settings):
    """A whole training run."""

    network: NetworkSettings = NetworkSettings()
    """What is trained."""
    labels: LabelSettings = LabelSettings()
    """How points become labels."""
    loss: LossSettings = LossSettings()
    """What is minimised."""
    augment: AugmentSettings = AugmentSettings()
    """How crops are varied."""
    simulated: SimulatedSettings = SimulatedSettings()
    """What is learned from simulated motion."""
    start: str | None = None
    """Weights, by name or path, that every network begins with, for instance the shipped ones; the network is then
    theirs, whatever ``network`` says but for its dropout."""
    partner: str | None = DEFAULT_WEIGHTS
    """Weights that judge beside the trained network, as one network with it: the logit of a micro-expression is the
    mean of both. They are left out where they know other regions or have another look-ahead, and where
    the weights to begin with have a partner already."""
    epochs: int = Field(default=10, ge=1)
    """Passes over the data."""
    min_steps: int = Field(default=12, ge=1)
    """Optimiser steps an epoch at least: an epoch passes over little data several times."""
    batch: int = Field(default=16, ge=1)
    """Crops a step."""
    crop: int = Field(default=1024, ge=0, le=1_000_000)
    """Ticks a crop; 0 takes whole recordings."""
    learning_rate: float = Field(default=3e-3, gt=0)
    """Highest rate of AdamW; the rate rises for 15 % of the run, then falls as a cosine."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Weight decay of AdamW."""
    average: float = Field(default=0.98, ge=0, lt=1)
    """Decay of the running mean of the weights, which is what is kept; 0 keeps the last weights."""
    precision: Literal["fp32", "bf16"] = "bf16"
    """Number format in which the network is computed; losses are always float32."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Seed of weights, order, augmentation and sampled points."""
    spotting: dict[str, Any] = Field(default_factory=_SPOTTING.copy)
    """Decoder settings that differ from ``SpotSettings``; cross-validation chooses the minimum scores itself."""
    micro_share: float = Field(default=0.1, ge=0)
    """What the F1 of micro-expressions counts beside the overall one where the minimum scores are chosen."""
    folds: int = Field(default=0, ge=0)
    """Number of folds of a cross-validation; 0 leaves one subject out at a time."""
    choice: Literal["nested", "pooled"] = "nested"
    """Whose networks give the scores on which a subject's minimum scores are chosen. ``nested``: networks that
    never saw this subject, which takes further trainings. ``pooled``: the networks of the other folds, which
    did see it."""
    groups: int = Field(default=5, ge=3)
    """Groups of subjects for the nested choice, which takes one training for each pair of them."""

    @field_validator("spotting")
    @classmethod
    def _known(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Refuse what the decoder does not know."""
        if "sensitivity" in values:
            raise ValueError("a sensitivity is a setting of a run; give scores and thresholds here")
        SpotSettings.from_sensitivity(0.5, **values)
        return values

    @model_validator(mode="after")
    def _one_start(self) -> Self:
        """Refuse two beginnings."""
        if self.start is not None and self.simulated.steps:
            raise ValueError(
                "a network begins with weights (start, --from) or with simulated motion; leave the weights out, or "
                "set simulated.steps to 0"
            )
        return self

    @property
    def decoder(self) -> SpotSettings:
        """The decoder's settings."""
        return SpotSettings.from_sensitivity(0.5, **self.spotting)


def read_yaml(name_or_path: str | Path) -> dict[str, Any]:
    """Return the keys of a YAML file, given by path or by the name of one of ``configs/train``.

    Raises:
        SettingsError: The file is missing or holds no keys.
    """
    return read_keys(settings_file(name_or_path, "configs/train"))


def load_settings(name_or_path: str | Path | None, **override: Any) -> TrainSettings:
    """Read settings from YAML (see ``read_yaml``; None takes the defaults); keys given as arguments win if not None.

    What the file names of ``spotting`` takes the place of those defaults one by one.

    Raises:
        SettingsError: The file is missing or no YAML, a key is unknown or a value impossible.
    """
    values = {} if name_or_path is None else read_yaml(name_or_path)
    given = {key: value for key, value in override.items() if value is not None}
    values |= given
    if isinstance(decoder := values.get("spotting"), dict):
        values["spotting"] = _SPOTTING | decoder
    return checked((BEGUN if values.get("start") else {}) | values, name_or_path)


def checked(values: dict[str, Any], where: str | Path | None = None) -> TrainSettings:
    """Return these values as settings; ``where`` is the file that an error names.

    Raises:
        SettingsError: A key is unknown or a value impossible.
    """
    try:
        return TrainSettings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if not key:  # two settings that do not go together
            named = "" if where is None else f"{where}: "
            raise SettingsError(named + first["msg"].removeprefix("Value error, ")) from None
        within = "" if where is None else f" in {where}"
        if first["type"] == "extra_forbidden":
            *group, name = map(str, first["loc"])
            known: Any = TrainSettings.model_fields
            for one in group:
                known = known[one].annotation.model_fields
            raise unknown(name, known, f" among those of {group[0]}{within}" if group else within) from None
        raise SettingsError(
            f"the setting {key}{within} is wrong: {first['msg'].lower()} (got {cut(repr(first['input']))})"
        ) from None
