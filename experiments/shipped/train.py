"""Train the shipped weights on simulated motion and on the measured motion of rendered actors, with full labels.

``python -m experiments.shipped.train --actors FOLDER --out models/streamspot-base.safetensors`` makes them again;
FOLDER is what ``experiments.shipped.perform`` wrote.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from experiments.shipped.acted import Acted
from experiments.shipped.held_out import HELD_OUT, held_out_figures
from streamspot import __version__
from streamspot.model import Model, ModelConfig, Network
from streamspot.motion.regions import layout, mirror
from streamspot.simulation import Simulation, simulate
from streamspot.spotting import SpotSettings
from streamspot.training.join import join
from streamspot.training.labelled import Example, learn
from streamspot.training.provenance import commit
from streamspot.training.simulated import FLOW_ALONE_SHARE, flow_alone, vary

SPOTTING = {"macro_ticks": (12, SpotSettings().longest), "trough_share": 0.6}
"""How these weights' curves are decoded. They learned expressions from end to end, so a run of high intensity is
hardly shorter than its macro-expression; and they learned to dip between two expressions, so a shallow dip is
within one."""

measured_flow = partial(flow_alone, shrink=-0.45, spread=0.35, drift=(0.0004, 0.0014))
"""For what flow alone has measured of an actor: it has errors of its own, so fewer are added."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the weights are trained.

    Attributes:
        seed: Seed of the simulations, added to the seeds of the networks.
        recordings: Number of simulated recordings.
        ticks: Length of each.
        steps: Optimiser steps.
        batch: Simulated recordings a step.
        acted: Recordings of rendered actors a step, where there are any.
        networks: One seed for each network that is trained, of its batches and first weights; they are joined.
        threads: Processor threads.
        device: Where to train: cpu or cuda; what ships was trained on cpu.
    """

    seed: int = 0
    recordings: int = 1200
    ticks: int = 600
    steps: int = 3000
    batch: int = 6
    acted: int = 9
    networks: tuple[int, ...] = (0, 2)
    threads: int = 1
    device: str = "cpu"


@dataclass(frozen=True, slots=True)
class Pool:
    """Examples of one kind, simulated or acted.

    Attributes:
        examples: As a stream measures them, or as they are simulated.
        flow: The same as flow alone measures them, empty where nothing was measured.
        share: How many of them a step takes.
    """

    examples: Sequence[Example]
    flow: Sequence[Example]
    share: int

    @classmethod
    def of(cls, recordings: Sequence[Simulation], ticks: int, share: int) -> Pool:
        """Return the pool of these recordings."""
        examples = [Example.of(one, ticks) for one in recordings]
        flow = [
            Example.of(replace(one, motion=one.flow), ticks) for one in recordings if isinstance(one, Acted)
        ]
        return cls(examples, flow, share)

    def draw(self, rng: np.random.Generator, across: Sequence[int]) -> list[Example]:
        """Draw a step's share, varied; three in ten look like recordings by flow alone."""
        return [self._varied(rng, i, across) for i in rng.integers(0, len(self.examples), self.share)]

    def _varied(self, rng: np.random.Generator, number: int, across: Sequence[int]) -> Example:
        if not self.flow:
            return vary(rng, self.examples[number], across)
        if rng.random() >= FLOW_ALONE_SHARE:
            return vary(rng, self.examples[number], across, flow_alone_share=0.0)
        one = vary(rng, self.flow[number], across, flow_alone_share=0.0)
        return replace(one, motion=measured_flow(rng, one.motion).astype(np.float32))


def make_weights(config: ModelConfig, recipe: Recipe, acted: Sequence[Acted] = ()) -> Model:
    """Train on simulated motion, and on that of rendered actors where there is any.

    Args:
        config: Of each of the networks that are joined.
        recipe: How they are trained.
        acted: Recordings of actors.
    """
    torch.set_num_threads(recipe.threads)
    simulated = [
        simulate(recipe.seed * 100_000 + number, recipe.ticks, layout=config.layout)
        for number in range(recipe.recordings)
    ]
    pools = [
        Pool.of(recordings, recipe.ticks, share)
        for recordings, share in ((simulated, recipe.batch), (acted, recipe.acted))
        if recordings
    ]
    networks = [_train(config, recipe, pools, recipe.seed + own) for own in recipe.networks]
    provenance = {
        "protocol": "simulated motion and rendered actors, full labels, last step, joined",
        "seed": recipe.seed,
        "steps": recipe.steps,
        "batch": recipe.batch,
        "networks": list(recipe.networks),
        "recordings": recipe.recordings,
        "performed": len(acted),
        "commit": commit(),
        "version": __version__,
    }
    return Model(join(networks), provenance, spotting=SPOTTING)


def _train(config: ModelConfig, recipe: Recipe, pools: Sequence[Pool], seed: int) -> Network:
    """Return the trained network of that seed."""
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
            print(
                f"network {seed}, step {step + 1}/{recipe.steps}: loss {recent:.4f}, {took:.0f} s", flush=True
            )

    network = Network(config).to(recipe.device)
    return learn(network, draw, steps=recipe.steps, on_step=on_step)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, judge on held-out simulation and save."""
    parser = argparse.ArgumentParser(description="Train weights on simulated motion and on rendered actors.")
    parser.add_argument("--out", type=Path, required=True, help="file to write, .safetensors")
    parser.add_argument(
        "--actors", type=Path, help="folder of rendered actors' motion; the shipped weights have seen some"
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
    folder: Path | None = given.actors
    acted = [] if folder is None else [Acted.load(path) for path in sorted(folder.glob("*.npz"))]
    model = make_weights(config, recipe, acted)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    model.save(given.out)
    held_out = [simulate(HELD_OUT + number, layout=config.layout) for number in range(200)]
    print(json.dumps(held_out_figures(model, held_out), indent=2))


if __name__ == "__main__":
    main()
