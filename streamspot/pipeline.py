"""The stages strung together: frames or recorded motion → motion, scores, events.

Synchronous and deterministic; it knows no clock, no thread and no view. Everything after the measuring of motion is a
function of region motion alone, which is why a recording of it replays to the same events.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from streamspot.model import Model, ModelStream
from streamspot.model.stream import advance
from streamspot.motion.estimator import MotionEstimator
from streamspot.motion.moved import Movement
from streamspot.motion.regions import LAYOUTS
from streamspot.spotting import SpotSettings, Spotter
from streamspot.state import fold
from streamspot.types import (
    Detection,
    Event,
    FaceMotion,
    FaceState,
    Frame,
    Moment,
    Motion,
    RegionMotion,
    Score,
    SegmentEnd,
    Session,
    Update,
)

_REMEMBERED = 4096
"""Ticks (136 s) whose frame numbers and motion are kept at least."""
_BESIDE = 1024
"""Ticks more than the longest expression that are kept: the margin beside it and the look-ahead."""


@dataclass(slots=True)
class _Segment:
    """One face from its first tick to its last."""

    scores: ModelStream
    spotter: Spotter
    movement: Movement
    first: int
    newest: int
    frames: list[int]
    numbers: dict[int, int] = field(default_factory=dict)
    """Number of an open expression within the segment → within the stream."""


class Pipeline:
    """Turns the frames of one source, or its recorded motion, into scores and events.

    ``push`` is three steps, which an engine may also take one by one to time them: ``measure``, ``score``, ``spot``.

    Args:
        model: The network; shared with other streams.
        session: What the events carry; may be replaced at any time.
        estimator: Measures motion; owned. None where motion comes in.
        spotting: Settings of the spotter; None for those of the model.
        first: Number of its first event; more than 0 where it goes on with an earlier run.

    Example:
        >>> for frame in frames:  # doctest: +SKIP
        ...     for event in pipeline.push(frame).events:
        ...         print(event.phase, event.kind)
    """

    def __init__(
        self,
        model: Model,
        session: Session,
        estimator: MotionEstimator | None = None,
        spotting: SpotSettings | None = None,
        *,
        first: int = 0,
    ) -> None:
        self.session = session
        self.spotting = spotting or SpotSettings.from_sensitivity(0.5, **model.spotting)
        """May be replaced at any time; holds for each face as soon as it is neutral."""
        self._model = model
        known = LAYOUTS.get(model.config.layout)
        self._points = () if known is None else known.names  # a data set's own layout has none
        self._estimator = estimator
        self._segments: dict[int, _Segment] = {}
        self._faces: dict[int, FaceState] = {}
        self._frame, self._pts = 0, session.origin
        self._seq = self._expressions = first  # a run has no more expressions than events

    def push(self, item: Frame | Motion) -> Update:
        """Take the next frame, or the next piece of recorded motion; return what is now known.

        The score of tick n and what follows from it are known at tick n + look-ahead, or at the segment's end.
        """
        return self._judge(self.measure(item))

    def finish(self, reason: str | None = None) -> Update:
        """End every segment: None says that the source has ended."""
        return self._judge(self.end(reason))

    def measure(self, item: Frame | Motion) -> list[Motion]:
        """Return what is now known of every face's motion."""
        if isinstance(item, Frame):
            assert self._estimator is not None  # noqa: S101 - whoever brings frames brings an estimator
            self._frame, self._pts = item.index, item.pts
            return self._estimator.push(item)
        if isinstance(item, FaceMotion):
            self._frame, self._pts = item.motion.frame, item.motion.pts
        return [item]

    def end(self, reason: str | None = None) -> list[Motion]:
        """Return the ends of all segments that are open."""
        if self._estimator is not None:
            return self._estimator.finish(reason)
        return [SegmentEnd(face, reason) for face in sorted(self._segments)]

    def score(self, motion: Sequence[Motion]) -> list[list[Score]]:
        """Return, for each piece of motion, the scores that the network now knows.

        The ticks of several faces are judged together.
        """
        scores: list[list[Score]] = [[] for _ in motion]
        waiting: dict[int, deque[tuple[int, RegionMotion | None]]] = {}
        for place, one in enumerate(motion):
            segment, ticks = self._segment(one), waiting.setdefault(one.face, deque())
            if isinstance(one, FaceMotion):
                segment.newest = one.motion.tick
                segment.frames[segment.newest % len(segment.frames)] = one.motion.frame
                segment.movement.push(one.motion)
                ticks.append((place, one.motion))
            else:
                ticks.extend([(place, None)] * self._model.config.look_ahead)
        while faces := [face for face, ticks in waiting.items() if ticks]:
            places, moved = zip(*(waiting[face].popleft() for face in faces), strict=True)
            judged = advance([self._segments[face].scores for face in faces], moved)
            for place, known in zip(places, judged, strict=True):
                scores[place] += known
        for one in motion:
            if isinstance(one, SegmentEnd):
                self._segments[one.face].scores.finish()
        return scores

    def spot(self, motion: Sequence[Motion], scores: Sequence[Sequence[Score]]) -> Update:
        """Return the events that the scores lead to, with everything else that this step brought to light.

        Args:
            motion: From ``measure`` or ``end``.
            scores: From ``score``.
        """
        events: list[Event] = []
        for one, judged in zip(motion, scores, strict=True):
            segment = self._segments[one.face]
            segment.spotter.retune(self.spotting)
            seen = [detection for score in judged for detection in segment.spotter.push(score)]
            if isinstance(one, SegmentEnd):
                seen += segment.spotter.finish(one.reason)
                del self._segments[one.face]
            events += [self._event(one.face, segment, detection) for detection in seen]
        told = tuple(
            (one.face, score) for one, judged in zip(motion, scores, strict=True) for score in judged
        )
        self._faces = fold(self._faces, motion, told, events)
        return Update(self.session, self._frame, self._pts, tuple(motion), told, tuple(events), self._faces)

    def _judge(self, motion: list[Motion]) -> Update:
        return self.spot(motion, self.score(motion))

    def _segment(self, one: Motion) -> _Segment:
        segment = self._segments.get(one.face)
        if segment is None:
            first = one.motion.tick if isinstance(one, FaceMotion) else 0
            kept = max(_REMEMBERED, self.spotting.longest + _BESIDE)
            movement = Movement(self._points, kept)
            spotter = Spotter(self.spotting)
            segment = _Segment(ModelStream(self._model), spotter, movement, first, first, [0] * kept)
            self._segments[one.face] = segment
        return segment

    def _event(self, face: int, segment: _Segment, seen: Detection) -> Event:
        def known(tick: int) -> int:
            return min(max(tick, segment.first), segment.newest)

        def moment(tick: int) -> Moment:
            tick = known(tick)
            return self.session.moment(tick, segment.frames[tick % len(segment.frames)])

        if seen.number not in segment.numbers:
            segment.numbers[seen.number] = self._expressions
            self._expressions += 1
        number = segment.numbers[seen.number]
        if seen.phase in {"offset", "cancelled"}:
            del segment.numbers[seen.number]
        session, config = self.session, self._model.config
        event = Event(
            run=session.run,
            session=session.id,
            stream=session.stream,
            face=face,
            expression=f"{session.run}/{session.stream}/{face}-{number}",
            phase=seen.phase,
            kind=seen.kind,
            seq=self._seq,
            onset=moment(seen.onset),
            apex=None if seen.apex is None else moment(seen.apex),
            offset=None if seen.offset is None else moment(seen.offset),
            intensity=round(self.spotting.on_curve(seen.intensity), 4),
            score=round(seen.score, 4),
            moved=() if seen.apex is None else segment.movement.between(known(seen.onset), known(seen.apex)),
            decided_at=moment(seen.decided + config.look_ahead),
            look_ahead=config.look_ahead,
            model=config.name,
            reason=seen.reason,
        )
        self._seq += 1
        return event

    def close(self) -> None:
        """Free the face detector."""
        if self._estimator is not None:
            self._estimator.close()
