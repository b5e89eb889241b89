"""What a machine carries: cameras at their own pace, streams of the network, memory, start-up."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import torch

from streamspot.bench import SIZE, figures_of
from streamspot.engine import Engine, open_runs
from streamspot.errors import SettingsError, SourceError
from streamspot.layers import load_streams
from streamspot.model import Model
from streamspot.sources import open_source
from streamspot.types import Frame

SIZES = (SIZE, (1280, 720))
"""Width and height of the pictures of the cameras."""
CAMERAS = (1, 2, 4, 8)
"""How many cameras are tried at once."""
_FPS = 30
_WITHIN = 0.04
"""Seconds after a picture within which what it decides has to be known."""


def carried(source: str, weights: str, seconds: float) -> dict[str, Any]:
    """Measure how many cameras and streams this machine carries, what each takes of its memory, and its start.

    Args:
        source: Where the pictures come from.
        weights: Weights to run.
        seconds: How long each number of cameras is measured.
    """
    return {
        "cameras": list(_cameras(source, weights, seconds)),
        "streams_of_the_network": list(_streams(weights)),
        "start_up_s": _start_up(weights),
    }


def _cameras(source: str, weights: str, seconds: float) -> Iterator[dict[str, Any]]:
    """Measure growing numbers of files read at 30 frames a second, each size up to the first number that drops."""
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            clip = _clip(source, Path(folder) / f"{size[0]}x{size[1]}.mp4", size, seconds)
            for count in CAMERAS:
                figures = asyncio.run(_paced([str(clip)] * count, weights))
                yield {"cameras": count, "size": f"{size[0]}x{size[1]}", **figures}
                if figures["dropped"]:
                    break


def _clip(source: str, path: Path, size: tuple[int, int], seconds: float) -> Path:
    """Write the source's pictures, back and forth, as a video of that size at 30 frames a second."""
    if int(seconds * _FPS) < 2:
        raise SettingsError(f"{seconds:g} s are too short for a benchmark; give more with --seconds")
    with closing(open_source(source)) as opened:
        frames = [
            item.image for item in islice(opened.read(), int(seconds * _FPS)) if isinstance(item, Frame)
        ]
    if len(frames) < 2:
        raise SourceError(f"{source} has {len(frames)} frames; a benchmark needs at least 2")
    there_and_back = frames + frames[-2:0:-1]
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=Fraction(_FPS))
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for number in range(int(seconds * _FPS)):
            picture = cv2.resize(there_and_back[number % len(there_and_back)], size)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="bgr24")))
        file.mux(stream.encode())
    return path


async def _paced(clips: list[str], weights: str) -> dict[str, Any]:
    """Run files at their own pace as cameras are run, where an old picture is dropped for a new one."""
    flags = {"source": clips, "weights": weights, "device": "cpu", "policy": "latest", "speed": 1.0}
    runs = open_runs(load_streams(flags))
    for run in runs:
        run.load()
    late: dict[str, list[float]] = {run.name: [] for run in runs}
    dropped: dict[str, int] = {}  # while it started: face detectors take a second to load
    before, first = time.process_time(), 0  # when the last of them had started
    async with Engine(runs) as engine:
        async for run, update in engine:
            if update.motion:
                late[run.name].append(time.monotonic() - update.pts)
            if len(late[run.name]) > _FPS and run.name not in dropped:
                dropped[run.name] = run.stats.dropped
                before, first = time.process_time(), sum(one.stats.frames for one in runs)
    worked = time.process_time() - before
    frames = sum(run.stats.frames for run in runs) - first
    if len(dropped) < len(runs) or not frames:
        raise SourceError(
            f"{len(runs)} cameras did not start within the time given; give more with --seconds"
        )
    # a file's clock began when its first pictures came; the quickest decision tells when
    after = np.concatenate([np.array(one[_FPS:]) - min(one[_FPS:]) for one in late.values()])
    return {
        "dropped": sum(run.stats.dropped - dropped[run.name] for run in runs),
        "after_the_quickest_ms": figures_of(after),
        "within_40_ms": round(float((after < _WITHIN).mean()), 4),
        "processor_ms_a_frame": round(1e3 * worked / frames, 3),
        "cameras_a_core": round(frames / _FPS / worked, 1),
    }


def _streams(weights: str) -> Iterator[dict[str, Any]]:
    """Measure the network's step for growing numbers of streams on every device there is."""
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        model = Model.load(weights, device=device)
        for streams in (1, 8, 64, 256) if device == "cpu" else (1, 8, 64, 256, 1024, 4096):
            state = model.new_state(streams)
            motion = np.zeros((streams, model.config.regions, 2), np.float32)
            durations = []
            for _ in range(120):
                started = time.perf_counter()
                model.step(motion, state)
                durations.append(time.perf_counter() - started)
            steady = np.array(durations[20:])
            memory = sum(part.nbytes for part in state.parts()) / streams
            yield {
                "device": device,
                "streams": streams,
                "step_ms": {**figures_of(steady), "least": round(1e3 * float(steady.min()), 3)},
                "ticks_per_second": round(streams / float(np.median(steady))),
                "kilobytes_a_stream": round(memory / 1024, 1),
            }


def _start_up(weights: str) -> dict[str, float]:
    """Measure, in a process of its own, the seconds until the network is loaded and the first frame analysed."""
    code = (
        "import time; began = time.monotonic()\nimport streamspot\n"
        f"spotter = streamspot.FrameSpotter(weights={weights!r})\nprint(time.monotonic() - began)\n"
        "import numpy\nspotter.push(numpy.zeros((480, 640, 3), numpy.uint8), 0.0)\nprint(time.monotonic() - began)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    names = ("network", "first_frame")
    return {name: round(float(line), 2) for name, line in zip(names, done.stdout.split(), strict=True)}
