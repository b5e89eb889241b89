"""Train the shipped weights on simulated motion and on the measured motion of rendered actors, with full labels.

``python -m streamspot.training.simulated --performed FOLDER --out models/streamspot-base.safetensors`` makes them
again; FOLDER is what ``benchmarks/performed.py`` wrote.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from streamspot import __version__
from streamspot.flow.regions import LAYOUTS, layout
from streamspot.model import Model, ModelConfig, Network
from streamspot.model.network import Output
from streamspot.simulation import Instance, Recording, Scenario, simulate
from streamspot.simulation.units import mirror
from streamspot.training.loop import running_mean
from streamspot.training.provenance import commit
from streamspot.types import Kind

Array = NDArray[np.float32]

HELD_OUT = 10_000_000
"""Seeds from here on are never trained on."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the weights are trained.

    Attributes:
        seed: Of the recordings, the batches and the first weights.
        recordings: Number of simulated recordings.
        ticks: Length of each.
        steps: Optimiser steps.
        batch: Simulated recordings a step.
        performed: Recordings of rendered actors a step, where there are any.
        rate: Highest learning rate; reached after a tenth of the steps, in the second half it falls to 0.15 of it.
        average: Decay of the running mean of the weights, which is what is kept; it is as good as two networks
            together.
        decay: Weight decay.
        threads: Processor threads.
        device: Where to train: cpu or cuda; what ships was trained on cpu.
    """

    seed: int = 0
    recordings: int = 1200
    ticks: int = 600
    steps: int = 2500
    batch: int = 6
    performed: int = 9
    rate: float = 4e-3
    average: float = 0.997
    decay: float = 0.02
    threads: int = 1
    device: str = "cpu"


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


def augment(rng: np.random.Generator, example: Example, across: NDArray[np.int64]) -> Example:
    """Mirror, scale, slow down or speed up a recording, measure it worse and blind some of its regions.

    Three in ten recordings become what other programs record, see ``flow_alone``.

    Args:
        rng: Source of chance.
        example: What to vary.
        across: Region on the other side of the face, for each.

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
    if rng.random() < 0.3:
        motion = flow_alone(rng, motion)
    return Example(motion.astype(np.float32), targets.astype(np.float32))


