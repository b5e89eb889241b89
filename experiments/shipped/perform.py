"""Measure the region motion of rendered actors, to train on.

``python -m experiments.shipped.perform FACE_MODELS --out FOLDER``: FACE_MODELS is a folder with
``ict_facekit_light.npz`` and ``vertex_indices.json`` of ICT-FaceKit. Every clip shows another person, light, camera
and pose, by its seed. The pictures go through the face mesh and the flow of a stream, so the motion has the errors of
real measurement; region motion and its truth are written, no picture.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import numpy as np

from experiments.observing import observe
from experiments.shipped.acted import Acted
from experiments.shipped.actors import FIRST_SEED, FIRST_SUBTLE, Actor
from experiments.shipped.heads import FPS, Array, HeadModel
from streamspot.motion.fuse import ANCHOR
from streamspot.motion.regions import LAYOUTS
from streamspot.simulation.simulate import truth
from streamspot.types import FaceMotion, FlowName

CLIPS = (*range(654), *range(FIRST_SUBTLE, 1260))
"""Numbers of the clips that the shipped weights learn from."""
FLOW_ALONE: tuple[FlowName, float] = ("dis", 2.0)
"""Flow, and seconds after which landmarks correct it, that stand for programs that have dense flow alone."""


def perform(model: HeadModel, seed: int, seconds: float) -> Acted | None:
    """Return the measured motion of an actor and its truth; None if the face was lost."""
    actor = Actor(model, seed, seconds)
    ticks = round(seconds * FPS)
    frames = list(actor.frames())

    def measured(flow: FlowName, anchor: float) -> Array | None:
        seen = [one for one in observe(frames, flow, anchor) if isinstance(one, FaceMotion) and one.face == 0]
        known = [one.motion for one in seen if one.motion.tick < ticks]
        out = np.zeros((ticks, len(LAYOUTS["face17"]), 2), np.float32)
        for one in known:
            out[one.tick] = one.displacement
        return out if len(known) >= 0.97 * ticks - 15 else None

    motion, flow = measured("lk", ANCHOR), measured(*FLOW_ALONE)
    if motion is None or flow is None:
        return None
    instances = tuple(instance for instance, _ in actor.acted)
    return Acted(motion, *truth(actor.acted, ticks), instances, flow)


def main() -> None:
    """Write a file a clip; clips that are there already stay."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("face_models", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--part", default="1/1", help="K/N: only every N-th clip, from the K-th on")
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    model = HeadModel.load(options.face_models)
    part, parts = (int(word) for word in options.part.split("/"))
    for number in CLIPS[part - 1 :: parts]:
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
