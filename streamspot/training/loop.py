"""The training loop: one network, the recordings of the training subjects, one time stamp an expression."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from streamspot.datasets.recording import Recording
from streamspot.errors import DataError, SettingsError
from streamspot.evaluation.search import Scores
from streamspot.model.config import ModelConfig
from streamspot.model.network import Network, Output
from streamspot.model.weights import find_device
from streamspot.motion.regions import LAYOUTS, mirror
from streamspot.training.batches import Batch, PointLabels, augment, batches
from streamspot.training.join import beside, join, known
from streamspot.training.labelled import descend, labelled_loss, running_mean, share_of_rate, stacked
from streamspot.training.losses import Targets, known_neutral, total_loss
from streamspot.training.pseudo import label
from streamspot.training.resume import TrainingState
from streamspot.training.settings import TrainSettings
from streamspot.training.simulated import SimulationPool, Weights

OnEpoch = Callable[[int, Network, float], None]
"""Called after each epoch with its number, the network that would be kept, and the mean loss."""

OnShare = Callable[[float, float], object]
"""Called after each step with its share of an epoch and its loss."""

Labeller = Callable[..., Tensor]
"""Turns the points of a batch into labels (B, 2, T); it is called as ``pseudo.label`` is."""

Criterion = Callable[[int, Output, PointLabels, Targets, torch.Generator], Tensor]
"""Returns the loss of a batch: of the epoch, the output, the points, the targets, and what all draws come from."""

SHARES = ((1.0, 1.0, 0.5), (0.0, 0.0, 0.5))
"""What the trained network and its partner count in intensity, macro and micro. Of micro-expressions both know little
and err in different places; of macro-expressions the trained one knows more."""

_NEUTRAL_BIAS = -3.0
"""Faces are neutral most of the time: the intensity starts at 0.05, not at 0.5."""


class Trainer:
    """Trains one network on the training subjects' recordings.

    It begins with the weights ``start`` (see ``simulated.start``), with those that the settings name, or with random
    ones. ``criterion`` takes the place of ``total_loss``; ``on_step`` is told of each step.

    Raises:
        DataError: No recording has an expression.
        ModelError: The device is not there, or the weights that the settings name cannot be used.
        SettingsError: The weights that the settings name do not fit.
    """

    def __init__(
        self,
        recordings: Sequence[Recording],
        settings: TrainSettings,
        *,
        layout: str,
        start: Weights | None = None,
        name: str = "unnamed",
        device: str = "cpu",
        labeller: Labeller = label,
        criterion: Criterion | None = None,
        on_step: OnShare | None = None,
    ) -> None:
        _check(recordings, settings)
        self.recordings, self.settings, self.device = recordings, settings, find_device(device)
        config = settings.network.config(name, layout, recordings[0].motion.shape[1])
        torch.manual_seed(settings.seed)
        self.network, self.partner_name = _begun(settings.start, config)
        """``partner_name`` are weights that judge beside the trained network, perhaps within those it begins with."""
        self.partner: Network | None = None
        if self.partner_name is None:
            with torch.random.fork_rng(devices=[]):  # a training draws the same with and without a partner
                self.partner = beside(settings.partner, self.network.config)
            self.partner_name = None if self.partner is None else settings.partner
        if start is not None:
            self.network.load_state_dict(start)
        self.network.to(self.device)
        self.kept = Network(self.network.config).to(self.device)
        self.kept.load_state_dict(self.network.state_dict())
        self._across = mirror(LAYOUTS[layout]) if layout in LAYOUTS else None
        self._rng = np.random.default_rng(settings.seed)
        self.generator = torch.Generator().manual_seed(settings.seed)
        self.label = partial(labeller, settings=settings.labels, generator=self.generator)
        self._criterion, self._on_step = criterion, on_step
        self._optimiser: torch.optim.Optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self._reach = _reach(settings)
        self._steps, self._epoch = 0, 0
        simulated = settings.simulated
        self._simulated: SimulationPool | None = None
        if simulated.beside:
            self._simulated = SimulationPool(layout, seed=settings.seed, recordings=simulated.recordings)

    def run(self, on_epoch: OnEpoch | None = None) -> Network:
        """Train, from the epoch on at which it stopped, and return the network to keep, in evaluation mode.

        Raises:
            SettingsError: It diverged.
        """
        for epoch in range(self._epoch, self.settings.epochs):
            self.network.train()
            found = self.epoch_batches()
            losses = []
            for part, batch in found:
                losses.append(self._step(epoch, part, batch))
                if self._on_step is not None:
                    self._on_step(1 / len(found), losses[-1])
            if not all(map(math.isfinite, losses)) or not all(
                one.isfinite().all() for one in self.network.parameters()
            ):
                raise SettingsError(
                    f"the training diverged in epoch {epoch + 1}; choose a lower learning_rate"
                )
            self._epoch = epoch + 1
            if on_epoch is not None:
                on_epoch(epoch, self.result(), float(np.mean(losses)))
        return self.result()

    def result(self) -> Network:
        """Return the network to keep if training ended here, joined with its partner if it has one."""
        network = self.kept.eval()
        if self.partner is None:
            return network
        with torch.random.fork_rng(devices=[]):  # training goes on as if nothing had been drawn
            return join([network, self.partner], SHARES).to(self.device)

    def state(self) -> TrainingState:
        """Return what it needs to go on after this epoch, and then to end as if it had never stopped."""
        tensors = {f"network/{name}": value for name, value in self.network.state_dict().items()}
        tensors |= {f"kept/{name}": value for name, value in self.kept.state_dict().items()}
        for number, moments in self._optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser/{number}/{name}": value for name, value in moments.items()}
        tensors |= {"random/draws": self.generator.get_state(), "random/dropout": torch.get_rng_state()}
        if self.device.type == "cuda":
            tensors["random/cuda"] = torch.cuda.get_rng_state(self.device)
        draws = [one.bit_generator.state for one in self._draws()]
        return tensors, {"epoch": self._epoch, "steps": self._steps, "draws": draws}

    def go_on(self, state: TrainingState) -> None:
        """Go on from such a state of a training with the same recordings and settings."""
        parts: dict[str, dict[str, Tensor]] = {}
        for name, value in state[0].items():
            part, _, rest = name.partition("/")
            parts.setdefault(part, {})[rest] = value
        self.network.load_state_dict(parts["network"])
        self.kept.load_state_dict(parts["kept"])
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in parts.get("optimiser", {}).items():
            number, _, rest = name.partition("/")
            moments.setdefault(int(number), {})[rest] = value
        self._optimiser.load_state_dict(self._optimiser.state_dict() | {"state": moments})
        self.generator.set_state(parts["random"]["draws"])
        torch.set_rng_state(parts["random"]["dropout"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(parts["random"]["cuda"], self.device)
        self._epoch, self._steps = state[1]["epoch"], state[1]["steps"]
        for one, drawn in zip(self._draws(), state[1]["draws"], strict=True):
            one.bit_generator.state = drawn
        if self._on_step is not None and self._epoch:
            self._on_step(self._epoch, math.nan)

    def _draws(self) -> list[np.random.Generator]:
        """Return where it and the simulation draw from."""
        return [self._rng] if self._simulated is None else [self._rng, self._simulated.rng]

    def epoch_batches(self) -> list[tuple[float, Batch]]:
        """Draw the batches of one epoch, each with its place in [0, 1): whole passes, at least ``min_steps``."""
        settings = self.settings
        ahead = settings.network.look_ahead
        found: list[Batch] = []
        while len(found) < settings.min_steps:
            found += batches(self.recordings, settings.crop, settings.batch, ahead, self._rng)
        return [(i / len(found), batch) for i, batch in enumerate(found)]

    def _step(self, epoch: int, part: float, batch: Batch) -> float:
        """Take one step and return its loss."""
        settings = self.settings
        for group in self._optimiser.param_groups:
            group["lr"] = self.rate(epoch, part)
        unit = 1 / self.network.config.input_scale
        motion = augment(batch.motion, settings.augment, self._across, unit, self.generator).to(self.device)
        points, inside = batch.points.to(self.device), batch.inside.to(self.device)
        loss = self.loss(epoch, motion, points, inside) + self._simulated_loss()
        descend(self._optimiser, self.network, loss)
        self._steps += 1
        running_mean(self.kept, self.network, settings.average, self._steps)
        return float(loss.detach())

    def rate(self, epoch: int, part: float) -> float:
        """Return the learning rate of the step at this place, in [0, 1), of an epoch."""
        return share_of_rate((epoch + part) / self.settings.epochs) * self.settings.learning_rate

    def loss(self, epoch: int, motion: Tensor, points: PointLabels, inside: Tensor) -> Tensor:
        """Return the loss of a batch of motion (B, N, R, 2) with the ticks that count (B, N)."""
        output = self.judged(lambda: self.network(motion))
        labels = self.label(output.intensity, output.intermediate, points, epoch=epoch)
        targets = Targets(labels, self.neutral(points, inside), inside)
        if self._criterion is not None:
            return self._criterion(epoch, output, points, targets, self.generator)
        return total_loss(output, targets, self.settings.loss)

    def neutral(self, points: PointLabels, inside: Tensor) -> Tensor:
        """Return the ticks (B, N) of those inside that count as neutral unless they are labelled."""
        return known_neutral(points, inside, self._reach.to(inside.device))

    def judged(self, forward: Callable[[], Output]) -> Output:
        """Return an output that is computed in the settings' precision, in float32."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.precision == "bf16"):
            output = forward()
        return Output(*(getattr(output, name).float() for name in Output.__slots__))

    def _simulated_loss(self) -> Tensor | float:
        """Return the loss of some simulated recordings, 0 without any."""
        if self._simulated is None:
            return 0.0
        simulated = self.settings.simulated
        motion, targets = stacked(self._simulated.draw(simulated.beside), self.device)
        return sum(labelled_loss(self.judged(lambda: self.network(motion)), motion, targets))


