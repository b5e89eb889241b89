"""Train the shipped weights on simulated motion and on the measured motion of rendered actors, with full labels.

``python -m streamspot.training.simulated --performed FOLDER --out models/streamspot-base.safetensors`` makes them
again; FOLDER is what ``benchmarks/performed.py`` wrote.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from streamspot import __version__
from streamspot.model import Model, ModelConfig, Network
from streamspot.model.join import join
from streamspot.motion.regions import layout
from streamspot.simulation import Instance, Recording, simulate
from streamspot.simulation.units import mirror
from streamspot.spotting import SpotSettings
from streamspot.training.labelled import ALONE, Example, augment, flow_alone, learn
from streamspot.training.provenance import commit
from streamspot.types import Kind

Array = NDArray[np.float32]

HELD_OUT = 10_000_000
"""Seeds from here on are never trained on."""

SPOTTING = {"macro_ticks": (12, SpotSettings().longest), "trough_share": 0.6}
"""How these weights' curves are decoded. They have learned expressions from end to end, and to open a gap where one
follows another: a run is hardly shorter than its macro-expression, and a shallow dip is a wobble."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the weights are trained.

    Attributes:
        seed: Of the recordings, and added to the networks' own.
        recordings: Number of simulated recordings.
        ticks: Length of each.
        steps: Optimiser steps.
        batch: Simulated recordings a step.
        performed: Recordings of rendered actors a step, where there are any.
        rate: Highest learning rate.
        networks: Seeds of the batches and the first weights of each network that is trained; they are joined.
        threads: Processor threads.
        device: Where to train: cpu or cuda; what ships was trained on cpu.
    """

    seed: int = 0
    recordings: int = 1200
    ticks: int = 600
    steps: int = 3000
    batch: int = 6
    performed: int = 9
    rate: float = 4e-3
    networks: tuple[int, ...] = (0, 2)
    threads: int = 1
    device: str = "cpu"


@dataclass(frozen=True, slots=True)
class Pool:
    """Examples of one kind.

    Attributes:
        examples: As a stream measures them, or as they are simulated.
        flow: The same as flow alone measures them, empty where nothing was measured.
        share: How many of them a step takes.
    """

    examples: Sequence[Example]
    flow: Sequence[Example]
    share: int

    @classmethod
    def of(cls, recordings: Sequence[Recording], ticks: int, share: int) -> Pool:
        """Return the pool of these recordings."""
        examples = [Example.of(one, ticks) for one in recordings]
        flow = [
            Example.of(replace(one, motion=one.flow), ticks) for one in recordings if one.flow is not None
        ]
        return cls(examples, flow if len(flow) == len(examples) else (), share)

    def draw(self, rng: np.random.Generator, across: NDArray[np.int64]) -> list[Example]:
        """Return a step's share, varied; three in ten as other programs record faces."""
        return [self._varied(rng, i, across) for i in rng.integers(0, len(self.examples), self.share)]

    def _varied(self, rng: np.random.Generator, number: int, across: NDArray[np.int64]) -> Example:
        if not self.flow:
            return augment(rng, self.examples[number], across)
        if rng.random() >= ALONE:
            return augment(rng, self.examples[number], across, alone=0.0)
        one = augment(rng, self.flow[number], across, alone=0.0)
        return replace(one, motion=flow_alone(rng, one.motion, measured=True).astype(np.float32))


def train(config: ModelConfig, recipe: Recipe, performed: Sequence[Recording] = ()) -> Model:
    """Train on simulated motion, and on that of rendered actors where there is any.

    Args:
        config: Of each of the networks that are joined.
        recipe: How they are trained.
        performed: Recordings of actors.
    """
    torch.set_num_threads(recipe.threads)
    simulated = [
        simulate(recipe.seed * 100_000 + number, recipe.ticks, layout=config.layout)
        for number in range(recipe.recordings)
    ]
    pools = [
        Pool.of(recordings, recipe.ticks, share)
        for recordings, share in ((simulated, recipe.batch), (performed, recipe.performed))
        if recordings
    ]
    networks = [_learned(config, recipe, pools, recipe.seed + own) for own in recipe.networks]
    return Model(join(networks), _provenance(recipe, len(performed)), spotting=SPOTTING)


def _learned(config: ModelConfig, recipe: Recipe, pools: Sequence[Pool], seed: int) -> Network:
    """Return the network of that seed, trained."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    across = mirror(layout(config.layout))

    def draw() -> list[Example]:
        return [one for pool in pools for one in pool.draw(rng, across)]

    started, shown = time.monotonic(), 0.0

    def on_step(step: int, loss: float) -> None:
        nonlocal shown
        shown = 0.95 * shown + 0.05 * loss
        if step % 50 == 49 or step == recipe.steps - 1:
            recent = shown / (1 - 0.95 ** (step + 1))
            took = time.monotonic() - started
            line = f"network {seed}, step {step + 1}/{recipe.steps}: loss {recent:.4f}, {took:.0f} s"
            print(line, flush=True)  # noqa: T201

    network = Network(config).to(recipe.device)
    return learn(network, draw, steps=recipe.steps, rate=recipe.rate, on_step=on_step)


def _provenance(recipe: Recipe, performed: int) -> dict[str, object]:
    """Return how the weights came about."""
    return {
        "protocol": "simulated motion and rendered actors, full labels, last step, joined",
        "seed": recipe.seed,
        "steps": recipe.steps,
        "batch": recipe.batch,
        "networks": list(recipe.networks),
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
