"""How much of an expression each measurement reads: ``python -m experiments.reading FACE_MODELS``.

FACE_MODELS is a folder with ``ict_facekit_light.npz`` and ``vertex_indices.json`` of ICT-FaceKit. Rendered people,
held still, show one expression each time; how far every point of the picture moves is known from the rendering. A
row says which part of the true motion of the 17 regions a measurement finds (the coefficient of its least-squares
fit to the truth, median over people; 1 is all of it): face meshes from rest to the held expression, optical flows
summed over the frames of the rise.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np

from experiments.shipped.heads import SIZE, Array, HeadModel, RenderedPerson
from experiments.shipped.rasterise import rasterise
from streamspot.face.align import CROP, CROP_EYES, Eyes, to_crop
from streamspot.face.detectors import FaceMesh
from streamspot.motion.flow import FLOWS, make_flow
from streamspot.motion.regions import LAYOUTS
from streamspot.types import Frame

FIRST_SEED = 60_000
SIZE_OF_EXPRESSION = 0.7
REST, RISE, HOLD = 20, 10, 10
"""Frames."""

SHOWN = {
    "smile": ("mouthSmile",),
    "lowered mouth corners": ("mouthFrown",),
    "stretched lips": ("mouthStretch",),
    "pressed lips": ("mouthPress",),
    "raised brows": ("browInnerUp", "browOuterUp"),
    "lowered brows": ("browDown",),
    "wrinkled nose": ("noseSneer",),
    "raised chin": ("mouthShrugLower",),
}
REGIONS = np.array(LAYOUTS["face17"].vertices)


class Still(RenderedPerson):
    """A person who shows one expression and does nothing else."""

    def show(self, names: tuple[str, ...]) -> list[Frame]:
        """Return the pictures from rest to the held expression."""
        curve = np.zeros(self._count, np.float32)
        curve[REST : REST + RISE] = SIZE_OF_EXPRESSION * (1 - np.cos(np.linspace(0, np.pi, RISE))) / 2
        curve[REST + RISE :] = SIZE_OF_EXPRESSION
        self._weights = {
            shape: curve
            for shape in self._model.shapes
            for name in names
            if shape in (name, f"{name}_L", f"{name}_R")
        }
        self._pose[:] = self._pose[0]
        return [self._shot(index, self.picture(index)) for index in range(REST + RISE + HOLD)]

    def moved(self) -> Array:
        """Return how far what is seen at each pixel at rest has moved when the expression is held, pixels."""
        before, after = self.vertices(0)[0], self.vertices(REST + RISE)[0]
        return rasterise(before, self._triangles, (after - before)[:, :2], SIZE)[1]


def mesh_of(frames: list[Frame], *, attention: bool) -> Array | None:
    """Return the landmarks of every frame ``(T, 468 or 478, 3)``, None if the face is not found in one."""
    with closing(FaceMesh(attention=attention)) as detector:
        found = [detector(frame) for frame in frames]
    return np.stack([one[0] for one in found]) if all(found) else None


def read_all(clip: Still, names: tuple[str, ...]) -> dict[str, float]:
    """Return what each measurement finds of one expression."""
    frames = clip.show(names)
    refined, plain = mesh_of(frames, attention=True), mesh_of(frames, attention=False)
    if refined is None or plain is None:
        return {}
    rest = slice(REST // 2, REST)
    neutral = refined[rest].mean(0)
    at = neutral[REGIONS, :2].round().astype(int)
    true = clip.moved()[at[:, 1], at[:, 0]]
    read = {
        "mesh without attention": plain[-HOLD // 2 :].mean(0) - plain[rest].mean(0),
        "mesh with attention": refined[-HOLD // 2 :].mean(0) - neutral,
    }
    read = {name: moved[REGIONS, :2] for name, moved in read.items()}
    alignment = Eyes.of(neutral).alignment()
    scale = CROP_EYES / Eyes.of(neutral).distance
    crops = [
        cv2.warpAffine(cv2.cvtColor(frame.image, cv2.COLOR_BGR2GRAY), alignment, (CROP, CROP))
        for frame in frames
    ]
    for name in FLOWS[:-1]:  # TV-L1 takes minutes
        flow, total = make_flow(name), np.zeros_like(true)
        for index in range(REST, REST + RISE):
            points = to_crop(alignment, refined[index][REGIONS])[:, :2]
            total += np.nan_to_num(flow(crops[index], crops[index + 1], points)) / scale
        read[name] = total
    return {name: float((moved * true).sum() / (true * true).sum()) for name, moved in read.items()}


def main() -> None:
    """Print a line an expression."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("face_models", type=Path)
    parser.add_argument("--people", type=int, default=20)
    options = parser.parse_args()
    model = HeadModel.load(options.face_models)
    for shown, names in SHOWN.items():
        found: dict[str, list[float]] = defaultdict(list)
        for number in range(options.people):
            for name, share in read_all(Still(model, FIRST_SEED + number), names).items():
                found[name].append(share)
        row = {name: round(float(np.median(shares)), 2) for name, shares in found.items()}
        print(shown, json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
