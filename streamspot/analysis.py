"""The analysis of one source: what comes from it, item by item, becomes updates; it has no thread of its own."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from streamspot import __version__
from streamspot.advice import Advice
from streamspot.arrivals import Arrivals
from streamspot.errors import SettingsError, SourceError
from streamspot.session import WallClock, digest, new_run
from streamspot.settings import Settings
from streamspot.sources import MotionRecording, Source
from streamspot.stats import Stats
from streamspot.timing import TimedDetector, push_timed
from streamspot.types import FaceMotion, Frame, Motion, Policy, Session, Update

if TYPE_CHECKING:
    from streamspot.model import Model
    from streamspot.motion.estimator import MotionEstimator
    from streamspot.pipeline import Pipeline
    from streamspot.spotting import SpotSettings


class Analyser:
    """What the pictures or the recorded motion of one source show.

    Attributes:
        name: Of the stream.
        policy: How the source is read.
        stats: What is measured.
        clock: Its wall-clock times.
        arrivals: How pictures come.
        judging: Stands for the weights and the decoder, once they are loaded.
        layout: Name of the region layout, once the weights are loaded.

    Args:
        settings: What to run.
        source: Where items come from; it is asked what it is, and not read.
    """

    def __init__(self, settings: Settings, source: Source) -> None:
        self.settings, self.source = settings, source
        self.name = settings.name.stream or source.stream
        self.policy: Policy = settings.capture.policy or ("latest" if source.live else "every")
        self.stats = Stats(source.name, source.live, self.policy, source.fps, self.name)
        self.clock = WallClock()
        self.arrivals = Arrivals(self.stats, self.clock)
        self.judging = self.layout = ""
        self._sensitivity = settings.spotting.sensitivity
        self._numbering = new_run(), 0  # the run's id and the number of its first event
        self._model: Model | None = None
        self._spotting: SpotSettings
        self._detector: TimedDetector | None = None
        self._estimator: MotionEstimator | None = None
        self._pipeline: Pipeline | None = None
        self._start: datetime | None = None  # of a recording, as it became known better
        self._advice = Advice()
        self._ready_ns: int | None = None  # since when frames are analysed as they come, monotonic time

    @property
    def begun(self) -> bool:
        """Whether anything has been analysed."""
        return self._pipeline is not None

    @property
    def loaded(self) -> bool:
        """Whether the weights are loaded."""
        return self._model is not None

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
        self.tune(self._sensitivity)
        self.stats.model, self.stats.look_ahead = model.config.name, model.config.look_ahead

    def go_on(self, run: str, first: int) -> None:
        """Go on with a run that ended elsewhere instead of beginning one; call it before anything is analysed.

        Args:
            run: Its id.
            first: Number of the next event.
        """
        self._numbering = run, first

    def decoder(self, sensitivity: float) -> SpotSettings:
        """Return how the curve is decoded at a sensitivity; the network has to be loaded."""
        from streamspot.spotting import SpotSettings  # noqa: PLC0415

        assert self._model is not None  # noqa: S101 - loaded before
        return SpotSettings.from_sensitivity(sensitivity, **self._model.spotting)

    def tune(self, sensitivity: float) -> None:
        """Decode at another sensitivity from now on: each face as soon as it is neutral."""
        self._sensitivity = sensitivity
        if self._model is None:
            return
        spotting = self.decoder(sensitivity)
        self.stats.thresholds = (
            spotting.on_curve(spotting.thresholds[0]),
            spotting.on_curve(spotting.onset_level),
        )
        self._spotting = spotting
        if not self.judging:
            self.judging = digest(self._model.digest, spotting, __version__)
        if self._pipeline is not None:
            self._pipeline.spotting = spotting

    @property
    def woken(self) -> bool:
        """Whether the computer has slept since the picture before: what is open has its times from before that."""
        return self.begun and self.stats.live and self.clock.asleep > 0

    def analyse(self, item: Frame | Motion) -> Update:
        """Return what one frame, or one piece of motion, brings to light.

        Raises:
            SourceError: A recording has other regions than its layout.
        """
        started = time.perf_counter()
        assert self._model is not None  # noqa: S101 - loaded before
        if self._pipeline is None:
            self._pipeline = self._open(item)
        if isinstance(item, FaceMotion) and len(item.motion.displacement) != self._model.config.regions:
            raise SourceError(
                f"{self.source.name} has {len(item.motion.displacement)} regions, but its layout {self.layout} has "
                f"{self._model.config.regions}; make it again with streamspot run --record"
            )
        if self.stats.live and isinstance(item, Frame):
            self._pipeline.session = self.clock.anchored(self._pipeline.session, item)
        update, seconds = push_timed(self._pipeline, item, self._detector)
        for name, took in seconds.items():
            self.stats.stages[name].add(took)
        messages: tuple[str, ...] = ()
        if isinstance(item, Frame):
            seen = self._count(item, time.perf_counter() - started)
            messages = tuple(self._advice.take(item.pts, seen=seen, motion=update.motion))
        self.stats.pts = update.pts
        return replace(update, messages=messages)

    def finish(self, reason: str | None = None) -> Update:
        """End every segment: None says that the source has ended."""
        return Update() if self._pipeline is None else self._pipeline.finish(reason)

    def resume(self) -> None:
        """Note that frames which are there by now have waited for the end of a pause, and for nothing else."""
        if self._ready_ns is not None:
            self._ready_ns = time.monotonic_ns()

    def advice(self) -> tuple[str, ...]:
        """Return what the user should know of the pictures now that they have ended."""
        return tuple(self._advice.end())

    def close(self) -> None:
        """Free the face detector."""
        if self._pipeline is not None:
            self._pipeline.close()

    def mend(self, start: datetime) -> None:
        """Take over from a recording when its first tick was, where that became known better."""
        self._start = start
        if self._pipeline is not None:
            self._pipeline.session = replace(self._pipeline.session, start=start)

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
            how = (faces, choose, self.policy, self._detector.name, flow, self.layout)
            content = digest(source.identity, how, self.judging)
            session = Session(run, content, self.name, first.pts, self.clock.arrival(first))
        session = replace(session, id=settings.name.session or content)
        return Pipeline(self._model, session, self._estimator, self._spotting, first=number)

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
        self.arrivals.analysed()
        return seen
