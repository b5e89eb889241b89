"""Rendered people who act: expressions of the simulation's time courses, speech, turns of the head, hands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from experiments.shipped.heads import FPS, SIZE, Array, HeadModel, RenderedPerson, Rng
from experiments.shipped.muscles import CLEAR, MOUTH, OPENING, contraction
from experiments.shipped.paint import SKIN, beard
from streamspot.datasets.recording import Instance
from streamspot.simulation import Scenario
from streamspot.simulation.expressions import expressions
from streamspot.simulation.person import FreeMovement
from streamspot.simulation.time_courses import ease, knots, nod, speech, swing
from streamspot.simulation.units import COMBINATIONS
from streamspot.types import Frame

FIRST_SEED = 1_000_000
"""Seed of actor 0; no other script renders people with seeds from here on."""

_SHAPES: dict[int, dict[str, float]] = {
    1: {"browInnerUp": 1.0},
    2: {"browOuterUp": 0.8},
    4: {"browDown": 0.9},
    5: {"eyeWide": 1.0},
    6: {"cheekSquint": 1.0, "cheekRaiser": 0.5},
    7: {"eyeSquint": 1.0},
    9: {"noseSneer": 0.8},
    10: {"mouthUpperUp": 0.7},
    12: {"mouthSmile": 1.0},
    14: {"mouthDimple": 1.0},
    15: {"mouthFrown": 1.0},
    16: {"mouthLowerDown": 1.0},
    17: {"mouthShrugLower": 0.8},
    18: {"mouthPucker": 0.9},
    20: {"mouthStretch": 1.0},
    23: {"mouthPress": 0.7},
    24: {"mouthPress": 0.9, "mouthRollLower": 0.2},
    25: {"mouthLowerDown": 0.3, "mouthUpperUp": 0.15, "jawOpen": 0.07},
    26: {"jawOpen": 0.5},
    27: {"jawOpen": 0.9},
    28: {"mouthRollLower": 0.7, "mouthRollUpper": 0.7},
}
"""Weights of the model's shapes that show an action unit at its strongest."""

_PARTED = {"mouthFunnel": 0.5, "mouthLowerDown": 0.8, "mouthUpperUp": 0.4}
"""Largest weights of the shapes that come with a dropped jaw: people who open their mouth part their lips by two to
three times what the chin goes down, the model's jaw alone parts them by once."""

_COMBINATIONS = (*COMBINATIONS, (1.2, (16, 25)), (0.8, (16, 20, 25)), (0.6, (10, 16, 25)))
"""Those of the simulation, and bared teeth."""
_SCENARIO = Scenario(
    expressions=20.0,
    idle=0.12,
    micro=0.35,
    trains=0.1,
    macro_floor=0.04,
    micro_floor=0.02,
    free=0.8,
    combinations=_COMBINATIONS,
)
_OFTEN = {
    (4,): 2, (4, 7): 1.5, (4, 24): 2, (4, 9): 2, (9,): 1.5, (14,): 2, (15,): 2.5, (15, 17): 2.5, (17,): 1.5,
    (20,): 3, (20, 25): 2, (23,): 2, (24,): 3, (1, 4, 15): 1.5, (26,): 0.4, (27,): 0.4,
}  # fmt: skip
"""How many times as often as elsewhere the subtle clips show these units together."""
_SUBTLE = replace(
    _SCENARIO,
    macro_floor=0.025,
    combinations=(
        *((weight * _OFTEN.get(units, 1), units) for weight, units in _COMBINATIONS),
        (2.0, (14, 24)),
        (1.0, (1, 2, 5, 26)),
    ),
)
"""What every fifth actor shows, expressions that are seldom found: weaker ones, pressed and stretched lips, lowered
brows and mouth corners."""
_TALKING = replace(_SCENARIO, idle=0.25, held=0.15, micro_in_speech=True)
"""What two in five actors show who talk nearly all the time: what a mouth that speaks leaves to be seen."""
_VISIBLE = slice(17, 68)  # landmarks of brows, nose, lids and mouth
_PLACES = {"chin": (8,), "mouth": (57,), "cheek": (2, 31, 48), "brow": (18, 19)}  # landmarks a hand may cover


