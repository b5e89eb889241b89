"""Train the shipped weights on simulated motion and on the measured motion of rendered actors, with full labels.

``python -m experiments.shipped.train --actors FOLDER --before WEIGHTS --out models/streamspot-base.safetensors`` lets
weights go on learning; FOLDER is what ``experiments.shipped.perform`` wrote. The model card has the commands in full.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from experiments.shipped.acted import Acted
from experiments.shipped.held_out import HELD_OUT, held_out_figures
from experiments.shipped.parts import split
from experiments.shipped.turned import turned
from streamspot import __version__
from streamspot.model import Model, ModelConfig, Network
from streamspot.motion.regions import layout, mirror
from streamspot.simulation import Scenario, simulate
from streamspot.simulation.time_courses import Array, Rng
from streamspot.spotting import SpotSettings
from streamspot.training.join import join
from streamspot.training.labelled import Example, learn
from streamspot.training.provenance import commit
from streamspot.training.simulated import FLOW_ALONE_SHARE, flow_alone, vary

SPOTTING = {
    "class_floor": 0.3,
    "macro_score": 0.53,
    "macro_ticks": (12, SpotSettings().longest),
    "micro_score": 0.52,
    "power": 0.8,
    "trough_allowance": 0.0,
    "trough_share": 0.6,
}
"""How these weights' curves are decoded. They learned expressions from end to end, so a run of high intensity is
hardly shorter than its macro-expression; and they learned to dip between two expressions, so a shallow dip is
within one, and what rises after a deep one needs no allowance. Of what they are unsure the curve stays low, so it is
raised, for which more is asked in return. What is of neither kind for sure is of the likelier one."""

SCENARIO = Scenario(
    expressions=15.0,
    idle=0.15,
    held=0.35,
    micro_in_speech=True,
    free=0.7,
    macro_floor=0.028,
    micro_floor=0.014,
    hands=0.5,
    turns=2.0,
)
"""What is simulated: seven in ten expressions are any muscles that move together."""

TURNED = 0.6
"""Share of the recordings by flow alone whose heads are not still."""
COME_LATE = 0.25
"""Share of the recordings as a stream measures them that begin shortly before an expression."""
UNSEEN = 0.006
"""Inter-ocular distances that flow alone must see a region move in an expression, lest it be not judged."""

SIMULATED = (
    flow_alone,
    partial(flow_alone, shrink=-0.9, spread=0.35, drift=(0.0002, 0.0007), jitter=(0.0002, 0.0007)),
)
"""For simulated motion: lively faces, and those who sit still before a screen and hardly move in an expression, as in
CAS(ME)² and SAMM-LV."""
MEASURED = (
    partial(flow_alone, shrink=-0.45, spread=0.35, drift=(0.0004, 0.0014)),
    partial(flow_alone, shrink=-1.0, spread=0.35, drift=(0.0002, 0.0006), jitter=(0.0001, 0.0005)),
)
"""The same for what flow alone has measured of an actor: it has errors of its own, so fewer are added."""


Augmentation = Callable[[Rng, Example], Example]
"""Changes a recording by chance."""


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
        learned: Steps of networks that have learned before, at three quarters of the learning rate.
        threads: Processor threads.
        device: Where to train: cpu or cuda; what ships was trained on cpu.
    """

    seed: int = 0
    recordings: int = 2000
    ticks: int = 480
    steps: int = 3000
    batch: int = 4
    acted: int = 9
    networks: tuple[int, ...] = (0, 2)
    learned: int = 10000
    threads: int = 1
    device: str = "cpu"


@dataclass(frozen=True, slots=True)
class Pool:
    """Examples of one kind, simulated or acted.

    Attributes:
        examples: As a stream measures them, or as they are simulated.
        flow: Those that are made to look like recordings by flow alone.
        alone: Ways to make motion look so, each as likely.
        share: How many of them a step takes.
    """

    examples: Sequence[Example]
    flow: Sequence[Example]
    alone: Sequence[Callable[..., Array]]
    share: int

    def draw(self, rng: Rng, across: Sequence[int]) -> list[Example]:
        """Draw a step's share, varied; three in ten look like recordings by flow alone."""
        return [self._one(rng, across) for _ in range(self.share)]

    def _one(self, rng: Rng, across: Sequence[int]) -> Example:
        return self.by_flow(rng, across) if rng.random() < FLOW_ALONE_SHARE else self.streamed(rng, across)

    def streamed(self, rng: Rng, across: Sequence[int]) -> Example:
        """Draw one as a stream measures it, or as it is simulated."""
        one = self.examples[rng.integers(len(self.examples))]
        if rng.random() < COME_LATE:
            one = without_beginning(rng, one)
        return vary(rng, one, across, flow_alone_share=0.0)

    def by_flow(self, rng: Rng, across: Sequence[int], change: Augmentation | None = None) -> Example:
        """Draw one that looks like a recording by flow alone; ``change`` is made before it does."""
        one = vary(rng, self.flow[rng.integers(len(self.flow))], across, flow_alone_share=0.0)
        if change is not None:
            one = change(rng, one)
        motion = self.alone[rng.integers(len(self.alone))](rng, one.motion)
        if rng.random() < TURNED:
            motion = turned(rng, motion)
        return without_unseen(replace(one, motion=motion.astype(np.float32)), UNSEEN)


def without_unseen(example: Example, least: float) -> Example:
    """Return the same with the expressions not judged in which no region moves so far, in the motion as it is."""
    targets, position = example.targets.copy(), example.motion.cumsum(0)
    for first, stop in example.shown():
        before = position[max(0, first - 3) : first + 1].mean(0)
        if np.abs(position[first:stop] - before).max() < least:
            targets[max(0, first - 3) : stop + 3, 3] = 0
    return Example(example.motion, targets)


