"""What a frame costs: each stage, the whole pipeline, and the yardstick of MediaPipe's face mesh alone.

The yardstick is MediaPipe's own Python class FaceMesh with its default options, as a user would call it: colours
turned, landmarks not read out. (The pipeline's face mesh has attention, which MediaPipe's default leaves out.) Where
MediaPipe no longer has that class it is FaceLandmarker.

Both are given the same frames in the same process, a frame each in turn and in alternating order, so that a
machine that slows down slows both; ratios are therefore worth more than milliseconds.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
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

_SIZE = (640, 480)


def bench(source: str, weights: str, frames: int) -> dict[str, Any]:
    """Measure one stream of so many frames, brought to 640 x 480, on the CPU, and many streams on every device.

    Returns:
        Machine, what a frame costs in each stage and as a whole in milliseconds (mean, p50, p99), the yardstick,
        the ratios of the means and of the medians, in which share of the frames landmarks were looked for, and the
        throughput of the network for many streams.

    Raises:
        StreamspotError: The source or the weights cannot be used, or the source is too short.
    """
    one_thread()
    model = Model.load(weights, device="cpu")
    pictures = _pictures(source, frames + _WARM_UP)
    session = Session("bench", "bench", "bench", 0.0, datetime.now(UTC))
    detector = TimedDetector(make_detector(1))
    estimator = MotionEstimator(FaceTracker(detector, 1), layout(model.config.layout))
    ours, theirs, stages = [], [], []
    with closing(Pipeline(model, session, estimator)) as pipeline, _yardstick() as (name, alone):
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
        "protocol": f"{len(mine)} frames of {source} at {_SIZE[0]}x{_SIZE[1]}, one thread, turn by turn",
        "stages_ms": {name: _figures(part) for name, part in zip(_STAGES, parts, strict=True)},
        "frame_ms": _figures(mine),
        "yardstick": name,
        "yardstick_ms": _figures(yardstick),
        "looked": round(float((parts[0] > 0).mean()), 3),
        "ratio_of_medians": round(float(np.median(mine) / np.median(yardstick)), 3),
        "ratio_of_means": round(float(mine.mean() / yardstick.mean()), 3),
        "frames_per_second": round(float(1.0 / mine.mean()), 1),
        "many_streams": list(_many_streams(weights)),
    }


@contextmanager
def _yardstick() -> Iterator[tuple[str, Callable[[Frame], object]]]:
    """Lend MediaPipe's FaceMesh with its default options, or what stands in where this MediaPipe has none."""
    if has_face_mesh():
        from mediapipe.python.solutions.face_mesh import FaceMesh  # noqa: PLC0415 - takes two seconds

        with FaceMesh() as mesh:
            yield "FaceMesh", lambda frame: mesh.process(cv2.cvtColor(frame.image, cv2.COLOR_BGR2RGB))
    else:
        with closing(make_detector(1)) as detector:
            yield detector.name, detector


def _pictures(source: str, count: int) -> list[Frame]:
    """Return so many frames at 640 x 480 and the source's rate, repeating a short source back and forth."""
    with Feed(open_source(source)) as feed:
        taken = list(islice((item for item in feed if isinstance(item, Frame)), count))
    if len(taken) < 2:
        raise SourceError(f"{source} has {len(taken)} frames; a benchmark needs at least 2")
    step = (taken[-1].pts - taken[0].pts) / (len(taken) - 1)
    there_and_back = taken + taken[-2:0:-1]
    return [
        Frame(i, i * step, 0, cv2.resize(there_and_back[i % len(there_and_back)].image, _SIZE))
        for i in range(count)
    ]


def _many_streams(weights: str) -> Iterator[dict[str, Any]]:
    """Measure the network's step for growing numbers of streams on every device there is."""
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        model = Model.load(weights, device=device)
        for streams in (1, 8, 64, 256):
            state = model.new_state(streams)
            motion = np.zeros((streams, model.config.regions, 2), np.float32)
            durations = []
            for _ in range(120):
                started = time.perf_counter()
                model.step(motion, state)
                durations.append(time.perf_counter() - started)
            steady = np.array(durations[20:])
            yield {
                "device": device,
                "streams": streams,
                "step_ms": _figures(steady),
                "ticks_per_second": round(streams / float(np.median(steady))),
            }


def _figures(seconds: NDArray[np.float64]) -> dict[str, float]:
    """Return mean and quantiles in milliseconds."""
    mean, p50, p99 = (round(1e3 * float(x), 3) for x in (seconds.mean(), *np.quantile(seconds, (0.5, 0.99))))
    return {"mean": mean, "p50": p50, "p99": p99}


def _processor() -> str:
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return platform.processor() or platform.machine()
