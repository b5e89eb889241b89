"""Rendered heads with exactly known expressions: pictures for tests of the whole pipeline.

Shapes come from ICT-FaceKit (Li et al., CVPR 2020; MIT licence), which is not part of this project: the path of an
``ict_facekit_light.npz`` with its neutral head, expression shapes and identities is an argument. It has no texture;
skin, brows, lips and eyes are painted here, in a picture that is projected onto the neutral head from the front.
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

from streamspot.datasets.recording import Instance
from streamspot.simulation.courses import blink, expression, knots, speech, swing
from streamspot.types import Frame, Kind

Array = NDArray[np.float32]
Rng = np.random.Generator

FPS = 30
SIZE = 320
"""Side of a picture, pixels."""
IOD = 6.3
"""Distance between the eyes of the neutral head, in the model's units (about centimetres)."""
_FACE, _SOCKET, _GUMS, _TEETH, _EYES, _LASHES = 11248, 11248, 14062, 17039, 21451, 24591
"""First vertex of each part: face, head and neck come first."""
_PAINT = 30  # pixels of paint per unit
_WIDTH, _TOP, _HEIGHT = 28, 16, 38  # units covered by the paint
SKIN = {"light": (168, 190, 228), "medium": (112, 147, 196), "dark": (52, 72, 108)}  # BGR
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
        quads = quads[(quads < _LASHES).all(1)]
        gums = ((quads >= _GUMS) & (quads < _TEETH)).any(1)
        behind = (neutral[quads, 2] < np.where(quads[:, :1] >= _TEETH, 7.5, -1)).any(1)
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
    """What a clip shows: ``skin`` light, medium or dark, ``light`` even, side or dim, ``yaw`` in degrees, speech."""

    skin: str
    light: str
    yaw: float
    talking: bool


