"""Every choice of a training run; a YAML file in ``configs/`` names the ones that differ from the default."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from streamspot.errors import SettingsError
from streamspot.model.config import ModelConfig
from streamspot.shipped import settings_file
from streamspot.spotting.settings import SpotSettings

Labels = Literal["gim", "hard", "cosine", "classwise", "lac", "hrpro", "window", "full"]
Overlap = Literal["random", "higher", "lower", "latest"]
Pair = tuple[int, int]
"""One number for macro-, one for micro-expressions."""


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NetworkSettings(_Settings):
    """What the network is made of; see ``ModelConfig``."""

    encoder: Literal["causal", "transformer"] = "causal"
    look_ahead: Literal[0, 4, 8, 16] = 8
    width: int = Field(default=32, ge=1, le=1024)
    dilations: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    heads: int = Field(default=4, ge=1)
    dropout: float = Field(default=0.3, ge=0, lt=1)
    input_scale: float = Field(default=30.0, gt=0)

    def config(self, name: str, layout: str, regions: int) -> ModelConfig:
        """Return the network's own configuration."""
        return ModelConfig(name=name, layout=layout, regions=regions, **self.model_dump())


class LabelSettings(_Settings):
    """How one time stamp an expression becomes a label for every tick.

    Attributes:
        kind: ``gim`` (Eq. 1-5); ``hard`` (1 in GIM's range), ``cosine`` (similarity to the apex) and
            ``classwise`` (Gaussian round the class's mean) are Table 3's; ``window`` is 1 in a fixed window
            round the point; ``lac`` and ``hrpro`` are the baselines' (see ``baselines``); ``full`` takes
            annotated onsets and offsets, the upper bound.
        overlap: Which label a tick keeps when two of one class meet (Table 4); ``latest`` is what the
            official
            code does.
        duration: k_c, usual length in ticks.
        hard_reach: k_s1, reach of the hard labels of stage 1.
        soft_reach: k_s2, reach of the Gaussians of stage 2.
        stretch: δ, factor from the rough to the labelled length.
        clamp: Bounds of the labelled length for macro and micro, as in the official code; None is the paper.
        theta: θ at the start and at the end of its decrease.
        theta_epochs: Epoch at which θ reaches its end.
        relative: Whether θ is a share of the pseudo-apex's own intensity (ours), so that the length of a faint
            expression can grow too.
        stages: Epochs of stage 1 and of stage 2.
        window: Ticks before and after the point for macro and for micro (``window`` only).
    """

    kind: Labels = "window"
    overlap: Overlap = "random"
    duration: Pair = (32, 16)
    hard_reach: Pair = (5, 3)
    soft_reach: Pair = (4, 2)
    stretch: float = Field(default=1.2, gt=0)
    clamp: tuple[Pair, Pair] | None = ((16, 36), (8, 16))
    theta: tuple[float, float] = (0.8, 0.5)
    theta_epochs: int = Field(default=30, ge=1)
    relative: bool = False
    stages: Pair = (1, 4)
    window: tuple[Pair, Pair] = ((10, 14), (6, 6))


class LossSettings(_Settings):
    """What is minimised.

    Attributes:
        intensity: Loss of the intensity (Table 2): squared error or binary cross-entropy.
        negatives: ``lowest`` takes as many ticks of lowest intensity as there are labelled ones (Eq. 6);
            ``known`` takes every tick that is too far from any point to belong to an expression.
        margin: Ticks beyond a label that are neither expression nor ``known`` neutral, for macro and micro.
        expression_weight: Weight of a labelled tick against a neutral one; 1 is Eq. 9.
        micro_weight: Additional weight of a tick of a micro-expression.
        action: Weight of the class loss (Eq. 13).
        joint: Whether the class loss judges class times intensity (Eq. 12) or the class alone, where an
            expression shows.
        smooth: λ1 (Eq. 11).
        norm: λ2 (Eq. 10, as a mean over ticks).
        contrast: λ3 of the mean over anchors (Eq. 7).
        temperature: τ (Eq. 7).
        completeness: Weight of LAC's score and feature contrast (see ``lac``), from stage 2 on.
    """

    intensity: Literal["mse", "bce"] = "bce"
    negatives: Literal["lowest", "known"] = "known"
    margin: Pair = (6, 3)
    expression_weight: float = Field(default=5.0, gt=0)
    micro_weight: float = Field(default=2.0, gt=0)
    action: float = Field(default=0.5, ge=0)
    joint: bool = False
    smooth: float = Field(default=0.0, ge=0)
    norm: float = Field(default=0.0, ge=0)
    contrast: float = Field(default=0.0, ge=0)
    temperature: float = Field(default=0.5, gt=0)
    completeness: float = Field(default=0.0, ge=0)


class AugmentSettings(_Settings):
    """How recordings are varied.

    Attributes:
        mirror: Whether half of them are mirrored.
        scale: Deviation of the logarithm of a factor on all motion.
        drop_region: Share of regions that see nothing.
        noise: Deviation of added motion, in units of the network's input.
    """

    mirror: bool = True
    scale: float = Field(default=0.2, ge=0)
    drop_region: float = Field(default=0.1, ge=0, lt=1)
    noise: float = Field(default=0.02, ge=0)


