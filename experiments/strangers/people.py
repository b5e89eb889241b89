"""Rendered people who move one muscle, or a few, at a time, under conditions that are written down."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from experiments.shipped.actors import Actor
from experiments.shipped.heads import FPS, Array, HeadModel, Rng
from experiments.shipped.muscles import CLEAR, MOUTH, MUSCLES, OPENING, contraction, drawn_muscle
from streamspot.datasets.recording import Instance
from streamspot.simulation.expressions import instance_of
from streamspot.simulation.time_courses import expression
from streamspot.types import Kind

FIRST_SEED = 3_000_000
"""Seed of stranger 0; nobody is trained on who has a seed from here on."""

CONTEXTS = (
    "still",
    "still",
    "turning",
    "speaking",
    "nothing: still",
    "nothing: turning",
    "nothing: speaking",
)
"""What a person does beside, or instead of, their expressions; drawn evenly."""
SPEEDS = {"brief": (6, 15), "short": (18, 45), "held": (60, 110)}
"""Ticks that an expression lasts."""
SIZES = {"small": (0.05, 0.09), "large": (0.12, 0.35)}
"""Inter-ocular distances that its most moved landmark goes."""


@dataclass(frozen=True, slots=True)
class ShownExpression:
    """One expression of a stranger.

    Attributes:
        instance: When it is, and of which kind.
        groups: The groups of its muscles.
        side: ``left``, ``right`` (of the person) or ``both``.
        speed: A key of ``SPEEDS``.
        size: A key of ``SIZES``.
    """

    instance: Instance
    groups: tuple[str, ...]
    side: str
    speed: str
    size: str


@dataclass(frozen=True, slots=True)
class Notes:
    """What is known of a stranger.

    Attributes:
        context: One of ``CONTEXTS``.
        shown: Their expressions, in order.
        seconds: How long they are seen.
        about: Skin, light, beard, spectacles and distance.
    """

    context: str
    shown: tuple[ShownExpression, ...]
    seconds: float
    about: dict[str, str]

    def save(self, path: Path) -> None:
        """Write JSON."""
        path.write_text(json.dumps(asdict(self)) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Notes:
        """Read what ``save`` wrote."""
        table = json.loads(path.read_text(encoding="utf-8"))
        rows = [
            one | {"instance": Instance(**one["instance"]), "groups": tuple(one["groups"])}
            for one in table["shown"]
        ]
        return cls(
            table["context"], tuple(ShownExpression(**row) for row in rows), table["seconds"], table["about"]
        )


class Stranger(Actor):
    """One person for a while; the same seed gives the same pictures.

    Args:
        model: The head model.
        seed: Decides the person and everything that happens.
        seconds: Length.
    """

    def __init__(self, model: HeadModel, seed: int, seconds: float = 8.0) -> None:
        self.context = str(np.random.default_rng([seed, 79]).choice(CONTEXTS))
        self.expressions: list[ShownExpression] = []
        super().__init__(model, seed, seconds)

    def notes(self) -> Notes:
        """Return what is known of this person."""
        distance = "near" if self._scale >= 12 else "far" if self._scale < 9 else "middle"
        about = {
            "skin": self.conditions.skin,
            "light": self.conditions.light,
            "beard": "yes" if self.bearded else "no",
            "spectacles": "yes" if self._spectacles else "no",
            "distance": distance,
        }
        return Notes(self.context, tuple(self.expressions), self._count / FPS, about)

    def _course(self, rng: Rng) -> dict[str, Array]:
        n, names = self._count, list(self._model.shapes)
        self.position = np.zeros((n, len(names), 1), np.float32)
        self.mouth = np.zeros(n, bool)
        if self.context.endswith("speaking"):
            start = int(rng.integers(0, 40))
            self._speak(rng, start, n - start, float(np.clip(np.exp(rng.normal(0.1, 0.45)), 0.2, 1.8)))
        if not self.context.startswith("nothing"):
            self._show(rng)
        total = {name: self.position[:, i, 0].clip(0, 1.2) for i, name in enumerate(names)}
        self._eyes(rng, total)
        return {name: curve for name, curve in total.items() if curve.any()}

    def _show(self, rng: Rng) -> None:
        """Show an expression after the other, a pause between them."""
        at = int(rng.integers(30, 60))
        while True:
            muscle = drawn_muscle(rng)
            if self.context == "speaking" and muscle in MOUTH - CLEAR:
                continue
            drawn = (
                contraction(rng, (muscle,))
                if rng.random() < 0.7
                else contraction(rng, (muscle, *contraction(rng).muscles))
            )
            face = self._weights_of(drawn.shapes)
            size = "large" if set(drawn.muscles) <= OPENING else list(SIZES)[rng.integers(len(SIZES))]
            weights = face * np.float32(rng.uniform(*SIZES[size]) / max(self.reach(face), 1e-6))
            weights = weights.clip(0, 1.2)
            speed = list(SPEEDS)[rng.integers(len(SPEEDS))]
            if set(drawn.muscles) <= OPENING and speed == "brief":
                continue
            least, most = SPEEDS[speed]
            total = int(rng.integers(least, most + 1))
            rise, fall = (max(2, int(total * rng.uniform(0.15, 0.4))) for _ in range(2))
            course = expression(rng, min(rise, 30), max(0, total - rise - fall), min(fall, 40))
            if at + len(course) + 25 > self._count:
                return
            kind: Kind = "micro" if total <= 15 else "macro"
            instance = instance_of(rng, at, course, kind)
            if instance is not None:
                self.position[at : at + len(course)] += course[:, None, None] * weights
                names = tuple(sorted({MUSCLES[name].group for name in drawn.muscles}))
                side = {"L": "left", "R": "right"}.get(drawn.side, "both")
                self.expressions.append(ShownExpression(instance, names, side, speed, size))
            at += len(course) + int(rng.integers(20, 45))

    def _sway(self, rng: Rng) -> Array:
        pose = super()._sway(rng)
        if not self.context.endswith("turning"):
            pose = pose.mean(0) + 0.25 * (pose - pose.mean(0))
        return pose
