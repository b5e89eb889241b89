"""Recordings whose every tick has a label (simulated motion, rendered actors), and how a network learns from them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from streamspot.model import Network
from streamspot.model.network import Output
from streamspot.motion.regions import LAYOUTS
from streamspot.simulation import Recording, Scenario

Array = NDArray[np.float32]

OnStep = Callable[[int, float], None]
"""Called after each optimiser step with its number and the loss of the intensity."""


@dataclass(frozen=True, slots=True)
class Example:
    """A recording as training takes it.

    Attributes:
        motion: (T, R, 2).
        targets: (T, 4): intensity, macro, micro, and 1 where the tick is judged.
    """

    motion: Array
    targets: Array

    @classmethod
    def of(cls, recording: Recording, ticks: int) -> Example:
        """Return the first ticks of a recording, the missing ones as stillness that is not judged.

        An expression that the measurement hardly shows, its peak below half of what the simulation calls visible, is
        not judged: neither to be found nor to be left alone.
        """
        motion = np.zeros((ticks, *recording.motion.shape[1:]), np.float32)
        targets = np.zeros((ticks, 4), np.float32)
        length = min(ticks, len(recording.motion))
        motion[:length] = recording.motion[:length]
        truth = np.column_stack((recording.intensity, recording.classes))
        targets[:length, :3], targets[:length, 3] = truth[:length], 1
        position = recording.motion.cumsum(0)
        for one in recording.instances:
            before = position[max(0, one.onset - 3) : one.onset + 1].mean(0)
            peak = np.abs(position[max(0, one.apex - 2) : one.apex + 3].mean(0) - before).max()
            if peak < 0.5 * Scenario().floor(one.kind):
                targets[max(0, one.onset - 3) : one.offset + 4, 3] = 0
        return cls(motion, targets)


ALONE = 0.3
"""Share of the recordings that become what other programs record."""


def augment(
    rng: np.random.Generator, example: Example, across: NDArray[np.int64], alone: float = ALONE
) -> Example:
    """Mirror, scale, slow down or speed up a recording, measure it worse and blind some of its regions.

    Args:
        rng: Source of chance.
        example: What to vary.
        across: Region on the other side of the face, for each.
        alone: Share of recordings that become what other programs record, see ``flow_alone``.

    Returns:
        The varied recording, of the same shape.
    """
    motion, targets = example.motion, example.targets
    ticks, regions, _ = motion.shape
    if rng.random() < 0.5:
        motion = motion[:, across] * np.array([-1, 1], np.float32)
    motion = motion * np.float32(np.exp(rng.normal(0, 0.2)))
    if rng.random() < 0.4:
        speed = float(rng.uniform(0.85, 1.15))
        at = np.minimum(np.arange(ticks) * speed, ticks - 1)
        left = np.minimum(at.astype(np.int64), ticks - 2)
        share = (at - left)[:, None].astype(np.float32)
        position = motion.cumsum(0).reshape(ticks, -1)
        warped = position[left] * (1 - share) + position[left + 1] * share
        motion = np.diff(warped, axis=0, prepend=warped[:1]).reshape(motion.shape)
        targets = targets[left] * (1 - share) + targets[left + 1] * share
    if rng.random() < 0.1:
        motion = motion + _fleeting(rng, motion.shape, 0.0004, 0.003)
    if rng.random() < 0.1:
        motion = motion + _errors(rng, motion.shape, 0.0003, 0.0015)
    if rng.random() < 0.15:
        motion = motion * (rng.random((1, regions, 1)) < 0.85)
    if rng.random() < alone:
        motion = flow_alone(rng, motion)
    return Example(motion.astype(np.float32), targets.astype(np.float32))


def flow_alone(rng: np.random.Generator, motion: Array, *, measured: bool = False) -> Array:
    """Return motion (T, R, 2) as other programs record it: ten regions, smaller, with what landmarks would correct.

    Simulated motion gets a walk of 0.6 to 1.8 thousandths of the inter-ocular distance a tick, and errors of 0.3 to
    1.2 that do not last: the power of the public features of CAS(ME)² between expressions, the unrest of the faces
    included. Errors of the size of their quiet half taught the network to see an expression in all that moves.

    Args:
        rng: Source of chance.
        motion: What moves.
        measured: Whether flow alone has measured it: then it walks by itself, and less is added.
    """
    shrink, spread, least, greatest = (
        (-0.45, 0.35, 0.0004, 0.0014) if measured else (-0.3, 0.3, 0.0006, 0.0018)
    )
    motion = motion * np.float32(np.exp(rng.normal(shrink, spread)))
    motion = motion + _errors(rng, motion.shape, least, greatest)
    motion = motion + _fleeting(rng, motion.shape, 0.0003, 0.0012)
    return motion * (np.arange(motion.shape[1]) < len(LAYOUTS["paper10"]))[:, None]


def _errors(rng: np.random.Generator, shape: tuple[int, ...], least: float, greatest: float) -> Array:
    """Return errors (T, R, 2) of a size between the two, a third of their power common to all regions."""
    size = np.float32(np.exp(rng.uniform(np.log(least), np.log(greatest))))
    own = rng.standard_normal(shape, dtype=np.float32) * np.float32(0.82)
    common = rng.standard_normal((shape[0], 1, 2), dtype=np.float32) * np.float32(0.57)
    return np.asarray(size * (own + common), np.float32)


def _fleeting(rng: np.random.Generator, shape: tuple[int, ...], least: float, greatest: float) -> Array:
    """Return the same as errors of the position, which the next tick takes back."""
    return np.diff(_errors(rng, shape, least, greatest), axis=0, prepend=np.float32(0))


_MOVING = 0.03
"""Inter-ocular distances in 16 ticks beyond which a face moves."""


def _far(motion: Tensor) -> Tensor:
    """Return how far the region that moves most gets in the 16 ticks around each (B, T), from (B, T, R, 2)."""
    ends = functional.pad(motion.flatten(2).cumsum(1).transpose(1, 2), (8, 8), mode="replicate")
    return (ends[..., 16:] - ends[..., :-16]).abs().amax(1)


def loss_of(out: Output, motion: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return the cross-entropy of intensity and of classes against the truth.

    A tick at an expression's edge or in the gap between two counts double, and so does one of a micro-expression,
    which is brief; one at which something else moves, most of it speech, counts four times.

    Args:
        out: What the network said.
        motion: (B, T, R, 2).
        targets: (B, T, 4), see ``Example``.
    """
    intensity, classes, judged = targets[..., 0], targets[..., 1:3], targets[..., 3] > 0.999
    edge = functional.max_pool1d(intensity.diff(dim=1).abs()[:, None], 5, 1, 2)[:, 0] > 0.3
    weight = 1 + functional.pad(edge.float(), (1, 0))
    weight = weight + 3 * ((_far(motion) > _MOVING) & (intensity == 0)).float()
    weight = weight * judged * (1 + (classes[..., 1] > 0.5).float())
    return (
        functional.binary_cross_entropy(out.intensity, intensity, weight),
        functional.binary_cross_entropy(out.classes, classes, weight[..., None]),
    )


