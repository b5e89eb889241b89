"""What a running stream measures of itself: counts, rates, how long each stage takes; constant in size."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from streamspot.types import Policy

STAGES = ("wait", "face", "flow", "model", "spotting", "total")
"""``wait`` is the analysis idle until the next frame; ``face`` runs where faces are looked for, in some frames only;
``total`` runs from *frame available*, once the models are loaded, to *events ready*."""


class Latency:
    """Durations of the last 512 calls of a stage, in constant memory; number and sum (s) of all."""

    def __init__(self) -> None:
        self._ring = np.zeros(512)
        self.count = 0
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """Take one duration in seconds."""
        self._ring[self.count % len(self._ring)] = seconds
        self.count += 1
        self.total += seconds

    def quantiles(self) -> tuple[float, float]:
        """Return p50 and p99 in seconds, (0, 0) before the first call."""
        if not self.count:
            return 0.0, 0.0
        p50, p99 = np.quantile(self._ring[: self.count], (0.5, 0.99))
        return float(p50), float(p99)


@dataclass(slots=True)
class Stats:
    """One stream as its engine sees it. One writer, the engine's thread; any number of readers.

    Attributes:
        source: The source's name, without credentials.
        live: Whether it cannot be read again.
        policy: What happens to frames that come too fast.
        stream: Its name in topics.
        nominal_fps: Frames a second that the source promises, None while unknown.
        model: Name of the weights, empty until they are loaded, or heard of.
        look_ahead: Ticks the network looks ahead.
        thresholds: Intensities of interest to draw: lowest to highest.
        frames: Frames processed.
        dropped: Frames dropped because a newer one was there.
        faceless: Frames in which no face was found.
        fps: Frames processed a second, over the last two seconds.
        pts: Time of the newest frame on the source's time line, s.
        duration: Time of the source's end on that line, s; None while unknown.
        no_picture_since: ``time.monotonic()`` of the newest picture while a live source is lost, else None.
        finished: Whether the source has ended.
        stages: Durations by stage.
    """

    source: str = ""
    live: bool = False
    policy: Policy = "every"
    nominal_fps: float | None = None
    stream: str = ""
    model: str = ""
    look_ahead: int = 0
    thresholds: tuple[float, ...] = ()
    frames: int = 0
    dropped: int = 0
    faceless: int = 0
    fps: float = 0.0
    pts: float = 0.0
    duration: float | None = None
    no_picture_since: float | None = None
    finished: bool = False
    stages: dict[str, Latency] = field(default_factory=lambda: {name: Latency() for name in STAGES})

    @property
    def motion(self) -> bool:
        """Whether it is a recording of motion, which has no frames."""
        return bool(self.model) and not self.frames and self.pts > 0


@dataclass(slots=True)
class Delivery:
    """How the delivery to a broker fares. One writer, the publisher; any number of readers.

    Attributes:
        address: Of the broker, without credentials.
        state: Of the connection.
        queued: Events that the broker does not have yet.
        acknowledged: Events that it has acknowledged.
        lost: Events dropped undelivered, by a bound of the journal.
        error: What is wrong, one sentence, or empty.
        messages: What the user should know, oldest first; emptied by whoever shows them.
        topics: Below which topic all streams are.
    """

    address: str = ""
    state: Literal["none", "connecting", "online", "retrying", "refused", "stopped"] = "none"
    queued: int = 0
    acknowledged: int = 0
    lost: int = 0
    error: str = ""
    messages: deque[str] = field(default_factory=lambda: deque(maxlen=20))
    topics: str = ""
