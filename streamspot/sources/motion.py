"""Recordings of region motion: enough to replay a run to the same events, nothing that shows a face.

A recording is text, one JSON value a line: a header, then ``[face, tick, pts, frame, quality, [dx, dy, …]]`` for
every tick of every face (and, behind it, what stands in the way of judging the face), ``[face, reason]`` where a
face's segment ends, and ``{"start": …}`` where the wall-clock time of tick 0 became known better.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Self, get_args

import numpy as np
from numpy.typing import NDArray

from streamspot.errors import SourceError
from streamspot.sources.base import new_messages
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
_TROUBLES: tuple[Trouble, ...] = get_args(Trouble)
_LARGEST = 10**10
"""Ticks, frames and faces have smaller numbers: ten years of ticks."""


class MotionLines:
    """Turns region motion into the lines of a recording."""

    def __init__(self) -> None:
        self._session: Session | None = None

    def begin(self, session: Session, layout: str, judging: str = "") -> bytes:
        """Return the header.

        Args:
            session: Of the run; a replay carries the same but for the run's id.
            layout: Name of the region layout.
            judging: Stands for the weights and the decoder of the run.
        """
        self._session = session
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
        """Return the lines of motion."""
        lines = []
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
        with self._writing():
            self._file.write(self._lines.begin(session, layout, judging))

    def extend(self, motion: Iterable[Motion], session: Session) -> None:
        """Append motion."""
        with self._writing():
            self._file.write(self._lines.extend(motion, session))

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise SourceError(
                f"the recording {self._path} cannot be continued ({error.strerror}); make room and start anew"
            ) from error

    def close(self) -> None:
        """Close the file."""
        with self._writing():
            self._file.close()

    def __enter__(self) -> Self:
        """Return the writer itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()


def _line(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def is_recording(path: Path) -> bool:
    """Tell whether the file is a recording of region motion."""
    try:
        if not path.is_file():  # reading from a camera's device would start it
            return False
        with path.open("rb") as file:
            return file.read(len(_FORMAT) + 16).startswith(b'{"format":"' + _FORMAT.encode() + b'"')
    except (OSError, ValueError):
        return False


class MotionRecording:
    """A source that yields the recorded motion of faces instead of pictures.

    Attributes:
        session: Of the recorded run.
        layout: Name of the region layout.
        judging: Stands for the weights and the decoder of the run; with others, other events come out.

    Raises:
        SourceError: The file is no recording, or of a version this program does not know.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with path.open(encoding="utf-8") as file:
                header = json.loads(file.readline())
            if header["format"] != _FORMAT or header["version"] != _VERSION:
                raise SourceError(
                    f"{path} is version {header['version']} of {header['format']}; "
                    f"this program reads version {_VERSION} of {_FORMAT}"
                )
            self.layout = str(header["layout"])
            self.judging = str(header["how"])
            name, stream = _name(header["session"], SESSION_NAME), _name(header["stream"], STREAM_NAME)
            self.session = Session("", name, stream, _finite(header["origin"]), _start(header["start"]))
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise SourceError(
                f"{path} is not a recording of region motion; make one with streamspot run --record"
            ) from error
        self.name = str(path)
        self.stream = self.session.stream
        self.live = False
        self.fps: float | None = None
        self.identity = self.session.id
        self.messages: deque[str] = new_messages()
        self._closed = False
        self._regions = 0  # 0 before the first tick

    def read(self) -> Iterator[Motion | Session]:
        """Yield the recorded motion, to the last whole line of a recording that breaks off.

        Where the wall-clock time of tick 0 became known better, the session is yielded anew.

        Raises:
            SourceError: A line is damaged.
        """
        with self._path.open(encoding="utf-8", errors="replace") as file:
            next(file)
            newest: dict[int, int] = {}
            for number, line in enumerate(file, 2):
                if self._closed or not line.endswith("\n"):
                    return  # the run was killed while it wrote
                one = self._parse(line, number)
                if isinstance(one, FaceMotion):
                    before = newest.get(one.face, one.motion.tick - 1)
                    if one.motion.tick <= before:
                        raise self._damaged(number)
                    if one.motion.tick > before + 1:
                        yield SegmentEnd(one.face, "gap in the recording")
                    newest[one.face] = one.motion.tick
                elif isinstance(one, SegmentEnd) and newest.pop(one.face, None) is None:
                    continue  # of a face of which nothing is left
                yield one

    def close(self) -> None:
        """End ``read`` after the line that is being read."""
        self._closed = True

    def _parse(self, line: str, number: int) -> Motion | Session:
        try:
            value = json.loads(line, parse_constant=_refuse)
            if isinstance(value, dict):
                return replace(self.session, start=_start(value["start"]))
            if len(value) == 2:
                face, reason = value
                return SegmentEnd(_whole(face), None if reason is None else _text(reason))
            face, tick, pts, frame, quality, values, *trouble = value
            displacement = self._displacement(values)
            motion = RegionMotion(_whole(tick), _finite(pts), _whole(frame), displacement, _finite(quality))
            return FaceMotion(_whole(face), motion, *map(_trouble, trouble))
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            raise self._damaged(number) from None

    def _displacement(self, values: Any) -> NDArray[np.float32]:
        displacement = np.array(values, np.float32).reshape(-1, 2)
        if self._regions not in {0, len(displacement)} or not np.isfinite(displacement).all():
            raise ValueError(len(displacement))
        self._regions = len(displacement)
        return displacement

    def _damaged(self, number: int) -> SourceError:
        return SourceError(f"line {number} of {self._path} is damaged; delete it or record anew")


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _LARGEST:
        raise ValueError(value)
    return value


def _finite(value: Any) -> float:
    if not isinstance(value, int | float) or not abs(value) < _LARGEST:
        raise ValueError(value)
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _trouble(value: Any) -> Trouble:
    return _TROUBLES[_TROUBLES.index(value)]


def _start(value: Any) -> datetime:
    start = datetime.fromisoformat(value)
    if not 1900 < start.year < 5000 or start.tzinfo is None:
        raise ValueError(value)
    return start


def _name(value: Any, pattern: str) -> str:
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        raise ValueError(value)
    return value