@dataclass(frozen=True, slots=True)
class Hand:
    """A hand that covers a part of the face for a while.

    Attributes:
        place: Landmarks it covers.
        away: (T,), 0 while it covers the face, 1 while it is out of sight.
        colour: BGR.
        size: Share of the size of a large hand.
    """

    place: tuple[int, ...]
    away: Array
    colour: Array
    size: float


class Actor(RenderedPerson):
    """One rendered person who acts for a while; the same seed gives the same pictures.

    Args:
        model: The head model.
        seed: Decides the person, light, camera, pose and everything that happens.
        seconds: Length.
    """

    level = 1.0
    """Factor on the measurement noise, as in the simulation."""

    def __init__(self, model: HeadModel, seed: int, seconds: float = 20.0) -> None:
        self.acted: list[tuple[Instance, Array]] = []
        self._scenario = (_SCENARIO, _SCENARIO, _TALKING, _TALKING, _SUBTLE)[seed % 5]
        super().__init__(model, seed, seconds)
        rng = np.random.default_rng([seed, 78])
        n = self._count
        self._scale = float(rng.uniform(7.5, 14))
        self._sigma = float(rng.uniform(0.5, 5))
        self._packing = int(rng.integers(55, 97))
        self._every = float(rng.choice((1, 1, 1, 1.2, 1.5, 2, 2, 2)))  # 30, 25, 20 and 15 pictures a second
        drift = knots(rng, n, rng.uniform(20, 200), 1)[:, 0] * np.float32(rng.uniform(0, 0.06))
        for start in np.flatnonzero(rng.random(n) < 0.03 * rng.random()):  # somebody passes a lamp
            drift[start:] += np.float32(rng.normal(0, 0.08)) * np.minimum(np.arange(n - start) / 6, 1)
        self._exposure = np.exp(drift.clip(-0.5, 0.3))
        self._hands = self._hand_courses(rng)
        self.bearded, self._spectacles = rng.random() < 0.2, self._rims(rng) if rng.random() < 0.2 else []
        if self.bearded:
            beard(rng, self._paint, self._uv[model.landmarks])
        self._rim = int(rng.integers(1, 3)), tuple(float(v) for v in rng.uniform(10, 80) * np.ones(3))

    def face(self, rng: Rng, chosen: tuple[int, ...]) -> Array:
        """Draw the weights (S, 1) of all shapes that show these units together."""
        out = np.zeros((len(self._model.shapes), 1), np.float32)
        weaker = rng.uniform(0, 0.25) if rng.random() < 0.12 else rng.uniform(0.75, 1)
        weak = "LR"[rng.integers(2)]
        shown = [(_SHAPES[unit], rng.uniform(0.5, 1.2)) for unit in chosen]
        if {26, 27} & set(chosen):
            shown += [({name: most}, max(0.0, rng.uniform(-0.3, 1))) for name, most in _PARTED.items()]
        for shapes, gain in shown:
            for name, weight in shapes.items():
                for number, shape in self._shapes_of(name):
                    out[number] += weight * gain * (weaker if shape == f"{name}_{weak}" else 1)
        return out

    def free(self, rng: Rng) -> FreeMovement:
        """Draw any muscles that contract together, and what speech has in common with them.

        Seven in ten of what may be one-sided are: half as much moves then, so they are harder to learn.
        """
        drawn = contraction(rng, side=str(rng.choice(("L", "R", ""), p=(0.2, 0.2, 0.6))))
        names = set(drawn.muscles)
        return FreeMovement(self._weights_of(drawn.shapes), names <= MOUTH - CLEAR, names <= OPENING)

    def _weights_of(self, shapes: dict[str, float]) -> Array:
        """Return the weights (S, 1) of all shapes; a name without a side means both."""
        out = np.zeros((len(self._model.shapes), 1), np.float32)
        for number, shape in enumerate(self._model.shapes):
            out[number] = shapes.get(shape, 0.0)
            if shape[-2:] not in ("_L", "_R"):
                out[number] = max(shapes.get(f"{shape}_L", 0.0), shapes.get(f"{shape}_R", 0.0))
        return out

    def _shapes_of(self, name: str) -> list[tuple[int, str]]:
        """Return number and full name of the shapes of that name: one, or a left and a right one."""
        return [(n, shape) for n, shape in enumerate(self._model.shapes) if name in (shape, shape[:-2])]

    def reach(self, face: Array) -> float:
        """Return the largest displacement of a landmark of brows, nose, lids or mouth, in inter-ocular distances."""
        shapes = np.stack(
            [shape[self._model.landmarks[_VISIBLE], :2] for shape in self._model.shapes.values()]
        )
        eyes = self._person[self._model.landmarks]
        between = float(np.linalg.norm(eyes[36:42].mean(0) - eyes[42:48].mean(0)))
        return float(np.abs(np.tensordot(face[:, 0], shapes, 1)).max()) / between

    def frames(self) -> Iterator[Frame]:
        """Yield the clip at this camera's rate: BGR pictures with noise, JPEG-compressed."""
        for index in np.unique(np.round(np.arange(0, self._count, self._every)).astype(int)):
            picture = self.picture(index) * self._exposure[index]
            if self._spectacles:
                self._frame(picture, int(index))
            for hand in self._hands:
                self._cover(picture, int(index), hand)
            yield self._shot(int(index), picture)

    def _course(self, rng: Rng) -> dict[str, Array]:
        n, names = self._count, list(self._model.shapes)
        self.position = np.zeros((n, len(names), 1), np.float32)
        self.mouth: NDArray[np.bool_] = np.zeros(n, bool)
        self._talk(rng, names)
        said = self.position.copy()
        self.position[:] = 0
        if rng.random() >= self._scenario.idle:
            self.acted = expressions(rng, self, self._scenario, self.position, self.mouth)
        total = (said + self.position + self._worn(rng))[..., 0].clip(0, 1.2)
        curves = {name: total[:, number].copy() for number, name in enumerate(names)}
        self._eyes(rng, curves)
        return {name: curve for name, curve in curves.items() if curve.any()}

    def _worn(self, rng: Rng) -> Array:
        """Return the weights (T, S, 1) of an expression that a few people wear from first to last."""
        if rng.random() >= 0.15:
            return np.zeros((1, 1, 1), np.float32)
        held = 1 + 0.1 * knots(rng, self._count, 60, 1)
        return held[:, None] * self._weights_of(contraction(rng).shapes) * np.float32(rng.uniform(0.2, 0.8))

    def _talk(self, rng: Rng, names: list[str]) -> None:
        """Add speech and chewing to the weights."""
        n = self._count
        talks = self._scenario is _TALKING
        talker = talks or rng.random() < 0.35
        loud = float(np.clip(np.exp(rng.normal(0.1, 0.45)), 0.2, 1.8))
        at = int(rng.integers(-40, 60)) if talker else int(rng.integers(0, 3 * n))
        while at < n - 15:
            length = int(rng.integers(12, 400 if talks else 160))
            start, stop = max(0, at), min(n, at + length)
            if stop - start < 8:
                at += length
                continue
            self._speak(rng, at, length, loud)
            at += length + int(rng.exponential(25 if talks else 60 if talker else 400)) + 8
        if rng.random() < 0.06:
            length = int(rng.integers(60, 300))
            start = int(rng.integers(0, n - 60))
            chewed = np.sin(np.pi * rng.uniform(0.9, 1.8) * np.arange(length) / 30) ** 2
            chewed *= rng.uniform(0.1, 0.5)
            closed, aside = rng.uniform(0.6, 1), rng.uniform(-0.3, 0.3)
            shares = {"jawOpen": 1.0, "mouthClose": closed, "jawLeft": aside, "jawRight": -aside}
            stop = min(n, start + length)
            for name, share in shares.items():
                curve = (share * chewed[: stop - start]).clip(0)
                self.position[start:stop, names.index(name), 0] += curve
            self.mouth[max(0, start - 10) : stop + 10] = True

    def _speak(self, rng: Rng, at: int, length: int, loud: float) -> None:
        """Add a bout of speech to the weights, and note that the mouth is busy."""
        start, stop = max(0, at), min(self._count, at + length)
        first, second = speech(rng, length), speech(rng, length)
        tracks = {
            "jawOpen": first[:, 0] * rng.uniform(0.1, 0.35),
            "mouthFunnel": first[:, 1] * rng.uniform(0, 0.3),
            "mouthPucker": -first[:, 1] * rng.uniform(0, 0.3),
            "mouthStretch": first[:, 2] * rng.uniform(0, 0.3),
            "mouthLowerDown": first[:, 3] * rng.uniform(0, 0.4),
            "mouthUpperUp": second[:, 1] * rng.uniform(0, 0.25),
            "mouthPress": second[:, 2] * rng.uniform(0, 0.3),
            "mouthShrugLower": second[:, 3] * rng.uniform(0, 0.3),
            "mouthSmile": -second[:, 3] * rng.uniform(0, 0.12),
            "mouthRollLower": -second[:, 2] * rng.uniform(0, 0.3),
        }
        beat = knots(rng, length, 15, 2) * np.hanning(length)[:, None] * rng.uniform(0, 0.15)
        aside = second[:, 1] * rng.uniform(0, 0.3) * (rng.random() < 0.4)
        tracks |= {"mouthLeft": aside, "mouthRight": -aside}
        tracks |= {"browInnerUp": beat[:, 0], "browOuterUp": beat[:, 0], "browDown": beat[:, 1]}
        for name, track in tracks.items():
            for number, _ in self._shapes_of(name):
                self.position[start:stop, number, 0] += loud * track[start - at : stop - at].clip(0)
        self.mouth[max(0, at - 10) : stop + 10] = True

    def _sway(self, rng: Rng) -> Array:
        n = self._count
        slow = knots(rng, n, rng.uniform(25, 90), 6) * np.array((1.5, 1.3, 0.9, 0.15, 0.12, 0.01), np.float32)
        slow *= np.float32(rng.uniform(0.2, 1.6))
        slow[:, 0] += np.float32(rng.normal(0, 12))
        slow[:, 1] += np.float32(rng.normal(0, 7))
        slow[:, 2] += np.float32(rng.normal(0, 5))
        for start in np.flatnonzero(rng.random(n) < rng.uniform(0, 12) / 60 / FPS):
            nodding = rng.random() < 0.35
            length = int(rng.integers(20, 90) if nodding else rng.integers(10, 150))
            course = (nod if nodding else swing)(rng, length)[: n - start]
            sizes = rng.normal(0, 1, 3) * ((4, 6, 2) if nodding else (18, 9, 7))
            slow[start : start + len(course), :3] += course[:, None] * sizes.astype(np.float32)
        if rng.random() < 0.3:  # walks nearer or away, or leans forward
            start, steps = int(rng.integers(0, n - 60)), int(np.exp(rng.uniform(np.log(8), np.log(150))))
            way = np.concatenate((np.zeros(start), ease(steps), np.ones(n)), dtype=np.float64)[:n]
            slow[:, 5] += (way * rng.uniform(-0.3, 0.3)).astype(np.float32)
        slow[:, :2] = 38 * np.tanh(slow[:, :2] / 38)
        slow[:, 2] = 20 * np.tanh(slow[:, 2] / 20)
        slow[:, :3] *= np.float32(np.pi / 180)
        slow[:, 5] += 1
        return slow

    def _rims(self, rng: Rng) -> list[Array]:
        """Return the lines (N, 3) of a spectacle frame, in the space of the head."""
        marks = self._person[self._model.landmarks]
        left, right = marks[36:42].mean(0), marks[42:48].mean(0)
        wide = float(np.linalg.norm(right - left)) * rng.uniform(0.34, 0.42)
        high, power = wide * rng.uniform(0.65, 1.0), rng.uniform(0.5, 1.0)
        angle = np.linspace(0, 2 * np.pi, 33)
        around = np.stack((np.cos(angle), np.sin(angle)), 1)
        around = np.sign(around) * np.abs(around) ** power
        lines = []
        for eye in (left, right):
            rim = np.zeros((33, 3))
            rim[:, :2], rim[:, 2] = eye[:2] + around * (wide, high) - (0, 0.15 * high), eye[2] + 1.2
            lines.append(rim.astype(np.float32))
        bridge = np.stack((lines[0][0], (lines[0][0] + lines[1][16]) / 2 + (0, 0.2, 0.5), lines[1][16]))
        return [*lines, bridge.astype(np.float32)]

    def _frame(self, picture: Array, index: int) -> None:
        """Paint the spectacle frame over the picture."""
        thick, colour = self._rim
        for line in self._spectacles:
            flat = np.round(self.project(line, index)[0][:, :2] * 16).astype(np.int32)
            cv2.polylines(
                picture, [flat], isClosed=False, color=colour, thickness=thick, lineType=cv2.LINE_AA, shift=4
            )

    def _hand_courses(self, rng: Rng) -> list[Hand]:
        """Draw when hands come and go."""
        out = []
        for start in np.flatnonzero(rng.random(self._count) < 1.2 / 60 / FPS):
            place = list(_PLACES.values())[rng.integers(len(_PLACES))]
            come, stay, go = (int(v) for v in rng.integers((5, 10, 5), (15, 120, 15)))
            course = np.ones(self._count, np.float32)
            there = np.concatenate((1 - ease(come), np.zeros(stay), ease(go)))[: self._count - start]
            course[start : start + len(there)] = there
            course += (course < 1) * knots(rng, self._count, 12, 1)[:, 0] * np.float32(0.02)
            colour = np.array(SKIN[self.conditions.skin], np.float32) * np.float32(rng.uniform(0.8, 1.1))
            out.append(Hand(place, course, colour, rng.uniform(0.5, 1.0)))
        return out

    def _cover(self, picture: Array, index: int, hand: Hand) -> None:
        """Paint a hand over the picture."""
        away = float(hand.away[index])
        if away >= 1:
            return
        unit = self._scale * float(self._pose[index, 5])
        size = hand.size * unit
        points, _ = self.vertices(index)
        x, y = points[self._model.landmarks[list(hand.place)], :2].mean(0)
        y += unit * (1.5 + 25 * away)
        mask = np.zeros((SIZE, SIZE), np.float32)
        for finger in (-1.5, -0.5, 0.5, 1.5):
            tip = round(x + finger * 1.6 * size), round(y - (2.2 + 0.5 * (abs(finger) < 1)) * size)
            root = round(x + finger * size), round(y + 3 * unit)
            cv2.line(mask, tip, root, 1.0, max(2, round(1.5 * size)), cv2.LINE_AA)
        palm = round(float(x)), round(float(y) + 5 * unit)
        cv2.ellipse(mask, palm, (round(3.6 * size), round(4.5 * size)), 0, 0, 360, 1.0, -1)
        shade = cv2.GaussianBlur(mask, (0, 0), 0.25 * unit)
        cover = cv2.GaussianBlur(mask, (0, 0), 0.8)[..., None]
        lit = (self._ambient + self._directed * 0.6) * (0.6 + 0.4 * shade)[..., None]
        picture[:] = picture * (1 - cover) + hand.colour * lit * cover
