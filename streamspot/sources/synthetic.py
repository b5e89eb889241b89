"""A clip the program makes itself: a portrait that moves its mouth, brows, jaw and lids at known times.

The portrait is scikit-image's public-domain picture of Eileen Collins; the movements are smooth displacement
fields around her face, so whoever looks for landmarks or optical flow finds what a camera would have shown.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from streamspot.errors import SourceError
from streamspot.sources.base import new_messages, read_options
from streamspot.types import Frame, Kind

WIDTH, HEIGHT = 640, 480
LEAD_S = 2.5
"""The first seconds hold nothing but blinks and sway, so that a spotter can find its baseline."""
_SLOT_S = 3.6
"""Shortest time that an expression and the rest after it need."""

_SCALE = 2.2
_MARGIN = 24
_ORIGIN = (68.0, 4.0)
"""Corner of the cut in the 512 x 512 portrait; with scale and margin it puts the face in the middle."""
_EYES = ((203.4, 101.0), (246.6, 103.6))
_IOD = 43.3 * _SCALE
_BLINK_S = 0.26
_MOVES = ("smile", "brows", "jaw")
_PATTERNS: tuple[dict[str, float], ...] = (
    {"smile": 1.0},
    {"brows": 1.0},
    {"brows": 0.7, "jaw": 1.0},
    {"smile": 0.8, "brows": 0.7},
)


@dataclass(frozen=True, slots=True)
class Truth:
    """What moves when, in frames of the clip.

    Attributes:
        kind: ``macro`` or ``micro``.
        onset: First frame with at least 5 % of the peak.
        apex: Frame of the peak.
        offset: Last frame with at least 5 % of the peak.
        moves: What moves: some of ``smile``, ``brows``, ``jaw``.
    """

    kind: Kind
    onset: int
    apex: int
    offset: int
    moves: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Movement:
    """Time course of one expression, in seconds: up, hold (relaxing slightly), down."""

    kind: Kind
    start: float
    up: float
    hold: float
    down: float
    weights: dict[str, float]

    @property
    def end(self) -> float:
        return self.start + self.up + self.hold + self.down

    def level(self, t: float) -> float:
        """Return the level in [0, 1] at time ``t``."""
        since = t - self.start
        if since < self.up:
            return _ease(since / self.up)
        held = 1.0 - 0.06 * min((since - self.up) / self.hold, 1.0)
        return held * (1.0 - _ease((since - self.up - self.hold) / self.down))


class Synthetic:
    """A 640 x 480 clip of a face with known onset, apex and offset; the same seed gives the same bytes.

    Args:
        seed: Decides times, strengths, blinks, sway and noise.
        expressions: Number of macro-expressions; by default as many as ``seconds`` has room for, or 3.
        micro: Number of micro-expressions of about 0.3 s.
        fps: Frames a second.
        seconds: Length of the clip; by default what the expressions need.
        noise: Standard deviation of the sensor noise in grey levels.

    Raises:
        SourceError: scikit-image is not installed, or the expressions do not fit into the clip.

    Example:
        >>> Synthetic(seed=3).truth[0].kind
        'macro'
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        expressions: int | None = None,
        micro: int = 0,
        fps: float = 30.0,
        seconds: float | None = None,
        noise: float = 2.0,
    ) -> None:
        if not 1 <= fps <= 1000:
            raise SourceError(f"synthetic: fps={fps:g} is impossible; choose 1 to 1000")
        if expressions is None:
            room = 3 if seconds is None else int((seconds - LEAD_S) / 4.0) - micro
            expressions = max(room, 0)
        total = expressions + micro
        if seconds is None:
            seconds = LEAD_S + 4.0 * total
        if seconds <= 0 or LEAD_S + _SLOT_S * total > seconds + 1e-9:
            if total == 0 and seconds > 0:
                pass
            else:
                need = LEAD_S + _SLOT_S * max(total, 1)
                raise SourceError(
                    f"synthetic: {seconds:g} s have no room for {total} expressions; give {need:g} or more"
                )
        self.seed = seed
        self.fps: float | None = float(fps)
        self.name = f"synthetic (seed {seed})"
        self.stream = "synthetic"
        self.live = False
        self.messages = new_messages()
        self.identity = (
            f"synthetic:seed={seed},expressions={expressions},micro={micro},"
            f"fps={fps:g},seconds={seconds:g},noise={noise:g}"
        )
        self._rate = float(fps)
        self._count = max(1, round(seconds * fps))
        self._noise = noise
        self._closed = False
        self._base = _portrait()
        self._fields = _Fields()
        rng = np.random.default_rng([seed, 0])
        self._movements = _schedule(rng, expressions, micro, seconds)
        self._blinks = _blinks(rng, seconds)
        self._phase = rng.uniform(0, 2 * math.pi, 6)
        self.truth = [self._truth(movement) for movement in self._movements]

    @classmethod
    def parse(cls, spec: str) -> Synthetic:
        """Return the clip that ``synthetic`` or ``synthetic:seed=3,expressions=4,fps=60`` describes.

        Raises:
            SourceError: An option is unknown or impossible.
        """
        allowed = {
            "seed": int,
            "expressions": int,
            "micro": int,
            "fps": float,
            "seconds": float,
            "noise": float,
        }
        return cls(**read_options(spec.partition(":")[2], allowed, "synthetic"))

    def __len__(self) -> int:
        """Return the number of frames."""
        return self._count

    def frames(self) -> Iterator[Frame]:
        """Yield the clip from its beginning."""
        noise = _Noise(self.seed, self._noise)
        for index in range(self._count):
            if self._closed:
                return
            image = noise.add(self.picture(index))
            yield Frame(index, index / self._rate, time.monotonic_ns(), image)

    def close(self) -> None:
        """End ``frames`` after the current picture."""
        self._closed = True

    def picture(self, index: int) -> NDArray[np.uint8]:
        """Return frame ``index`` without sensor noise, ``(480, 640, 3)`` uint8 BGR."""
        t = index / self._rate
        weights = dict.fromkeys(_MOVES, 0.0)
        for movement in self._movements:
            if movement.start < t < movement.end:
                for name, weight in movement.weights.items():
                    weights[name] += weight * movement.level(t)
        weights["smile"] -= 0.35  # she smiles in the photograph; a neutral face smiles less
        weights["blink"] = max(
            (_blink(t - start) for start in self._blinks if 0 < t - start < _BLINK_S), default=0.0
        )
        face = self._fields.apply(self._base, weights)
        return np.asarray(
            cv2.warpAffine(
                face, self._pose(t), (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
            )
        )

    def _pose(self, t: float) -> NDArray[np.float64]:
        """Return the ``(2, 3)`` similarity from the portrait to the picture: a slight sway of the head."""
        a = [
            math.sin(2 * math.pi * hertz * t + phase)
            for hertz, phase in zip(_SWAY_HZ, self._phase, strict=True)
        ]
        angle, zoom = 0.6 * a[4], 1.0 + 0.008 * a[5]
        centre = (_MARGIN + WIDTH / 2, _MARGIN + HEIGHT / 2)
        matrix = np.asarray(cv2.getRotationMatrix2D(centre, angle, zoom), np.float64)
        matrix[:, 2] += (2.5 * a[0] + 0.8 * a[1] - _MARGIN, 1.8 * a[2] + 0.6 * a[3] - _MARGIN)
        return matrix

    def _truth(self, movement: _Movement) -> Truth:
        first, last = math.ceil(movement.start * self._rate), math.floor(movement.end * self._rate)
        levels = {index: movement.level(index / self._rate) for index in range(first, last + 1)}
        seen = [index for index, level in levels.items() if level >= 0.05]
        apex = max(seen, key=lambda index: levels[index])
        return Truth(movement.kind, seen[0], apex, seen[-1], tuple(movement.weights))


_SWAY_HZ = (0.11, 0.37, 0.13, 0.29, 0.09, 0.07)


def _ease(x: float) -> float:
    """Minimum-jerk rise from 0 to 1 as ``x`` goes from 0 to 1."""
    x = min(max(x, 0.0), 1.0)
    return x * x * x * (10 - 15 * x + 6 * x * x)


def _blink(since: float) -> float:
    """Return how far the lids are closed, in [0, 1]: they close faster than they open."""
    x = since / _BLINK_S
    return _ease(x / 0.35) if x < 0.35 else 1.0 - _ease((x - 0.45) / 0.55)


def _schedule(rng: np.random.Generator, expressions: int, micro: int, seconds: float) -> list[_Movement]:
    kinds: list[Kind] = [*["macro"] * expressions, *["micro"] * micro]  # type: ignore[list-item]
    if micro:
        rng.shuffle(kinds)
    slot = (seconds - LEAD_S) / max(len(kinds), 1)
    first = int(rng.integers(len(_PATTERNS)))
    movements = []
    for number, kind in enumerate(kinds):
        # Every second expression is a smile, the rest go through the other patterns.
        pattern = (
            _PATTERNS[0] if number % 2 == 0 else _PATTERNS[1 + (first + number // 2) % (len(_PATTERNS) - 1)]
        )
        if kind == "macro":
            up, hold, down = rng.uniform((0.35, 0.4, 0.5), (0.55, 1.0, 0.8))
            strength = rng.uniform(0.9, 1.1)
        else:
            up, hold, down = rng.uniform((0.1, 0.04, 0.12), (0.13, 0.08, 0.17))
            strength = rng.uniform(0.4, 0.5)
        spare = slot - (up + hold + down)
        start = LEAD_S + slot * number + rng.uniform(0.05, 0.3) * min(spare, 1.5)
        weights = {name: float(weight * strength) for name, weight in pattern.items()}
        movements.append(_Movement(kind, float(start), float(up), float(hold), float(down), weights))
    return movements


def _blinks(rng: np.random.Generator, seconds: float) -> list[float]:
    times, t = [], float(rng.uniform(0.8, 2.0))
    while t < seconds:
        times.append(t)
        t += float(rng.uniform(2.2, 4.5))
    return times


def _portrait() -> NDArray[np.uint8]:
    """Return the enlarged cut of the portrait, BGR, with a margin for the sway."""
    try:
        from skimage.data import astronaut  # noqa: PLC0415 - an extra, and slow to import
    except ImportError:
        raise SourceError(
            'the synthetic clip needs scikit-image; install it with pip install "streamspot[demo]"'
        ) from None
    size = (WIDTH + 2 * _MARGIN, HEIGHT + 2 * _MARGIN)
    (x, y), s = _ORIGIN, _SCALE
    matrix = np.array([[s, 0, -x * s], [0, s, -y * s]])
    photograph = np.ascontiguousarray(astronaut()[..., ::-1])
    return np.asarray(
        cv2.warpAffine(photograph, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT),
        np.uint8,
    )


class _Noise:
    """Sensor noise, cut at random from one tile: a fresh field a picture would cost more than the warp."""

    def __init__(self, seed: int, sigma: float) -> None:
        self._rng = np.random.default_rng([seed, 1])
        tile = self._rng.normal(0.0, sigma, (HEIGHT + 128, WIDTH + 128, 3)) if sigma > 0 else None
        self._tile = None if tile is None else np.clip(np.rint(tile), -128, 127).astype(np.int16)

    def add(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if self._tile is None:
            return image
        y, x = self._rng.integers(128, size=2)
        tile = self._tile[y : y + HEIGHT, x : x + WIDTH]
        return np.asarray(cv2.add(image, tile, dtype=cv2.CV_8U))


class _Fields:
    """Displacement fields of the movements around the face, precomputed once."""

    def __init__(self) -> None:
        left, right = (_point(*eye) for eye in _EYES)
        middle = (left + right) / 2
        self._axes = np.stack([(right - left) / _IOD, _perpendicular((right - left) / _IOD)])
        self._middle = middle
        # Region of the portrait that can move at all: from the hair to below the chin.
        x0, y0 = np.floor(middle - np.array([1.7, 1.35]) * _IOD).astype(int)
        x1, y1 = np.ceil(middle + np.array([1.7, 2.5]) * _IOD).astype(int)
        limit_y, limit_x = HEIGHT + 2 * _MARGIN, WIDTH + 2 * _MARGIN
        self._box = (slice(max(y0, 0), min(y1, limit_y)), slice(max(x0, 0), min(x1, limit_x)))
        rows, columns = self._box
        ys, xs = np.mgrid[rows, columns].astype(np.float32)
        self._grid = (np.ascontiguousarray(xs), np.ascontiguousarray(ys))
        offset = np.stack([xs, ys], -1) - middle.astype(np.float32)
        u, v = np.moveaxis(offset @ self._axes.T.astype(np.float32) / _IOD, -1, 0)
        self._fields = {name: self._in_pixels(field) for name, field in _displacements(u, v).items()}

    def apply(self, image: NDArray[np.uint8], weights: dict[str, float]) -> NDArray[np.uint8]:
        """Return ``image`` with the movements of the given strengths."""
        map_x, map_y = (axis.copy() for axis in self._grid)
        for name, weight in weights.items():
            if weight:
                dx, dy = self._fields[name]
                map_x -= np.float32(weight) * dx
                map_y -= np.float32(weight) * dy
        moved = image.copy()
        moved[self._box] = cv2.remap(image, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        return moved

    def _in_pixels(self, field: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Turn ``(2, H, W)`` in face axes and inter-ocular distances into x and y in pixels."""
        x, y = np.tensordot(self._axes.T, field, 1) * _IOD
        return np.ascontiguousarray(x, np.float32), np.ascontiguousarray(y, np.float32)


def _displacements(u: NDArray[Any], v: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Return the unit movements as ``(2, H, W)`` in inter-ocular distances.

    Args:
        u: To the image's right along the line of the eyes, from its middle, in inter-ocular distances.
        v: Downwards, at right angles to it.
    """

    def bump(cu: float, cv: float, su: float, sv: Any) -> NDArray[Any]:
        return np.asarray(np.exp(-0.5 * (((u - cu) / su) ** 2 + ((v - cv) / sv) ** 2)))

    zero = np.zeros_like(u)
    corner_left, corner_right = bump(-0.47, 0.88, 0.23, 0.22), bump(0.53, 0.86, 0.23, 0.22)
    cheek_left, cheek_right = bump(-0.5, 0.5, 0.28, 0.2), bump(0.55, 0.5, 0.28, 0.2)
    smile = np.stack([
        0.14 * (corner_right - corner_left),
        -0.13 * (corner_left + corner_right) - 0.045 * (cheek_left + cheek_right),
    ])  # fmt: skip
    height = np.where(v < -0.36, 0.2, 0.14)  # the lids below follow the brows only a little
    brow = bump(-0.52, -0.36, 0.42, height) + bump(0.55, -0.36, 0.42, height)
    brows = np.stack([zero, -0.17 * brow])
    # The lower lip and all below it go down, and the neck takes up the slack.
    drop = 1 / (1 + np.exp(-(v - 1.07) / 0.05)) * np.exp(-0.5 * (np.maximum(v - 1.75, 0) / 0.3) ** 2)
    jaw = np.stack([zero, 0.2 * drop * np.exp(-0.5 * (np.abs(u) / 0.62) ** 4)])
    blink = np.stack([zero, 0.16 * (bump(-0.5, 0.04, 0.22, 0.1) + bump(0.5, 0.04, 0.22, 0.1))])
    return {"smile": smile, "brows": brows, "jaw": jaw, "blink": blink}


def _point(x: float, y: float) -> NDArray[np.float64]:
    """Return a point of the portrait in pixels of the enlarged cut."""
    return (np.array([x, y]) - _ORIGIN) * _SCALE


def _perpendicular(axis: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([-axis[1], axis[0]])