def stacked(examples: Sequence[Example], device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """Return motion (B, T, R, 2) and targets (B, T, 4) of recordings of one length."""
    motion = torch.from_numpy(np.stack([one.motion for one in examples]))
    targets = torch.from_numpy(np.stack([one.targets for one in examples]))
    return motion.to(device), targets.to(device)


def learn(
    network: Network,
    draw: Callable[[], Sequence[Example]],
    *,
    steps: int,
    rate: float = 4e-3,
    average: float = 0.997,
    decay: float = 0.02,
    on_step: OnStep | None = None,
) -> Network:
    """Train a network on labelled recordings.

    Args:
        network: What is trained, in place.
        draw: Gives the recordings of one step.
        steps: Optimiser steps of AdamW.
        rate: Highest learning rate; reached after a tenth of the steps, in the second half it falls to 0.15 of it.
        average: Decay of the running mean of the weights, which is what is kept; it is as good as two networks
            together.
        decay: Weight decay.
        on_step: Told of each step.

    Returns:
        The network to keep, in evaluation mode.
    """
    device = next(network.parameters()).device
    optimiser = torch.optim.AdamW(network.train().parameters(), lr=rate, weight_decay=decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step / steps))
    kept = copy.deepcopy(network).requires_grad_(requires_grad=False)
    for step in range(steps):
        motion, targets = stacked(draw(), device)
        intensity, classes = loss_of(network(motion), motion, targets)
        optimiser.zero_grad()
        (intensity + classes).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        running_mean(kept, network, average, step)
        if on_step is not None:
            on_step(step, float(intensity.detach()))
    return kept.eval()


def _rate(progress: float) -> float:
    """Return the share of the highest learning rate."""
    return min(1.0, progress / 0.1 + 0.004) * (1.0 - 1.7 * max(0.0, progress - 0.5))


@torch.no_grad()
def running_mean(kept: Network, network: Network, decay: float, steps: int) -> None:
    """Move the kept weights towards the current ones; early in a training faster than the decay says.

    Args:
        kept: The running mean.
        network: What is trained.
        decay: Of the mean; 0 keeps the current weights.
        steps: Steps taken so far.
    """
    decay = min(decay, (1 + steps) / (10 + steps))
    for mean, now in zip(kept.parameters(), network.parameters(), strict=True):
        mean.lerp_(now, 1 - decay)
    for old, new in zip(kept.buffers(), network.buffers(), strict=True):
        old.copy_(new)
