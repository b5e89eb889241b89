"""Point labels by hand: one key an expression, while a recording plays or a camera runs.

Labels stand in the ``points.csv`` of a plain folder of videos, the layout ``folder`` of ``streamspot extract``. What
is no file of that folder (a camera, an address) is recorded there as region motion, without a picture.
"""

from __future__ import annotations

import csv
import io
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from streamspot.datasets.tables import csv_rows_of
from streamspot.errors import DataError
from streamspot.face.detectors import make_detector
from streamspot.face.tracker import FaceTracker
from streamspot.motion.estimator import MotionEstimator
from streamspot.motion.regions import layout
from streamspot.sources import EndOfStream, FrameFeed, Source, open_source
from streamspot.sources.base import kind_of
from streamspot.sources.motion import Recorder, Recording, is_recording
from streamspot.telemetry import Telemetry
from streamspot.types import Kind, RegionMotion, Session

KEYS: dict[str, Kind] = {"m": "macro", "u": "micro"}
UNDO, QUIT = ("\x7f", "\b"), "q"

_HEAD = ("video", "subject", "kind", "point", "fps")
_REMEMBERED = 1024
"""Frames in which the one that was on show when the expression was seen is looked for."""

_SHOWN_S = 3.0
"""Seconds of motion drawn."""

_REGIONS = "face17"
"""What is recorded of a camera; ``paper10`` is a part of it."""

_BARS = " ▁▂▃▄▅▆▇█"
_FULL = 0.02
"""Mean displacement of a tick, in inter-ocular distances, that is drawn as a full bar."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What is on show now.

    Attributes:
        frame: Number of the frame in the source.
        pts: Its time in seconds on the source's time line.
        motion: How far the regions moved since the last tick, on average; None where that is not measured.
    """

    frame: int
    pts: float
    motion: float | None = None


