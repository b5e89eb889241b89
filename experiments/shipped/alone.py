"""Let weights learn to judge recordings of which flow alone measured the ten regions of ``paper10``.

``python -m experiments.shipped.alone --actors FOLDER --before WEIGHTS --out NEW``; FOLDER is what
``experiments.shipped.perform`` wrote. What comes out has these regions only: a stream is judged by other weights.

The public features of CAS(ME)² and SAMM-LV are such recordings, and their expressions differ from those of the
simulation and of the actors in three ways. They are slower. Hardly one is held for longer than three seconds. And
what goes back after an apex is seen in part: where annotations end in CAS(ME)² less than 0.37 of the way back is seen
in the median, less than 0.11 in a quarter. So a network that waits for the way back sees an expression for as long as
the longest it has learned.

Their blinks differ, too. No region shows the lids, and the lids drag what lies around them: of one person in
CAS(ME)² each blink moves the brows by 0.02 inter-ocular distances, as a micro-expression does, where the simulated
ones moved them by 0.001 in the median. A network that has not seen that reports every blink of such a person.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from experiments.shipped.acted import Acted
from experiments.shipped.parts import mean, split
from experiments.shipped.train import MEASURED, SCENARIO, SIMULATED, Pool
from streamspot import __version__
from streamspot.model import Model, Network
from streamspot.model.network import Output
from streamspot.motion.regions import LAYOUTS, layout, mirror
from streamspot.simulation import Scenario, simulate
from streamspot.simulation.expressions import MICRO_TICKS
from streamspot.simulation.time_courses import Rng, blink
from streamspot.training.join import join, known
from streamspot.training.labelled import Example, labelled_loss, learn
from streamspot.training.provenance import commit
from streamspot.training.simulated import at_speed
from streamspot.types import TICK_RATE

LONGEST = 100
"""Ticks that an expression lasts at most."""

_MEASURED = "paper10"
"""What is measured. The regions are the first of those of a stream, from which they are taken."""

_SPEEDS = (0.55, 1.05)
"""Pace of the recordings, beside that of the simulation and of the actors."""

_UNRETURNED = 1.0, 0.8
"""Share of the recordings, simulated ones and those of actors, in which flow sees the way back in part. What it
measured of actors shows some of that by itself."""

_BLINKING = 0.3
"""Share of the recordings in which blinks drag the brows."""

_BROWS = 6
"""Regions of the brows, the first of every layout: from the outer left one to the outer right one."""

_BLINK = 62
"""Ticks that a blink and what comes back late take at most."""

_BATCH = 12
"""Recordings of a step."""

_SIMULATED_SHARE = 0.4
"""Share of simulated ones of them; the others are those of actors."""

_RUNS = {30: 1.0, 32: 2.0, 34: 1.0, 36: 2.0}
"""Seeds of the runs whose mean is taken, and what ticks of a micro-expression count in each beside those of others:
what one run finds in a research set varies by a hundredth of F1, those that count twice find more of them and invent
more."""


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
    seen, motion = rng.beta(0.6, 1.2), example.motion.copy()
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


def blinking(rng: Rng, example: Example) -> Example:
    """Return a recording of somebody whose blinks drag the brows, and perhaps the mouth a little; no expression.

    Each person has a pattern of their own: mostly downwards and inwards, outside more than inside or the other way
    round, of 0.003 to 0.03 inter-ocular distances.
    """
    ticks, regions, _ = example.motion.shape
    far = float(np.exp(rng.uniform(np.log(0.003), np.log(0.03)))) * (-1 if rng.random() < 0.08 else 1)
    outside = np.array([1, 0, -1, -1, 0, 1])
    inwards = np.array([1, 1, 1, -1, -1, -1])
    pattern = np.zeros((regions, 2))
    pattern[:_BROWS, 1] = far * (1 + rng.uniform(-0.5, 0.6) * outside)
    pattern[:_BROWS, 1] *= np.repeat(rng.uniform(0.7, 1.3, 2), 3) * rng.uniform(0.85, 1.15, _BROWS)
    pattern[:_BROWS, 0] = far * inwards * (rng.normal(0.25, 0.25) + rng.normal(0.1, 0.2) * outside)
    if rng.random() < 0.4:
        mouth = slice(_BROWS, len(LAYOUTS[_MEASURED]))
        pattern[mouth, 1] = -far * rng.uniform(0, 0.3) + rng.normal(0, 0.05 * abs(far), 4)
    position = np.zeros((ticks + _BLINK, regions, 2))
    for start in np.flatnonzero(rng.random(ticks) < 15 / 60 / TICK_RATE * rng.uniform(0.3, 2)):
        lids = blink(rng) * rng.uniform(0.6, 1.15)
        course = np.zeros(_BLINK)
        course[: len(lids)] = lids
        late = rng.uniform(0, 0.35) * lids.max() * np.exp(-np.arange(30) / rng.uniform(3, 12))
        course[len(lids) - 1 : len(lids) + 29] += late
        position[start : start + _BLINK] += (
            course[:, None, None] * pattern * rng.uniform(0.8, 1.2, (regions, 1))
        )
    motion = example.motion + np.diff(position[:ticks], axis=0, prepend=0)
    return replace(example, motion=motion.astype(np.float32))


def pools(
    acted: Sequence[Acted], *, seed: int, recordings: int = 1400, ticks: int = 480
) -> tuple[Pool, Pool]:
    """Return the pool of simulated recordings, half of them of any muscles, and that of what flow saw of actors."""

    def made(first: int, scenario: Scenario | None) -> list[Example]:
        seeds = range(seed * 100_000 + 50_000 + first, seed * 100_000 + 50_000 + first + recordings, 2)
        return [Example.of(simulate(one, ticks, scenario=scenario), ticks) for one in seeds]

    simulated = _brief(made(0, replace(SCENARIO, held=0.0)) + made(1, None))
    flow = _brief([Example.of(replace(one, motion=one.flow), ticks) for one in acted])
    return Pool(simulated, simulated, SIMULATED, 1), Pool(flow, flow, MEASURED, 1)


def _brief(examples: Sequence[Example]) -> list[Example]:
    return [one for one in examples if all(stop - first <= LONGEST for first, stop in one.shown())]


def loss(micro: float, out: Output, motion: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``labelled_loss``, in which ticks of a micro-expression count so many times as often.

    Those at which something moves without an expression weigh no more than others: much of what moves there is
    error, and weighing it makes a network careful.
    """
    brief = (targets[..., 2] > 0.5).float()
    return labelled_loss(out, motion, targets, moving=0.0, whole=1 + (micro - 1) * brief)