class Clip:
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
        self._normals = _normals(self._person, model.triangles)
        seen = self._normals[model.triangles, 2].max(1) > -0.4  # the back of the head never comes into view
        low = self._person[model.triangles, 1].min(1) < -13
        self._triangles = model.triangles[seen & ~low]
        self._paint, self._uv = _painted(rng, model, self._person, self.conditions.skin)
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
        self._background: Array = rough * rng.uniform(60, 140) + rng.uniform(10, 80)

    def frames(self) -> Iterator[Frame]:
        """Yield the clip: BGR pictures with sensor noise, JPEG-compressed as a webcam's are."""
        for index in range(self._count):
            yield self._shot(index, self.picture(index))

    def _shot(self, index: int, picture: Array) -> Frame:
        """Return what a webcam makes of a picture."""
        noise = self._rng.normal(0, self._sigma, (SIZE, SIZE, 1)).astype(np.float32)
        noisy = np.clip(picture + noise, 0, 255).astype(np.uint8)
        packed = cv2.imencode(".jpg", noisy, (cv2.IMWRITE_JPEG_QUALITY, self._packing))[1]
        image = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
        return Frame(index, index / FPS, int(index / FPS * 1e9), image)

    def _course(self, rng: Rng) -> dict[str, Array]:
        """Draw what the face does, expressions and not, and note the expressions."""
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
        """Draw yaw, pitch and roll (radians), the shift in units and how much nearer it is, ``(frames, 6)``."""
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
        covered, values = rasterise(points, self._triangles, attributes)
        colours = cv2.remap(
            self._paint, values[..., 0], values[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        picture = np.where(covered[..., None], colours * values[..., 2:], self._background)
        return np.asarray(cv2.GaussianBlur(picture, (0, 0), 0.7), np.float32)


def rasterise(
    points: Array, triangles: NDArray[np.int64], attributes: Array
) -> tuple[NDArray[np.bool_], Array]:
    """Draw triangles with a depth buffer.

    Args:
        points: ``(V, 3)`` x and y in pixels, z towards the camera.
        triangles: ``(T, 3)`` vertices, counter-clockwise seen from outside with y up.
        attributes: ``(V, A)`` interpolated at the centres of pixels, so what moves by a tenth of a pixel looks so.

    Returns:
        Which pixels are covered ``(SIZE, SIZE)``, and their attributes ``(SIZE, SIZE, A)``.
    """
    x, y = points[:, 0], points[:, 1]
    i, j, k = triangles.T
    area = (x[j] - x[i]) * (y[k] - y[i]) - (y[j] - y[i]) * (x[k] - x[i])
    triangles, area = triangles[area < -1e-4], area[area < -1e-4]
    a, b, c = (points[triangles[:, n]] for n in range(3))
    low = np.ceil(np.minimum(np.minimum(a, b), c)[:, :2]).astype(np.int32)
    high = np.floor(np.maximum(np.maximum(a, b), c)[:, :2]).astype(np.int32)
    inside = (low[:, 0] >= 0) & (low[:, 1] >= 0) & (high[:, 0] < SIZE) & (high[:, 1] < SIZE)
    inside &= (high[:, 0] >= low[:, 0]) & (high[:, 1] >= low[:, 1])
    extent = np.maximum(high[:, 0] - low[:, 0], high[:, 1] - low[:, 1]) + 1
    hits = []
    for small, large in ((0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 8), (8, 11), (11, 16), (16, 32)):
        chosen = np.flatnonzero(inside & (extent > small) & (extent <= large))
        if not len(chosen):
            continue
        step = np.arange(large, dtype=np.float32)
        x = low[chosen, 0, None].astype(np.float32) + np.tile(step, large)
        y = low[chosen, 1, None].astype(np.float32) + np.repeat(step, large)
        pa, pb, pc, over = a[chosen, :, None], b[chosen, :, None], c[chosen, :, None], 1 / area[chosen, None]
        w0 = ((pb[:, 0] - x) * (pc[:, 1] - y) - (pb[:, 1] - y) * (pc[:, 0] - x)) * over
        w1 = ((pc[:, 0] - x) * (pa[:, 1] - y) - (pc[:, 1] - y) * (pa[:, 0] - x)) * over
        w2 = 1 - w0 - w1
        row, column = np.nonzero((w0 >= -1e-5) & (w1 >= -1e-5) & (w2 >= -1e-5))
        weights = np.stack((w0[row, column], w1[row, column], w2[row, column]), 1)
        pixel = y[row, column].astype(np.int64) * SIZE + x[row, column].astype(np.int64)
        hits.append((pixel, chosen[row], weights))
    pixel, triangle, weights = (np.concatenate(parts) for parts in zip(*hits, strict=True))
    z = np.stack((a[:, 2], b[:, 2], c[:, 2]), 1)
    depth = (weights * z[triangle]).sum(1)
    nearness = (depth - depth.min()) * (65535 / max(float(np.ptp(depth)), 1e-6))
    order = np.argsort(nearness.astype(np.uint16), kind="stable")
    nearest = np.full(SIZE * SIZE, -1)
    nearest[pixel[order]] = order  # the last one written is the nearest
    covered = nearest >= 0
    shown = nearest[covered]
    chosen = triangles[triangle[shown]]
    values = np.zeros((SIZE * SIZE, attributes.shape[1]), np.float32)
    values[covered] = sum(weights[shown, k, None] * attributes[chosen[:, k]] for k in range(3))
    return covered.reshape(SIZE, SIZE), values.reshape(SIZE, SIZE, -1)


def _normals(points: Array, triangles: NDArray[np.int64]) -> Array:
    """Return unit normals at the vertices."""
    a, b, c = (points[triangles[:, k]] for k in range(3))
    across = np.cross(b - a, c - a)
    total = np.zeros_like(points)
    for k in range(3):
        np.add.at(total, triangles[:, k], across)
    return np.asarray(total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-9), np.float32)


def _painted(rng: Rng, model: HeadModel, person: Array, skin: str) -> tuple[Array, Array]:
    """Return the paint ``(h, w, 3)`` and where each vertex is in it ``(V, 2)``, pixels."""

    def place(xy: Array) -> Array:
        return np.asarray((xy[..., :2] * (1, -1) + (_WIDTH / 2, _TOP)) * _PAINT, np.float32)

    height, width = _HEIGHT * _PAINT, _WIDTH * _PAINT
    marks = place(person[model.landmarks])
    base = np.array(SKIN[skin], np.float32) * rng.uniform(0.9, 1.1)
    grain = np.zeros((height, width), np.float32)
    for cells, strength in ((12, 0.03), (40, 0.025), (110, 0.03), (300, 0.04)):
        coarse = rng.normal(0, strength, (int(cells * height / width), cells)).astype(np.float32)
        grain += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    paint = base * (1 + grain[..., None])

    def lay(mask: Array, colour: Array, strength: float, soft: float) -> None:
        weight = cv2.GaussianBlur(mask, (0, 0), soft)[..., None] * np.float32(strength)
        paint[:] = paint * (1 - weight) + colour * (1 + grain[..., None]) * weight

    def blank() -> Array:
        return np.zeros((height, width), np.float32)

    def line(points: Array, thick: float, closed: bool = False) -> Array:
        flat = np.round(points).astype(np.int32)
        return np.asarray(
            cv2.polylines(blank(), [flat], closed, 1.0, max(1, round(thick * _PAINT))), np.float32
        )

    hair = np.array((20, 28, 40), np.float32) * rng.uniform(0.5, 2.5 if skin == "light" else 1.2)
    lips = base * np.array((0.72, 0.62, 0.88), np.float32)
    lay(np.asarray(cv2.fillPoly(blank(), [np.round(marks[48:60]).astype(np.int32)], 1.0)), lips, 0.9, 4)
    lay(line(marks[60:65], 0.12), lips * np.float32(0.35), 0.9, 2)
    for start in (17, 22):
        brow = marks[start : start + 5]
        strands = (rng.random((height, width)) < 0.8).astype(np.float32)
        lay(line(brow, rng.uniform(0.5, 0.8)) * strands, hair, 0.85, 3)
    for start in (36, 42):
        lay(line(marks[start : start + 4], 0.18), hair * np.float32(0.6), 0.85, 2)
        lay(line(marks[start : start + 6], 0.1, True), base * np.float32(0.45), 0.6, 2)
    for mark in (marks[31:33].mean(0), marks[34:36].mean(0)):
        spot = cv2.circle(
            blank(), (round(float(mark[0])), round(float(mark[1]))), round(0.4 * _PAINT), 1.0, -1
        )
        lay(np.asarray(spot, np.float32), base * np.float32(0.35), 0.8, 5)
    top = float(marks[17:27, 1].min()) - rng.uniform(4.0, 5.5) * _PAINT
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    bow = top + ((columns - width / 2) / _PAINT) ** 2 * 0.055 * _PAINT
    lay((rows < bow).astype(np.float32), hair, 0.97, 8)

    # Below the skin: teeth, the inside of the mouth, and one picture for both eyes.
    strip = np.empty((8 * _PAINT, width, 3), np.float32)
    strip[:, : 5 * _PAINT] = (185, 205, 215)
    strip[:, 5 * _PAINT : 10 * _PAINT] = base * np.array((0.18, 0.16, 0.3), np.float32)
    strip[:, 10 * _PAINT :] = (205, 212, 220) if skin != "dark" else (175, 185, 195)
    middle = (14 * _PAINT, 4 * _PAINT)
    iris = tuple(float(v) for v in rng.uniform(0.4, 1.0) * np.array((50, 70, 95)))
    cv2.circle(strip, middle, round(0.6 * _PAINT), iris, -1, cv2.LINE_AA)
    cv2.circle(strip, middle, round(0.27 * _PAINT), (8, 8, 8), -1, cv2.LINE_AA)
    uv = place(person)
    part = model.part
    uv[(part >= _TEETH) & (part < _EYES)] = (2 * _PAINT, height + 4 * _PAINT)
    uv[(part >= _SOCKET) & (part < _GUMS)] = (7 * _PAINT, height + 4 * _PAINT)
    for first in (_EYES, _EYES + 1570):
        ball = (part >= first) & (part < first + 1570)
        centre = (person[ball, :2].min(0) + person[ball, :2].max(0)) / 2
        uv[ball] = (person[ball, :2] - centre) * (_PAINT, -_PAINT) + (middle[0], height + middle[1])
    return np.concatenate((paint, strip)), np.asarray(uv, np.float32)
