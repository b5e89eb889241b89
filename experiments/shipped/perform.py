"""Measure the region motion of rendered actors, to train on.

``python -m experiments.shipped.perform FACE_MODELS --out FOLDER``: FACE_MODELS is a folder with
``ict_facekit_light.npz`` and ``vertex_indices.json`` of ICT-FaceKit. Every clip shows another person, light, camera
and pose, by its seed. The pictures go through the face mesh and the flow of a stream, so the motion has the errors of
real measurement; region motion and its truth are written, no picture.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from unittest.mock import patch

import cv2
import numpy as np

from experiments.shipped.acted import Acted
from experiments.shipped.actors import FIRST_SEED, Actor
from experiments.shipped.heads import FPS, Array, HeadModel
from streamspot.face.detectors import make_detector
from streamspot.face.tracker import FaceTracker
from streamspot.motion import fuse, position
from streamspot.motion.estimator import MotionEstimator
from streamspot.motion.fuse import MotionFusion
from streamspot.motion.position import Positions
from streamspot.motion.regions import LAYOUTS
from streamspot.simulation.simulate import truth
from streamspot.types import Face, FaceMotion, Frame, RegionMotion

CLIPS = 2930
"""Number of actors that are rendered."""
ALONE = 2.0
"""Seconds over which landmarks correct the flow that stands for programs that have flow alone."""


class Alone(Positions):
    """Where flow alone has the regions: landmarks do no more than keep them from drifting away."""

    def see(self, seen: Array, seconds: float) -> None:  # noqa: ARG002 - how noisy landmarks are is of no account
        """Learn from landmarks how far off the positions are."""
        self._error = seen - self.at


def perform(model: HeadModel, seed: int, seconds: float) -> Acted | None:
    """Return the measured motion of an actor and its truth; None if the face was lost."""
    actor = Actor(model, seed, seconds)
    ticks, regions = round(seconds * FPS), LAYOUTS["face17"]
    looked: dict[int, Face] = {}

    class Remembering(FaceTracker):
        """Keeps what was seen, for the second measurement."""

        def track(self, frame: Frame, followed: Mapping[int, float] = MappingProxyType({})) -> list[Face]:
            found = super().track(frame, followed)
            looked.update((frame.index, face) for face in found if face.track == 0)
            return found

    frames = list(actor.frames())
    with closing(MotionEstimator(Remembering(make_detector(1, None), 1), regions)) as estimator:
        seen = [one for frame in frames for one in estimator.push(frame)]
    known = [one.motion for one in seen if isinstance(one, FaceMotion) and one.face == 0]
    if len(known) < 0.97 * ticks - 15:
        return None
    with patch.object(fuse, "Positions", Alone):
        flow = MotionFusion(regions, origin=0.0)
    alone = []
    with patch.object(position, "ANCHOR", ALONE):
        for frame in frames:
            flow.follow(frame)
            alone += flow.push(frame, looked.get(frame.index))
    instances = tuple(instance for instance, _ in actor.acted)
    measured = (_on_ticks(one, ticks) for one in (known, alone))
    return Acted(next(measured), *truth(actor.acted, ticks), instances, next(measured))


def _on_ticks(known: list[RegionMotion], ticks: int) -> Array:
    """Return the displacement (T, R, 2) at every tick, 0 where none is known."""
    out = np.zeros((ticks, *known[0].displacement.shape), np.float32)
    for one in known:
        if one.tick < ticks:
            out[one.tick] = one.displacement
    return out


def main() -> None:
    """Write a file a clip; clips that are there already stay."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("face_models", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--part", default="1/1", help="K/N: only every N-th clip, from the K-th on")
    parser.add_argument("--seconds", type=float, default=16.0)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    model = HeadModel.load(options.face_models)
    part, parts = (int(word) for word in options.part.split("/"))
    for number in range(part - 1, CLIPS, parts):
        path = options.out / f"{number:05}.npz"
        if path.exists():
            continue
        started = time.perf_counter()
        made = perform(model, FIRST_SEED + number, options.seconds)
        if made is not None:
            made.save(path)
        print(f"{number} {time.perf_counter() - started:.1f} s{'' if made else ', face lost'}", flush=True)


if __name__ == "__main__":
    main()
