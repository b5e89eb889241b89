"""The rows of the tables as one method for ``crossval``: other labels or losses, a second stage, or no learning.

A configuration of ``experiments/configs`` names them in its section ``variant``, and as ``base`` another one there
that it differs from; all else are ``TrainSettings``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, Unpack

import torch
from pydantic import Field
from torch import Tensor

from experiments.ablations import (
    OVERLAPS,
    Centres,
    contrast_loss,
    cosine,
    lowest_neutral,
    norm_loss,
    smooth_loss,
)
from experiments.baselines.hrpro import InstanceStage
from experiments.baselines.intervals import complete_interval, similar_interval
from experiments.baselines.lac import completeness_loss
from experiments.baselines.motion import MotionRule
from experiments.baselines.tspnet import CentreStage
from experiments.sampled import OfficialTrainer, SampledTrainer
from streamspot.datasets.recording import Recording
from streamspot.errors import SettingsError
from streamspot.evaluation.search import Scores
from streamspot.model.network import Network, Output
from streamspot.settings import FromYaml
from streamspot.training.batches import PointLabels
from streamspot.training.loop import Labeller, Trainer, predict
from streamspot.training.losses import Targets, total_loss
from streamspot.training.method import Given, Method, NetworkMethod, OnEpochScorer, Scorer, learn
from streamspot.training.pseudo import Pieces, adaptive, label, ones, toss
from streamspot.training.settings import LabelSettings, TrainSettings, checked, read_yaml


class Variant(FromYaml):
    """What a row changes beside the settings; it is the ``Method`` that ``crossval`` takes."""

    labels: Literal["cosine", "classwise", "lac", "hrpro"] | None = None
    """Labels of stage 3: similarity to the pseudo-apex, Gaussians round the class's mean feature (Table 3), LAC's
    interval of highest contrast, or HR-Pro's neighbours that resemble the class. The stages before it are those of
    ``labels`` in ``TrainSettings``, whose kind must have stages."""
    overlap: Literal["higher", "lower", "latest"] | None = None
    """Which label a tick keeps where two of one class meet (Table 4); None tosses a coin."""
    lowest: bool = False
    """Whether the ticks of lowest intensity count as neutral (Eq. 6), not every tick far from all points."""
    smooth: float = Field(default=0.0, ge=0)
    """λ1, weight of the smoothness (Eq. 11)."""
    norm: float = Field(default=0.0, ge=0)
    """λ2, weight of the norm (Eq. 10, as a mean over ticks)."""
    contrast: float = Field(default=0.0, ge=0)
    """λ3, weight of the contrastive loss (Eq. 7, as a mean over anchors)."""
    completeness: float = Field(default=0.0, ge=0)
    """Weight of LAC's score and feature contrast, from stage 2 on."""
    neutral: int = Field(default=0, ge=0)
    """Neutral ticks drawn for each near a point by a ``SampledTrainer``; 0 computes every tick."""
    official: float | None = Field(default=None, ge=0)
    """λ2 of an ``OfficialTrainer``, which needs ``neutral``; None trains as everywhere else."""
    second_stage: Literal["hrpro", "tspnet"] | None = None
    """What judges the network's proposals. A second stage needs whole proposals, so it cannot stream."""
    motion_rule: bool = False
    """A fixed window round the peaks of motion, without any learning."""

    @property
    def streams(self) -> bool:
        """Whether scores are known tick by tick: the others know a plateau only when it is over."""
        return self.second_stage is None and not self.motion_rule

    def describe(self) -> dict[str, Any]:
        """Return every choice beside ``TrainSettings``."""
        return {"name": "variant", **self.model_dump(mode="json")}

    def fit(
        self,
        recordings: Sequence[Recording],
        settings: TrainSettings,
        on_epoch: OnEpochScorer,
        **given: Unpack[Given],
    ) -> Scorer:
        """Train the network, if any, and give what judges recordings by it."""
        if self.motion_rule:
            return MotionRule(recordings)

        def judge(network: Network, unseen: Sequence[Recording]) -> dict[str, Scores]:
            if self.second_stage is None:
                return predict(network, unseen)
            stage = InstanceStage if self.second_stage == "hrpro" else CentreStage
            # the network's own training goes on as if nothing had been drawn
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(settings.seed)
                return stage(network, recordings, settings)(unseen)

        return learn(self.trainer(recordings, settings, **given), on_epoch, judge)

    def trainer(self, recordings: Sequence[Recording], settings: TrainSettings, **given: Any) -> Trainer:
        """Return what trains the network."""
        if self.official is not None:
            return OfficialTrainer(recordings, settings, neutral=self.neutral, norm=self.official, **given)
        if self.neutral:
            return SampledTrainer(recordings, settings, neutral=self.neutral, **given)
        criterion = partial(self.loss, settings)
        return Trainer(recordings, settings, labeller=self.labeller(), criterion=criterion, **given)

    def loss(  # noqa: PLR0917 - a ``Criterion``, after the settings
        self,
        settings: TrainSettings,
        epoch: int,
        output: Output,
        points: PointLabels,
        targets: Targets,
        generator: torch.Generator,
    ) -> Tensor:
        """Return the loss of a batch (Eq. 14)."""
        if self.lowest:
            neutral = lowest_neutral(output.intensity, targets.labels, targets.inside)
            targets = replace(targets, neutral=neutral)
        loss = total_loss(output, targets, settings.loss)
        if self.smooth:
            loss = loss + self.smooth * smooth_loss(output.intensity, targets.inside)
        if self.norm:
            loss = loss + self.norm * norm_loss(output.intensity, targets.inside)
        if self.contrast:
            loss = loss + self.contrast * contrast_loss(output.features, targets, generator)
        if self.completeness and epoch >= settings.labels.stages[0]:
            lacking = completeness_loss(output, points, targets.inside, settings.labels)
            loss = loss + self.completeness * lacking
        return loss

    def labeller(self) -> Labeller:
        """Return what turns points into labels, as ``pseudo.label`` does."""
        centres = Centres()

        def interval(
            intensity: Tensor, features: Tensor, points: PointLabels, _epoch: int, settings: LabelSettings
        ) -> Pieces:
            if self.labels == "lac":
                return ones(intensity, points, *complete_interval(intensity, points, settings))
            return ones(intensity, points, *similar_interval(features, points, centres.means, settings))

        stages = {None: adaptive, "cosine": cosine, "classwise": centres.classwise}
        overlap = OVERLAPS[self.overlap] if self.overlap else toss
        plain = partial(label, stage3=stages.get(self.labels, interval), overlap=overlap)

        def following(intensity: Tensor, features: Tensor, points: PointLabels, **how: Any) -> Tensor:
            centres.follow(features, points)
            return plain(intensity, features, points, **how)

        return following if self.labels in ("classwise", "hrpro") else plain


