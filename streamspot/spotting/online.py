"""The online spotter; the offline decoder is the loop over it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from streamspot.spotting.components import Component, ComponentTracker, cleaned
from streamspot.spotting.decode import Proposal, decay, detection, propose, select
from streamspot.spotting.settings import SpotSettings, on_grid
from streamspot.types import TICK_RATE, Detection, Kind, Phase, Score

ONSET_TICKS = 2
"""For how many ticks in a row the curve must exceed the onset's level before the onset is announced."""

OUTWEIGHED = "outweighed by another"
"""Why what was announced is taken back where there is an expression beside it and it is no expression itself."""

_PHASES: tuple[Phase, ...] = ("onset", "apex", "offset")


class Spotter:
    """Turns the scores of one segment, tick by tick, into phases of expressions.

    Every expression appears as onset → apex → offset or as onset → [apex] → cancelled, all under one number. The
    ``offset`` phases are exactly what ``decode`` returns for the same scores. An offset is decided when the curve has
    risen again out of a trough, or at the latest when it has been at the floor for ``outer_ticks`` ticks.

    A score that is not finite counts as 0. Ticks must follow each other: at a gap call ``finish`` and start a
    new spotter. Memory and time per tick do not grow with the stream: nothing older than the longest
    macro-expression is kept.

    Example:
        >>> spotter = Spotter()
        >>> curve = [0, 0, *[0.9] * 20, *[0] * 9]
        >>> scores = scores_of(curve, [1.0] * len(curve), [0.0] * len(curve))
        >>> [(d.phase, d.onset, d.decided) for score in scores for d in spotter.push(score)]
        [('onset', 2, 3), ('apex', 2, 22), ('offset', 2, 26)]
    """

    def __init__(self, settings: SpotSettings | None = None) -> None:
        self._settings = settings or SpotSettings()
        self._onset_level = on_grid(self._settings.onset_level)
        self._tracker = ComponentTracker(self._settings)
        self._early: Detection | None = None  # the newest early phase of the expression under way
        self._numbers = 0
        self._now = 0
        self._quiet_until = 0

    def retune(self, settings: SpotSettings) -> None:
        """Decode what begins from now on with other settings, ``outer_ticks`` alike; ignored within an expression."""
        if settings is not self._settings and self._tracker.current is None:
            self._settings = settings
            self._onset_level = on_grid(settings.onset_level)
            self._tracker.retune(settings)

    def push(self, score: Score) -> list[Detection]:
        """Take the score of the next tick and return what it decides, in order."""
        tracker, self._now = self._tracker, score.tick
        cleared = cleaned(score, self._settings)
        out = self._judge(tracker.push(score.tick, *cleared))
        if tracker.current is not None and tracker.waited <= 1:
            out += self._announce(tracker.current, cleared[0])
        return out + self._judge(tracker.settle(score.tick))

    def finish(self, reason: str | None = None) -> list[Detection]:
        """End the segment: None is the regular end of a recording, otherwise why it broke off (face lost, gap).

        An expression still above the floor is then cancelled with this reason; at the regular end it ends with the
        last tick and is judged like any other, as one that only waited for its outer margin always is.
        """
        still_open = self._tracker.waited == 0
        ended = self._tracker.finish()
        return self._cancel(reason, ended) if still_open and reason is not None else self._judge(ended)

    def _announce(self, component: Component, intensity: float) -> list[Detection]:
        """Announce onset and apex of the component under way, or just ended, once they are confirmed."""
        if component.remainder:
            return []
        out: list[Detection] = []
        early, peak = self._early, component.peak
        highest = component.values[peak]
        if early is None:
            if not self._onset_is_clear(component):
                return []
            kind, onset = self._guess(component), _onset(component)
            early = Detection(self._numbers, "onset", kind, onset, None, None, highest, 0.0, self._now)
            self._numbers += 1
            out.append(early)
        if early.phase == "onset" and highest - intensity >= self._settings.apex_margin:
            kind, apex = self._guess(component), component.start + peak
            early = replace(early, phase="apex", kind=kind, apex=apex, intensity=highest, decided=self._now)
            out.append(early)
        self._early = early
        return out

    def _onset_is_clear(self, component: Component) -> bool:
        """Return whether the last ``ONSET_TICKS`` values exceed the onset's level and one kind is likely."""
        level, peak = self._onset_level, component.peak
        if self._tracker.waited or len(component.values) < ONSET_TICKS or component.values[-1] <= level:
            return False
        if self._now < self._quiet_until:
            return False
        likely = max(component.macro[peak], component.micro[peak]) > self._settings.class_floor
        return likely and min(component.values[-ONSET_TICKS:]) > level

    def _guess(self, component: Component) -> Kind:
        peak, brief = component.peak, len(component.values) <= self._settings.micro_ticks[1]
        return "micro" if brief and component.micro[peak] > component.macro[peak] else "macro"

    def _judge(self, component: Component | None) -> list[Detection]:
        """Return every phase that an ended component, if there is one, still owes."""
        if component is None:
            return []
        proposals, reason = propose(component, self._settings)
        ranked = decay(proposals, self._settings)
        chosen = select(ranked, self._settings, at_trough=component.at_trough)
        fulfilled = self._fulfilled(chosen, component.start)
        out: list[Detection] = []
        if fulfilled is None:
            out += self._cancel(reason, component) if reason else self._cancel(OUTWEIGHED)
        for proposal in chosen:
            number, announced = self._numbers, 0
            if proposal is fulfilled and self._early is not None:
                number, announced = self._early.number, _PHASES.index(self._early.phase) + 1
                self._early = None
            else:
                self._numbers += 1
            out += [
                detection(proposal, component, phase, number=number, decided=self._now)
                for phase in _PHASES[announced:]
            ]
        return out

    def _fulfilled(self, chosen: Sequence[Proposal], start: int) -> Proposal | None:
        """Return which expression of a component that starts there was announced: the nearest, if it is near."""
        if self._early is None:
            return None
        seen = (self._early.decided if self._early.apex is None else self._early.apex) - start

        def away(proposal: Proposal) -> int:
            return max(proposal.first - seen, seen - proposal.last, 0)

        nearest = min(chosen, key=away, default=None)
        return None if nearest is None or away(nearest) > self._settings.outer_ticks else nearest

    def _cancel(self, reason: str, component: Component | None = None) -> list[Detection]:
        """Take back what was announced and not fulfilled; its intensity is the highest so far."""
        early, self._early = self._early, None
        if early is None:
            return []
        self._quiet_until = self._now + self._settings.refractory
        highest = max((early.intensity, *(() if component is None else component.values)))
        return [replace(early, phase="cancelled", intensity=highest, decided=self._now, reason=reason)]


def _onset(component: Component) -> int:
    """Return the tick at which the curve last rose above half of its peak: the onset as first seen."""
    half, place = component.values[component.peak] / 2, component.peak
    while place and component.values[place - 1] > half:
        place -= 1
    return component.start + place


def decode(scores: Iterable[Score], settings: SpotSettings | None = None) -> list[Detection]:
    """Return the expressions of a whole recording: the ``offset`` phases of the online spotter, in order."""
    spotter = Spotter(settings)
    found = [detection for score in scores for detection in spotter.push(score)]
    return [detection for detection in (*found, *spotter.finish()) if detection.phase == "offset"]


def scores_of(
    intensity: Iterable[float], macro: Iterable[float], micro: Iterable[float], *, start: int = 0
) -> Iterator[Score]:
    """Yield the scores of three curves of equal length, in [0, 1] and from tick ``start`` on, for ``decode``."""
    for tick, (a, p, q) in enumerate(zip(intensity, macro, micro, strict=True), start):
        yield Score(tick, tick / TICK_RATE, tick, float(a), float(p), float(q))
