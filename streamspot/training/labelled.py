"""Learning from recordings whose every tick has a label, which only simulated motion and rendered people give."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from streamspot.model import Network
from streamspot.model.network import Output
from streamspot.simulation import Scenario, Simulation
from streamspot.simulation.time_courses import Array

OnStep = Callable[[int, float], None]
"""Called after each optimiser step with its number and the loss of the intensity."""

Loss = Callable[[Output, Tensor, Tensor], tuple[Tensor, Tensor]]
"""Returns the losses of intensity and of classes: of an output, the motion (B, T, R, 2) and its targets (B, T, 4)."""

_MOVING = 0.03
"""Inter-ocular distances in 16 ticks beyond which a face moves."""


@dataclass(frozen=True, slots=True)
class Example:
    """A recording as training takes it.

    Attributes:
        motion: (T, R, 2) displacement since the last tick.
        targets: (T, 4): intensity, macro, micro, and 1 where the tick counts in the loss.
    """

    motion: Array
    targets: Array

    @classmethod
    def of(cls, simulation: Simulation, ticks: int) -> Example:
        """Return the first ticks of a simulation; missing ticks are still and do not count in the loss.

        Nor do the ticks of an expression that the measured motion hardly shows (its peak is below half of the
        smallest peak in ``Scenario``): the network is neither asked to find it nor to ignore it.
        """
        motion = np.zeros((ticks, *simulation.motion.shape[1:]), np.float32)
        targets = np.zeros((ticks, 4), np.float32)
        length = min(ticks, len(simulation.motion))
        motion[:length] = simulation.motion[:length]
        truth = np.column_stack((simulation.intensity, simulation.classes))
        targets[:length, :3], targets[:length, 3] = truth[:length], 1
        position = simulation.motion.cumsum(0)
        for one in simulation.instances:
            before = position[max(0, one.onset - 3) : one.onset + 1].mean(0)
            peak = np.abs(position[max(0, one.apex - 2) : one.apex + 3].mean(0) - before).max()
            if peak < 0.5 * Scenario().floor(one.kind):
                targets[max(0, one.onset - 3) : one.offset + 4, 3] = 0
        return cls(motion, targets)

    def shown(self) -> list[tuple[int, int]]:
        """Return where expressions are: the first tick of each and the one behind its last."""
        shown = np.concatenate(([False], self.targets[:, 0] > 0.3, [False])).astype(np.int8)
        edges = np.diff(shown)
        return list(
            zip(np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist(), strict=True)
        )


def stacked(examples: Sequence[Example], device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """Return motion (B, T, R, 2) and targets (B, T, 4) of examples of one length."""
    motion = torch.from_numpy(np.stack([one.motion for one in examples]))
    targets = torch.from_numpy(np.stack([one.targets for one in examples]))
    return motion.to(device), targets.to(device)


def labelled_loss(
    out: Output,
    motion: Tensor,
    targets: Tensor,
    *,
    moving: Tensor | float = 3.0,
    whole: Tensor | float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Return the cross-entropies of intensity and of classes, for motion (B, T, R, 2) and targets (B, T, 4).

    Three kinds of tick weigh more: the edges of an expression and the gap between two (twice), those of a
    micro-expression (twice), and those without an expression at which the face moves (``1 + moving`` times), most of
    it speech. All weigh ``whole`` times; both may differ from recording to recording, (B, 1), or from tick to
    tick, (B, T).
    """
    intensity, classes, judged = targets[..., 0], targets[..., 1:3], targets[..., 3] > 0.999
    edge = functional.max_pool1d(intensity.diff(dim=1).abs()[:, None], 5, 1, 2)[:, 0] > 0.3
    weight = 1 + functional.pad(edge.float(), (1, 0))
    weight = weight + moving * ((_moved(motion) > _MOVING) & (intensity == 0)).float()
    weight = whole * weight * judged * (1 + (classes[..., 1] > 0.5).float())
    return (
        functional.binary_cross_entropy(out.intensity, intensity, weight),
        functional.binary_cross_entropy(out.classes, classes, weight[..., None]),
    )


def _moved(motion: Tensor) -> Tensor:
    """Return how far the region that moves most gets in the 16 ticks around each (B, T), from (B, T, R, 2)."""
    ends = functional.pad(motion.flatten(2).cumsum(1).transpose(1, 2), (8, 8), mode="replicate")
    return (ends[..., 16:] - ends[..., :-16]).abs().amax(1)


def learn(
    network: Network,
    draw: Callable[[], Sequence[Example]],
    *,
    steps: int,
    rate: float = 4e-3,
    on_step: OnStep | None = None,
    loss: Loss = labelled_loss,
) -> Network:
    """Train a network in place on fully labelled recordings, of which ``draw`` gives those of a step.

    ``rate`` is the highest learning rate; ``loss`` takes the place of ``labelled_loss``.

    Returns:
        A network of the running mean of its weights, in evaluation mode.
    """
    device = next(network.parameters()).device
    optimiser = torch.optim.AdamW(network.train().parameters(), lr=rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: share_of_rate(step / steps))
    kept = copy.deepcopy(network).requires_grad_(requires_grad=False)
    for step in range(steps):
        motion, targets = stacked(draw(), device)
        intensity, classes = loss(network(motion), motion, targets)
        descend(optimiser, network, intensity + classes)
        schedule.step()
        running_mean(kept, network, 0.997, step)
        if on_step is not None:
            on_step(step, float(intensity.detach()))
    return kept.eval()


def descend(optimiser: torch.optim.Optimizer, network: Network, loss: Tensor) -> None:
    """Take one step down a loss; the gradient is no longer than 1."""
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimiser.step()


def share_of_rate(progress: float) -> float:
    """Return the share of the highest learning rate: up for 15 % of the run, then down as a cosine."""
    if progress < 0.15:
        return 0.01 + 0.99 * progress / 0.15
    return 0.02 + 0.49 * (1 + math.cos(math.pi * (progress - 0.15) / 0.85))


@torch.no_grad()
def running_mean(kept: Network, network: Network, decay: float, steps: int) -> None:
    """Move the kept weights towards the current ones; after few ``steps`` faster than ``decay`` says."""
    decay = min(decay, (1 + steps) / (10 + steps))
    torch._foreach_lerp_(list(kept.parameters()), list(network.parameters()), 1 - decay)
    torch._foreach_copy_(list(kept.buffers()), list(network.buffers()))
