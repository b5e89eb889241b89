"""The online spotter; the offline decoder is the loop over it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from streamspot.spotting.components import Component, ComponentTracker, cleaned
from streamspot.spotting.decode import decay, detection, propose, select
from streamspot.spotting.settings import SpotSettings, on_grid
from streamspot.types import TICK_RATE, Detection, Kind, Phase, Score

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

    Args:
        settings: How to decode; the defaults if None.
    """

    def __init__(self, settings: SpotSettings | None = None) -> None:
        self._settings = settings or SpotSettings()
        self._onset_level = on_grid(self._settings.onset_level)
        self._tracker = ComponentTracker(self._settings)
        self._early: Detection | None = None  # the newest early phase of the expression under way
        self._numbers = 0
        self._now = 0
        self._quiet_until: int | None = None

    def retune(self, settings: SpotSettings) -> None:
        """Decode what begins from now on with other settings of the same windows; ignored within an expression."""
        if settings is not self._settings and self._tracker.current is None:
            self._settings = settings
            self._onset_level = on_grid(settings.onset_level)
            self._tracker.retune(settings)

    def push(self, score: Score) -> list[Detection]:
        """Take the score of the next tick and return what it decides, in order."""
        tracker, self._now = self._tracker, score.tick
        out: list[Detection] = []
        intensity, macro, micro = cleaned(score, self._settings)
        if ended := tracker.push(score.tick, intensity, macro, micro):
            self._judge(ended, out)
        if tracker.current is not None and tracker.waited <= 1:
            self._announce(tracker.current, intensity, out)
        if ended := tracker.settle(score.tick):
            self._judge(ended, out)
        return out

    def finish(self, reason: str | None = None) -> list[Detection]:
        """End the segment.

        Args:
            reason: None at the end of a recording: an expression still above the floor ends with the last
                tick and is judged like any other. Otherwise why the segment broke off (face lost, gap):
                such an expression is cancelled with this reason, while one that only waited for its outer
                margin is judged.
        """
        out: list[Detection] = []
        still_open = self._tracker.waited == 0
        ended = self._tracker.finish()
        if still_open and reason is not None:
            self._cancel(reason, out)
        elif ended:
            self._judge(ended, out)
        return out

    def _announce(self, component: Component, intensity: float, out: list[Detection]) -> None:
        """Announce onset and apex of the component under way, or just ended, once they are confirmed."""
        early, peak = self._early, component.peak
        if component.remainder:
            return
        if early is None:
            if not self._onset_is_clear(component):
                return
            self._early = early = Detection(
                self._numbers, "onset", self._guess(component), _onset(component), None, None,
                component.values[peak], 0.0, self._now,
            )  # fmt: skip
            self._numbers += 1
            out.append(early)
        if early.phase == "onset" and component.values[peak] - intensity >= self._settings.apex_margin:
            self._early = Detection(
                early.number, "apex", self._guess(component), early.onset, component.start + peak, None,
                component.values[peak], 0.0, self._now,
            )  # fmt: skip
            out.append(self._early)

    def _onset_is_clear(self, component: Component) -> bool:
        """Return whether the last ``onset_ticks`` values exceed the onset's level and one kind is likely."""
        ticks, level, peak = self._settings.onset_ticks, self._onset_level, component.peak
        if self._tracker.waited or len(component.values) < ticks or component.values[-1] <= level:
            return False
        if self._quiet_until is not None and self._now < self._quiet_until:
            return False
        if max(component.macro[peak], component.micro[peak]) <= self._settings.class_floor:
            return False
        return min(component.values[-ticks:]) > level

    def _guess(self, component: Component) -> Kind:
        peak, brief = component.peak, len(component.values) <= self._settings.micro_ticks[1]
        return "micro" if brief and component.micro[peak] > component.macro[peak] else "macro"

    def _judge(self, component: Component, out: list[Detection]) -> None:
        """Append every phase that an ended component still owes."""
        proposals, reason = propose(component, self._settings)
        ranked = decay(proposals, self._settings)
        for proposal in select(ranked, self._settings, at_trough=component.at_trough):
            early, self._early = self._early, None
            number, announced = self._numbers, 0
            if early is None:
                self._numbers += 1
            else:
                number, announced = early.number, _PHASES.index(early.phase) + 1
            out += [
                detection(proposal, component, phase, number=number, decided=self._now)
                for phase in _PHASES[announced:]
            ]
        self._cancel(reason, out)

    def _cancel(self, reason: str, out: list[Detection]) -> None:
        """Take back what was announced and not fulfilled."""
        early, self._early = self._early, None
        if early is None:
            return
        self._quiet_until = self._now + self._settings.refractory
        out.append(
            Detection(
                early.number, "cancelled", early.kind, early.onset, early.apex, None,
                early.intensity, 0.0, self._now, reason,
            )
        )  # fmt: skip


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
    """Yield the scores of three curves of equal length, for ``decode``.

    Args:
        intensity: ``(T,)``, in [0, 1].
        macro: ``(T,)``, probability of a macro-expression.
        micro: ``(T,)``, the same of a micro-expression.
        start: Tick of the first value.
    """
    for tick, (a, p, q) in enumerate(zip(intensity, macro, micro, strict=True), start):
        yield Score(tick, tick / TICK_RATE, tick, float(a), float(p), float(q))
