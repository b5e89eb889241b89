"""The intensity curve, tick by tick, cut into components: what lies between neutral ticks and troughs.

A component is a connected component of {intensity > lowest threshold}, divided further at its troughs and cut at the
maximum length. Expressions are looked for within one component at a time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from streamspot.spotting.settings import SpotSettings, on_grid
from streamspot.types import Kind, Score

TROUGH_WINDOW = 3
"""Troughs are looked for in a moving mean of the curve over so many ticks, so that jitter does not divide a held
smile."""
TROUGH_MEMORY = 90.0
"""Time constant in ticks with which the remembered peak and valley of that mean approach the present value.

Without it the extremes of a long plateau, which lie far apart, would add up to a trough. It is three seconds: with
one second a slow dip between two macro-expressions is forgotten while it lasts.
"""


@dataclass(slots=True)
class Component:
    """Consecutive ticks above the floor, and the neutral ticks on either side.

    Attributes:
        start: Tick of the first value.
        before: Intensities of the neutral ticks just before, at most ``outer_ticks``; none at the recording's start,
            after a cut or after a trough.
        remainder: Whether it is what remains of an expression that was cut at the maximum length: never an
            expression itself.
        at_trough: Whether a trough bounds it on either side.
        values: Intensities.
        macro: Probabilities of a macro-expression, one a value.
        micro: Probabilities of a micro-expression, one a value.
        brief: The curve of micro-expressions, one a value (see ``cleaned``).
        after: Like ``before``, of the ticks just after; filled in when the component ends.
        peak: Place of the (first) highest value.
    """

    start: int
    before: tuple[float, ...] = ()
    remainder: bool = False
    at_trough: bool = False
    values: list[float] = field(default_factory=list)
    macro: list[float] = field(default_factory=list)
    micro: list[float] = field(default_factory=list)
    brief: list[float] = field(default_factory=list)
    after: tuple[float, ...] = ()
    peak: int = 0

    def append(self, intensity: float, macro: float, micro: float, brief: float) -> None:
        """Add the next tick."""
        self.values.append(intensity)
        self.macro.append(macro)
        self.micro.append(micro)
        self.brief.append(brief)
        if intensity > self.values[self.peak]:
            self.peak = len(self.values) - 1

    def level(self, kind: Kind) -> list[float]:
        """Return how high each tick is for a kind: the intensity, for micro its own curve where that is higher."""
        return self.values if kind == "macro" else list(map(max, self.values, self.brief))

    def divide(self, place: int) -> Component:
        """End this component before a trough and return what follows the trough, whose tick belongs to neither."""
        right = Component(
            self.start + place + 1,
            at_trough=True,
            values=self.values[place + 1 :],
            macro=self.macro[place + 1 :],
            micro=self.micro[place + 1 :],
            brief=self.brief[place + 1 :],
        )
        del self.values[place:], self.macro[place:], self.micro[place:], self.brief[place:]
        for side in (self, right):
            side.peak = side.values.index(max(side.values)) if side.values else 0
        self.at_trough = True
        return right


class ComponentTracker:
    """Cuts the curve of one segment into components as it comes.

    Memory does not grow with the stream: nothing older than the longest macro-expression is kept.
    """

    def __init__(self, settings: SpotSettings) -> None:
        self.current: Component | None = None
        """The component under way, or the one that has ended and waits for its outer margin."""
        self._neutral: deque[float] = deque(maxlen=settings.outer_ticks)  # since the last component
        self._recent: deque[float] = deque((0.0,) * TROUGH_WINDOW, TROUGH_WINDOW)
        self._sum = 0.0  # of the recent intensities; exact, as they are on a grid
        self._peak = self._valley = -1.0  # of the moving mean
        self._valley_tick = 0
        self.retune(settings)

    def retune(self, settings: SpotSettings) -> None:
        """Decode what begins from now on with other settings, ``outer_ticks`` alike."""
        self._settings = settings
        self._floor, self._brief_floor = settings.levels[0], on_grid(settings.micro_floor)

    @property
    def waited(self) -> int:
        """Neutral ticks since ``current`` ended, 0 while it goes on."""
        return len(self._neutral)

    def push(self, tick: int, intensity: float, macro: float, micro: float, brief: float) -> Component | None:
        """Take the next tick, as ``cleaned`` gives it; return the component whose end is clear only now, if any."""
        self._sum += intensity - self._recent[0]
        self._recent.append(intensity)
        if intensity <= self._floor and brief <= self._brief_floor:
            self._neutral.append(intensity)
            return None
        ended = None
        if self.current is None or self._neutral:
            ended = self.finish()
            self._begin(Component(tick, tuple(self._neutral)))
            self._neutral.clear()
        assert self.current is not None  # noqa: S101 - for the type checker
        self.current.append(intensity, macro, micro, brief)
        return self._watch_for_trough(self.current, tick) or ended  # a new component has no trough yet

    def settle(self, tick: int) -> Component | None:
        """Return the component that ends with the tick just pushed: its margin is complete or it is too long."""
        component, settings = self.current, self._settings
        if component is None:
            return None
        if self._neutral:
            return self.finish() if self.waited >= settings.margin(len(component.values)) else None
        if len(component.values) < settings.longest:
            return None
        ended = self.finish()
        self._begin(Component(tick + 1, remainder=True))
        return ended

    def _begin(self, component: Component) -> None:
        self.current = component
        self._peak = self._valley = -1.0

    def finish(self) -> Component | None:
        """End the component under way or waiting; return it, with its right margin, unless it is a remainder."""
        component, self.current = self.current, None
        if component is None or component.remainder:
            return None
        component.after = tuple(self._neutral)
        return component

    def _watch_for_trough(self, component: Component, tick: int) -> Component | None:
        """Follow peak and valley of the moving mean; at a trough return the component before it."""
        mean = self._sum / TROUGH_WINDOW
        if self._settings.trough(self._peak, self._valley, mean):
            ended = self._divide(component)
            self._peak = self._valley = mean
            return ended
        if mean > self._peak:
            self._peak = self._valley = mean
            return None
        forgotten = 1 / TROUGH_MEMORY
        self._peak += (mean - self._peak) * forgotten
        if mean < self._valley:
            self._valley, self._valley_tick = mean, tick
        else:
            self._valley += (mean - self._valley) * forgotten
        return None

    def _divide(self, component: Component) -> Component | None:
        """Divide at the trough's lowest tick and return the part before it.

        A part too short to be an expression of the likelier kind is not divided off: the dip belongs to its
        expression.
        """
        last = self._valley_tick - component.start
        window = component.values[max(0, last + 1 - TROUGH_WINDOW) : last + 1]
        place = last + 1 - len(window) + window.index(min(window))
        if not component.remainder:
            if not place:
                return None
            apex = component.values.index(max(component.values[:place]))
            kind: Kind = "micro" if component.micro[apex] > component.macro[apex] else "macro"
            if place < self._settings.lengths(kind, at_trough=True)[0]:
                return None
        self.current = component.divide(place)
        return None if component.remainder else component


def components(scores: Iterable[Score], settings: SpotSettings) -> Iterator[tuple[Component, int]]:
    """Yield every component of a whole recording with the tick at which its end was clear."""
    tracker, tick = ComponentTracker(settings), 0
    for score in scores:
        tick = score.tick
        if ended := tracker.push(tick, *cleaned(score, settings)):
            yield ended, tick
        if ended := tracker.settle(tick):
            yield ended, tick
    if ended := tracker.finish():
        yield ended, tick


def cleaned(score: Score, settings: SpotSettings) -> tuple[float, float, float, float]:
    """Return intensity to the power of ``power``, both probabilities, and the curve of micro-expressions.

    That curve is the probability of micro times the intensity to the power of ``micro_power``. Intensity and curve
    are on the grid; what is not finite is 0.
    """
    plain, macro, micro = on_grid(score.intensity), _probability(score.macro), _probability(score.micro)
    intensity = plain if settings.power == 1 else on_grid(plain**settings.power)
    brief = intensity if settings.micro_power is None else plain**settings.micro_power
    return intensity, macro, micro, on_grid(brief * micro)


def _probability(value: float) -> float:
    return min(value, 1.0) if value > 0 else 0.0
