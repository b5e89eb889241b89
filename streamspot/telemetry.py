"""What a running stream knows of itself: read by the dashboard, the stats topic and the benchmark."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from streamspot.types import Event, Kind, Phase, Score

STAGES = ("wait", "face", "flow", "model", "spotting", "total")
"""``wait`` is the analysis idle until the next frame; ``face`` runs where faces are looked for, in some frames only;
``total`` runs from *frame available* to *events ready*."""

CURVE_TICKS = 900
"""Thirty seconds of curve are kept for drawing."""

BrokerState = Literal["none", "connecting", "online", "retrying", "refused", "stopped"]


class Latency:
    """Durations of the last 512 calls of a stage, in constant memory."""

    def __init__(self) -> None:
        self._ring = np.zeros(512)
        self.count = 0
        self.last = 0.0
        """The newest duration, s."""

    def add(self, seconds: float) -> None:
        """Take one duration in seconds."""
        self.last = seconds
        self._ring[self.count % len(self._ring)] = seconds
        self.count += 1

    def quantiles(self) -> tuple[float, float]:
        """Return p50 and p99 in seconds, (0, 0) before the first call."""
        if not self.count:
            return 0.0, 0.0
        p50, p99 = np.quantile(self._ring[: self.count], (0.5, 0.99))
        return float(p50), float(p99)


@dataclass(slots=True)
class FaceView:
    """What is drawn of one face."""

    curve: deque[Score] = field(default_factory=lambda: deque(maxlen=CURVE_TICKS))
    marks: deque[tuple[int, Phase, Kind]] = field(default_factory=lambda: deque(maxlen=64))
    """(tick, phase, kind) of announced onsets, apexes and offsets, for the graph."""
    state: str = "neutral"
    """``neutral``, ``macro``, ``micro``: what is going on now, as announced."""
    visible: bool = True


@dataclass(slots=True)
class BrokerView:
    """State of the delivery to the broker."""

    address: str = ""
    """Without credentials."""
    state: BrokerState = "none"
    queued: int = 0
    acknowledged: int = 0
    error: str = ""


@dataclass(slots=True)
class Telemetry:
    """Counters, latencies, curves and the last events of one stream; constant in size.

    One writer (the pipeline's thread, and the event loop for the broker's part), any number of readers.
    """

    source: str = ""
    live: bool = False
    policy: Literal["every", "latest"] = "every"
    nominal_fps: float | None = None
    model: str = ""
    look_ahead: int = 0
    thresholds: tuple[float, ...] = ()
    """Intensities to draw as horizontal lines: lowest to highest."""
    frames: int = 0
    dropped: int = 0
    faceless: int = 0
    """Frames in which no face was found."""
    fps: float = 0.0
    """Frames processed a second, over the last two seconds."""
    pts: float = 0.0
    """Time of the newest frame on the source's time line, s."""
    finished: bool = False
    stages: dict[str, Latency] = field(default_factory=lambda: {name: Latency() for name in STAGES})
    faces: dict[int, FaceView] = field(default_factory=dict)
    events: deque[Event] = field(default_factory=lambda: deque(maxlen=50))
    messages: deque[str] = field(default_factory=lambda: deque(maxlen=20))
    """Warnings in plain words, newest last ("the camera gives 14 fps instead of 30: more light helps")."""
    broker: BrokerView = field(default_factory=BrokerView)
