"""Let weights learn recordings by flow alone anew, and keep what they say of the motion that a stream measures.

``python -m experiments.shipped.alone --actors FOLDER --before WEIGHTS --out NEW``; FOLDER is what
``experiments.shipped.perform`` wrote.

The public features of CAS(ME)² and SAMM-LV are such recordings, and their expressions differ from those of the
simulation and of the actors in three ways. They are slower. Hardly one is held for longer than three seconds. And
what goes back after an apex is seen in part: where the annotation ends, the regions are still at 0.6 of the way to
the apex in CAS(ME)² and at 0.8 in SAMM-LV (medians, along the direction of the expression), and two seconds later at
0.4 and 0.7. So a network that waits for the way back sees an expression for as long as the longest it has learned.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from experiments.shipped.acted import Acted
from experiments.shipped.parts import split
from experiments.shipped.train import MEASURED, SCENARIO, SIMULATED, Pool
from streamspot import __version__
from streamspot.model import Model, Network
from streamspot.model.network import Output
from streamspot.motion.regions import LAYOUTS, layout, mirror
from streamspot.simulation import Scenario, simulate
from streamspot.simulation.expressions import MICRO_TICKS
from streamspot.simulation.time_courses import Rng
from streamspot.training.join import join
from streamspot.training.labelled import Example, labelled_loss, learn
from streamspot.training.provenance import commit
from streamspot.training.simulated import at_speed

LONGEST = 100
"""Ticks that an expression lasts at most in recordings by flow alone."""

_SPEEDS = (0.55, 1.05)
"""Their pace, beside that of the simulation and of the actors."""

_UNRETURNED = 0.75, 0.3
"""Share of the recordings, simulated ones and those of actors, in which flow sees the way back in part. What it
measured of actors shows most of that by itself."""

_STREAMS, _ALONE = 7, 6
"""Recordings as a stream measures them, and by flow alone, of a step."""

_SIMULATED_SHARE = 0.4
"""Share of simulated ones of those by flow alone; of the others it is that of the pools."""


def slower(rng: Rng, example: Example) -> Example:
    """Return a recording at another pace; what then lasts too long for a micro-expression is a macro-expression."""
    motion, targets = at_speed(example.motion, example.targets, float(rng.uniform(*_SPEEDS)))
    out = Example(motion.astype(np.float32), targets.astype(np.float32))
    for first, stop in out.shown():
        macro = out.targets[first:stop, 1].max() > 0.5 or stop - first > MICRO_TICKS + 2
        out.targets[first:stop, 1:3] = macro, not macro
    return out


def unreturned(rng: Rng, example: Example) -> Example:
    """Return a recording of which flow sees in part what goes back after an apex.

    Along the direction of the displacement at the apex a share of the motion back is left out from there to six ticks
    behind the end, and a part of what was left out comes back over seconds.
    """
    seen, motion = rng.beta(1.2, 1.0), example.motion.copy()
    for first, stop in example.shown():
        if stop - first < 6:
            continue
        moved = example.motion[first:stop].cumsum(0).reshape(stop - first, -1)
        apex = int(np.linalg.norm(moved, axis=1).argmax())
        far = float(np.linalg.norm(moved[apex]))
        if far < 1e-6:
            continue
        way, end = moved[apex] / far, min(len(motion), stop + 6)
        part = float(np.clip(seen + rng.normal(0, 0.15), 0, 1))
        back = motion[first + apex + 1 : end]
        along = np.minimum(back.reshape(len(back), way.size) @ way, 0)
        back -= (1 - part) * np.outer(along, way).reshape(back.shape)
        left, slow = (1 - part) * far * rng.uniform(0, 0.8), rng.uniform(20, 150)
        late = left / slow * np.exp(-np.arange(len(motion) - end) / slow)
        motion[end:] -= np.outer(late, way).reshape(motion[end:].shape)
    return replace(example, motion=motion)


def pools(
    acted: Sequence[Acted], *, recordings: int = 1000, ticks: int = 480, seed: int = 20
) -> tuple[Pool, Pool]:
    """Return the pools of simulated recordings, half of them for a stream, as many for flow alone, and of actors."""

    def made(first: int, count: int, scenario: Scenario | None) -> list[Example]:
        seeds = range(seed * 100_000 + first, seed * 100_000 + first + 2 * count, 2)
        return [Example.of(simulate(one, ticks, scenario=scenario), ticks) for one in seeds]

    half = recordings // 2
    alone = made(50_000, half, replace(SCENARIO, held=0.0)) + made(50_001, half, None)
    flow = [Example.of(replace(one, motion=one.flow), ticks) for one in acted]
    return (
        Pool(made(0, half, SCENARIO), _brief(alone), SIMULATED, 4),
        Pool([Example.of(one, ticks) for one in acted], _brief(flow), MEASURED, 9),
    )


def _brief(examples: Sequence[Example]) -> list[Example]:
    return [one for one in examples if all(stop - first <= LONGEST for first, stop in one.shown())]


def loss(out: Output, motion: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``labelled_loss``, in which a stream's motion counts twice.

    In recordings by flow alone, in which the other regions are silent, a moving tick without an expression weighs
    twice instead of four times: much of what moves there is error.
    """
    silent = (motion[:, :, len(LAYOUTS["paper10"]) :] == 0).flatten(1).all(1)
    stream = (~silent).float()[:, None]
    return labelled_loss(out, motion, targets, moving=1 + 2 * stream, whole=1 + stream)


