"""Whether a stream grows or slows: ``python benchmarks/soak.py [--ticks 108000] [--frames 6000] [--minutes 0]``.

Three soaks. Frames: a whole stream over a synthetic clip of that many frames. Ticks: network, spotter and events over
an hour of recorded motion, the same again and again. For each: resident memory at the end of the first tenth and at
the end, and the mean cost of a step in the first and in the last tenth. Sinks: ``streamspot run`` over ``--sources``
synthetic clips of so many minutes at their own pace, as a process of its own, with every output (mosquitto, ROS, Home
Assistant, recordings, events, curves, both tables, avatars, metrics that are fetched every 5 s): the slope of its
memory by least squares over the second half, the fewest and most descriptors and threads there, and how many events
each recording gives again, byte for byte.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from numpy.typing import NDArray

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


def report(name: str, costs: NDArray[np.float64], sizes: NDArray[np.float64]) -> None:
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


def soak_sinks(minutes: float, sources: int, port: int) -> None:
    """Run streams with every output; print how memory, descriptors and threads went, and what replays.

    Args:
        minutes: How long the clips are.
        sources: How many there are.
        port: The first of two that are free: the broker's and that of the metrics.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        mosquitto = str(shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin"))
        broker = stack.enter_context(
            subprocess.Popen([mosquitto, "-p", str(port)], stderr=subprocess.DEVNULL)  # noqa: S603
        )
        stack.callback(broker.terminate)
        settings = _every_output(folder, minutes, sources, port)
        (folder / "soak.yaml").write_text(json.dumps(settings))  # YAML holds JSON
        run = stack.enter_context(_streamspot("--config", str(folder / "soak.yaml")))
        stack.callback(run.terminate)
        rows = _watched(run, port + 1)
        replayed = {f"s{n}": _replays(folder, f"s{n}") for n in range(sources)}
    hours, memory, *counts = np.array(rows[len(rows) // 2 : -6]).T  # without the half minute of the end
    figures: dict[str, object] = {
        "sources": sources,
        "minutes": round(60 * rows[-1][0], 1),
        "memory_mb": round(float(memory.mean()), 1),
        "slope_mb_per_hour": round(float(np.polyfit(hours, memory, 1)[0]), 3),
    }
    figures |= {
        name: [int(count.min()), int(count.max())]
        for name, count in zip(("descriptors", "threads"), counts, strict=True)
    }
    print("sinks", json.dumps(figures | {"events_that_replay": replayed}), flush=True)


def _every_output(folder: Path, minutes: float, sources: int, port: int) -> dict[str, Any]:
    """Return the settings of a run over clips at their own pace, with every output in a folder or at a port."""
    files = {
        "record": "{stream}.motion",
        "events": "e.jsonl",
        "intensity": "{stream}.csv",
        "log": "l.csv",
        "expressions": "x.parquet",
    }
    clip = f"synthetic:seconds={minutes * 60:g},expressions={minutes * 10:.0f},seed="
    return {
        "source": [
            {
                "source": f"{clip}{n}",
                "name": {"stream": f"s{n}"},
                "output": {"osc": f"vmc://127.0.0.1:{39540 + n}"},
            }
            for n in range(sources)
        ],
        "capture": {"speed": 1},
        "mqtt": {
            "broker": f"mqtt://127.0.0.1:{port}",
            "ros": True,
            "homeassistant": True,
            "journal": str(folder / "journal"),
        },
        "output": {"metrics": port + 1} | {name: str(folder / file) for name, file in files.items()},
    }


def _watched(run: subprocess.Popen[bytes], port: int) -> list[tuple[float, float, int, int]]:
    """Fetch the metrics at a port until a run ends; return hours, memory (MB), descriptors, threads every 5 s."""
    process, began = psutil.Process(run.pid), time.monotonic()
    rows: list[tuple[float, float, int, int]] = []
    while run.poll() is None:
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            answer.read()
        with suppress(psutil.Error):  # it has just ended
            memory = process.memory_info().rss / 1e6
            row = (time.monotonic() - began) / 3600, memory, process.num_fds(), process.num_threads()
            rows.append(row)
        if len(rows) % 12 == 0:
            print(
                f"{60 * row[0]:.1f} min: {memory:.2f} MB, {row[2]} descriptors, {row[3]} threads",
                flush=True,
            )
        time.sleep(5)
    return rows


def _streamspot(*words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "streamspot", "run", "--no-ui", *words]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603


def _replays(folder: Path, stream: str) -> int:
    """Return how many events a replay gives, 0 if they are not the bytes of the run but for its id."""
    again = folder / f"{stream}.jsonl"
    words = ("--source", str(folder / f"{stream}.motion"), "--stream", stream, "--events", str(again))
    with _streamspot(*words) as replay:
        replay.wait()
    first, second = (
        [
            line.replace(json.loads(line)["data"]["run"].encode(), b"")
            for line in path.read_bytes().splitlines()
            if json.loads(line)["data"]["stream"] == stream
        ]
        for path in (folder / "e.jsonl", again)
    )
    return len(first) if first == second else 0


def main() -> None:
    """Soak."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ticks", type=int, default=108_000, help="an hour by default")
    parser.add_argument("--frames", type=int, default=6000)
    parser.add_argument("--minutes", type=float, default=0.0)
    parser.add_argument("--sources", type=int, default=1)
    parser.add_argument(
        "--port", type=int, default=18833, help="of the broker; the next is that of the metrics"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.minutes:
        soak_sinks(options.minutes, options.sources, options.port)
    if options.frames or options.ticks:
        measured = soak_frames("synthetic:seconds=20")  # warms up, and gives the motion
    if options.frames:
        seconds, expressions = options.frames / 30, max(1, options.frames // 180)
        soak_frames(f"synthetic:seconds={seconds:g},expressions={expressions}")
    if options.ticks:
        soak_ticks(measured, options.ticks)


if __name__ == "__main__":
    main()
