"""From the motion of faces to scores and events; deterministic, knows no picture and no clock."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from streamspot.model import Model, ModelStream
from streamspot.spotting import SpotSettings, Spotter
from streamspot.telemetry import FaceView, Telemetry
from streamspot.types import Detection, Event, Score, Session, Sighting

_REMEMBERED = 4096
"""Ticks (136 s) whose frame numbers are kept: longer than any expression may last."""


@dataclass(slots=True)
class _Face:
    scores: ModelStream
    spotter: Spotter
    first: int
    newest: int
    frames: list[int] = field(default_factory=lambda: [0] * _REMEMBERED)


class Interpreter:
    """Turns sightings into scores and events.

    Args:
        model: The network; shared with other streams.
        session: What the events carry.
        telemetry: Takes latencies, curves and events.
        settings: Of the spotter; None for those of the model.

    Example:
        >>> scores, events = interpreter.push(sighting)  # doctest: +SKIP
    """

    def __init__(
        self, model: Model, session: Session, telemetry: Telemetry, settings: SpotSettings | None = None
    ) -> None:
        self._model = model
        self._session = session
        self._telemetry = telemetry
        self.settings = settings or SpotSettings.from_sensitivity(0.5, **model.spotting)
        """May be replaced at any time; holds for each face as soon as it is neutral."""
        self._faces: dict[int, _Face] = {}
        self._seq = 0

    def push(self, sighting: Sighting) -> tuple[list[Score], list[Event]]:
        """Take one tick of a face or the end of its segment; return what is now known.

        The score of tick n and what follows from it are known at tick n + look-ahead, or at the segment's end.
        """
        started = time.perf_counter()
        face = self._face(sighting)
        if sighting.motion is None:
            scores = face.scores.finish()
        else:
            face.newest = sighting.motion.tick
            face.frames[face.newest % _REMEMBERED] = sighting.motion.frame
            scores = face.scores.push(sighting.motion)
        judged = time.perf_counter()
        face.spotter.retune(self.settings)
        detections = [detection for score in scores for detection in face.spotter.push(score)]
        if sighting.motion is None:
            detections += face.spotter.finish(sighting.reason)
            del self._faces[sighting.face]
        events = [self._event(sighting.face, face, detection) for detection in detections]
        self._telemetry.stages["model"].add(judged - started)
        self._telemetry.stages["spotting"].add(time.perf_counter() - judged)
        self._show(sighting, scores, events)
        return scores, events

    def _face(self, sighting: Sighting) -> _Face:
        face = self._faces.get(sighting.face)
        if face is None:
            first = sighting.motion.tick if sighting.motion is not None else 0
            face = _Face(ModelStream(self._model), Spotter(self.settings), first, first)
            self._faces[sighting.face] = face
        return face

    def _event(self, number: int, face: _Face, seen: Detection) -> Event:
        def moment(tick: int) -> Moment:
            known = min(max(tick, face.first), face.newest)
            return self._session.moment(known, face.frames[known % _REMEMBERED])

        session = self._session
        event = Event(
            session=session.id,
            stream=session.stream,
            face=number,
            expression=f"{session.id}/{session.stream}/{number}-{seen.number}",
            phase=seen.phase,
            kind=seen.kind,
            seq=self._seq,
            onset=moment(seen.onset),
            apex=None if seen.apex is None else moment(seen.apex),
            offset=None if seen.offset is None else moment(seen.offset),
            intensity=round(seen.intensity, 4),
            score=round(seen.score, 4),
            decided_at=moment(seen.decided + self._model.config.look_ahead),
            look_ahead=self._model.config.look_ahead,
            model=self._model.config.name,
            reason=seen.reason,
        )
        self._seq += 1
        return event

    def _show(self, sighting: Sighting, scores: list[Score], events: list[Event]) -> None:
        views = self._telemetry.faces
        view = views.setdefault(sighting.face, FaceView())
        view.visible = sighting.motion is not None
        view.curve.extend(scores)
        for event in events:
            moment = getattr(event, event.phase, None)
            if moment is not None:
                view.marks.append((moment.tick, event.phase, event.kind))
            view.state = event.kind if event.phase in ("onset", "apex") else "neutral"
            self._telemetry.events.append(event)
        while len(views) > _VIEWS:
            del views[next(iter(views))]


_VIEWS = 8
"""Faces whose curves are kept for drawing."""
