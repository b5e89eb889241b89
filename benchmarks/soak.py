"""Whether a stream grows or slows: ``python benchmarks/soak.py [--ticks 108000] [--frames 6000]``.

Two soaks. Frames: a whole stream over a synthetic clip of that many frames. Ticks: network, spotter and events over
an hour of recorded motion, the same again and again. For each: resident memory at the end of the first tenth and at the
end, and the mean cost of a step in the first and in the last tenth.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
import psutil
import torch

import streamspot
from streamspot.model import Model
from streamspot.pipeline import Pipeline
from streamspot.stats import Latency
from streamspot.types import FaceMotion, RegionMotion, Session

KEPT = 600
"""Ticks of motion that the second soak repeats."""
MIB = 2**20


def rss() -> float:
    """Return the resident memory of this process, MiB."""
    return psutil.Process(os.getpid()).memory_info().rss / MIB


def report(name: str, costs: np.ndarray, sizes: np.ndarray) -> None:
    """Print one line of figures.

    Args:
        name: Of the soak.
        costs: Seconds of each step, in order of time.
        sizes: Resident memory, MiB, in order of time.
    """
    tenth = max(len(costs) // 10, 1)
    first, last = float(costs[:tenth].mean()), float(costs[-tenth:].mean())
    early, late = float(sizes[len(sizes) // 10]), float(sizes[-1])
    figures = {
        "steps": len(costs),
        "rss_first_tenth_mib": round(early, 1),
        "rss_end_mib": round(late, 1),
        "growth": round(late / early - 1, 4),
        "mean_ms_first_tenth": round(1e3 * first, 3),
        "mean_ms_last_tenth": round(1e3 * last, 3),
        "ratio": round(last / first, 3),
    }
    print(name, json.dumps(figures), flush=True)


class EveryLatency(Latency):
    """Durations of all calls, not only of the last 512."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def add(self, seconds: float) -> None:
        """Take one duration in seconds."""
        self.seconds.append(seconds)


def soak_frames(source: str) -> list[RegionMotion]:
    """Run frames through everything but outputs, as fast as a camera gives them; return the motion of the first face.

    The cost of a frame is what the stream itself measures.
    """
    total, sizes = EveryLatency(), [rss()]
    measured: list[RegionMotion] = []
    with streamspot.open(source, speed=1.0) as stream:
        stream.stats.stages["total"] = total
        for update in stream:
            measured += [one.motion for one in update.motion if isinstance(one, FaceMotion) and one.face == 0]
            del measured[:-KEPT]
            if stream.stats.frames >= 100 * len(sizes):
                sizes.append(rss())
    report("frames", np.array(total.seconds), np.array(sizes[1:] or sizes))
    return measured


def soak_ticks(motions: list[RegionMotion], ticks: int) -> None:
    """Judge recorded motion for ever, as if the face never left."""
    session = Session("soak", "soak", "soak", 0.0, datetime.now(UTC))
    pipeline = Pipeline(Model.load("streamspot-base"), session)
    costs, sizes = np.zeros(ticks), []
    for motion in _endless(motions, ticks):
        started = time.perf_counter()
        pipeline.push(FaceMotion(0, motion))
        costs[motion.tick] = time.perf_counter() - started
        if motion.tick % 1000 == 0:
            sizes.append(rss())
    report("ticks", costs, np.array(sizes))


def _endless(motions: list[RegionMotion], ticks: int) -> Iterator[RegionMotion]:
    for tick in range(ticks):
        motion = motions[tick % len(motions)]
        yield RegionMotion(tick, tick / 30, tick, motion.displacement, motion.quality)


def main() -> None:
    """Soak."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ticks", type=int, default=108_000, help="an hour by default")
    parser.add_argument("--frames", type=int, default=6000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    measured = soak_frames("synthetic:seconds=20")  # warms up, and gives the motion
    if options.frames:
        seconds, expressions = options.frames / 30, max(1, options.frames // 180)
        soak_frames(f"synthetic:seconds={seconds:g},expressions={expressions}")
    if options.ticks:
        soak_ticks(measured, options.ticks)


if __name__ == "__main__":
    main()