def flow_alone(rng: np.random.Generator, motion: Array) -> Array:
    """Return motion (T, R, 2) as other programs record it: ten regions, smaller, with what landmarks would correct.

    A walk of 0.6 to 1.8 thousandths of the inter-ocular distance a tick, and errors of 0.3 to 1.2 that do not last:
    the power of the public features of CAS(ME)² between expressions, the unrest of the faces included. Errors of the
    size of their quiet half taught the network to see an expression in all that moves.
    """
    motion = motion * np.float32(np.exp(rng.normal(-0.3, 0.3)))
    motion = motion + _errors(rng, motion.shape, 0.0006, 0.0018)
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
    which is brief; one at which something else moves, most of it speech, counts three times.

    Args:
        out: What the network said.
        motion: (B, T, R, 2).
        targets: (B, T, 4), see ``Example``.
    """
    intensity, classes, judged = targets[..., 0], targets[..., 1:3], targets[..., 3] > 0.999
    edge = functional.max_pool1d(intensity.diff(dim=1).abs()[:, None], 5, 1, 2)[:, 0] > 0.3
    weight = 1 + functional.pad(edge.float(), (1, 0))
    weight = weight + 2 * ((_far(motion) > _MOVING) & (intensity == 0)).float()
    weight = weight * judged * (1 + (classes[..., 1] > 0.5).float())
    return (
        functional.binary_cross_entropy(out.intensity, intensity, weight),
        functional.binary_cross_entropy(out.classes, classes, weight[..., None]),
    )


def train(config: ModelConfig, recipe: Recipe, performed: Sequence[Recording] = ()) -> Model:
    """Train a network on simulated motion, and on that of rendered actors where there is any."""
    torch.set_num_threads(recipe.threads)
    torch.manual_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)
    simulated = [
        simulate(recipe.seed * 100_000 + number, recipe.ticks, layout=config.layout)
        for number in range(recipe.recordings)
    ]
    pools = [
        ([Example.of(recording, recipe.ticks) for recording in recordings], share)
        for recordings, share in ((simulated, recipe.batch), (performed, recipe.performed))
        if recordings
    ]
    across = mirror(layout(config.layout))
    network = Network(config).train().to(recipe.device)
    optimiser = torch.optim.AdamW(network.parameters(), lr=recipe.rate, weight_decay=recipe.decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step / recipe.steps))
    kept = copy.deepcopy(network).requires_grad_(requires_grad=False)
    started, shown = time.monotonic(), 0.0
    for step in range(recipe.steps):
        chosen = [pool[i] for pool, share in pools for i in rng.integers(0, len(pool), share)]
        varied = [augment(rng, one, across) for one in chosen]
        motion = torch.from_numpy(np.stack([one.motion for one in varied])).to(recipe.device)
        targets = torch.from_numpy(np.stack([one.targets for one in varied])).to(recipe.device)
        intensity, classes = loss_of(network(motion), motion, targets)
        optimiser.zero_grad()
        (intensity + classes).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        running_mean(kept, network, recipe.average, step)
        shown = 0.95 * shown + 0.05 * float(intensity.detach())
        if step % 50 == 49 or step == recipe.steps - 1:
            recent = shown / (1 - 0.95 ** (step + 1))
            line = f"step {step + 1}/{recipe.steps}: loss {recent:.4f}, {time.monotonic() - started:.0f} s"
            print(line, flush=True)  # noqa: T201
    return Model(kept.eval(), _provenance(recipe, len(performed)))


def _rate(progress: float) -> float:
    """Return the share of the highest learning rate."""
    return min(1.0, progress / 0.1 + 0.004) * (1.0 - 1.7 * max(0.0, progress - 0.5))


def _provenance(recipe: Recipe, performed: int) -> dict[str, object]:
    """Return how the weights came about."""
    return {
        "protocol": "simulated motion and rendered actors, full labels, last step",
        "seed": recipe.seed,
        "steps": recipe.steps,
        "batch": recipe.batch,
        "recordings": recipe.recordings,
        "performed": performed,
        "commit": commit(),
        "version": __version__,
    }


def runs(intensity: Array, threshold: float = 0.5) -> list[tuple[int, int]]:
    """Return first and last tick of each run above the threshold that lasts at least 4 ticks."""
    above = np.concatenate(([False], intensity > threshold, [False])).astype(np.int8)
    edges = np.diff(above)
    pairs = zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1, strict=True)
    return [(int(a), int(b)) for a, b in pairs if b - a >= 3]


def matched(found: Sequence[tuple[int, int]], truth: Sequence[Instance]) -> dict[int, int]:
    """Return found number → truth number, one-to-one with inclusive IoU ≥ 0.5."""
    out: dict[int, int] = {}
    for i, (start, end) in enumerate(found):
        for j, one in enumerate(truth):
            shared = min(end, one.offset) - max(start, one.onset) + 1
            union = max(end, one.offset) - min(start, one.onset) + 1
            if shared / union >= 0.5 and j not in out.values():
                out[i] = j
                break
    return out


def evaluate(model: Model, recordings: Sequence[Recording]) -> dict[str, float]:
    """Judge a model on simulated recordings with one threshold of 0.5, every false event counted.

    Returns:
        ``mse`` of the intensity a tick, ``f1`` of all events regardless of their kind, ``f1_macro`` and
        ``f1_micro`` with the kind required, ``false_per_hour``.
    """
    squares, ticks = 0.0, 0
    kinds: tuple[Kind, Kind] = ("macro", "micro")
    counts = {key: np.zeros(3) for key in ("all", *kinds)}  # true, found, present
    for one in recordings:
        out = model.forward(one.motion[None])
        intensity, classes = out.intensity[0].cpu().numpy(), out.classes[0].cpu().numpy()
        squares += float(((intensity - one.intensity) ** 2).sum())
        ticks += len(intensity)
        found = runs(intensity)
        said = [kinds[int(classes[a : b + 1].mean(0).argmax())] for a, b in found]
        counts["all"] += len(matched(found, one.instances)), len(found), len(one.instances)
        for kind in kinds:
            mine = [span for span, its in zip(found, said, strict=True) if its == kind]
            theirs = [instance for instance in one.instances if instance.kind == kind]
            counts[kind] += len(matched(mine, theirs)), len(mine), len(theirs)
    f1 = {key: 2 * true / max(found + present, 1) for key, (true, found, present) in counts.items()}
    false = counts["all"][1] - counts["all"][0]
    return {
        "mse": squares / ticks,
        "f1": float(f1["all"]),
        "f1_macro": float(f1["macro"]),
        "f1_micro": float(f1["micro"]),
        "recall": float(counts["all"][0] / max(counts["all"][2], 1)),
        "false_per_hour": float(false / ticks * 108_000),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, judge on held-out simulation and save."""
    parser = argparse.ArgumentParser(description="Train weights on simulated motion.")
    parser.add_argument("--out", type=Path, required=True, help="file to write, .safetensors")
    parser.add_argument(
        "--performed", type=Path, help="folder of rendered actors' motion; the shipped weights have seen some"
    )
    parser.add_argument("--layout", default="face17", help="region layout: face17 or paper10")
    parser.add_argument("--look-ahead", type=int, default=8, help="ticks: 0, 4, 8 or 16")
    parser.add_argument("--seed", type=int, default=Recipe().seed)
    parser.add_argument("--steps", type=int, default=Recipe().steps)
    parser.add_argument("--threads", type=int, default=Recipe().threads)
    parser.add_argument("--device", default=Recipe().device, help="cpu or cuda")
    given = parser.parse_args(arguments)
    recipe = Recipe(seed=given.seed, steps=given.steps, threads=given.threads, device=given.device)
    config = ModelConfig(name=given.out.stem, layout=given.layout, look_ahead=given.look_ahead, width=64)
    folder: Path | None = given.performed
    performed = [] if folder is None else [Recording.load(path) for path in sorted(folder.glob("*.npz"))]
    model = train(config, recipe, performed)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    model.save(given.out)
    held_out = [simulate(HELD_OUT + number, layout=config.layout) for number in range(200)]
    print(json.dumps(evaluate(model, held_out), indent=2))  # noqa: T201


if __name__ == "__main__":
    main()
