"""Point labels by hand: one key an expression, while a recording plays or a camera runs.

They are written to a ``points.csv`` (see ``points.py``). What is no file of its folder (a camera, an address) is
recorded there as region motion, without a picture.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from streamspot.datasets.points import PointsFile
from streamspot.motion.estimator import MotionEstimator
from streamspot.motion.regions import layout
from streamspot.sources import EndOfStream, Feed, MotionRecording, Source, open_source
from streamspot.sources.base import kind_of
from streamspot.sources.motion import MotionWriter
from streamspot.types import MARK_KEYS, FaceMotion, Frame, RegionMotion, Session

UNDO, QUIT = "backspace", "q"

_REMEMBERED = 1024
"""Frames in which the one that was on show when the expression was seen is looked for."""

REACTION = 0.3
"""Seconds from seeing an expression to pressing a key; labels are set so much earlier."""

_LOOK_S = 0.02
"""Seconds between two looks at the keys once the source has ended."""

_SHOWN_S = 3.0
"""Seconds of motion drawn."""
_WIDTH = 30
"""Bars of it."""

_REGIONS = "face17"
"""What is recorded of a camera; ``paper10`` is a part of it."""

_BARS = " ▁▂▃▄▅▆▇█"
_FULL = 0.02
"""Mean displacement of a tick, in inter-ocular distances, that is drawn as a full bar."""


@dataclass(frozen=True, slots=True)
class OnShow:
    """What is on show now.

    Attributes:
        frame: Number of the frame in the source.
        pts: Its time in seconds on the source's time line.
        motion: How far the regions moved since the last tick, on average; None where that is not measured.
    """

    frame: int
    pts: float
    motion: float | None = None


class Recent(deque[OnShow]):
    """The frames that were on show lately."""

    def __init__(self) -> None:
        super().__init__(maxlen=_REMEMBERED)

    def ago(self, seconds: float) -> int | None:
        """Return the number of the frame that was on show so many seconds of the source ago; None if none was."""
        if not self:
            return None
        meant = self[-1].pts - seconds
        return min(self, key=lambda seen: abs(seen.pts - meant)).frame


def label(
    shown: Iterable[OnShow | None],
    points: PointsFile,
    keys: Callable[[], list[str]],
    draw: Callable[[Sequence[str], str], None],
    *,
    reaction: float,
    pace: float = 1.0,
) -> bool:
    """Take labels until the source ends or the user quits; return whether it was seen to its end.

    The last frame stays on show for the time of a reaction, so that what the end of a source shows can be labelled.

    Args:
        shown: What is on show, in its own time; None where nothing new is but keys should be looked at.
        points: Takes the labels.
        keys: Returns the keys pressed since the last call, without waiting.
        draw: Takes where we are and what was done last, to be shown.
        reaction: Seconds between an expression and the key; a label is set so much earlier.
        pace: Seconds of the source that pass in one second.
    """
    recent = Recent()
    said = ""
    for now, over in _and_its_end(shown, reaction, pace):
        if now is not None:
            recent.append(now)
        for key in keys():
            if key == QUIT and not over:
                return False
            if key == UNDO:
                gone = points.undo()
                said = "nothing to undo" if gone is None else f"{gone['kind']} at {gone['point']} undone"
            elif key in MARK_KEYS and (frame := recent.ago(reaction * pace)) is not None:
                points.add(MARK_KEYS[key], frame)
                said = f"{MARK_KEYS[key]} at frame {frame}"
        if recent:
            draw(_parts(recent, points), said)
    points.watched()
    return True


def _and_its_end(
    shown: Iterable[OnShow | None], reaction: float, pace: float
) -> Iterator[tuple[OnShow | None, bool]]:
    """Yield what is on show and whether the source is over: then its last frame, for the time of a reaction."""
    last, came = None, 0.0
    for now in shown:
        if now is not None:
            last, came = now, time.monotonic()
        yield now, False
    since = 0.0
    while last is not None and since < reaction:
        time.sleep(min(_LOOK_S, reaction))
        since = min(time.monotonic() - came, reaction)
        yield OnShow(last.frame, last.pts + since * pace), True


def _parts(recent: deque[OnShow], points: PointsFile) -> list[str]:
    """Return where we are and what was given, what matters most last."""
    minutes, seconds = divmod(recent[-1].pts, 60)
    parts = [f"{minutes:02.0f}:{seconds:04.1f}", f"frame {recent[-1].frame}"]
    if any(seen.motion is not None for seen in recent):
        parts.insert(0, _meter(recent))
    return parts + [f"{kind} {points.count(kind)} ({key})" for key, kind in MARK_KEYS.items()]


def _meter(recent: deque[OnShow]) -> str:
    """Draw the motion of the last seconds as a row of bars."""
    now = recent[-1].pts
    highest = [0.0] * _WIDTH
    for seen in recent:
        place = _WIDTH - 1 - int((now - seen.pts) / _SHOWN_S * _WIDTH)
        if place >= 0:
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
    shown: Generator[OnShow | None]


def beside(spec: str) -> Path:
    """Return where the labels of a source stand: beside its file or folder, else in the current folder."""
    path = next((one for one in (Path(spec), Path(spec.rpartition("?")[0])) if one.exists()), Path())
    return (path.parent if kind_of(path) in ("file", "folder") else Path()) / "points.csv"


def play(spec: str, folder: Path, speed: float) -> Playing:
    """Open a source to label at that speed; what cannot be read again is recorded in ``folder``.

    Raises:
        SourceError: It cannot be opened.
    """
    source = open_source(spec)
    recording = isinstance(source, MotionRecording)
    if recording or (not source.live and kind_of(source.name) in ("file", "folder")):
        fps = None if recording else source.fps
        return Playing(Path(source.name), fps, speed, _play(source, speed, None))
    path = folder / f"{source.stream}-{datetime.now(UTC):%Y%m%d-%H%M%S}.motion"
    return Playing(path, None, 1.0 if source.live else speed, _play(source, speed, path))


def _play(source: Source, speed: float, record: Path | None) -> Generator[OnShow | None]:
    """Yield frames, or ticks, as they come, and None when there is none for 50 ms; record the motion in frames."""
    with ExitStack() as stack:
        measure = None if record is None else _Measuring(record, source.stream, stack)
        stack.enter_context(suppress(EndOfStream))
        feed = stack.enter_context(Feed(source, speed=speed))
        while True:
            item = feed.get(0.05)
            if isinstance(item, FaceMotion):
                yield OnShow(item.motion.frame, item.motion.pts, _strength(item.motion))
            elif not isinstance(item, Frame):
                yield None
            else:
                yield OnShow(item.index, item.pts, None if measure is None else measure(item))


class _Measuring:
    """Records the region motion of frames; returns how far the regions moved."""

    def __init__(self, record: Path, stream: str, stack: ExitStack) -> None:
        self._names = record.stem, stream
        self._estimator = stack.enter_context(closing(MotionEstimator.open(layout(_REGIONS))))
        self._writer = stack.enter_context(MotionWriter(record))
        self._session: Session | None = None
        self._last = 0.0, 0  # time and number of the newest frame
        stack.callback(self._end)

    def __call__(self, frame: Frame) -> float:
        if self._session is None:
            self._session = Session("", *self._names, frame.pts, datetime.now(UTC))
            self._writer.begin(self._session, _REGIONS)
        motion = self._estimator.push(frame)
        self._writer.extend(motion, self._session)
        self._last = frame.pts, frame.index
        return max((_strength(one.motion) for one in motion if isinstance(one, FaceMotion)), default=0.0)

    def _end(self) -> None:
        if self._session is not None:
            self._writer.end(*self._last)


def _strength(motion: RegionMotion) -> float:
    """Return how far the regions moved on average, in inter-ocular distances."""
    return float(abs(motion.displacement).mean())