class Points:
    """The labels of one video in a ``points.csv``; those of others, and columns of others, are kept.

    The file is written whole at every change, so that a label that was given is never lost.

    Args:
        path: The file; made if there is none.
        video: Name of the video within the file's folder.
        subject: Whose face it is.
        fps: Frames a second, None if unknown.

    Raises:
        DataError: The file is no table with the columns video, subject, kind and point.
    """

    def __init__(self, path: Path, video: str, subject: str, fps: float | None) -> None:
        self._path = path
        table = csv_rows_of(path) if path.exists() else [_HEAD]
        self._head = tuple(cell.strip().lower() for cell in table[0]) if table else _HEAD
        if missing := [name for name in _HEAD[:4] if name not in self._head]:
            raise DataError(
                f"{path} has no column {missing[0]!r}; its first row must name video, subject, kind, point"
            )
        rows = [dict(zip(self._head, row, strict=False)) for row in table[1:] if row]
        self._others = [row for row in rows if row.get("video") != video]
        self.given = [row for row in rows if row.get("video") == video and row.get("kind")]
        """The labels of this video, oldest first."""
        rate = "" if fps is None else f"{fps:g}"
        self._empty = {"video": video, "subject": subject, "fps": rate}
        self._watched = len(rows) - len(self._others) - len(self.given) > 0

    def add(self, kind: Kind, frame: int) -> None:
        """Label a frame."""
        self.given.append({**self._empty, "kind": kind, "point": str(frame)})
        self._write()

    def undo(self) -> dict[str, str] | None:
        """Take the last label back; return it, None if there is none."""
        if not self.given:
            return None
        last = self.given.pop()
        self._write()
        return last

    def watched(self) -> None:
        """Note that the video was seen to its end, so that no label means no expression."""
        self._watched = True
        self._write()

    def count(self, kind: Kind) -> int:
        """Return how many labels of a kind there are."""
        return sum(row["kind"] == kind for row in self.given)

    def _write(self) -> None:
        rows = [*self._others, *(self.given or ([self._empty] if self._watched else []))]
        text = io.StringIO()
        writer = csv.DictWriter(text, self._head, restval="", extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        part = self._path.with_name(self._path.name + ".part")
        try:
            part.write_text(text.getvalue(), encoding="utf-8")
            part.replace(self._path)
        except OSError as error:
            raise DataError(
                f"{self._path} cannot be written ({error.strerror}); name another with --out"
            ) from None


def label(
    shown: Iterable[Shown | None],
    points: Points,
    keys: Callable[[], str],
    draw: Callable[[str, str], None],
    *,
    reaction: float,
) -> bool:
    """Take labels until the source ends or the user quits.

    Args:
        shown: What is on show, in its own time; None where nothing new is but keys should be looked at.
        points: Takes the labels.
        keys: Returns the keys pressed since the last call, without waiting.
        draw: Takes where we are and what was done last, to be shown.
        reaction: Seconds of the source between an expression and the key; a label is set so much earlier.

    Returns:
        Whether the source was seen to its end.
    """
    recent: deque[Shown] = deque(maxlen=_REMEMBERED)
    said = ""
    for now in shown:
        if now is not None:
            recent.append(now)
        for key in keys():
            if key == QUIT:
                return False
            if key in UNDO:
                gone = points.undo()
                said = "nothing to undo" if gone is None else f"{gone['kind']} at {gone['point']} undone"
            elif key in KEYS and recent:
                meant = recent[-1].pts - reaction
                frame = min(recent, key=lambda seen: abs(seen.pts - meant)).frame
                points.add(KEYS[key], frame)
                said = f"{KEYS[key]} at frame {frame}"
        if recent:
            draw(_line(recent, points), said)
    points.watched()
    return True


def _line(recent: deque[Shown], points: Points) -> str:
    minutes, seconds = divmod(recent[-1].pts, 60)
    parts = [f"{minutes:02.0f}:{seconds:04.1f}", f"frame {recent[-1].frame}"]
    if any(seen.motion is not None for seen in recent):
        parts.insert(0, _meter(recent))
    parts += [f"{kind} {points.count(kind)} ({key})" for key, kind in KEYS.items()]
    return "  ".join(parts)


def _meter(recent: deque[Shown], width: int = 30) -> str:
    """Draw the motion of the last seconds as a row of bars."""
    now = recent[-1].pts
    highest = [0.0] * width
    for seen in reversed(recent):
        place = width - 1 - int((now - seen.pts) / _SHOWN_S * width)
        if place < 0:
            break
        highest[place] = max(highest[place], seen.motion or 0.0)
    return "".join(_BARS[min(8, int(value / _FULL * 8 + 0.999))] for value in highest)


@dataclass(frozen=True, slots=True)
class Playing:
    """A source that plays.

    Attributes:
        video: Where it is kept: itself, or its region motion that is recorded meanwhile.
        fps: Frames a second by which labels count, None where only time counts.
        pace: Seconds of the source that pass in one second.
        shown: What is on show, in its own time, and None where nothing is new; closing it ends the playing.
    """

    video: Path
    fps: float | None
    pace: float
    shown: Generator[Shown | None]


def play(spec: str, folder: Path, speed: float) -> Playing:
    """Open a source to label.

    Args:
        spec: A recording of region motion, or what ``open_source`` takes.
        folder: Where what cannot be read again is recorded.
        speed: Pace of what can.

    Raises:
        SourceError: It cannot be opened.
    """
    path = Path(spec)
    if is_recording(path):
        return Playing(path, None, speed, _play_recording(Recording(path), speed))
    source = open_source(spec)
    if not source.live and kind_of(source.name) in ("file", "folder"):
        return Playing(Path(source.name), source.fps, speed, _play(source, speed, None))
    path = folder / f"{source.stream}-{datetime.now(UTC):%Y%m%d-%H%M%S}.motion"
    return Playing(path, None, 1.0 if source.live else speed, _play(source, speed, path))


def _play(source: Source, speed: float, record: Path | None) -> Generator[Shown | None]:
    """Yield the frames as they come, and None when there is none for 50 ms; record their region motion."""
    regions = layout(_REGIONS)
    with ExitStack() as stack:
        estimator: MotionEstimator | None = None
        recorder: Recorder | None = None
        if record is not None:
            estimator = MotionEstimator(FaceTracker(make_detector()), regions, Telemetry())
            stack.callback(estimator.close)
        feed = stack.enter_context(FrameFeed(source, speed=speed))
        while True:
            try:
                frame = feed.get(0.05)
            except EndOfStream:
                return
            if frame is None:
                yield None
                continue
            motion = None
            if estimator is not None and record is not None:
                if recorder is None:
                    session = Session(record.stem, source.stream, frame.pts, datetime.now(UTC))
                    recorder = stack.enter_context(Recorder(record, session, regions.name))
                sightings = estimator.push(frame)
                recorder.extend(sightings)
                motion = max((_strength(s.motion) for s in sightings if s.motion is not None), default=0.0)
            yield Shown(frame.index, frame.pts, motion)


def _play_recording(recording: Recording, speed: float) -> Generator[Shown | None]:
    """Yield the ticks of a recording of region motion in its own time, and None every 50 ms in between."""
    started: float | None = None
    for sighting in recording.sightings():
        if sighting.motion is None:
            continue
        due = sighting.motion.pts / speed
        if started is None:
            started = time.monotonic() - due
        while (left := started + due - time.monotonic()) > 0:
            time.sleep(min(left, 0.05))
            yield None
        yield Shown(sighting.motion.frame, sighting.motion.pts, _strength(sighting.motion))


def _strength(motion: RegionMotion) -> float:
    """Return how far the regions moved on average, in inter-ocular distances."""
    return float(abs(motion.displacement).mean())
