"""A running stream: capture and analysis of one source in threads of their own, its updates handed on."""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from streamspot.analysis import Analyser
from streamspot.arrivals import SILENT_S
from streamspot.commands import Command, Pause, Resume, Sensitivity, obeyed
from streamspot.ending import Ending
from streamspot.errors import SettingsError
from streamspot.settings import Settings
from streamspot.sources import EndOfStream, Feed, MotionRecording, Source, open_source
from streamspot.types import Controls, Session, Update

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
        recorded = isinstance(source, MotionRecording)
        if recorded and settings.capture.policy == "latest":
            raise SettingsError(
                f"{source.name} is a recording of motion, of which nothing is left out; leave --policy out"
            )
        if recorded and settings.output.record is not None:
            raise SettingsError(f"{source.name} is a recording already; copy it, or leave --record out")
        self.analyser = Analyser(settings, source)
        self.name, self.stats = self.analyser.name, self.analyser.stats
        self.controls = Controls(sensitivity=settings.spotting.sensitivity)
        self._changed = threading.Event()  # controls are others than when they were last told
        self.ending = Ending()
        self._deaf = threading.Event()  # nobody takes updates any more
        self._going = threading.Event()
        self._going.set()
        self._room = threading.Semaphore(_AHEAD)
        self._give: Give = lambda _: None
        self._thread: threading.Thread | None = None
        self._loading = False
        self._last = Update(controls=self.controls)

    def load(self) -> None:
        """Load the weights; takes seconds.

        Raises:
            StreamspotError: There are none, or they do not fit the source or the settings.
        """
        self.analyser.load()

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
        if isinstance(command, Sensitivity):  # first, because it may be refused
            self.analyser.tune(command.value)
        self.controls = obeyed(self.controls, command)
        match command:
            case Pause():
                self._going.clear()
            case Resume():
                self._going.set()
        self._changed.set()

    def _work(self) -> None:
        outcome: BaseException | None = None
        try:
            self._loading = True
            if not self.analyser.loaded:
                self.load()
            self._run()
        except Exception as error:  # noqa: BLE001 - a thread has nobody else to tell
            outcome = error
        finally:
            self._loading = False
            atexit.unregister(self._await_loading)
            self.analyser.close()
            self._end(outcome)

    def _end(self, outcome: BaseException | None) -> None:
        self.stats.finished, self.stats.fps = True, 0.0
        if self.ending.mark():
            self._give(outcome)

    def _give_up(self) -> None:
        self._give(self.saying("the analysis hangs and is left behind"))
        self._end(None)

    def _run(self) -> None:
        """Read the source to its end."""
        speed = self.settings.capture.speed
        with Feed(self.source, policy=self.analyser.policy, speed=None if speed == "max" else speed) as feed:
            try:
                self._loop(feed)
            except Exception:
                if self.analyser.begun:
                    self._tell(self.analyser.finish("source failed"))
                raise
            stopped = self.ending.asked
            self._tell(self.analyser.finish("stopped" if stopped else None))
            messages = self._messages(feed) + (() if stopped else self.analyser.advice())
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
                    self.analyser.resume()
                    continue
                break
            asked = time.perf_counter()
            try:
                item = feed.get(_POLL)
            except EndOfStream:
                break
            if messages := self._messages(feed):
                self.analyser.arrivals.told()
                self._tell(replace(self._last, messages=messages))
            if isinstance(item, Session):
                self.analyser.mend(item.start)
            elif item is not None:
                self.stats.stages["wait"].add(time.perf_counter() - asked)
                self._found()
                if self.analyser.woken:
                    self._tell(self.analyser.finish("the computer slept"))
                update = self.analyser.analyse(item)
                self._loading = False  # MediaPipe is there too
                self._tell(update)
            else:
                self._missed()
                if self._changed.is_set():
                    self._tell(self._last)

    def _found(self) -> None:
        """Note that a picture has come; when the source was lost and does not say so itself, say that it is back."""
        if (away := self.analyser.arrivals.found()) is not None:
            self._tell(self.saying(f"{self.source.name} shows pictures again after {away:.0f} s"))

    def _missed(self) -> None:
        """Note that none has come; when that has lasted, cancel what is open and say that the source is lost."""
        if self.analyser.arrivals.missed():
            message = f"no picture from {self.source.name} for {SILENT_S:.0f} s"
            self._tell(replace(self.analyser.finish("no picture"), messages=(message,)))

    def _rest(self, feed: Feed) -> bool:
        """Wait for the end of a pause; what a camera shows meanwhile is let go. Return whether there may be more."""
        feed.pause()
        self._tell(self.analyser.finish("paused"))
        self.analyser.arrivals.rest()
        try:
            while not self._going.wait(0.0 if self.stats.live else _POLL) and not self.ending.asked:
                self.analyser.arrivals.measure()
                if self._changed.is_set():
                    self._tell(self._last)
                shown = feed.get(_POLL) if self.stats.live else None
                if shown is not None and self.analyser.arrivals.lost_since is not None:
                    self._found()
                    self.analyser.arrivals.rest()
        except EndOfStream:
            return False
        finally:
            feed.resume()
        return True

    def _tell(self, update: Update) -> None:
        """Hand an update on, with the controls as they are now; wait while the consumer is far behind."""
        self._changed.clear()
        update = replace(update, controls=self.controls, no_picture_since=self.analyser.arrivals.lost_since)
        self._last = replace(update, motion=(), scores=(), events=(), messages=())
        while not self._room.acquire(timeout=_POLL):
            if self._deaf.is_set() or (self.ending.asked and not update.events):
                return
            if self.ending.asked:  # what ends now is told, even to one who is far behind and busy
                break
        self._give(update)

    def _messages(self, feed: Feed) -> tuple[str, ...]:
        """Take the source's new messages and counts."""
        self.stats.dropped = feed.dropped
        self.stats.nominal_fps, self.stats.duration = feed.source.fps, feed.source.duration
        return tuple(feed.messages.popleft() for _ in range(len(feed.messages)))