def learn_alone(
    network: Network, drawn: tuple[Pool, Pool], *, steps: int, rate: float, seed: int, micro: float
) -> Network:
    """Return a network that has gone on learning with recordings by flow alone, see ``loss`` for ``micro``."""
    rng, across = np.random.default_rng(seed), mirror(layout("face17"))
    torch.manual_seed(seed)

    def change(share: float, rng: Rng, one: Example) -> Example:
        one = slower(rng, one)
        one = blinking(rng, one) if rng.random() < _BLINKING else one
        return unreturned(rng, one) if rng.random() < share else one

    def drawn_one() -> Example:
        acted = int(rng.random() >= _SIMULATED_SHARE)
        one = drawn[acted].by_flow(rng, across, partial(change, _UNRETURNED[acted]))
        return replace(one, motion=np.ascontiguousarray(one.motion[:, : len(LAYOUTS[_MEASURED])]))

    def on_step(step: int, value: float) -> None:
        if step % 100 == 99:
            print(f"seed {seed}, step {step + 1}/{steps}: loss {value:.4f}", flush=True)

    return learn(
        deepcopy(network).requires_grad_(requires_grad=True),
        lambda: [drawn_one() for _ in range(_BATCH)],
        steps=steps,
        rate=rate,
        on_step=on_step,
        loss=partial(loss, micro),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Train and save."""
    parser = argparse.ArgumentParser(description="Learn to judge recordings by flow alone.")
    parser.add_argument("--actors", type=Path, required=True, help="folder of rendered actors' motion")
    parser.add_argument("--before", type=Path, required=True, help="weights of a stream that are begun from")
    parser.add_argument("--out", type=Path, required=True, help="file to write, .safetensors")
    parser.add_argument("--steps", type=int, default=3000)
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    acted = [Acted.load(path) for path in sorted(given.actors.glob("*.npz"))]
    before = Model.load(given.before, device="cpu")
    wanted = replace(before.config, name=given.out.stem, layout=_MEASURED, regions=0, groups=())
    begun = split(known(str(given.before), wanted)[0], [64, 64])
    learned: list[list[Network]] = [[] for _ in begun]
    for run, micro in _RUNS.items():
        drawn = pools(acted, seed=run)
        for number, one in enumerate(begun):
            learned[number].append(
                learn_alone(one, drawn, steps=given.steps, rate=1.5e-3, seed=run + number, micro=micro)
            )
    made = {
        **before.provenance,
        "by flow alone": {"steps": given.steps, "runs": _RUNS},
        "commit": commit(),
        "version": __version__,
    }
    Model(join([mean(runs) for runs in learned]), made, spotting=before.spotting).save(given.out)


if __name__ == "__main__":
    main()