def _read(path: Path) -> dict[str, Any]:
    """Return the keys of a configuration and, where it has none, those of its ``base``; sections are joined."""
    values = read_yaml(path)
    if (base := values.pop("base", None)) is None:
        return values
    below = _read(path.with_name(f"{base}.yaml"))
    return below | {k: {**below.get(k, {}), **v} if isinstance(v, dict) else v for k, v in values.items()}


def load_experiment(path: Path, **override: Any) -> tuple[TrainSettings, Method]:
    """Read a configuration of ``experiments/configs``; keys given as arguments win.

    Raises:
        SettingsError: The file is missing or no YAML, a key of ``TrainSettings`` is unknown or a value impossible.
        ValidationError: So is one of the section ``variant``.
    """
    values = _read(path) | override
    variant = values.pop("variant", None)
    settings = checked(values, path)
    if variant is None:
        return settings, NetworkMethod()
    method = Variant.model_validate(variant)
    able = settings.network.encoder == "transformer" and settings.labels.kind != "full"
    simulated = settings.simulated.steps or settings.simulated.beside
    sampled = method.neutral or method.official is not None
    alone = method == Variant(neutral=method.neutral, official=method.official)
    if sampled and (not method.neutral or not able or simulated or not alone):
        raise SettingsError(
            f"the setting variant.neutral in {path} is wrong: it needs the transformer, points as labels, "
            "and losses of single ticks"
        )
    return settings, method
