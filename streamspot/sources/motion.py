"""Recordings of region motion: enough to replay a run to the same events, nothing that shows a face.

A recording is text, one JSON value a line: a header, then ``[face, tick, pts, frame, quality, [dx, dy, …]]`` for
every tick of every face (and, behind it, what stands in the way of judging the face), ``[face, reason]`` where a
face's segment ends, ``{"start": …}`` where the wall-clock time of tick 0 became known better, and last
``{"end": …, "frame": …}``, time and number of the last frame: there may have been no face in it.
"""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from pydantic import AwareDatetime, BaseModel, Field, TypeAdapter

from streamspot.errors import SourceError, cut
from streamspot.sources.base import Source, kind_of
from streamspot.types import (
    SESSION_NAME,
    STREAM_NAME,
    FaceMotion,
    Motion,
    RegionMotion,
    SegmentEnd,
    Session,
    Trouble,
)

_FORMAT = "streamspot-motion"
_VERSION = 1
_LINE = 64 * 2**10
"""Characters of a line at most; 256 regions need a sixth of them."""
_TAIL = 4 * _LINE
"""Bytes in which the end is looked for."""
_LARGEST = 10**10
"""Ticks, frames and faces have smaller numbers: ten years of ticks."""


class MotionLines:
    """Turns region motion into the lines of a recording."""

    def __init__(self) -> None:
        self._session: Session | None = None
        self._written: Session | None = None

    def begin(self, session: Session, layout: str, judging: str = "") -> bytes:
        """Return the header.

        Args:
            session: Of the run; a replay carries the same but for the run's id.
            layout: Name of the region layout.
            judging: Stands for the weights and the decoder of the run.
        """
        self._session = self._written = session
        header = {
            "format": _FORMAT,
            "version": _VERSION,
            "layout": layout,
            "how": judging,
            "session": session.id,
            "stream": session.stream,
            "origin": session.origin,
            "start": session.start.isoformat(),
        }
        return _line(header)

    def extend(self, motion: Iterable[Motion], session: Session) -> bytes:
        """Return the lines of motion; call ``refused`` where they could not be written."""
        lines = []
        self._written = self._session
        if self._session is not None and session.start != self._session.start:
            lines.append(_line({"start": session.start.isoformat()}))
            self._session = session
        for one in motion:
            if isinstance(one, SegmentEnd):
                lines.append(_line([one.face, one.reason]))
                continue
            tick = one.motion
            values = [float(str(value)) for value in tick.displacement.ravel()]  # shortest exact float32
            quality = round(tick.quality, 3)
            trouble = [] if one.trouble is None else [one.trouble]
            lines.append(_line([one.face, tick.tick, tick.pts, tick.frame, quality, values, *trouble]))
        return b"".join(lines)

    def end(self, pts: float, frame: int) -> bytes:
        """Return the line that says when the last frame was, in seconds of the source, and its number."""
        return _line({"end": pts, "frame": frame})

    def refused(self) -> None:
        """Say anew, with the next lines, what those of ``extend`` said of the session: they were not written."""
        self._session = self._written


class MotionWriter:
    """Writes a recording.

    Args:
        path: File to write; an existing one is replaced.

    Raises:
        SourceError: The file cannot be written (here and by every method).
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines = MotionLines()
        try:
            path.touch(0o600)  # for its owner only
            self._file = path.open("wb")
        except OSError as error:
            raise SourceError(
                f"the recording {path} cannot be written ({error.strerror}); name another with --record"
            ) from error

    def begin(self, session: Session, layout: str, judging: str = "") -> None:
        """Write the header, as ``MotionLines`` makes it."""
        self._write(self._lines.begin(session, layout, judging))

    def extend(self, motion: Iterable[Motion], session: Session) -> None:
        """Append motion."""
        self._write(self._lines.extend(motion, session))

    def end(self, pts: float, frame: int) -> None:
        """Say when the last frame was, and which."""
        self._write(self._lines.end(pts, frame))

    def _write(self, lines: bytes) -> None:
        try:
            self._file.write(lines)
            self._file.flush()
        except OSError as error:
            raise SourceError(
                f"the recording {self._path} cannot be continued ({error.strerror}); make room and start anew"
            ) from error

    def __enter__(self) -> Self:
        """Return the writer itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        with contextlib.suppress(OSError):  # told before
            self._file.close()


