"""A running stream: capture and analysis in threads of their own, results handed to the event loop."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from streamspot.datasets.label import Points
from streamspot.errors import SettingsError
from streamspot.face.detectors import make_detector
from streamspot.face.tracker import FaceTracker
from streamspot.model import Model
from streamspot.motion.estimator import MotionEstimator
from streamspot.motion.regions import layout
from streamspot.mqtt.commands import Command, Label, Pause, Resume, Sensitivity
from streamspot.pipeline import Interpreter
from streamspot.settings import RunSettings, load_settings
from streamspot.sources import EndOfStream, FrameFeed, open_source
from streamspot.sources.motion import Recorder, Recording, is_recording
from streamspot.spotting import SpotSettings
from streamspot.telemetry import Telemetry
from streamspot.types import Event, Frame, Score, Session, Sighting

_AHEAD = 256
"""Batches the analysis may be ahead of the sinks; then a recording waits and a camera drops frames."""

_PATIENCE = 10.0
"""Seconds of video without any face, from the first frame on, after which the user is told what helps."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one frame brought to light.

    Attributes:
        scores: (face, score) of every tick that is now judged.
        events: Phases announced, in order.
        messages: Troubles of the source, in plain words.
    """

    scores: list[tuple[int, Score]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)


class Run:
    """One source from its first frame to its last, an asynchronous iterator of batches.

    Opening it opens the source and loads the weights, so that everything a user may have got wrong is said
    before anything starts. Leaving it ends capture and analysis within a second, whatever hangs.

    Args:
        settings: What to run.
        telemetry: Kept current; a new one if None.

    Raises:
        StreamspotError: The source, the weights or the settings cannot be used.

    Example:
        >>> async with Run(settings) as run:  # doctest: +SKIP
        ...     async for batch in run:
        ...         print(batch.events)
    """

    def __init__(self, settings: RunSettings, telemetry: Telemetry | None = None) -> None:
        self.settings = settings
        self.telemetry = telemetry or Telemetry()
        self._model = Model.load(settings.weights, device=settings.device)
        self._spotting = SpotSettings.from_sensitivity(settings.sensitivity, **self._model.spotting)
        self._how = _digest((self._model.config, self._spotting))
        self._recording: Recording | None = None
        self._feed: FrameFeed | None = None
        path = Path(settings.source)
        if is_recording(path):
            self._recording = Recording(path)
            if self._recording.layout != self._model.config.layout:
                raise SettingsError(
                    f"{path} was recorded for the region layout {self._recording.layout}, but the weights "
                    f"{self._model.config.name} need {self._model.config.layout}; choose others with --weights"
                )
            self.stream, name, live, fps = self._recording.session.stream, path.name, False, None
            if settings.record is not None:
                raise SettingsError(f"{path} is a recording already; copy it, or leave --record out")
        else:
            source = open_source(settings.source)
            self._identity = source.identity
            self.stream, name, live, fps = (
                settings.stream or source.stream,
                source.name,
                source.live,
                source.fps,
            )
            self._source = source
        self._policy = settings.policy or ("latest" if live else "every")
        self._stop = threading.Event()
        self._going = threading.Event()
        self._going.set()
        self.sensitivity = settings.sensitivity
        self._frame = 0
        self._origin: float | None = None
        self._told = False
        self._interpreter: Interpreter | None = None
        self._recorder: Recorder | None = None
        self._room = threading.Semaphore(_AHEAD)
        self._batches: asyncio.Queue[Batch | BaseException | None] = asyncio.Queue()
        self._thread = threading.Thread(target=self._work, name="analysis", daemon=True)
        self._pace: deque[float] = deque(maxlen=4096)
        view = self.telemetry
        view.source, view.live, view.policy, view.nominal_fps = name, live, self._policy, fps
        view.model, view.look_ahead = self._model.config.name, self._model.config.look_ahead
        view.thresholds = (self._spotting.thresholds[0], self._spotting.onset_level)

    async def __aenter__(self) -> Self:
        """Start capture and analysis."""
        self._loop = asyncio.get_running_loop()
        if self._recording is None:
            speed = None if self.settings.speed == "max" else float(self.settings.speed)
            self._feed = FrameFeed(self._source, policy=self._policy, speed=speed)
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """End both."""
        self.stop()
        await asyncio.to_thread(self._thread.join, 0.9)

    def stop(self) -> None:
        """Ask the run to end; open expressions come out as cancelled, then the iteration ends."""
        self._stop.set()

    @property
    def paused(self) -> bool:
        """Whether it was asked to pause."""
        return not self._going.is_set()

    def obey(self, command: Command) -> None:
        """Do what was asked of the running stream; may be called from any thread.

        A pause cancels what is open; meanwhile a camera's frames are let go and a recording waits. A new sensitivity
        holds for each face as soon as it is neutral. A label is written beside the recording.

        Raises:
            SettingsError: A label has no recording to belong to.
            DataError: The label cannot be written.
        """
        match command:
            case Pause():
                self._going.clear()
            case Resume():
                self._going.set()
            case Sensitivity(value):
                self.sensitivity = value
                self._spotting = SpotSettings.from_sensitivity(value, **self._model.spotting)
            case Label(kind):
                record = self.settings.record
                if record is None:
                    raise SettingsError(
                        "a label needs a recording to belong to; start the run with --record FILE"
                    )
                points = record.with_name("points.csv")
                Points(points, record.name, self.stream, self.telemetry.nominal_fps).add(kind, self._frame)

    @property
    def stopped(self) -> bool:
        """Whether it was asked to."""
        return self._stop.is_set()

    def __aiter__(self) -> Self:
        """Iterate over the batches."""
        return self

    async def __anext__(self) -> Batch:
        """Return the next batch; raises the StreamspotError that ended the run, if one did."""
        batch = await self._batches.get()
        self._room.release()
        if batch is None:
            raise StopAsyncIteration
        if isinstance(batch, BaseException):
            raise batch
        return batch

    def _work(self) -> None:
        outcome: BaseException | None = None
        try:
            with ExitStack() as stack:
                steps = self._replay() if self._recording is not None else self._watch(stack)
                for batch in steps:
                    self._hand(batch)
        except Exception as error:  # noqa: BLE001 - a thread has nobody else to tell
            outcome = error
        finally:
            self.telemetry.finished = True
            self._give(outcome)

    def _hand(self, batch: Batch) -> None:
        while not self._room.acquire(timeout=0.1):
            if self._stop.is_set() and not batch.events:
                return
        self._give(batch)

    def _give(self, batch: Batch | BaseException | None) -> None:
        try:
            self._loop.call_soon_threadsafe(self._batches.put_nowait, batch)
        except RuntimeError:  # the loop has been closed: nobody listens any more
            self._stop.set()

    def _replay(self) -> Iterator[Batch]:
        """Yield a recording of region motion."""
        recording = self._recording
        assert recording is not None  # noqa: S101 - for the type checker
        session = recording.session
        if recording.how != self._how:  # other events than those of the run, so another name
            session = replace(session, id=f"{session.id}-{self._how[:6]}")
        interpreter = Interpreter(self._model, session, self.telemetry, self._spotting)
        open_faces: set[int] = set()
        begun = time.monotonic()
        for sighting in recording.sightings():
            if self._stop.is_set():
                yield _interpret(
                    interpreter, [Sighting(face, None, "stopped") for face in sorted(open_faces)]
                )
                return
            if sighting.motion is None:
                open_faces.discard(sighting.face)
            else:
                open_faces.add(sighting.face)
                self.telemetry.pts = sighting.motion.pts
                if self.settings.speed != "max":
                    due = begun + (sighting.motion.pts - session.origin) / float(self.settings.speed)
                    self._stop.wait(max(0.0, due - time.monotonic()))
            yield _interpret(interpreter, [sighting])

    def _watch(self, stack: ExitStack) -> Iterator[Batch]:
        """Yield the batches of a source of frames."""
        feed = self._feed
        assert feed is not None  # noqa: S101 - for the type checker
        stack.callback(feed.close)
        tracker = FaceTracker(
            make_detector(self.settings.faces, self.settings.face_model), self.settings.faces
        )
        regions = layout(self._model.config.layout)
        estimator = MotionEstimator(tracker, regions, self.telemetry, flow=self.settings.flow)
        stack.callback(estimator.close)
        while not self._stop.is_set():
            asked = time.perf_counter()
            try:
                frame = feed.get(0.2)
            except EndOfStream:
                break
            if messages := self._messages(feed):
                yield Batch(messages=messages)
            if self.paused:
                yield self._analyse(estimator.finish("paused"))
                self._rest(feed)
            elif frame is not None:
                started = time.perf_counter()
                self.telemetry.stages["wait"].add(started - asked)
                self._begin(frame, stack)
                batch = self._analyse(estimator.push(frame))
                self._measure(frame, started)
                batch.messages.extend(self._nobody(_PATIENCE))
                yield batch
        yield self._analyse(estimator.finish("stopped" if self._stop.is_set() else None))
        yield Batch(messages=self._messages(feed) + ([] if self._stop.is_set() else self._nobody(0.0)))

    def _begin(self, frame: Frame, stack: ExitStack) -> None:
        """Name the session at the first frame, and begin its recording."""
        self._frame = frame.index
        if self._interpreter is None:
            self._origin = frame.pts
            session = self._session(frame)
            self._interpreter = Interpreter(self._model, session, self.telemetry, self._spotting)
            if self.settings.record is not None:
                self._recorder = Recorder(self.settings.record, session, self._model.config.layout, self._how)
                stack.enter_context(self._recorder)

    def _analyse(self, sightings: list[Sighting]) -> Batch:
        """Record and interpret."""
        if self._interpreter is None:
            return Batch()
        if self._recorder is not None:
            self._recorder.extend(sightings)
        self._interpreter.settings = self._spotting
        return _interpret(self._interpreter, sightings)

    def _rest(self, feed: FrameFeed) -> None:
        """Wait for the end of a pause; what a camera shows meanwhile is let go."""
        while not self._going.wait(0.1) and not self._stop.is_set():
            if self.telemetry.live:
                feed.get(0.0)

    def _session(self, first: Frame) -> Session:
        """Name the run: after what determines its events if it can be run again, after the hour if not."""
        age = (time.monotonic_ns() - first.captured_ns) / 1e9
        start = datetime.now(UTC) - timedelta(seconds=age)
        name = self.settings.session
        if name is None:
            key = (self._identity, self.settings.faces, self._policy, self._how)
            name = _digest(key)
        return Session(name, self.stream, first.pts, start)

    def _messages(self, feed: FrameFeed) -> list[str]:
        """Take the source's new messages and counts."""
        self.telemetry.dropped = feed.dropped
        self.telemetry.nominal_fps = feed.source.fps
        messages = []
        while feed.messages:
            messages.append(feed.messages.popleft())
        self.telemetry.messages.extend(messages)
        return messages

    def _nobody(self, patience: float) -> list[str]:
        """Say, once, that no face has been found in the whole run, if that is at least ``patience`` seconds long."""
        view = self.telemetry
        waited = view.pts - (view.pts if self._origin is None else self._origin)
        if self._told or not view.frames or view.faceless < view.frames or waited < patience:
            return []
        self._told = True
        message = (
            f"no face has been found in {waited:.0f} s of video; one must be upright, turned to the camera, lit from "
            "the front and large enough in the picture"
        )
        view.messages.append(message)
        return [message]

    def _measure(self, frame: Frame, started: float) -> None:
        now = time.perf_counter()
        waited = max(0.0, (time.monotonic_ns() - frame.captured_ns) / 1e9) if self.telemetry.live else 0.0
        self.telemetry.stages["total"].add(waited or now - started)
        self.telemetry.frames += 1
        self.telemetry.pts = frame.pts
        self._pace.append(now)
        while now - self._pace[0] > 2.0:
            self._pace.popleft()
        if len(self._pace) > 1:
            self.telemetry.fps = (len(self._pace) - 1) / max(now - self._pace[0], 1e-6)


