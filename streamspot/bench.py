"""What a frame costs: each stage, the whole pipeline, and the yardstick of MediaPipe FaceMesh alone.

The yardstick is MediaPipe's own Python class with its default options, as a user would call it: colours turned,
landmarks not read out. (The pipeline's face mesh has attention, which MediaPipe's default leaves out.)

Both are given the same frames in the same process, a frame each in turn and in alternating order, so that a
machine that slows down slows both; ratios are therefore worth more than milliseconds.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from streamspot import __version__
from streamspot.errors import SourceError
from streamspot.face.detectors import has_face_mesh, make_detector
from streamspot.face.tracker import FaceTracker
from streamspot.model import Model
from streamspot.motion.estimator import MotionEstimator
from streamspot.motion.regions import layout
from streamspot.pipeline import Pipeline
from streamspot.sources import Feed, open_source
from streamspot.threads import one_thread
from streamspot.timing import TimedDetector, push_timed
from streamspot.types import Frame, Session

_WARM_UP = 30
"""Frames before anything is measured."""

_STAGES = ("face", "flow", "model", "spotting")

SIZE = (640, 480)


def bench(
    source: str = "synthetic", *, weights: str = "streamspot-base", frames: int = 600, device: str = "cpu"
) -> dict[str, Any]:
    """Measure one stream frame by frame and many streams at once.

    Args:
        source: Where the frames come from; they are brought to 640 x 480.
        weights: Network to run.
        frames: How many frames to measure.
        device: For the single stream.

    Returns:
        Machine, what a frame costs in each stage and as a whole in milliseconds (mean, p50, p99), FaceMesh alone,
        the ratios of the means and of the medians, in which share of the frames landmarks were looked for, and the
        throughput of the network for many streams.

    Raises:
        StreamspotError: The source or the weights cannot be used, or the source is too short.
    """
    one_thread()
    model = Model.load(weights, device=device)
    pictures = _pictures(source, frames + _WARM_UP)
    session = Session("bench", "bench", "bench", 0.0, datetime.now(UTC))
    detector = TimedDetector(make_detector(1))
    estimator = MotionEstimator(FaceTracker(detector, 1), layout(model.config.layout))
    ours, theirs, stages = [], [], []
    with closing(Pipeline(model, session, estimator)) as pipeline, _face_mesh_alone() as alone:
        for number, frame in enumerate(pictures):
            for turn in (number % 2, 1 - number % 2):
                started = time.perf_counter()
                if turn:
                    alone(frame)
                    theirs.append(time.perf_counter() - started)
                else:
                    _, seconds = push_timed(pipeline, frame, detector)
                    ours.append(time.perf_counter() - started)
                    stages.append([seconds.get(name, 0.0) for name in _STAGES])
    mine, yardstick = np.array(ours[_WARM_UP:]), np.array(theirs[_WARM_UP:])
    parts = np.array(stages[_WARM_UP:]).T
    return {
        "streamspot": __version__,
        "weights": model.config.name,
        "look_ahead": model.config.look_ahead,
        "machine": {"processor": _processor(), "cores": os.cpu_count(), "python": platform.python_version()},
        "protocol": f"{len(mine)} frames of {source} at {SIZE[0]}x{SIZE[1]}, one thread, turn by turn",
        "stages_ms": {name: _figures(part) for name, part in zip(_STAGES, parts, strict=True)},
        "frame_ms": _figures(mine),
        "facemesh_alone_ms": _figures(yardstick),
        "looked": round(float((parts[0] > 0).mean()), 3),
        "ratio_of_medians": round(float(np.median(mine) / np.median(yardstick)), 3),
        "ratio_of_means": round(float(mine.mean() / yardstick.mean()), 3),
        "frames_per_second": round(float(1.0 / mine.mean()), 1),
        "many_streams": _many_streams(weights),
    }


@contextmanager
def _face_mesh_alone() -> Iterator[Callable[[Frame], object]]:
    """Lend MediaPipe's FaceMesh with its default options, or what stands in where this MediaPipe has none."""
    if not has_face_mesh():
        with closing(make_detector(1)) as detector:
            yield detector
        return
    from mediapipe.python.solutions.face_mesh import FaceMesh  # noqa: PLC0415 - takes two seconds

    with FaceMesh() as mesh:
        yield lambda frame: mesh.process(cv2.cvtColor(frame.image, cv2.COLOR_BGR2RGB))


def _pictures(source: str, count: int) -> list[Frame]:
    """Return so many frames at 640 x 480 and the source's rate, repeating a short source back and forth."""
    with Feed(open_source(source)) as feed:
        taken = list(islice((item for item in feed if isinstance(item, Frame)), count))
    if len(taken) < 2:
        raise SourceError(f"{source} has {len(taken)} frames; a benchmark needs at least 2")
    step = (taken[-1].pts - taken[0].pts) / (len(taken) - 1)
    there_and_back = taken + taken[-2:0:-1]
    return [
        Frame(i, i * step, 0, cv2.resize(there_and_back[i % len(there_and_back)].image, SIZE))
        for i in range(count)
    ]


def _many_streams(weights: str) -> list[dict[str, Any]]:
    """Measure the network's step for growing numbers of streams on every device there is."""
    rows = []
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        model = Model.load(weights, device=device)
        for streams in (1, 8, 64, 256):
            state = model.new_state(streams)
            motion = torch.zeros(streams, model.config.regions, 2, device=model.device)
            durations = []
            for _ in range(120):
                started = time.perf_counter()
                model.step(motion, state)
                if device == "cuda":
                    torch.cuda.synchronize()
                durations.append(time.perf_counter() - started)
            steady = np.array(durations[20:])
            rows.append(
                {
                    "device": device,
                    "streams": streams,
                    "step_ms": _figures(steady),
                    "ticks_per_second": round(streams / float(np.median(steady))),
                }
            )
    return rows


def _figures(seconds: NDArray[np.float64]) -> dict[str, float]:
    """Return mean and quantiles in milliseconds."""
    p50, p99 = np.quantile(seconds * 1e3, (0.5, 0.99))
    return {
        "mean": round(float(seconds.mean() * 1e3), 3),
        "p50": round(float(p50), 3),
        "p99": round(float(p99), 3),
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
