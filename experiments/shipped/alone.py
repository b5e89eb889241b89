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
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from experiments.shipped.acted import Acted
from experiments.shipped.parts import blend, split
from experiments.shipped.train import (
    COME_LATE,
    MEASURED,
    SCENARIO,
    SIMULATED,
    TURNED,
    UNSEEN,
    without_beginning,
)
from experiments.shipped.turned import turned
from streamspot import __version__
from streamspot.model import Model, Network
from streamspot.model.network import Output
from streamspot.motion.regions import LAYOUTS, layout, mirror
from streamspot.simulation import Scenario, simulate
from streamspot.simulation.expressions import MICRO_TICKS
from streamspot.simulation.time_courses import Array, Rng
from streamspot.training.join import join
from streamspot.training.labelled import Example, labelled_loss, learn
from streamspot.training.provenance import commit
from streamspot.training.simulated import at_speed, vary

LONGEST = 100
"""Ticks that an expression lasts at most in recordings by flow alone."""

_SPEEDS = (0.55, 1.05)
"""Their pace, beside that of the simulation and of the actors."""

_UNRETURNED = {"simulated": 0.75, "acted": 0.3}
"""Share of the recordings in which flow sees the way back in part. What it measured of actors shows most of that by
itself."""

_SIMULATED_SHARE = 0.4
"""Share of simulated recordings in those by flow alone; the others are of actors."""

_STREAMS, _ALONE = 7, 6
"""Recordings as a stream measures them, and by flow alone, of a step."""


@dataclass(frozen=True, slots=True)
class Kinds:
    """What is drawn from.

    Attributes:
        streams: Simulated recordings, and those of actors, as a stream measures them.
        simulated: Simulated recordings for flow alone.
        acted: Those that flow alone has measured of actors.
    """

    streams: tuple[Sequence[Example], Sequence[Example]]
    simulated: Sequence[Example]
    acted: Sequence[Example]

    def stream(self, rng: Rng, across: Sequence[int]) -> Example:
        """Draw a recording as a stream measures it."""
        of = self.streams[int(rng.random() < 9 / 13)]
        one = of[rng.integers(len(of))]
        if rng.random() < COME_LATE:
            one = without_beginning(rng, one)
        return vary(rng, one, across, flow_alone_share=0.0)

    def alone(self, rng: Rng, across: Sequence[int]) -> Example:
        """Draw a recording by flow alone."""
        made = rng.random() < _SIMULATED_SHARE
        of = self.simulated if made else self.acted
        one = slower(rng, vary(rng, of[rng.integers(len(of))], across, flow_alone_share=0.0))
        motion = one.motion
        if rng.random() < _UNRETURNED["simulated" if made else "acted"]:
            motion = unreturned(rng, one)
        ways: Sequence[Callable[..., Array]] = SIMULATED if made else MEASURED
        motion = ways[rng.integers(len(ways))](rng, motion)
        if rng.random() < TURNED:
            motion = turned(rng, motion)
        return replace(one, motion=motion.astype(np.float32)).without_unseen(UNSEEN)


def slower(rng: Rng, example: Example) -> Example:
    """Return a recording at another pace; what then lasts too long for a micro-expression is a macro-expression."""
    motion, targets = at_speed(example.motion, example.targets, float(rng.uniform(*_SPEEDS)))
    out = Example(motion.astype(np.float32), targets.astype(np.float32).copy())
    for first, stop in out.shown():
        macro = out.targets[first:stop, 1].max() > 0.5 or stop - first > MICRO_TICKS + 2
        out.targets[first:stop, 1:3] = macro, not macro
    return out


def unreturned(rng: Rng, example: Example) -> Array:
    """Return motion of which flow sees in part what goes back after an apex.

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
    return motion


def kinds(acted: Sequence[Acted], *, recordings: int = 1000, ticks: int = 480, seed: int = 20) -> Kinds:
    """Return recordings of actors, half as many simulated ones as asked for, and as many for flow alone."""

    def made(first: int, count: int, scenario: Scenario | None) -> list[Example]:
        seeds = range(seed * 100_000 + first, seed * 100_000 + first + 2 * count, 2)
        return [Example.of(simulate(one, ticks, scenario=scenario), ticks) for one in seeds]

    half = recordings // 2
    alone = made(50_000, half, replace(SCENARIO, held=0.0)) + made(50_001, half, None)
    flow = [Example.of(replace(one, motion=one.flow), ticks) for one in acted]
    streams = made(0, half, SCENARIO), [Example.of(one, ticks) for one in acted]
    return Kinds(streams, _brief(alone), _brief(flow))


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


def learn_anew(network: Network, drawn: Kinds, *, steps: int, rate: float, seed: int) -> Network:
    """Return a network that has learned recordings by flow alone, and says of a stream what this one says."""
    teacher = deepcopy(network).eval()
    rng, across = np.random.default_rng(seed), mirror(layout(network.config.layout))
    torch.manual_seed(seed)

    @torch.no_grad()
    def draw() -> list[Example]:
        streams = [drawn.stream(rng, across) for _ in range(_STREAMS)]
        said = teacher(torch.from_numpy(np.stack([one.motion for one in streams])))
        curves = torch.cat((said.intensity[..., None], said.classes), -1).numpy()
        taught = [
            replace(one, targets=np.concatenate((curve, one.targets[:, 3:]), 1))
            for one, curve in zip(streams, curves, strict=True)
        ]
        return taught + [drawn.alone(rng, across) for _ in range(_ALONE)]

    def on_step(step: int, value: float) -> None:
        if step % 100 == 99:
            print(f"seed {seed}, step {step + 1}/{steps}: loss {value:.4f}", flush=True)

    return learn(network, draw, steps=steps, rate=rate, on_step=on_step, loss=loss)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, mix with the weights before and save."""
    parser = argparse.ArgumentParser(description="Learn recordings by flow alone anew.")
    parser.add_argument("--actors", type=Path, required=True, help="folder of rendered actors' motion")
    parser.add_argument("--before", type=Path, required=True, help="weights that are begun from")
    parser.add_argument("--out", type=Path, required=True, help="file to write, .safetensors")
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--share", type=float, default=1.0, help="of the new networks in what is saved")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    drawn = kinds([Acted.load(path) for path in sorted(given.actors.glob("*.npz"))])
    before = Model.load(given.before, device="cpu")
    parts = split(before.network, [64, 64])
    anew = [
        learn_anew(deepcopy(one), drawn, steps=given.steps, rate=2e-3, seed=20 + number)
        for number, one in enumerate(parts)
    ]
    mixed = [blend(one, other, given.share) for one, other in zip(parts, anew, strict=True)]
    made = {
        **before.provenance,
        "flow alone learned anew": {"steps": given.steps, "share": given.share},
        "commit": commit(),
        "version": __version__,
    }
    Model(join(mixed), made, spotting=before.spotting).save(given.out)


if __name__ == "__main__":
    main()
