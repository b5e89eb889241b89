"""What goes on now, as the topics ``state``, ``intensity`` and ``stats`` tell it."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from streamspot.events import dumps
from streamspot.mqtt.connection import redacted
from streamspot.telemetry import Latency, Telemetry
from streamspot.types import Event, Score

_FACES = 16  # at most, the latest
_GONE = 2.0  # s without a score or an event after which a face has left
_CURVE = 1000  # ticks kept for sending, the latest


@dataclass(slots=True)
class _Face:
    seen: float
    state: str = "neutral"
    expression: str | None = None
    since: float | None = None
    intensity: float = 0.0


class Situation:
    """The faces in view, the settings in force and the curve that has not been sent.

    Attributes:
        changed: The state is another than when it was last told.
    """

    def __init__(self) -> None:
        self.changed = True
        self._faces: dict[int, _Face] = {}  # the one heard of last stands last
        self._controls: dict[str, Any] = {"paused": False, "sensitivity": 0.5}
        self._curve: deque[tuple[int, Score]] = deque(maxlen=_CURVE)

    def event(self, event: Event) -> None:
        """Note what the face does from now on."""
        ongoing = event.phase in {"onset", "apex"}
        face = self._face(event.face)
        face.state = event.kind if ongoing else "neutral"
        face.expression = event.expression if ongoing else None
        face.since = event.onset.pts if ongoing else None
        self.changed = True

    def score(self, number: int, score: Score) -> None:
        """Note one tick of a face's curve."""
        self._curve.append((number, score))
        self._face(number).intensity = score.intensity

    def control(self, *, paused: bool, sensitivity: float) -> None:
        """Note the settings in force."""
        self._controls = {"paused": paused, "sensitivity": sensitivity}
        self.changed = True

    def leave(self, *, everybody: bool = False) -> None:
        """Forget the faces of which nothing has been heard, or all."""
        now = time.monotonic()
        for number in [
            number for number, face in self._faces.items() if everybody or now - face.seen > _GONE
        ]:
            del self._faces[number]
            self.changed = True

    def state(self) -> bytes:
        """Return the payload of ``state``."""
        self.changed = False
        names = ("state", "expression", "since", "intensity")
        faces = {
            str(number): {name: getattr(face, name) for name in names}
            for number, face in sorted(self._faces.items())
        }
        return dumps({"time": now(), **self._controls, "faces": faces})

    def curve(self) -> bytes | None:
        """Return the payload of ``intensity`` with what has come since the last one, None if nothing has."""
        if not self._curve:
            return None
        faces: dict[str, dict[str, list[float]]] = {}
        names = ("tick", "pts", "intensity", "macro", "micro")
        while self._curve:
            number, score = self._curve.popleft()
            curve = faces.setdefault(str(number), {name: [] for name in names})
            for name in names:
                curve[name].append(getattr(score, name))
        return dumps({"time": now(), "faces": faces})

    def _face(self, number: int) -> _Face:
        face = self._faces.pop(number, None)
        if face is None:
            face = _Face(time.monotonic())
            self.changed = True
        face.seen = time.monotonic()
        self._faces[number] = face
        if len(self._faces) > _FACES:
            del self._faces[next(iter(self._faces))]
        return face


def stats(telemetry: Telemetry, *, lost: int) -> bytes:
    """Return the payload of ``stats``: latencies in milliseconds, no credentials."""
    return dumps(
        {
            "time": now(),
            "source": redacted(telemetry.source),
            "model": telemetry.model,
            "look_ahead": telemetry.look_ahead,
            "fps": telemetry.fps,
            "pts": telemetry.pts,
            "frames": telemetry.frames,
            "dropped": telemetry.dropped,
            "faceless": telemetry.faceless,
            "latency_ms": {name: _milliseconds(stage) for name, stage in telemetry.stages.items()},
            "queued": telemetry.broker.queued,
            "acknowledged": telemetry.broker.acknowledged,
            "lost": lost,
        }
    )


def _milliseconds(stage: Latency) -> dict[str, float]:
    p50, p99 = stage.quantiles()
    return {"p50": round(1e3 * p50, 3), "p99": round(1e3 * p99, 3)}


def now() -> str:
    """Return the wall-clock time, RFC 3339 in UTC."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
