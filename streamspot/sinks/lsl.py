"""Markers and the curve for Lab Streaming Layer, on its clock, beside EEG and whatever else a laboratory records."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from streamspot.errors import SettingsError, needs
from streamspot.run import StreamRun
from streamspot.types import TICK_RATE, Event, Moment, Session, Update


class LslOutlet:
    """Offers two streams to recorders of the local network.

    ``streamspot NAME`` (type Markers) says what happened, at the time at which it happened:
    ``macro/onset/early/face0`` as soon as it is announced, and at the end of an expression
    ``macro/onset/final/face0``, apex and offset, whose times are the best there are; ``macro/cancelled/face0`` takes
    an early one back. MNE-Python selects by such names.

    ``streamspot NAME curve`` (type Expression, 30 Hz) holds intensity, macro and micro of one face, the
    lowest-numbered in view; while none is in view there are no samples.

    A time is that of the picture's capture on LSL's clock. Of a recording it is as if the recording were shown from
    now on, and from each pause on anew, so give it its own pace with ``--speed 1``.

    Args:
        run: The stream.
        node: Name of this machine.

    Raises:
        SettingsError: pylsl is missing (on entering).
    """

    def __init__(self, run: StreamRun, node: str) -> None:
        self._run = run
        self._node = node
        self._zero: float | None = None  # of a recording: LSL's time of tick 0, going by what is shown now
        self._given = False  # some time that hangs on it
        self._shown: float | None = None  # the newest picture's time on the source's time line
        self._newest = -1
        self._lsl: Any = None
        self._markers: Any = None
        self._curve: Any = None

    async def __aenter__(self) -> Self:
        try:
            import pylsl  # noqa: PLC0415  (an extra; it opens sockets only when an outlet is made)
        except (ImportError, RuntimeError, OSError) as error:  # the library itself may be missing too
            raise SettingsError(needs("Lab Streaming Layer", "pylsl", "lsl", error)) from None
        self._lsl = pylsl
        name, place = f"streamspot {self._run.name}", f"streamspot/{self._node}/{self._run.name}"
        markers = pylsl.StreamInfo(name, "Markers", 1, 0.0, "string", f"{place}/markers")
        curve = pylsl.StreamInfo(f"{name} curve", "Expression", 3, TICK_RATE, "float32", f"{place}/curve")
        channels = curve.desc().append_child("channels")
        for label in ("intensity", "macro", "micro"):
            channels.append_child("channel").append_child_value("label", label)
        self._markers, self._curve = pylsl.StreamOutlet(markers), pylsl.StreamOutlet(curve)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._markers = self._curve = None  # which closes them

    async def take(self, update: Update) -> None:
        """Send what is new."""
        session = update.session
        if session is None:
            return
        self._show(session, update.pts)
        for event in update.events:
            for marker, moment in _markers(event):
                self._markers.push_sample([marker], self._time(session, moment.tick))
        # a face that has just ended is in view no more, but its last scores come now
        shown = min({*update.faces, *(face for face, _ in update.scores)}, default=None)
        fresh = [score for face, score in update.scores if face == shown and score.tick > self._newest]
        if fresh:
            self._newest = fresh[-1].tick
            values = [[score.intensity, score.macro, score.micro] for score in fresh]
            self._curve.push_chunk(values, [self._time(session, score.tick) for score in fresh])
        if update.controls.paused:
            self._zero, self._given = None, False

    def _show(self, session: Session, pts: float) -> None:
        """Note that a picture of a recording is shown now; what waited in a queue is late, so the earliest counts."""
        if pts == self._shown:
            return
        self._shown = pts
        if not self._given:
            zero = self._lsl.local_clock() - (pts - session.origin)
            self._zero = zero if self._zero is None else min(zero, self._zero)

    def _time(self, session: Session, tick: int) -> float:
        """Return when a tick was, on LSL's clock."""
        if self._run.stats.live:
            # LSL's clock stands still while the computer sleeps, as ours does, and the wall clock goes on
            now = self._run.analyser.clock.at(time.monotonic()).timestamp()
            return float(session.start.timestamp() + tick / TICK_RATE - now + self._lsl.local_clock())
        if self._zero is None:
            self._zero = self._lsl.local_clock() - tick / TICK_RATE
        self._given = True
        return float(self._zero + tick / TICK_RATE)


def _markers(event: Event) -> Iterator[tuple[str, Moment]]:
    """Yield the markers of an event, each with its moment."""
    face = f"face{event.face}"
    if event.phase == "cancelled":
        yield f"{event.kind}/cancelled/{face}", event.decided_at
        return
    final = event.offset is not None
    moments = {"onset": event.onset, "apex": event.apex, "offset": event.offset}
    for phase, moment in moments.items():
        if moment is not None and (final or phase == event.phase):
            yield f"{event.kind}/{phase}/{'final' if final else 'early'}/{face}", moment
