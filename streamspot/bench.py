"""What a frame costs: each stage, the whole pipeline with decoding, and MediaPipe's faces alone as yardsticks.

The yardsticks are MediaPipe's own classes as a user would call them: FaceMesh with its default options, colours
turned, landmarks not read out (the pipeline's mesh has attention, which that default leaves out), and FaceLandmarker
with blendshapes where its model is there. Where MediaPipe no longer has FaceMesh, FaceLandmarker is the only one.

All are given the same frames in the same process, a frame each in turn and in changing order, so that a machine that
slows down slows all; ratios are therefore worth more than milliseconds. Beside wall-clock time stands the time that
the processor worked, which other programs disturb less.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from streamspot import __version__
from streamspot.errors import SourceError
from streamspot.face.detectors import fetch_landmarker, has_face_mesh, landmarker_path, make_detector
from streamspot.face.tracker import FaceTracker
from streamspot.model import Model
from streamspot.motion.estimator import MotionEstimator
from streamspot.motion.regions import layout
from streamspot.pipeline import Pipeline
from streamspot.sources import open_source
from streamspot.threads import one_thread
from streamspot.timing import TimedDetector, push_timed
from streamspot.types import Frame, Session

_WARM_UP = 30
"""Frames before anything is measured."""

_STAGES = ("decoding", "face", "flow", "model", "spotting")

SIZE = (640, 480)
"""Width and height of the pictures that are measured."""

Spent = NDArray[np.float64]
"""(frames, 2), seconds of wall-clock time and of processor time."""


def bench(source: str, weights: str, frames: int) -> dict[str, Any]:
    """Measure one stream of so many frames, brought to 640 x 480, on the CPU, alone and beside busy processes.

    Returns:
        Machine, what a frame costs in each stage and as a whole in milliseconds (mean, p50, p99), the yardsticks and
        the ratios to them, and in which share of the frames landmarks were looked for.

    Raises:
        StreamspotError: The source or the weights cannot be used, or the source is too short.
    """
    one_thread()
    pictures, decoding = _pictures(source, frames + _WARM_UP)
    model = Model.load(weights, device="cpu")
    figures = _measure(model, pictures, decoding)
    with _busy(os.cpu_count() or 1):
        beside = _measure(model, pictures, decoding)
    return {
        "streamspot": __version__,
        "weights": model.config.name,
        "look_ahead": model.config.look_ahead,
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
            "python": platform.python_version(),
        },
        "protocol": f"{frames} frames of {source} at {SIZE[0]}x{SIZE[1]}, one thread, turn by turn",
        **figures,
        "beside_busy_processes": beside,
    }


def _measure(model: Model, pictures: list[Frame], decoding: Spent) -> dict[str, Any]:
    """Give every frame to the pipeline and to the yardsticks in turn."""
    session = Session("bench", "bench", "bench", 0.0, datetime.now(UTC))
    detector = TimedDetector(make_detector(1))
    estimator = MotionEstimator(FaceTracker(detector, 1), layout(model.config.layout))
    stages = []
    with ExitStack() as stack:
        pipeline = stack.enter_context(closing(Pipeline(model, session, estimator)))
        turns: dict[str, Callable[[Frame], object]] = dict(_yardsticks(stack))

        def ours(frame: Frame) -> None:
            _, seconds = push_timed(pipeline, frame, detector)
            stages.append([seconds.get(name, 0.0) for name in _STAGES])

        turns["ours"] = ours
        names = list(turns)
        took: dict[str, list[tuple[float, float]]] = {name: [] for name in turns}
        for number, frame in enumerate(pictures):
            for name in names[number % len(names) :] + names[: number % len(names)]:
                wall, worked = time.perf_counter(), time.process_time()
                turns[name](frame)
                took[name].append((time.perf_counter() - wall, time.process_time() - worked))
    spent = {name: np.array(value[_WARM_UP:]) for name, value in took.items()}  # (frames, wall and processor)
    mine = spent.pop("ours") + decoding[_WARM_UP:]
    parts = np.array(stages[_WARM_UP:]).T
    parts[0] = decoding[_WARM_UP:, 0]
    return {
        "stages_ms": {name: figures_of(part) for name, part in zip(_STAGES, parts, strict=True)},
        "frame_ms": figures_of(mine[:, 0]),
        "yardsticks": {
            name: {
                "ms": figures_of(theirs[:, 0]),
                "ratio_of_means": _ratio(mine[:, 0].mean(), theirs[:, 0].mean()),
                "ratio_of_p99": _ratio(np.quantile(mine[:, 0], 0.99), np.quantile(theirs[:, 0], 0.99)),
                "ratio_of_processor_time": _ratio(mine[:, 1].mean(), theirs[:, 1].mean()),
            }
            for name, theirs in spent.items()
        },
        "looked": round(float((parts[1] > 0).mean()), 3),
        "frames_per_second": round(float(1.0 / mine[:, 0].mean()), 1),
    }


def _yardsticks(stack: ExitStack) -> Iterator[tuple[str, Callable[[Frame], object]]]:
    """Yield what MediaPipe's own classes do with a frame, by their names."""
    if has_face_mesh():
        from mediapipe.python.solutions.face_mesh import FaceMesh  # noqa: PLC0415 - takes two seconds

        mesh = stack.enter_context(FaceMesh())
        yield "FaceMesh", lambda frame: mesh.process(cv2.cvtColor(frame.image, cv2.COLOR_BGR2RGB))
    if not has_face_mesh() or landmarker_path().is_file():
        import mediapipe as mp  # noqa: PLC0415
        from mediapipe.tasks import python as tasks  # noqa: PLC0415
        from mediapipe.tasks.python import vision  # noqa: PLC0415

        options = vision.FaceLandmarkerOptions(
            base_options=tasks.BaseOptions(model_asset_path=str(fetch_landmarker())),
            running_mode=vision.RunningMode.VIDEO,
            output_face_blendshapes=True,
        )
        found = stack.enter_context(vision.FaceLandmarker.create_from_options(options))

        def landmarks(frame: Frame) -> None:
            colours = cv2.cvtColor(frame.image, cv2.COLOR_BGR2RGB)
            picture = mp.Image(image_format=mp.ImageFormat.SRGB, data=colours)
            found.detect_for_video(picture, round(1000 * frame.pts))

        yield "FaceLandmarker with blendshapes", landmarks