def _line(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def is_recording(path: Path) -> bool:
    """Tell whether the file is a recording of region motion."""
    if kind_of(path) != "file":  # reading from a camera's device would start it
        return False
    try:
        with path.open("rb") as file:
            return file.read(len(_FORMAT) + 16).startswith(b'{"format":"' + _FORMAT.encode() + b'"')
    except OSError:
        return False


def several_at_once(path: Path, stop: Callable[[], object] = lambda: False) -> bool:
    """Tell whether a recording holds several faces in one tick; once ``stop`` returns something, as far as is known.

    Raises:
        SourceError: It cannot be read.
    """
    face, newest = -1, -1
    for one in itertools.takewhile(lambda _: not stop(), MotionRecording(path).read()):
        if isinstance(one, FaceMotion):
            if one.face != face and one.motion.tick <= newest:
                return True
            face, newest = one.face, one.motion.tick
    return False


class MotionRecording(Source):
    """A source that yields the recorded motion of faces instead of pictures.

    Attributes:
        session: Of the recorded run.
        layout: Name of the region layout.
        judging: Stands for the weights and the decoder of the run; with others, other events come out.
        last_frame: Number of the last frame, -1 without any.
        whole: Whether it says when its source ended; else its last tick is the last that is known.

    Raises:
        SourceError: The file is no recording, or of a version this program does not know.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with path.open(encoding="utf-8") as file:
                header = _Header.model_validate_json(file.readline(_LINE))
            self._end, self.last_frame, self.whole = _end_of(path)
        except (OSError, ValueError):
            raise SourceError(
                f"{path} is not a recording of region motion; make one with streamspot run --record"
            ) from None
        if (header.format, header.version) != (_FORMAT, _VERSION):
            raise SourceError(
                f"{path} is version {header.version} of {cut(header.format)}; "
                f"this program reads version {_VERSION} of {_FORMAT}"
            )
        self.layout, self.judging = header.layout, header.how
        self.session = Session("", header.session, header.stream, header.origin, header.start)
        super().__init__(str(path), header.stream, header.session)
        self._regions = 0  # 0 before the first tick

    @property
    def duration(self) -> float:
        """Time of the last frame."""
        return self._end

    def read(self) -> Iterator[Motion | Session]:
        """Yield the recorded motion, to the last whole line of a recording that breaks off, which is said.

        Where the wall-clock time of tick 0 became known better, the session is yielded anew.

        Raises:
            SourceError: A line is damaged.
        """
        with self._path.open(encoding="utf-8", errors="replace") as file:
            file.readline(_LINE)
            newest: dict[int, int] = {}
            for number in itertools.count(2):
                line = file.readline(_LINE)
                if self.closed.is_set() or not line:
                    return
                if not line.endswith("\n") and len(line) < _LINE:
                    self.messages.append(
                        f"{self._path} breaks off in line {number}: it is cut, or the run that recorded it was killed"
                    )
                    return
                try:
                    one = self._parse(line, newest)
                except ValueError:
                    raise SourceError(
                        f"line {number} of {self._path} is damaged; delete it or record anew"
                    ) from None
                if one is None:
                    continue
                if isinstance(one, FaceMotion):
                    tick = one.motion.tick
                    if tick > newest.get(one.face, tick - 1) + 1:
                        yield SegmentEnd(one.face, "gap in the recording")
                    newest[one.face] = tick
                elif isinstance(one, SegmentEnd) and newest.pop(one.face, None) is None:
                    continue  # of a face of which nothing is left
                yield one

    def _parse(self, line: str, newest: dict[int, int]) -> Motion | Session | None:
        """Return what a line says, None for the end; raises ValueError where it cannot follow what came before."""
        value = _ANY_LINE.validate_json(line)
        if isinstance(value, _End):
            return None
        if isinstance(value, _Start):
            return replace(self.session, start=value.start)
        if len(value) == 2:
            return SegmentEnd(*value)
        face, tick, pts, frame, quality, values, *trouble = value
        displacement = np.array(values, np.float32).reshape(-1, 2)
        if self._regions not in {0, len(displacement)} or tick <= newest.get(face, -1):
            raise ValueError(tick)
        self._regions = len(displacement)
        return FaceMotion(face, RegionMotion(tick, pts, frame, displacement, quality), *trouble)


def _end_of(path: Path) -> tuple[float, int, bool]:
    """Return time and number of the last frame of a recording, and whether it says so itself.

    Else they are those of the last tick, 0 and -1 where there is none in its last lines.
    """
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL))
        lines = file.read().split(b"\n")[:-1]  # the run may have been killed while it wrote
    for line in reversed(lines):
        with contextlib.suppress(ValueError):
            value = _ANY_LINE.validate_json(line)
            if isinstance(value, _End):
                return value.end, value.frame, True
            if isinstance(value, tuple) and len(value) > 2:
                return value[2], value[3], False
    return 0.0, -1, False


_Whole = Annotated[int, Field(strict=True, ge=0, lt=_LARGEST)]
_Finite = Annotated[float, Field(strict=True, gt=-_LARGEST, lt=_LARGEST, allow_inf_nan=False)]
_Time = Annotated[
    AwareDatetime,
    Field(strict=True, gt=datetime(1901, 1, 1, tzinfo=UTC), lt=datetime(5000, 1, 1, tzinfo=UTC)),
]


_Word = Annotated[str, Field(pattern=r"^[\w.:+-]{0,80}$")]
"""What may be called a layout, or stand for a way of judging."""


class _Start(BaseModel):
    start: _Time


class _End(BaseModel):
    end: _Finite
    frame: _Whole


class _Header(_Start):
    format: str
    version: int
    layout: _Word
    how: _Word
    session: Annotated[str, Field(pattern=f"^(?:{SESSION_NAME})$")]
    stream: Annotated[str, Field(pattern=f"^(?:{STREAM_NAME})$")]
    origin: _Finite


_Tick = tuple[_Whole, _Whole, _Finite, _Whole, _Finite, list[_Finite]]
_ANY_LINE: TypeAdapter[Any] = TypeAdapter(
    _Start
    | _End
    | tuple[_Whole, str | None]
    | _Tick
    | tuple[_Whole, _Whole, _Finite, _Whole, _Finite, list[_Finite], Trouble]
)
