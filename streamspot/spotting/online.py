"""The online spotter; the offline decoder is the loop over it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from streamspot.spotting.decode import Hill, Proposal, propose, select, separable
from streamspot.spotting.settings import SpotSettings, on_grid
from streamspot.types import TICK_RATE, Detection, Kind, Phase, Score


class Spotter:
    """Turns the scores of one segment, tick by tick, into phases of expressions.

    Every expression is seen as onset → apex → offset or as onset → [apex] → cancelled, under one number. The
    ``offset`` phases are exactly what ``decode`` returns for the same scores. They come at the latest when
    the curve has been at the floor for ``outer_ticks`` ticks, and as soon as it has risen again out of a
    trough.

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
        self._levels()
        self._context: deque[float] = deque(maxlen=self._settings.outer_ticks)
        self._hill: Hill | None = None
        self._open = False  # a hill that is not open waits for its right margin
        self._recent: deque[float] = deque(
            (0.0,) * self._settings.trough_window, self._settings.trough_window
        )
        self._sum = 0.0  # of the recent intensities; exact, as they are on a grid
        self._top = 0  # place of the hill's highest value
        self._peak = self._valley = -1.0  # of the moving mean
        self._valley_tick = 0
        self._above = 0  # ticks in a row above the onset's level
        self._quiet_until: int | None = None
        self._numbers = 0
        self._early: Detection | None = None  # the newest early phase of the expression under way
        self._now = 0

    def _levels(self) -> None:
        self._floor = self._settings.levels[0]
        self._onset_level = on_grid(self._settings.onset_level)

    def retune(self, settings: SpotSettings) -> None:
        """Decode what begins from now on with other settings of the same windows; ignored within an expression."""
        if settings is not self._settings and self._hill is None:
            self._settings = settings
            self._levels()

    def push(self, score: Score) -> list[Detection]:
        """Take the score of the next tick and return what it decides, in order."""
        settings = self._settings
        self._now = score.tick
        intensity = on_grid(score.intensity)
        self._sum += intensity - self._recent[0]
        self._recent.append(intensity)
        if intensity <= self._floor:
            return self._neutral(intensity)
        out: list[Detection] = []
        hill = self._hill
        if hill is None or not self._open:
            if hill is not None:
                self._judge(hill, tuple(self._context), out)
            hill = self._begin(score.tick, tuple(self._context))
            self._context.clear()
        values = hill.values
        values.append(intensity)
        hill.macro.append(_probability(score.macro))
        hill.micro.append(_probability(score.micro))
        if intensity > values[self._top]:
            self._top = len(values) - 1
        self._above = self._above + 1 if intensity > self._onset_level else 0

        mean = self._sum / settings.trough_window
        if settings.trough(self._peak, self._valley, mean):
            hill = self._divide(hill, out)
            self._peak = self._valley = mean
        elif mean > self._peak:
            self._peak = self._valley = mean
        else:
            forgotten = 1 / settings.trough_memory
            self._peak += (mean - self._peak) * forgotten
            if mean < self._valley:
                self._valley, self._valley_tick = mean, score.tick
            else:
                self._valley += (mean - self._valley) * forgotten
        self._announce(hill, intensity, out)
        if len(hill.values) >= settings.longest:
            self._judge(hill, (), out)
            self._begin(score.tick + 1, (), rest=True)
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
        hill, self._hill = self._hill, None
        if hill is None:
            return out
        if self._open and reason is not None:
            self._cancel(reason, out)
        else:
            self._judge(hill, () if self._open else tuple(self._context), out)
        return out

    def _neutral(self, intensity: float) -> list[Detection]:
        out: list[Detection] = []
        self._context.append(intensity)
        if (hill := self._hill) is not None:
            if self._open:
                self._open = False
                self._announce(hill, intensity, out)
            if len(self._context) >= self._settings.margin(len(hill.values)):
                self._judge(hill, tuple(self._context), out)
                self._hill = None
        return out

    def _begin(
        self, start: int, before: tuple[float, ...], *, rest: bool = False, beside: bool = False
    ) -> Hill:
        self._hill = hill = Hill(start, before, rest, beside)
        self._open = True
        self._peak = self._valley = -1.0
        self._top = self._above = 0
        return hill

    def _divide(self, hill: Hill, out: list[Detection]) -> Hill:
        """End the hill at the trough's lowest tick, which belongs to neither side, and return the next one.

        A hill too short to be told apart goes on: the dip belongs to its expression.
        """
        settings, values = self._settings, hill.values
        last = self._valley_tick - hill.start
        window = values[max(0, last + 1 - settings.trough_window) : last + 1]
        cut = last + 1 - len(window) + window.index(min(window))
        if not separable(hill, cut, settings):
            return hill
        hill.beside = True
        right = self._begin(hill.start + cut + 1, (), beside=True)
        right.values, right.macro, right.micro = (
            values[cut + 1 :],
            hill.macro[cut + 1 :],
            hill.micro[cut + 1 :],
        )
        del values[cut:]
        self._judge(hill, (), out)
        self._top = right.values.index(max(right.values))
        for value in reversed(right.values):
            if value <= self._onset_level:
                break
            self._above += 1
        return right

    def _announce(self, hill: Hill, intensity: float, out: list[Detection]) -> None:
        """Announce onset and apex of the open hill once they are confirmed."""
        early, settings = self._early, self._settings
        if hill.rest:
            return
        peak = self._top
        if early is None:
            if self._above < settings.onset_ticks or not self._open:
                return
            if self._quiet_until is not None and self._now < self._quiet_until:
                return
            if max(hill.macro[peak], hill.micro[peak]) <= settings.class_floor:
                return
            self._early = early = Detection(
                self._numbers, "onset", self._guess(hill), self._foot(hill), None, None,
                hill.values[peak], 0.0, self._now,
            )  # fmt: skip
            self._numbers += 1
            out.append(early)
        if early.phase == "onset" and hill.values[peak] - intensity >= settings.apex_margin:
            self._early = Detection(
                early.number, "apex", self._guess(hill), early.onset, hill.start + peak, None,
                hill.values[peak], 0.0, self._now,
            )  # fmt: skip
            out.append(self._early)

    def _guess(self, hill: Hill) -> Kind:
        peak = self._top
        brief = len(hill.values) <= self._settings.micro_ticks[1]
        return "micro" if brief and hill.micro[peak] > hill.macro[peak] else "macro"

    def _foot(self, hill: Hill) -> int:
        """Return the tick at which the curve last rose above half of its peak: the onset as first seen."""
        half, place = hill.values[self._top] / 2, self._top
        while place and hill.values[place - 1] > half:
            place -= 1
        return hill.start + place

    def _judge(self, hill: Hill, after: Sequence[float], out: list[Detection]) -> None:
        """Append every phase that the closed hill still owes."""
        if hill.rest:
            return
        proposals, reason = propose(hill, after, self._settings)
        for proposal in select(proposals, self._settings, beside=hill.beside):
            early, self._early = self._early, None
            if early is None:
                early = self._detection(hill, proposal, "onset", self._numbers)
                self._numbers += 1
                out.append(early)
            if early.phase == "onset":
                out.append(self._detection(hill, proposal, "apex", early.number))
            out.append(self._detection(hill, proposal, "offset", early.number))
        self._cancel(reason, out)

    def _detection(self, hill: Hill, proposal: Proposal, phase: Phase, number: int) -> Detection:
        final = phase == "offset"
        return Detection(
            number=number,
            phase=phase,
            kind=proposal.kind,
            onset=hill.start + proposal.first,
            apex=None if phase == "onset" else hill.start + proposal.apex,
            offset=hill.start + proposal.last if final else None,
            intensity=hill.values[proposal.apex],
            score=proposal.score if final else 0.0,
            decided=self._now,
        )

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


def _probability(value: float) -> float:
    return min(value, 1.0) if value > 0 else 0.0