def without_beginning(rng: Rng, example: Example) -> Example:
    """Return a recording from shortly before one of its expressions; its end is still and not judged."""
    shown = example.targets[:, 0] > 0
    onsets = np.flatnonzero(shown[1:] & ~shown[:-1]) + 1
    if not len(onsets):
        return example
    first = max(0, int(rng.choice(onsets)) - int(rng.integers(0, 16)))
    motion, targets = example.motion[first:], example.targets[first:]
    return Example(np.pad(motion, ((0, first), (0, 0), (0, 0))), np.pad(targets, ((0, first), (0, 0))))


def _pools(layout: str, recipe: Recipe, acted: Sequence[Acted]) -> list[Pool]:
    """Return the pool of simulated recordings, and that of rendered actors where there are any.

    Half of the simulated recordings show any muscles, the other half action units that are known to act together.
    """
    seeds = [recipe.seed * 100_000 + number for number in range(recipe.recordings)]
    free, known = (
        [Example.of(simulate(s, recipe.ticks, layout=layout, scenario=scenario), recipe.ticks) for s in mine]
        for mine, scenario in ((seeds[::2], SCENARIO), (seeds[1::2], None))
    )
    pools = [Pool(free, free + known, SIMULATED, recipe.batch)]
    if acted:
        examples = [Example.of(one, recipe.ticks) for one in acted]
        flow = [Example.of(replace(one, motion=one.flow), recipe.ticks) for one in acted]
        pools.append(Pool(examples, flow, MEASURED, recipe.acted))
    return pools


def make_weights(
    config: ModelConfig, recipe: Recipe, acted: Sequence[Acted] = (), before: Sequence[Network] = ()
) -> Model:
    """Train on simulated motion, and on that of rendered actors where there is any.

    Args:
        config: Of each of the networks that are joined.
        recipe: How they are trained.
        acted: Recordings of actors.
        before: Networks that go on learning; without any, new ones begin.
    """
    torch.set_num_threads(recipe.threads)
    pools = _pools(config.layout, recipe, acted)
    begun: Sequence[Network | None] = before or [None] * len(recipe.networks)
    networks = [
        _train(config, recipe, pools, recipe.seed + own, one)
        for own, one in zip(recipe.networks, begun, strict=True)
    ]
    provenance = {
        "protocol": "simulated motion and rendered actors, full labels, last step, joined",
        "seed": recipe.seed,
        "went on learning": bool(before),
        "steps": recipe.learned if before else recipe.steps,
        "batch": recipe.batch,
        "networks": list(recipe.networks),
        "recordings": recipe.recordings,
        "performed": len(acted),
        "commit": commit(),
        "version": __version__,
    }
    return Model(join(networks), provenance, spotting=SPOTTING)


def _train(
    config: ModelConfig, recipe: Recipe, pools: Sequence[Pool], seed: int, before: Network | None
) -> Network:
    """Return the trained network of that seed."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    across = mirror(layout(config.layout))

    def draw() -> list[Example]:
        return [one for pool in pools for one in pool.draw(rng, across)]

    steps = recipe.steps if before is None else recipe.learned
    started, shown = time.monotonic(), 0.0

    def on_step(step: int, loss: float) -> None:
        nonlocal shown
        shown = 0.95 * shown + 0.05 * loss
        if step % 50 == 49 or step == steps - 1:
            recent = shown / (1 - 0.95 ** (step + 1))
            took = time.monotonic() - started
            print(f"network {seed}, step {step + 1}/{steps}: loss {recent:.4f}, {took:.0f} s", flush=True)

    network = (Network(config) if before is None else before).to(recipe.device)
    return learn(network, draw, steps=steps, rate=4e-3 if before is None else 3e-3, on_step=on_step)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, judge on held-out simulation and save."""
    parser = argparse.ArgumentParser(description="Train weights on simulated motion and on rendered actors.")
    parser.add_argument("--out", type=Path, required=True, help="file to write, .safetensors")
    parser.add_argument(
        "--actors", type=Path, help="folder of rendered actors' motion; the shipped weights have seen some"
    )
    parser.add_argument("--before", type=Path, help="weights whose networks go on learning")
    parser.add_argument("--layout", default="face17", help="region layout: face17 or paper10")
    parser.add_argument("--look-ahead", type=int, default=8, help="ticks: 0, 4, 8 or 16")
    parser.add_argument("--seed", type=int, default=Recipe().seed)
    parser.add_argument("--steps", type=int, default=Recipe().steps)
    parser.add_argument("--learned", type=int, default=Recipe().learned, help="steps, with --before")
    parser.add_argument("--threads", type=int, default=Recipe().threads)
    parser.add_argument("--device", default=Recipe().device, help="cpu or cuda")
    given = parser.parse_args(arguments)
    recipe = Recipe(
        seed=given.seed,
        steps=given.steps,
        learned=given.learned,
        threads=given.threads,
        device=given.device,
    )
    config = ModelConfig(name=given.out.stem, layout=given.layout, look_ahead=given.look_ahead, width=64)
    folder: Path | None = given.actors
    acted = [] if folder is None else [Acted.load(path) for path in sorted(folder.glob("*.npz"))]
    before = []
    if given.before is not None:
        before = split(Model.load(given.before, device="cpu").network, [config.width] * len(recipe.networks))
    model = make_weights(config, recipe, acted, before)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    model.save(given.out)
    held_out = [simulate(HELD_OUT + number, layout=config.layout) for number in range(200)]
    print(json.dumps(held_out_figures(model, held_out), indent=2))


if __name__ == "__main__":
    main()
