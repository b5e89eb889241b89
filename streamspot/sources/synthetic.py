"""A clip the program makes itself: a portrait that moves its mouth, brows, jaw and lids at known times.

The portrait is NASA's public-domain picture of Eileen Collins; the movements are smooth displacement
fields around her face, so whoever looks for landmarks or optical flow finds what a camera would have shown.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from streamspot.errors import SourceError
from streamspot.sources.base import Source, read_options
from streamspot.sources.portrait import HEIGHT, MARGIN, WIDTH, Portrait
from streamspot.types import Frame, Kind

LEAD_S = 2.5
"""The first seconds hold nothing but blinks and sway, so that a spotter can find its baseline."""
_SLOT_S = 3.6
"""Shortest time that an expression and the rest after it need."""
_USUAL_SLOT_S = 4.0

_BLINK_S = 0.26
_MOVES = ("smile", "brows", "jaw")
_PATTERNS: tuple[dict[str, float], ...] = (
    {"smile": 1.0},
    {"brows": 1.0},
    {"brows": 0.9, "jaw": 1.0},
    {"smile": 0.95, "brows": 0.9},
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


class Synthetic(Source):
    """A 640 x 480 clip of a face with known onset, apex and offset; the same seed gives the same bytes.

    Args:
        seed: Decides times, strengths, blinks, sway and noise.
        expressions: Number of macro-expressions; by default as many as ``seconds`` has room for, or 3.
        micro: Number of micro-expressions of about 0.3 s.
        fps: Frames a second.
        seconds: Length of the clip; by default what the expressions need.
        noise: Standard deviation of the sensor noise in grey levels.

    Raises:
        SourceError: The expressions do not fit into the clip.

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
            expressions = 3 if seconds is None else max(int((seconds - LEAD_S) / _USUAL_SLOT_S) - micro, 0)
        total = expressions + micro
        if seconds is None:
            seconds = LEAD_S + _USUAL_SLOT_S * total
        need = LEAD_S + _SLOT_S * total if total else 1 / fps
        if seconds < need:
            raise SourceError(
                f"synthetic: {seconds:g} s hold no {total} expressions; give seconds={need:.4g} or more"
            )
        content = f"seed={seed},expressions={expressions},micro={micro},fps={fps:g},seconds={seconds:g}"
        super().__init__(
            f"synthetic (seed {seed})", "synthetic", f"synthetic:{content},noise={noise:g}", float(fps)
        )
        self.seed = seed
        self._rate = float(fps)
        self._count = max(1, round(seconds * fps))
        self._noise = noise
        rng = np.random.default_rng([seed, 0])
        self._movements = _schedule(rng, expressions, micro, seconds)
        self._blinks = _blinks(rng, seconds, self._movements)
        self._phase = rng.uniform(0, 2 * math.pi, 6)
        self.truth = [self._truth(movement) for movement in self._movements]

    @cached_property
    def _portrait(self) -> Portrait:
        """Loaded with the first picture: it takes a while."""
        return Portrait()

    @classmethod
    def parse(cls, spec: str) -> Synthetic:
        """Return the clip that ``synthetic`` or ``synthetic:seed=3,expressions=4,fps=60`` describes.

        Raises:
            SourceError: An option is unknown or impossible.
        """
        whole, real = dict.fromkeys(("seed", "expressions", "micro"), int), ("fps", "seconds", "noise")
        allowed: dict[str, type] = {**whole, **dict.fromkeys(real, float)}
        return cls(**read_options(spec.partition(":")[2], allowed, "synthetic"))

    def __len__(self) -> int:
        """Return the number of frames."""
        return self._count

    def read(self) -> Iterator[Frame]:
        """Yield the clip from its beginning."""
        noise = _Noise(self.seed, self._noise)
        for index in range(self._count):
            if self.closed.is_set():
                return
            image = noise.add(self.picture(index))
            yield Frame(index, index / self._rate, time.monotonic_ns(), image)

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
        face = self._portrait.moved(weights)
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
        centre = (MARGIN + WIDTH / 2, MARGIN + HEIGHT / 2)
        matrix = np.asarray(cv2.getRotationMatrix2D(centre, angle, zoom), np.float64)
        matrix[:, 2] += (2.5 * a[0] + 0.8 * a[1] - MARGIN, 1.8 * a[2] + 0.6 * a[3] - MARGIN)
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


def _blinks(rng: np.random.Generator, seconds: float, movements: list[_Movement]) -> list[float]:
    """Return when the lids begin to close: not while another movement sets in, which the eye would miss."""
    times, t = [], float(rng.uniform(0.8, 2.0))
    while t < seconds:
        if all(not -_BLINK_S - 0.1 < t - movement.start < movement.up + 0.1 for movement in movements):
            times.append(t)
        t += float(rng.uniform(2.2, 4.5))
    return times


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