def _pictures(source: str, count: int) -> tuple[list[Frame], Spent]:
    """Return so many frames at 640 x 480, a short source back and forth, and what reading each took."""
    taken: list[Frame] = []
    spent: list[tuple[float, float]] = []
    with closing(open_source(source)) as opened:
        items = iter(opened.read())
        while len(taken) < count:
            wall, worked = time.perf_counter(), time.process_time()
            item = next(items, None)
            took = time.perf_counter() - wall, time.process_time() - worked
            if item is None:
                break
            if isinstance(item, Frame):
                taken.append(item)
                spent.append(took)
    if len(taken) < 2:
        raise SourceError(f"{source} has {len(taken)} frames; a benchmark needs at least 2")
    step = (taken[-1].pts - taken[0].pts) / (len(taken) - 1)
    there_and_back = [*range(len(taken)), *range(len(taken) - 2, 0, -1)]
    places = [there_and_back[i % len(there_and_back)] for i in range(count)]
    frames = [Frame(i, i * step, 0, cv2.resize(taken[place].image, SIZE)) for i, place in enumerate(places)]
    return frames, np.array(spent)[places]


@contextmanager
def _busy(processes: int) -> Iterator[None]:
    """Keep so many processes at work meanwhile."""
    code = "import numpy as n\na = n.ones((300, 300))\nwhile True: a @ a"
    one = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    neighbours = [subprocess.Popen([sys.executable, "-c", code], env=one) for _ in range(processes)]  # noqa: S603
    try:
        time.sleep(1.0)
        yield
    finally:
        for neighbour in neighbours:
            neighbour.kill()
            neighbour.wait()


def _ratio(mine: float, theirs: float) -> float:
    return round(float(mine / theirs), 3)


def figures_of(seconds: NDArray[np.float64]) -> dict[str, float]:
    """Return mean and quantiles in milliseconds."""
    mean, p50, p99 = (round(1e3 * float(x), 3) for x in (seconds.mean(), *np.quantile(seconds, (0.5, 0.99))))
    return {"mean": mean, "p50": p50, "p99": p99}


def _processor() -> str:
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return platform.processor() or platform.machine()