def _digest(value: object) -> str:
    """Return twelve letters that stand for a value's representation."""
    return hashlib.sha256(repr(value).encode()).hexdigest()[:12]


def _interpret(interpreter: Interpreter, sightings: list[Sighting]) -> Batch:
    scores: list[tuple[int, Score]] = []
    events: list[Event] = []
    for sighting in sightings:
        judged, announced = interpreter.push(sighting)
        scores += [(sighting.face, score) for score in judged]
        events += announced
    return Batch(scores, events)


async def stream(source: str = "0", **settings: Any) -> AsyncIterator[Event]:
    """Yield the expression events of a source as they are decided.

    Args:
        source: As for ``streamspot run --source``.
        **settings: Any other setting of :class:`streamspot.settings.RunSettings` that concerns the analysis.

    Raises:
        StreamspotError: The source, the weights or a setting cannot be used.

    Example:
        >>> async for event in streamspot.stream("clip.mp4"):  # doctest: +SKIP
        ...     print(event.phase, event.kind, event.onset.pts)
    """
    async with Run(load_settings({"source": source, **settings})) as run:
        async for batch in run:
            for event in batch.events:
                yield event


def watch(source: str, callback: Callable[[Event], None], **settings: Any) -> None:
    """Call back with every expression event of a source, until it ends.

    Args:
        source: As for ``streamspot run --source``.
        callback: Called in this thread, in order.
        **settings: As for :func:`stream`.

    Raises:
        StreamspotError: The source, the weights or a setting cannot be used.
    """

    async def consume() -> None:
        async for event in stream(source, **settings):
            callback(event)

    asyncio.run(consume())