def learn_anew(network: Network, drawn: tuple[Pool, Pool], *, steps: int, rate: float, seed: int) -> Network:
    """Return a network that has learned recordings by flow alone, and says of a stream what this one says."""
    teacher = deepcopy(network).eval()
    rng, across = np.random.default_rng(seed), mirror(layout(network.config.layout))
    torch.manual_seed(seed)
    share = drawn[1].share / sum(pool.share for pool in drawn)

    def streamed() -> Example:
        return drawn[int(rng.random() < share)].streamed(rng, across)

    def alone() -> Example:
        acted = int(rng.random() >= _SIMULATED_SHARE)

        def change(rng: Rng, one: Example) -> Example:
            one = slower(rng, one)
            return unreturned(rng, one) if rng.random() < _UNRETURNED[acted] else one

        return drawn[acted].by_flow(rng, across, change)

    @torch.no_grad()
    def draw() -> list[Example]:
        streams = [streamed() for _ in range(_STREAMS)]
        said = teacher(torch.from_numpy(np.stack([one.motion for one in streams])))
        curves = torch.cat((said.intensity[..., None], said.classes), -1).numpy()
        taught = [
            replace(one, targets=np.concatenate((curve, one.targets[:, 3:]), 1))
            for one, curve in zip(streams, curves, strict=True)
        ]
        return taught + [alone() for _ in range(_ALONE)]

    def on_step(step: int, value: float) -> None:
        if step % 100 == 99:
            print(f"seed {seed}, step {step + 1}/{steps}: loss {value:.4f}", flush=True)

    return learn(network, draw, steps=steps, rate=rate, on_step=on_step, loss=loss)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train and save."""
    parser = argparse.ArgumentParser(description="Learn recordings by flow alone anew.")
    parser.add_argument("--actors", type=Path, required=True, help="folder of rendered actors' motion")
    parser.add_argument("--before", type=Path, required=True, help="weights that are begun from")
    parser.add_argument("--out", type=Path, required=True, help="file to write, .safetensors")
    parser.add_argument("--steps", type=int, default=5000)
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    drawn = pools([Acted.load(path) for path in sorted(given.actors.glob("*.npz"))])
    before = Model.load(given.before, device="cpu")
    anew = [
        learn_anew(one, drawn, steps=given.steps, rate=2e-3, seed=20 + number)
        for number, one in enumerate(split(before.network, [64, 64]))
    ]
    made = {
        **before.provenance,
        "flow alone learned anew": {"steps": given.steps},
        "commit": commit(),
        "version": __version__,
    }
    Model(join(anew), made, spotting=before.spotting).save(given.out)


if __name__ == "__main__":
    main()
