"""How often what happens, and how large it is."""

from __future__ import annotations

from dataclasses import dataclass

from streamspot.simulation.units import COMBINATIONS, Combinations
from streamspot.types import Kind


@dataclass(frozen=True, slots=True)
class Scenario:
    """Rates are expected numbers a minute, sizes inter-ocular distances.

    Each recording draws its own around them.

    Attributes:
        expressions: Expressions of the busy recordings.
        idle: Share of recordings without any expression.
        micro: Share of expressions that are micro.
        trains: Share of macro-expressions that are shown several times, a moment apart.
        faint: Share of activations too weak to be told from wander; they are no expressions.
        macro_floor: Smallest peak of the region that moves most in a macro-expression; less is none.
        micro_floor: The same for a micro-expression.
        touching: Share of expressions that follow the one before without a pause.
        blinks: Blinks.
        gazes: Shifts of gaze.
        speech: Bouts of speech.
        chewing: Bouts of chewing.
        turns: Turns, nods and shakes of the head that leave a residual.
        hands: Moments in which something covers or brushes a part of the face.
        noise: Flow noise a tick, standard deviation.
        wander: Slow error of the position, standard deviation.
        glitches: Gross errors of a region's flow.
        combinations: Action units that act together, with how often they do.
    """

    expressions: float = 9.0
    idle: float = 0.25
    micro: float = 0.3
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
    combinations: Combinations = COMBINATIONS

    def floor(self, kind: Kind) -> float:
        """Return the smallest peak of a kind."""
        return self.macro_floor if kind == "macro" else self.micro_floor
