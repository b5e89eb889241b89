"""Point labels given while a stream runs: by a key, or by a command over MQTT."""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Self

from streamspot.datasets.label import REACTION, OnShow, Recent
from streamspot.datasets.points import PointsFile
from streamspot.errors import SettingsError
from streamspot.run import StreamRun
from streamspot.sources import MotionRecording
from streamspot.types import Mark, Update

_MOST, _SPAN = 20, 10.0
"""Labels that are taken in so many seconds: more than anybody gives, far fewer than a flood."""


class LiveLabels:
    """Writes labels into the ``points.csv`` beside the recording that the stream makes or replays.

    Args:
        run: The stream.
    """

    def __init__(self, run: StreamRun) -> None:
        self._run = run
        self._recent = Recent()
        self._faces: tuple[int, ...] = ()  # in view
        self._points: PointsFile | None = None
        self._given = 0  # labels of this run that stand
        self._times: deque[float] = deque(maxlen=_MOST)  # of the last, whether taken back or not

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Keep what was labelled."""

    async def take(self, update: Update) -> None:
        """Remember which frame was shown when, and which faces are in view."""
        recent, self._faces = self._recent, tuple(update.faces)
        if update.session is not None and (not recent or recent[-1].frame != update.frame):
            recent.append(OnShow(update.frame, update.pts))

    def undo(self) -> None:
        """Take the last label of this run back.

        Raises:
            SettingsError: There is none.
            DataError: The file cannot be written.
        """
        if not self._given or self._points is None:
            raise SettingsError("there is no label of this run to take back")
        self._points.undo()
        self._given -= 1

    def add(self, kind: Mark, face: int | None = None) -> None:
        """Label the frame that was shown a reaction time ago, for a face; without one for the only one in view.

        Raises:
            SettingsError: There is no recording that the label could belong to, no frame yet, it is open whose label
                it is, or labels come in a flood.
            DataError: The label cannot be written.
        """
        now = time.monotonic()
        if len(self._times) == _MOST and now - self._times[0] < _SPAN:
            raise SettingsError(f"more than {_MOST} labels in {_SPAN:.0f} s are not taken; give them by hand")
        video, frame = self._video(), self._recent.ago(REACTION * self._pace())
        if video is None:
            raise SettingsError("a label needs a recording to belong to; start the run with --record FILE")
        if frame is None:
            raise SettingsError("no frame has been seen yet that could be labelled; wait for the first")
        if face is None and len(self._faces) > 1:
            raise SettingsError(
                f"{len(self._faces)} faces are in view; say whose label it is: show it alone (tab), or name it"
            )
        if face not in {None, *self._faces}:
            there = ", ".join(map(str, self._faces)) or "none is"
            raise SettingsError(f"face {face} is not in view; label one that is: {there}")
        subject = self._run.settings.name.subject or self._run.name
        if self._points is None:
            self._points = PointsFile(video.with_name("points.csv"), video.name, subject, None)
        self._points.add(kind, frame, next(iter(self._faces), None) if face is None else face)
        self._given += 1
        self._times.append(now)

    def _pace(self) -> float:
        """Return the seconds of the source that pass in one second: none while it rests."""
        if self._run.controls.paused:
            return 0.0
        speed = self._run.settings.capture.speed
        return 1.0 if self._run.source.live or speed == "max" else speed

    def _video(self) -> Path | None:
        """Return the recording that is being made or replayed, None if there is none."""
        if isinstance(self._run.source, MotionRecording):
            return Path(self._run.source.name)
        return self._run.settings.output.record
