"""Rates and sizes of everything that happens in a simulated recording."""

from __future__ import annotations

from dataclasses import dataclass

from streamspot.simulation.units import COMBINATIONS, Combinations
from streamspot.types import Kind


@dataclass(frozen=True, slots=True)
class Scenario:
    """Rates are expected events a minute, sizes are inter-ocular distances; each recording draws its own around them.

    Attributes:
        expressions: Rate of expressions in recordings that have any.
        idle: Share of recordings without any expression.
        micro: Share of expressions that are micro.
        held: Share of macro-expressions that are held for two to eight seconds.
        micro_in_speech: Whether micro-expressions are also shown while the mouth speaks.
        trains: Share of macro-expressions that are shown several times, a moment apart.
        faint: Share of activations too weak to be told from the slow error; they are no expressions.
        macro_floor: Smallest peak of a macro-expression, of the region that moves most.
        micro_floor: The same for a micro-expression.
        touching: Share of expressions that follow the one before without a pause.
        blinks: Rate of blinks.
        gazes: Rate of shifts of gaze.
        speech: Rate of bouts of speech.
        chewing: Rate of bouts of chewing.
        turns: Rate of turns, nods and shakes of the head, which the head model does not explain fully.
        hands: Rate of moments in which something covers or brushes a part of the face.
        noise: Standard deviation of the flow's error a tick.
        wander: Standard deviation of the slow error of the position.
        glitches: Rate of gross errors of a region's flow.
        free: Share of expressions in which any muscles move, on one side or both, as fast and as large as they
            may, instead of action units that are known to act together.
        combinations: Action units that act together, with how often they do.
    """

    expressions: float = 9.0
    idle: float = 0.25
    micro: float = 0.3
    held: float = 0.08
    micro_in_speech: bool = False
    trains: float = 0.16
    faint: float = 0.12
    macro_floor: float = 0.024
    micro_floor: float = 0.012
    touching: float = 0.15
    blinks: float = 15.0
    gazes: float = 8.0
    speech: float = 3.0
    chewing: float = 0.3
    turns: float = 3.0
    hands: float = 1.0
    noise: float = 0.0009
    wander: float = 0.006
    glitches: float = 4.0
    free: float = 0.0
    combinations: Combinations = COMBINATIONS

    def floor(self, kind: Kind) -> float:
        """Return the smallest peak of a kind."""
        return self.macro_floor if kind == "macro" else self.micro_floor
