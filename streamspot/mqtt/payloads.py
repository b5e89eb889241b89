"""What the topics beside the events say: ``state``, ``intensity``, ``stats``, ``error``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, fields
from datetime import UTC, datetime

from streamspot.events import dumps
from streamspot.mqtt.connection import redacted
from streamspot.stats import Delivery, Latency, Stats
from streamspot.types import FaceState, Score, Update


def state(update: Update) -> bytes:
    """Return the payload of ``state``: the settings in force and what each face in view does."""
    faces = {str(number): asdict(face) for number, face in sorted(update.faces.items())}
    return dumps({"time": _now(), **asdict(update.controls), "faces": faces})


def state_key(update: Update) -> object:
    """Return what makes the state another one: everything but the intensities, which change with every tick."""
    names = [field.name for field in fields(FaceState) if field.name != "intensity"]
    faces = {number: [getattr(face, name) for name in names] for number, face in update.faces.items()}
    return update.controls, faces


def intensity(curve: Iterable[tuple[int, Score]]) -> bytes:
    """Return the payload of ``intensity``: a stretch of the curve of each face."""
    names = [field.name for field in fields(Score) if field.name != "frame"]
    faces: dict[str, dict[str, list[float]]] = {}
    for number, score in curve:
        columns = faces.setdefault(str(number), {name: [] for name in names})
        for name in names:
            columns[name].append(getattr(score, name))
    return dumps({"time": _now(), "faces": faces})


def stats(measured: Stats, delivery: Delivery) -> bytes:
    """Return the payload of ``stats``: counters, and latencies in milliseconds; no credentials."""
    return dumps(
        {
            "time": _now(),
            "source": redacted(measured.source),
            "model": measured.model,
            "look_ahead": measured.look_ahead,
            "fps": measured.fps,
            "pts": measured.pts,
            "frames": measured.frames,
            "dropped": measured.dropped,
            "faceless": measured.faceless,
            "latency_ms": {name: _milliseconds(stage) for name, stage in measured.stages.items()},
            "queued": delivery.queued,
            "acknowledged": delivery.acknowledged,
            "lost": delivery.lost,
        }
    )


def error(message: str) -> bytes:
    """Return the payload of ``error``."""
    return dumps({"time": _now(), "message": message})


def _milliseconds(stage: Latency) -> dict[str, float]:
    p50, p99 = stage.quantiles()
    return {"p50": round(1e3 * p50, 3), "p99": round(1e3 * p99, 3)}


def _now() -> str:
    """Return the wall-clock time, RFC 3339 in UTC."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
