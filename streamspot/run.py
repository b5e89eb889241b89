"""A running stream: capture and analysis of one source in threads of their own, its updates handed on."""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from streamspot import __version__
from streamspot.advice import Advice
from streamspot.arrivals import SILENT_S, Arrivals
from streamspot.commands import Command, Pause, Resume, Sensitivity
from streamspot.ending import Ending
from streamspot.errors import SettingsError
from streamspot.session import WallClock, digest, new_run
from streamspot.settings import Settings
from streamspot.sources import EndOfStream, Feed, MotionRecording, Source, open_source
from streamspot.stats import Stats
from streamspot.timing import TimedDetector, push_timed
from streamspot.types import Controls, Frame, Motion, Policy, Session, Update

if TYPE_CHECKING:
    from streamspot.model import Model
    from streamspot.motion.estimator import MotionEstimator
    from streamspot.pipeline import Pipeline
    from streamspot.spotting import SpotSettings

_AHEAD = 256
"""Updates the analysis may be ahead of the consumer; then a recording waits and a camera drops frames."""

_POLL = 0.05
"""Seconds after which a thread that waits looks whether it should stop."""

Give = Callable[[Update | BaseException | None], None]
"""Takes every update, then None at the end or the error that ended the stream."""


class StreamRun:
    """One source from its first frame to its last.

    Opening it opens the source, so that a wrong one is refused at once. The network and the face detector are loaded
    in the thread that ``start`` starts, or before by ``load``.

    Args:
        settings: What to run.
        source: Where frames come from; None opens the one that the settings name.

    Raises:
        StreamspotError: The source cannot be used.
    """

    def __init__(self, settings: Settings, source: Source | None = None) -> None:
        self.settings = settings
        self.source = source = open_source(settings.source) if source is None else source
        self.name = settings.name.stream or source.stream
        recorded = isinstance(source, MotionRecording)
        if recorded and settings.capture.policy == "latest":
            raise SettingsError(
                f"{source.name} is a recording of motion, of which nothing is left out; leave --policy out"
            )
        if recorded and settings.output.record is not None:
            raise SettingsError(f"{source.name} is a recording already; copy it, or leave --record out")
        self._policy: Policy = settings.capture.policy or ("latest" if source.live else "every")
        self.stats = Stats(source.name, source.live, self._policy, source.fps, self.name)
        self.controls = Controls(sensitivity=settings.spotting.sensitivity)
        self.judging = ""
        """Stands for the weights and the decoder, once they are loaded."""
        self.layout = ""
        """Name of the region layout, once the weights are loaded."""
        self._numbering = new_run(), 0  # the run's id and the number of its first event
        self._changed = threading.Event()  # controls are others than when they were last told
        self.ending = Ending()
        self._deaf = threading.Event()  # nobody takes updates any more
        self._going = threading.Event()
        self._going.set()
        self._room = threading.Semaphore(_AHEAD)
        self._give: Give = lambda _: None
        self._thread: threading.Thread | None = None
        self._loading = False
        self._model: Model | None = None
        self._spotting: SpotSettings
        self._detector: TimedDetector | None = None
        self._estimator: MotionEstimator | None = None
        self._pipeline: Pipeline | None = None
        self._last = Update(controls=self.controls)
        self._start: datetime | None = None  # of a recording, as it became known better
        self._advice = Advice()
        self._clock = WallClock()
        self._arrivals = Arrivals(self.stats, self._clock)
        self._ready_ns: int | None = None  # when the first frame was analysed, monotonic time

    def load(self) -> None:
        """Load the weights; takes seconds.

        Raises:
            StreamspotError: There are none, or they do not fit the source or the settings.
        """
        from streamspot.model import Model  # noqa: PLC0415 - so does this

        chosen, source = self.settings.model, self.source
        recorded = source.layout if isinstance(source, MotionRecording) else None
        model = Model.shared(chosen.weights, device=chosen.device, layout=recorded)
        self.layout = model.config.layout
        if recorded not in {None, self.layout}:
            raise SettingsError(
                f"{source.name} was recorded for the region layout {recorded}, but the weights "
                f"{model.config.name} need {self.layout}; choose others with --weights"
            )
        self._model = model
        self._tune()
        self.stats.model, self.stats.look_ahead = model.config.name, model.config.look_ahead

    def go_on(self, run: str, first: int) -> None:
        """Go on with a run that ended elsewhere instead of beginning one; call it before ``start``.

        Args:
            run: Its id.
            first: Number of the next event.
        """
        self._numbering = run, first

    def start(self, give: Give) -> None:
        """Begin capture and analysis.

        Args:
            give: Called from their thread with every update, then with None at the end or the error that ended it.
        """
        if self._thread is not None:
            raise SettingsError(f"the stream {self.name} has been started before; open its source anew")
        self._give = give
        self._thread = threading.Thread(target=self._work, name=f"analysis {self.name}", daemon=True)
        self._thread.start()
        atexit.register(self._await_loading, self._thread)

    def stop(self) -> None:
        """Ask the run to end; open expressions come out as cancelled. It ends soon even if the analysis hangs."""
        started = self._thread is not None  # before, there is nothing that could hang
        self.ending.ask(self._give_up if started else lambda: None)

    def saying(self, message: str) -> Update:
        """Return an update in which nothing is new but a sentence for the user."""
        return replace(self._last, messages=(message,))

    def last(self, failure: BaseException | None) -> Update:
        """Return the update that tells others than a consumer of this stream alone that it is over, and why."""
        if failure is None:
            return replace(self._last, status="stopped")
        return replace(self.saying(f"{self.name} has ended: {failure}"), status="offline")

    def taken(self) -> None:
        """Note that the consumer has taken an update."""
        self._room.release()

    def abandon(self) -> None:
        """End the run without anybody taking its updates any more."""
        if not self.ending.come:
            self.stop()
        self._deaf.set()

    def leave(self) -> None:
        """Abandon the run and wait for its thread, but for no more than a second."""
        self.abandon()
        if self._thread is not None:
            self._thread.join(self.patience)

    @property
    def running(self) -> bool:
        """Whether its thread has not ended."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def patience(self) -> float:
        """Seconds that whoever abandons the run should wait for its thread."""
        return 0.1 if self.ending.come else self.ending.left

    def _await_loading(self, thread: threading.Thread) -> None:
        """Let native libraries load to the end before the interpreter is taken down, which would abort it."""
        while self._loading and thread.is_alive():
            thread.join(_POLL)

    def obey(self, command: Command) -> None:
        """Do what was asked of the running stream; may be called from any thread.

        A pause cancels what is open; meanwhile a camera's frames are let go and a recording waits. A new sensitivity
        holds for each face as soon as it is neutral.
        """
        match command:
            case Pause():
                self.controls = replace(self.controls, paused=True)
                self._going.clear()
            case Resume():
                self.controls = replace(self.controls, paused=False)
                self._going.set()
            case Sensitivity(value):
                self.controls = replace(self.controls, sensitivity=value)
                self._tune()
        self._changed.set()

    def decoder(self, sensitivity: float) -> SpotSettings:
        """Return how the curve is decoded at a sensitivity; the network has to be loaded."""
        from streamspot.spotting import SpotSettings  # noqa: PLC0415

        assert self._model is not None  # noqa: S101 - loaded before
        return SpotSettings.from_sensitivity(sensitivity, **self._model.spotting)

    def _tune(self) -> None:
        """Take the decoder's settings from the sensitivity and the weights."""
        if self._model is None:
            return
        spotting = self.decoder(self.controls.sensitivity)
        self.stats.thresholds = (
            spotting.on_curve(spotting.thresholds[0]),
            spotting.on_curve(spotting.onset_level),
        )
        self._spotting = spotting
        if not self.judging:
            self.judging = digest(self._model.digest, spotting, __version__)
        if self._pipeline is not None:
            self._pipeline.spotting = spotting

    def analyse(self, item: Frame | Motion) -> Update:
        """Return what one frame, or one piece of motion, brings to light; ``start`` calls it for the whole source."""
        started = time.perf_counter()
        if self._pipeline is None:
            self._pipeline = self._open(item)
        if self.stats.live and isinstance(item, Frame):
            self._pipeline.session = self._clock.anchored(self._pipeline.session, item)
        update, seconds = push_timed(self._pipeline, item, self._detector)
        for name, took in seconds.items():
            self.stats.stages[name].add(took)
        messages: tuple[str, ...] = ()
        if isinstance(item, Frame):
            seen = self._count(item, time.perf_counter() - started)
            messages = tuple(self._advice.take(item.pts, seen=seen, motion=update.motion))
        self._loading = False  # MediaPipe is there too
        self.stats.pts = update.pts
        return replace(update, messages=messages, controls=self.controls)

    def finish(self, reason: str | None = None) -> Update:
        """End every segment: None says that the source has ended."""
        return Update() if self._pipeline is None else self._pipeline.finish(reason)

    def advice(self) -> tuple[str, ...]:
        """Return what the user should know of the pictures now that they have ended."""
        return tuple(self._advice.end())

    def close(self) -> None:
        """Free the face detector."""
        if self._pipeline is not None:
            self._pipeline.close()

    def _work(self) -> None:
        outcome: BaseException | None = None
        try:
            self._loading = True
            if self._model is None:
                self.load()
            self._run()
        except Exception as error:  # noqa: BLE001 - a thread has nobody else to tell
            outcome = error
        finally:
            self._loading = False
            atexit.unregister(self._await_loading)
            self.close()
            self._end(outcome)

    def _end(self, outcome: BaseException | None) -> None:
        self.stats.finished = True
        if self.ending.mark():
            self._give(outcome)

    def _give_up(self) -> None:
        self._give(self.saying("the analysis hangs and is left behind"))
        self._end(None)

    def _run(self) -> None:
        """Read the source to its end."""
        speed = self.settings.capture.speed
        with Feed(self.source, policy=self._policy, speed=None if speed == "max" else speed) as feed:
            try:
                self._loop(feed)
            except Exception:
                if self._pipeline is not None:
                    self._tell(self.finish("source failed"))
                raise
            stopped = self.ending.asked
            self._tell(self.finish("stopped" if stopped else None))
            messages = self._messages(feed) + (() if stopped else self.advice())
            if messages:
                self._tell(replace(self._last, messages=messages))

    def _loop(self, feed: Feed) -> None:
        """Analyse what comes until the source ends or the run is asked to.

        Raises:
            SourceError: The source failed.
        """
        while not self.ending.asked:
            if self.controls.paused:
                if self._rest(feed):
                    continue
                break
            asked = time.perf_counter()
            try:
                item = feed.get(_POLL)
            except EndOfStream:
                break
            if messages := self._messages(feed):
                self._arrivals.told()
                self._tell(replace(self._last, messages=messages))
            if isinstance(item, Session):
                self._mend(item.start)
            elif item is not None:
                self.stats.stages["wait"].add(time.perf_counter() - asked)
                self._found()
                self._tell(self.analyse(item))
            else:
                self._missed()
                if self._changed.is_set():
                    self._tell(self._last)

    def _found(self) -> None:
        """Note that a picture has come; when the source was lost and does not say so itself, say that it is back."""
        if (away := self._arrivals.found()) is not None:
            self._tell(self.saying(f"{self.source.name} shows pictures again after {away:.0f} s"))

    def _missed(self) -> None:
        """Note that none has come; when that has lasted, cancel what is open and say that the source is lost."""
        if self._arrivals.missed():
            message = f"no picture from {self.source.name} for {SILENT_S:.0f} s"
            self._tell(replace(self.finish("no picture"), messages=(message,)))

    def _mend(self, start: datetime) -> None:
        """Take over from a recording when its first tick was, where that became known better."""
        self._start = start
        if self._pipeline is not None:
            self._pipeline.session = replace(self._pipeline.session, start=start)

    def _rest(self, feed: Feed) -> bool:
        """Wait for the end of a pause; what a camera shows meanwhile is let go. Return whether there may be more."""
        self._tell(self.finish("paused"))
        self._arrivals.rest()
        try:
            while not self._going.wait(_POLL) and not self.ending.asked:
                if self._changed.is_set():
                    self._tell(self._last)
                if self.stats.live:
                    feed.get(0.0)
        except EndOfStream:
            return False
        return True

    def _tell(self, update: Update) -> None:
        """Hand an update on, with the controls as they are now; wait while the consumer is far behind."""
        self._changed.clear()
        update = replace(update, controls=self.controls, no_picture_since=self._arrivals.lost_since)
        self._last = replace(update, motion=(), scores=(), events=(), messages=())
        while not self._room.acquire(timeout=_POLL):
            if self._deaf.is_set() or (self.ending.asked and not update.events):
                return
        self._give(update)

    def _open(self, first: Frame | Motion) -> Pipeline:
        """Name the session after what determines its events, and string the stages together."""
        from streamspot.face.detectors import make_detector  # noqa: PLC0415 - MediaPipe takes seconds
        from streamspot.face.tracker import FaceTracker, faces_to_find  # noqa: PLC0415
        from streamspot.motion.estimator import MotionEstimator  # noqa: PLC0415
        from streamspot.motion.regions import layout  # noqa: PLC0415
        from streamspot.pipeline import Pipeline  # noqa: PLC0415

        assert self._model is not None  # noqa: S101 - loaded before
        (run, number), settings, source = self._numbering, self.settings, self.source
        if isinstance(source, MotionRecording):
            start = self._start or source.session.start
            session = replace(source.session, run=run, stream=self.name, start=start)
            content = session.id if source.judging == self.judging else digest(session.id, self.judging)
        else:
            assert isinstance(first, Frame)  # noqa: S101 - no other source gives motion
            faces, choose, flow = settings.face.faces, settings.face.choose, settings.motion.flow
            detector = make_detector(faces_to_find(faces, choose), settings.face.face_model)
            self._detector = TimedDetector(detector)
            tracker = FaceTracker(self._detector, faces, choose)
            self._estimator = MotionEstimator(tracker, layout(self.layout), flow=flow)
            how = (faces, choose, self._policy, self._detector.name, flow, self.layout)
            content = digest(source.identity, how, self.judging)
            session = Session(run, content, self.name, first.pts, self._clock.arrival(first))
        session = replace(session, id=settings.name.session or content)
        return Pipeline(self._model, session, self._estimator, self._spotting, first=number)

    def _messages(self, feed: Feed) -> tuple[str, ...]:
        """Take the source's new messages and counts."""
        self.stats.dropped = feed.dropped
        self.stats.nominal_fps, self.stats.duration = feed.source.fps, feed.source.duration
        return tuple(feed.messages.popleft() for _ in range(len(feed.messages)))

    def _count(self, frame: Frame, took: float) -> bool:
        """Count a frame and how many seconds it took; return whether a face is in it."""
        stats = self.stats
        paced = stats.live or self.settings.capture.speed != "max"
        now = time.monotonic_ns()
        if self._ready_ns is None:  # the first frame and those behind it waited for the models
            self._ready_ns = now
        else:
            since = max(frame.captured_ns, self._ready_ns)
            stats.stages["total"].add(max(0.0, (now - since) / 1e9) if paced else took)
        stats.frames += 1
        seen = self._estimator is not None and self._estimator.visible > 0
        stats.faceless += not seen
        self._arrivals.analysed()
        return seen