def _check(recordings: Sequence[Recording], settings: TrainSettings) -> None:
    """Refuse recordings that nothing can be learned from."""
    if not any(r.instances for r in recordings):
        raise DataError("no recording for training has an expression; add point labels to annotations.csv")
    if settings.labels.kind == "full" and not all(i.bounded for r in recordings for i in r.instances):
        raise DataError("some expressions have a point alone; labels of the kind full need onset and offset")


def _begun(start: str | None, config: ModelConfig) -> tuple[Network, str | None]:
    """Return the network that a training begins with, and the name of the weights that are joined with it already."""
    if start is not None:
        return known(start, config)
    network = Network(config)
    nn.init.constant_(network.intensity.bias, _NEUTRAL_BIAS)
    return network, None


def _reach(settings: TrainSettings) -> Tensor:
    """Return how far before and after a point a tick may belong to its expression, (2, 2)."""
    labels, margin = settings.labels, torch.tensor(settings.loss.margin)[:, None]
    if labels.kind == "full":
        return torch.full((2, 2), -1)  # whatever has no label is neutral
    if labels.kind == "window":
        return torch.tensor(labels.window) + margin
    return (torch.tensor(labels.duration)[:, None] // 2 + margin).expand(2, 2)


@torch.no_grad()
def predict(network: Network, recordings: Iterable[Recording]) -> dict[str, Scores]:
    """Return intensity and class probabilities of every tick, ``(T, 3)`` float32 by name of the recording."""
    device = next(network.parameters()).device
    network.eval()
    return {
        one.name: network(torch.from_numpy(one.motion)[None].to(device)).scores[0].float().cpu().numpy()
        for one in recordings
    }
