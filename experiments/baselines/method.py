"""The baselines as one method for ``crossval``: other labels, a loss beside, a second stage, or no learning at all.

A configuration of ``experiments/configs`` names them in its section ``baseline``; all else are ``TrainSettings``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from experiments.baselines.hrpro import InstanceStage
from experiments.baselines.intervals import complete_interval, similar_interval
from experiments.baselines.lac import completeness_loss
from experiments.baselines.motion import MotionRule
from experiments.baselines.tspnet import CentreStage
from streamspot.datasets.recording import Recording
from streamspot.model.network import Network, Output
from streamspot.training.batches import PointLabels
from streamspot.training.loop import Trainer, predict
from streamspot.training.method import Judge, Method, NetworkMethod, OnEpoch
from streamspot.training.pseudo import label, lay, ones
from streamspot.training.settings import LabelSettings, TrainSettings, checked, read_yaml
from streamspot.training.simulated import Weights


class Baseline(BaseModel):
    """What a baseline changes; it is the ``Method`` that ``crossval`` takes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    labels: Literal["lac", "hrpro"] | None = None
    """Labels of stage 3: LAC's interval of highest contrast, or HR-Pro's neighbours that resemble the class.
    The stages before it are those of ``labels`` in ``TrainSettings``, whose kind must have stages."""
    completeness: float = Field(default=0.0, ge=0)
    """Weight of LAC's score and feature contrast, from stage 2 on."""
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
        return {"name": "baseline", **self.model_dump(mode="json")}

    def fit(
        self,
        recordings: Sequence[Recording],
        settings: TrainSettings,
        *,
        layout: str,
        start: Weights | None,
        device: str,
        on_epoch: OnEpoch,
    ) -> Judge:
        """Train the network, if any, and give what judges recordings by it."""
        if self.motion_rule:
            return MotionRule(recordings)
        trainer = Trainer(
            recordings,
            settings,
            layout=layout,
            start=start,
            device=device,
            labeller=partial(interval_label, self.labels) if self.labels else label,
            extra_loss=partial(self._completeness, settings.labels) if self.completeness else None,
        )

        def judge(network: Network, unseen: Sequence[Recording]) -> dict[str, Any]:
            return self._second_stage(network, recordings, settings)(unseen)

        network = trainer.run(lambda epoch, kept, _: on_epoch(epoch, partial(judge, kept)))
        return self._second_stage(network, recordings, settings)

    def _second_stage(
        self, network: Network, recordings: Sequence[Recording], settings: TrainSettings
    ) -> Judge:
        """Train the second stage, if any, on what the network was trained on."""
        if self.second_stage is None:
            return partial(predict, network)
        stage = InstanceStage if self.second_stage == "hrpro" else CentreStage
        with torch.random.fork_rng(
            devices=[]
        ):  # the network's own training goes on as if nothing had been drawn
            torch.manual_seed(settings.seed)
            return stage(network, recordings, settings)

    def _completeness(
        self, settings: LabelSettings, epoch: int, output: Output, points: PointLabels, inside: Tensor
    ) -> Tensor:
        if epoch < settings.stages[0]:
            return output.intensity.new_zeros(())
        return self.completeness * completeness_loss(output, points, inside, settings)


def interval_label(
    kind: Literal["lac", "hrpro"],
    intensity: Tensor,
    features: Tensor,
    points: PointLabels,
    *,
    epoch: int,
    settings: LabelSettings,
    generator: torch.Generator,
    centres: Tensor | None = None,
) -> Tensor:
    """Return labels (B, 2, T) as ``pseudo.label`` does, in stage 3 with LAC's or HR-Pro's intervals."""
    if epoch < sum(settings.stages):
        return label(
            intensity, features, points, epoch=epoch, settings=settings, generator=generator, centres=centres
        )
    shape = (intensity.shape[0], intensity.shape[1])
    intensity, features = intensity.detach().float(), features.detach().float()
    points = points.select((points.tick >= 0) & (points.tick < shape[1]))
    if not len(points):
        return torch.zeros(shape[0], 2, shape[1], device=intensity.device)
    if kind == "lac":
        first, last = complete_interval(intensity, points, settings)
    else:
        assert centres is not None  # noqa: S101 - the trainer follows them
        first, last = similar_interval(features, points, centres, settings)
    return lay(ones(intensity, points, first, last), points, shape, settings.overlap, generator)


def load_experiment(path: Path, **override: Any) -> tuple[TrainSettings, Method]:
    """Read a configuration of ``experiments/configs``; keys given as arguments win.

    Raises:
        SettingsError: The file is missing or no YAML, a key of ``TrainSettings`` is unknown or a value impossible.
        ValidationError: So is one of the section ``baseline``.
    """
    values = read_yaml(path) | override
    baseline = values.pop("baseline", None)
    method = NetworkMethod() if baseline is None else Baseline.model_validate(baseline)
    return checked(values, path), method
