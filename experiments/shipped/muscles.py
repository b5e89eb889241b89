"""What may move in a face: single muscles alone, in pairs and in threes, on one side or both.

Posed expressions are a few of the faces people make. Weights that learn from posed ones alone take a mouth that moves
sideways for a turning head, and pressed lips for speech. Here any muscle may move with any other.
"""

from __future__ import annotations

from dataclasses import dataclass

from streamspot.simulation.time_courses import Rng


@dataclass(frozen=True, slots=True)
class Muscle:
    """What the head model's shapes do when one muscle, or a few that never move apart, contract.

    Attributes:
        shapes: Weights by name, without the side.
        sided: Whether it may contract on one side.
        group: What figures are reported for.
    """

    shapes: dict[str, float]
    sided: bool
    group: str


MUSCLES: dict[str, Muscle] = {
    "inner brow up": Muscle({"browInnerUp": 1.0}, True, "brows up"),
    "outer brow up": Muscle({"browOuterUp": 1.0}, True, "brows up"),
    "brow up": Muscle({"browInnerUp": 1.0, "browOuterUp": 1.0}, True, "brows up"),
    "brow down": Muscle({"browDown": 1.0}, True, "brows down"),
    "squint": Muscle({"eyeSquint": 1.0, "cheekSquint": 0.7}, True, "cheeks"),
    "wink": Muscle({"eyeBlink": 1.0, "cheekSquint": 0.4}, True, "wink"),
    "eyes wide": Muscle({"eyeWide": 1.0, "browInnerUp": 0.2}, False, "brows up"),
    "cheek up": Muscle({"cheekSquint": 1.0, "cheekRaiser": 0.7}, True, "cheeks"),
    "cheeks blown": Muscle({"cheekPuff": 1.0, "mouthPress": 0.3}, True, "cheeks"),
    "nose": Muscle({"noseSneer": 1.0}, True, "nose"),
    "smile": Muscle({"mouthSmile": 1.0}, True, "smile"),
    "smile and cheek": Muscle({"mouthSmile": 0.9, "cheekSquint": 0.6, "cheekRaiser": 0.3}, True, "smile"),
    "dimple": Muscle({"mouthDimple": 1.0}, True, "corners"),
    "corner down": Muscle({"mouthFrown": 1.0}, True, "corners down"),
    "corner out": Muscle({"mouthStretch": 1.0}, True, "corners"),
    "upper lip up": Muscle({"mouthUpperUp": 1.0}, True, "upper lip"),
    "lower lip down": Muscle({"mouthLowerDown": 1.0}, True, "lower lip"),
    "lips pressed": Muscle({"mouthPress": 1.0}, False, "pressed"),
    "lips in": Muscle({"mouthRollLower": 0.9, "mouthRollUpper": 0.9}, False, "pressed"),
    "lower lip in": Muscle({"mouthRollLower": 1.0}, False, "pressed"),
    "chin up": Muscle({"mouthShrugLower": 1.0, "mouthShrugUpper": 0.3}, False, "pressed"),
    "long face": Muscle({"jawOpen": 0.6, "mouthClose": 0.5, "mouthPucker": 0.5}, False, "pressed"),
    "pout": Muscle({"mouthPucker": 1.0}, False, "pout"),
    "funnel": Muscle({"mouthFunnel": 1.0}, False, "pout"),
    "mouth left": Muscle({"mouthLeft": 1.0}, False, "aside"),
    "mouth right": Muscle({"mouthRight": 1.0}, False, "aside"),
    "jaw left": Muscle({"jawLeft": 1.0}, False, "aside"),
    "jaw right": Muscle({"jawRight": 1.0}, False, "aside"),
    "jaw": Muscle({"jawOpen": 0.7}, False, "mouth open"),
    "mouth open": Muscle({"jawOpen": 0.8, "mouthFunnel": 0.25, "mouthLowerDown": 0.4}, False, "mouth open"),
    "lip pop": Muscle({"mouthUpperUp": 0.35, "mouthLowerDown": 0.6, "jawOpen": 0.25}, False, "pop"),
}  # fmt: skip
"""All that is drawn from, by name."""

OPENING = {"jaw", "mouth open"}
"""Alone these are speech unless the mouth opens wide."""
MOUTH = {name for name, one in MUSCLES.items() if any(s.startswith(("mouth", "jaw")) for s in one.shapes)}
"""What speech moves as well."""
CLEAR = {"smile", "smile and cheek", "corner down"}
"""What is seen in a mouth that speaks."""


@dataclass(frozen=True, slots=True)
class Contraction:
    """Muscles that contract together.

    Attributes:
        muscles: Their names.
        shapes: Weights by full name of a shape.
        side: ``L``, ``R`` or ``both``.
    """

    muscles: tuple[str, ...]
    shapes: dict[str, float]
    side: str


def drawn_muscle(rng: Rng) -> str:
    """Draw a muscle; each group is as likely, lest the network learn that one never moves."""
    groups = sorted({one.group for one in MUSCLES.values()})
    group = groups[rng.integers(len(groups))]
    mine = [name for name, one in MUSCLES.items() if one.group == group]
    return mine[rng.integers(len(mine))]


def contraction(rng: Rng, names: tuple[str, ...] = (), side: str = "") -> Contraction:
    """Draw one to three muscles and what they do at their strongest.

    Half of what may contract on one side does. A wink is always one-sided: both lids together are a blink.

    Args:
        rng: Source of chance.
        names: The muscles; none draws them.
        side: ``L``, ``R`` or ``both``; empty draws it.
    """
    if not names:
        names = tuple({drawn_muscle(rng): None for _ in range(rng.choice((1, 2, 3), p=(0.5, 0.32, 0.18)))})
    side = side or str(rng.choice(("L", "R", "both", "both")))
    if side == "both" and "wink" in names:
        side = "LR"[rng.integers(2)]
    other = rng.uniform(0, 0.15) if rng.random() < 0.6 else 0.0
    uneven = {"L": rng.uniform(0.75, 1), "R": rng.uniform(0.75, 1)}
    shapes: dict[str, float] = {}
    for name in names:
        gain = rng.uniform(0.55, 1.15)
        across = name != "wink" and MUSCLES[name].sided and rng.random() < 0.15
        for shape, weight in MUSCLES[name].shapes.items():
            for eye in "LR":
                share = (
                    uneven[eye] if side == "both" or not MUSCLES[name].sided or across else float(eye == side)
                )
                if share == 0 and name != "wink":
                    share = other
                full = f"{shape}_{eye}"
                shapes[full] = shapes.get(full, 0.0) + weight * gain * share
    return Contraction(names, shapes, side if any(MUSCLES[name].sided for name in names) else "both")
