"""Rendered heads with exactly known expressions: pictures for tests of the whole pipeline.

Shapes come from ICT-FaceKit (Li et al., CVPR 2020; MIT licence), which is not part of this project: a folder with its
``ict_facekit_light.npz`` and ``vertex_indices.json`` is an argument. It has no texture; ``paint.py`` paints one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from experiments.shipped.paint import GUMS, LASHES, SKIN, TEETH, painted
from experiments.shipped.rasterise import normals, rasterise
from streamspot.datasets.recording import Instance
from streamspot.simulation.time_courses import blink, expression, knots, speech, swing
from streamspot.types import Frame, Kind

Array = NDArray[np.float32]
Rng = np.random.Generator

FPS = 30
SIZE = 320
"""Side of a picture, pixels."""
_LIGHT = {"even": (0.75, 0.35), "side": (0.4, 0.7), "dim": (0.35, 0.25)}  # ambient, directed

_EXPRESSIONS: tuple[tuple[float, dict[str, float]], ...] = (
    (4, {"mouthSmile": 1.0, "cheekSquint": 0.6}),
    (2, {"mouthSmile": 1.0}),
    (3, {"browInnerUp": 1.0, "browOuterUp": 1.0}),
    (1, {"browInnerUp": 1.0}),
    (2, {"browDown": 1.0}),
    (1, {"browDown": 1.0, "noseSneer": 0.8}),
    (1, {"mouthFrown": 1.0, "mouthShrugLower": 0.6}),
    (1, {"mouthPress": 1.0, "mouthDimple": 0.8}),
    (1, {"browInnerUp": 1.0, "browOuterUp": 1.0, "eyeWide": 1.0, "jawOpen": 0.4}),
    (1, {"mouthStretch": 1.0}),
    (1, {"noseSneer": 1.0, "mouthUpperUp": 0.7}),
)
MACRO, MICRO = (0.5, 1.0), (0.25, 0.5)
"""Intensities as shares of the full shapes; a full smile moves a mouth corner by 0.17 inter-ocular distances."""


class HeadModel:
    """The head: neutral vertices, triangles, expression shapes by name, identities.

    Args:
        path: ``ict_facekit_light.npz``.
        landmarks: Vertices of the 68 landmarks, from ``vertex_indices.json``.
    """

    def __init__(self, path: Path, landmarks: list[int]) -> None:
        with np.load(path) as data:
            quads = data["faces"]
            neutral, shapes, names = data["neutral"], data["expr"], data["expr_names"]
            identities = data["identity"]
        quads = quads[(quads < LASHES).all(1)]
        gums = ((quads >= GUMS) & (quads < TEETH)).any(1)
        behind = (neutral[quads, 2] < np.where(quads[:, :1] >= TEETH, 7.5, -1)).any(1)
        quads = quads[~gums & ~behind]
        used, where = np.unique(quads, return_inverse=True)
        quads = where.reshape(quads.shape)
        self.part = used
        self.neutral: Array = neutral[used]
        self.shapes: dict[str, Array] = {str(n): s[used] for n, s in zip(names, shapes, strict=True)}
        self.identities: Array = identities[:, used]
        self.triangles = np.concatenate((quads[:, :3], quads[:, [0, 2, 3]]))
        self.landmarks = np.searchsorted(used, landmarks)

    @classmethod
    def load(cls, folder: Path) -> HeadModel:
        """Return the model of a folder with ``ict_facekit_light.npz`` and ``vertex_indices.json``."""
        indices = json.loads((folder / "vertex_indices.json").read_text(encoding="utf-8"))
        return cls(folder / "ict_facekit_light.npz", indices["idx_to_landmark_verts"])


@dataclass(frozen=True, slots=True)
class Conditions:
    """Who and what a clip shows.

    Attributes:
        skin: ``light``, ``medium`` or ``dark``.
        light: ``even``, ``side`` or ``dim``.
        yaw: Usual turn of the head, degrees.
        talking: Whether the person speaks.
    """

    skin: str
    light: str
    yaw: float
    talking: bool


class RenderedPerson:
    """One rendered person; the same seed gives the same pictures.

    Args:
        model: The head model.
        seed: Decides the person, light, pose, course and noise.
        seconds: Length.
    """

    def __init__(self, model: HeadModel, seed: int, seconds: float = 6.0) -> None:
        rng = np.random.default_rng([seed, 77])
        self._model, self._rng = model, rng
        self._count = round(seconds * FPS)
        self.conditions = Conditions(
            str(rng.choice(list(SKIN))),
            str(rng.choice(list(_LIGHT))),
            float(rng.uniform(-20, 20)),
            bool(rng.random() < 0.25),
        )
        weights = rng.normal(0, 1, len(model.identities)).astype(np.float32).clip(-2, 2)
        person = model.neutral + np.tensordot(weights, model.identities, 1)
        self._person: Array = person - person[model.landmarks].mean(0)
        self._normals = normals(self._person, model.triangles)
        seen = self._normals[model.triangles, 2].max(1) > -0.4  # the back of the head never comes into view
        low = self._person[model.triangles, 1].min(1) < -13
        self._triangles = model.triangles[seen & ~low]
        self._paint, self._uv = painted(rng, self._person, model.landmarks, model.part, self.conditions.skin)
        towards = {"even": (0.3, 0.5), "side": (1.0, 0.3), "dim": (0.5, 0.6)}[self.conditions.light]
        side = rng.choice((-1, 1)) * towards[0] * rng.uniform(0.6, 1.2)
        light = np.array((side, towards[1], 1.0))
        self._light = light / np.linalg.norm(light)
        self._ambient, self._directed = _LIGHT[self.conditions.light]
        self._scale = float(rng.uniform(9.5, 11.5))  # pixels per unit at the head's depth
        self._sigma = float(rng.uniform(1, 3.5))
        self._packing = 92
        self.instances: list[Instance] = []
        self.shown: list[tuple[str, float]] = []
        """The first shape of each expression, and its intensity."""
        self._weights = self._course(rng)
        self._pose = self._sway(rng)
        rough = cv2.resize(
            rng.uniform(0, 1, (6, 6, 3)).astype(np.float32), (SIZE, SIZE), interpolation=cv2.INTER_CUBIC
        )
        self._noise = rng.standard_normal((16, SIZE, 2 * SIZE), np.float32)
        self._background: Array = rough * rng.uniform(60, 140) + rng.uniform(10, 80)

    def frames(self) -> Iterator[Frame]:
        """Yield the clip: BGR pictures with sensor noise, JPEG-compressed as a webcam's are."""
        for index in range(self._count):
            yield self._shot(index, self.picture(index))

    def _shot(self, index: int, picture: Array) -> Frame:
        """Return what a webcam makes of a picture."""
        noise = self._noise[self._rng.integers(len(self._noise)), :, self._rng.integers(SIZE) :][:, :SIZE]
        noisy = cv2.add(picture, cv2.merge([noise * np.float32(self._sigma)] * 3), dtype=cv2.CV_8U)
        packed = cv2.imencode(".jpg", noisy, (cv2.IMWRITE_JPEG_QUALITY, self._packing))[1]
        image = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
        return Frame(index, index / FPS, int(index / FPS * 1e9), image)

    def _course(self, rng: Rng) -> dict[str, Array]:
        """Draw the weights of all shapes (frames,) by name, and note the expressions."""
        n = self._count
        total = {name: np.zeros(n, np.float32) for name in self._model.shapes}

        def show(pattern: dict[str, float], curve: Array, start: int) -> None:
            gain_left, gain_right = 1.0, float(rng.uniform(0.7, 1.0))
            if rng.random() < 0.5:
                gain_left, gain_right = gain_right, gain_left
            for name, weight in pattern.items():
                both = (
                    ((name, 1.0),) if name in total else ((name + "_L", gain_left), (name + "_R", gain_right))
                )
                for shape, gain in both:
                    piece = total[shape][start : start + len(curve)]
                    piece += (weight * gain) * curve[: len(piece)]

        odds = np.array([weight for weight, _ in _EXPRESSIONS])
        at = int(rng.integers(45, 75))
        if self.conditions.talking:
            length = int(rng.integers(45, 90))
            said = speech(rng, length)
            show({"jawOpen": 0.25}, said[:, 0].clip(0, None), at)
            show({"mouthFunnel": 0.25}, said[:, 2].clip(0, None), at)
            show({"mouthStretch": 0.2}, said[:, 1].clip(0, None), at)
            at += length + int(rng.integers(20, 40))
        while True:
            kind: Kind = "macro" if rng.random() < 0.5 else "micro"
            if kind == "macro":
                rise, hold, fall = (int(v) for v in rng.integers((7, 5, 8), (16, 60, 24)))
                size = rng.uniform(*MACRO)
            else:
                rise, hold, fall = (int(v) for v in rng.integers((3, 0, 4), (6, 4, 7)))
                size = rng.uniform(*MICRO)
            curve = expression(rng, rise, hold, fall)
            if at + len(curve) + 20 > n:
                break
            pattern = _EXPRESSIONS[int(rng.choice(len(odds), p=odds / odds.sum()))][1]
            show(pattern, curve * np.float32(size), at)
            self.shown.append((next(iter(pattern)), round(float(size), 2)))
            seen = np.flatnonzero(curve >= 0.05)
            first, last, apex = int(seen[0]), int(seen[-1]), int(curve.argmax())
            self.instances.append(Instance(kind, at + first, at + apex, at + last))
            at += len(curve) + int(rng.integers(24, 60))
        self._eyes(rng, total)
        return {name: curve for name, curve in total.items() if curve.any()}

    def _eyes(self, rng: Rng, total: dict[str, Array]) -> None:
        """Add blinks and shifts of gaze."""
        n = self._count
        for start in np.flatnonzero(rng.random(n) < 15 / 60 / FPS):
            lids = blink(rng)
            for side in "LR":
                piece = total[f"eyeBlink_{side}"][start : start + len(lids)]
                np.maximum(piece, lids[: len(piece)], out=piece)
        gaze = np.cumsum(np.where(rng.random(n) < 12 / 60 / FPS, rng.normal(0, 0.35, n), 0)).clip(-0.6, 0.6)
        for side, name in (("L", "Out"), ("R", "In")):
            other = {"Out": "In", "In": "Out"}[name]
            total[f"eyeLook{name}_{side}"] += gaze.clip(0, None).astype(np.float32)
            total[f"eyeLook{other}_{side}"] += (-gaze).clip(0, None).astype(np.float32)

    def _sway(self, rng: Rng) -> Array:
        """Draw yaw, pitch and roll (radians), shift right and up (units) and scale of the head, ``(frames, 6)``."""
        n = self._count
        slow = knots(rng, n, 50, 5) * np.array((1.2, 1.0, 0.7, 0.15, 0.12), np.float32)
        slow[:, 0] += np.float32(self.conditions.yaw)
        slow[:, 1] += np.float32(rng.uniform(-10, 10))
        if rng.random() < 0.4:
            length = int(rng.integers(30, 80))
            start = int(rng.integers(40, n - length))
            turn = swing(rng, length) * np.float32(rng.choice((-1, 1)) * rng.uniform(5, 15))
            slow[start : start + length, int(rng.integers(2))] += turn
        slow[:, :3] *= np.float32(math.pi / 180)
        return np.column_stack((slow, np.ones(n, np.float32)))

    def vertices(self, index: int) -> tuple[Array, Array]:
        """Return the vertices of frame ``index`` in the picture ``(V, 3)``, x and y in pixels, and the rotation."""
        points = self._person.copy()
        for name, curve in self._weights.items():
            if curve[index]:
                points += curve[index] * self._model.shapes[name]
        return self.project(points, index)

    def project(self, points: Array, index: int) -> tuple[Array, Array]:
        """Return where points of the head (V, 3) are in the picture of frame ``index``, as ``vertices`` does."""
        yaw, pitch, roll, x, y, near = (float(v) for v in self._pose[index])
        rotation = np.asarray(
            cv2.Rodrigues(np.array((0, 0, roll)))[0]
            @ cv2.Rodrigues(np.array((pitch, 0, 0)))[0]
            @ cv2.Rodrigues(np.array((0, yaw, 0)))[0],
            np.float32,
        )
        neck = np.array((0, -6, -8), np.float32)
        turned = (points - neck) @ rotation.T + neck
        scale = self._scale * near * 60 / (60 - turned[:, 2])
        turned[:, 0] = SIZE / 2 + (turned[:, 0] + x) * scale
        turned[:, 1] = SIZE / 2 - (turned[:, 1] + y) * scale
        return turned, rotation

    def picture(self, index: int) -> Array:
        """Return frame ``index`` without noise, ``(SIZE, SIZE, 3)`` float32 BGR."""
        points, rotation = self.vertices(index)
        facing = self._normals @ (rotation.T @ self._light.astype(np.float32))
        shade = self._ambient + self._directed * facing.clip(0, None)
        attributes = np.column_stack((self._uv, shade)).astype(np.float32)
        covered, values = rasterise(points, self._triangles, attributes, SIZE)
        colours = cv2.remap(
            self._paint, values[..., 0], values[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        colours *= values[..., 2:]
        np.copyto(colours, self._background, where=~covered[..., None])
        return np.asarray(cv2.GaussianBlur(colours, (0, 0), 0.7), np.float32)
