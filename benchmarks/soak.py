"""Whether a stream grows or slows: ``python benchmarks/soak.py [--ticks 108000] [--frames 6000]``.

Two soaks. Frames: the whole run over a synthetic clip of that many frames. Ticks: the interpreter (network, spotter,
events) over an hour of recorded motion, the same again and again. For each: resident memory at the end of the first
tenth and at the end, and the mean cost of a step in the first and in the last tenth.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psutil
import torch
from streamspot.telemetry import Telemetry

from streamspot.engine import Run
from streamspot.model import Model
from streamspot.pipeline import Interpreter
from streamspot.settings import load_settings
from streamspot.sources.motion import Recording
from streamspot.types import RegionMotion, Session, Sighting

MIB = 2**20


def rss() -> float:
    """Return the resident memory of this process, MiB."""
    return psutil.Process(os.getpid()).memory_info().rss / MIB


def report(name: str, costs: np.ndarray, sizes: np.ndarray) -> None:
    """Print one line of figures."""
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


async def soak_frames(source: str, record: Path | None = None) -> None:
    """Run frames through everything but a broker, as fast as a camera gives them.

    The cost of a frame is what the program itself measures.
    """
    costs, sizes = [], [rss()]
    async with Run(load_settings({"source": source, "record": record, "speed": "1"})) as run:
        seen = 0
        async for _ in run:
            if run.telemetry.frames > seen:
                seen = run.telemetry.frames
                costs.append(run.telemetry.stages["total"].last)
                if seen % 100 == 0:
                    sizes.append(rss())
    report("frames", np.array(costs), np.array(sizes[1:] or sizes))


def soak_ticks(recording: Recording, ticks: int) -> None:
    """Interpret a recording for ever, as if the face never left."""
    motions = [sighting.motion for sighting in recording.sightings() if sighting.motion is not None]
    session = Session("soak", "soak", 0.0, datetime.now(UTC))
    interpreter = Interpreter(Model.load("streamspot-base"), session, Telemetry())
    costs, sizes = np.zeros(ticks), []
    for motion in _endless(motions, ticks):
        started = time.perf_counter()
        interpreter.push(Sighting(0, motion))
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
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "motion.jsonl"
        asyncio.run(soak_frames("synthetic:seconds=20", record))  # warms up, and gives the motion
        if options.frames:
            seconds = options.frames / 30
            asyncio.run(
                soak_frames(f"synthetic:seconds={seconds:g},expressions={max(1, options.frames // 180)}")
            )
        if options.ticks:
            soak_ticks(Recording(record), options.ticks)


if __name__ == "__main__":
    main()