class SimulatedSettings(_Settings):
    """Simulated motion, whose labels are all known, before and beside the data (see ``start``).

    Attributes:
        recordings: How many recordings of 20 s there are to draw from.
        steps: Optimiser steps on simulated motion alone before the first epoch; 0 starts from random weights.
        beside: Simulated recordings in every step of the epochs.
        weight: Of their loss.
    """

    recordings: int = Field(default=600, ge=1)
    steps: int = Field(default=0, ge=0)
    beside: int = Field(default=0, ge=0)
    weight: float = Field(default=1.0, gt=0)


class TrainSettings(_Settings):
    """A whole training run.

    Attributes:
        method: ``network``; ``hrpro`` and ``tspnet`` add a second stage that judges the network's
            proposals (see there); ``motion`` is the rule without learning, a fixed window round the
            peaks of motion. All but ``network`` are baselines for cross-validation, not for a
            stream. network: What is trained. labels: From points to labels. loss: What is
            minimised. augment: How recordings are varied. simulated: What simulation teaches.
            epochs: Passes over the data. least_steps: Optimiser steps an epoch at least; little
            data is passed over several times in one. batch: Crops a step. crop: Ticks a crop; 0
            takes whole recordings. learning_rate: Highest rate of AdamW; it rises for 15 % of the
            run, then falls as a cosine. weight_decay: Of AdamW. average: Decay of the running mean
            of the weights, which is what is kept; 0 keeps the last. precision: ``bf16`` computes
            the network in bfloat16. seed: Of weights, order, augmentation and sampled points.
            spotting: Decoder settings that differ from ``SpotSettings``; crossval chooses the least
            scores itself. groups: Groups of subjects for that choice, see ``crossval``. neutral:
            How many neutral ticks are drawn for each labelled one; no others are computed, which
            only the transformer can do and which makes it affordable. The drawn ones stand for all.
            0 computes every tick.
    """

    method: Literal["network", "hrpro", "tspnet", "motion"] = "network"
    network: NetworkSettings = NetworkSettings()
    labels: LabelSettings = LabelSettings()
    loss: LossSettings = LossSettings()
    augment: AugmentSettings = AugmentSettings()
    simulated: SimulatedSettings = SimulatedSettings()
    epochs: int = Field(default=10, ge=1)
    least_steps: int = Field(default=12, ge=1)
    batch: int = Field(default=16, ge=1)
    crop: int = Field(default=1024, ge=0)
    learning_rate: float = Field(default=3e-3, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    average: float = Field(default=0.98, ge=0, lt=1)
    precision: Literal["fp32", "bf16"] = "bf16"
    seed: int = Field(default=0, ge=0)
    spotting: dict[str, Any] = Field(
        default_factory=lambda: {
            "macro_ticks": [18, 90],
            "micro_ticks": [6, 18],
            "outer_ticks": 16,
            "trough_share": 1.0,
        }
    )
    folds: int = Field(default=0, ge=0)
    choice: Literal["nested", "pooled"] = "nested"
    groups: int = Field(default=5, ge=3)
    neutral: int = Field(default=0, ge=0)

    @field_validator("spotting")
    @classmethod
    def _known(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Refuse what the decoder does not know."""
        SpotSettings.from_sensitivity(0.5, **values)
        return values

    @field_validator("neutral")
    @classmethod
    def _drawable(cls, value: int, info: ValidationInfo) -> int:
        """Refuse to draw neutral ticks where labels or losses need the ticks between them."""
        loss, network, labels = (info.data.get(name) for name in ("loss", "network", "labels"))
        if not value or not (loss and network and labels):
            return value
        simulated = info.data.get("simulated")
        beside = simulated is not None and (simulated.steps or simulated.beside)
        between = beside or loss.smooth or loss.norm or loss.completeness or loss.negatives == "lowest"
        if between or network.encoder != "transformer" or labels.kind not in ("window", "full"):
            raise ValueError("it needs the transformer, labels of a window, and losses of single ticks")
        return value

    @property
    def decoder(self) -> SpotSettings:
        """The decoder's settings."""
        return SpotSettings.from_sensitivity(0.5, **self.spotting)


def load_settings(path: Path | None, **override: Any) -> TrainSettings:
    """Read settings from YAML; keys given as arguments win, None leaves the file's.

    Args:
        path: A YAML file or the name of one in ``configs/train``.
        **override: Keys and values that win.

    Raises:
        SettingsError: The file is missing or no YAML, a key is unknown or a value impossible.
    """
    values: dict[str, Any] = {}
    if path is not None:
        path = settings_file(path, "configs/train")
        try:
            values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            reason = str(error).splitlines()[0]
            raise SettingsError(f"{path} is not valid YAML ({reason}); configs/ holds examples") from None
    if not isinstance(values, dict):
        raise SettingsError(f"{path} holds no keys; configs/ holds examples")
    values |= {key: value for key, value in override.items() if value is not None}
    try:
        return TrainSettings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        where = "" if path is None else f" in {path}"
        raise SettingsError(
            f"the setting {key}{where} is wrong: {first['msg'].lower()} (got {first['input']!r})"
        ) from None
