"""Recordings of region motion: enough to replay a run to the same events, nothing that shows a face.

A recording is text, one JSON value a line: a header, then ``[face, tick, pts, frame, quality, [dx, dy, …]]`` for
every tick of every face and ``[face, reason]`` where a face's segment ends.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import numpy as np

from streamspot.errors import SourceError
from streamspot.types import RegionMotion, Session, Sighting

_FORMAT = "streamspot-motion"
_VERSION = 1


class Recorder:
    """Writes a run's region motion.

    Args:
        path: File to write; an existing one is replaced.
        session: Of the run; a replay carries the same.
        layout: Name of the region layout.
        how: Stands for the weights and the spotting of the run.

    Raises:
        SourceError: The file cannot be written.
    """

    def __init__(self, path: Path, session: Session, layout: str, how: str = "") -> None:
        self._path = path
        try:
            self._file = path.open("w", encoding="utf-8")
        except OSError as error:
            raise SourceError(
                f"the recording {path} cannot be written ({error.strerror}); name another with --record"
            ) from error
        header = {
            "format": _FORMAT,
            "version": _VERSION,
            "layout": layout,
            "how": how,
            "session": session.id,
            "stream": session.stream,
            "origin": session.origin,
            "start": session.start.isoformat(),
        }
        self._line(header)

    def extend(self, sightings: Iterable[Sighting]) -> None:
        """Append sightings.

        Raises:
            SourceError: The disk is full or gone.
        """
        for sighting in sightings:
            motion = sighting.motion
            if motion is None:
                self._line([sighting.face, sighting.reason])
            else:
                values = [
                    float(str(value)) for value in motion.displacement.ravel()
                ]  # shortest exact float32
                quality = round(motion.quality, 3)
                self._line([sighting.face, motion.tick, motion.pts, motion.frame, quality, values])

    def _line(self, value: Any) -> None:
        with self._writing():
            self._file.write(json.dumps(value, separators=(",", ":")) + "\n")

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise SourceError(
                f"the recording {self._path} cannot be continued ({error.strerror}); make room and start anew"
            ) from error

    def close(self) -> None:
        """Close the file.

        Raises:
            SourceError: The disk is full: the end of the recording is missing.
        """
        with self._writing():
            self._file.close()

    def __enter__(self) -> Self:
        """Return the recorder itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()


def is_recording(path: Path) -> bool:
    """Tell whether the file is a recording of region motion."""
    try:
        if not path.is_file():  # reading from a camera's device would start it
            return False
        with path.open("rb") as file:
            return file.read(len(_FORMAT) + 16).startswith(b'{"format":"' + _FORMAT.encode() + b'"')
    except (OSError, ValueError):
        return False


class Recording:
    """Reads a run's region motion.

    Attributes:
        session: Of the recorded run.
        layout: Name of its region layout.
        how: Stands for the weights and the spotting of the run; replayed otherwise, other events come out.

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
            self.layout: str = header["layout"]
            self.how: str = header["how"]
            start = datetime.fromisoformat(header["start"])
            self.session = Session(header["session"], header["stream"], float(header["origin"]), start)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SourceError(
                f"{path} is not a recording of region motion; make one with streamspot run --record"
            ) from error

    def sightings(self) -> Iterator[Sighting]:
        """Yield the recording; one that breaks off ends every face there, as the source's end would.

        Raises:
            SourceError: A line is damaged.
        """
        open_faces: set[int] = set()
        with self._path.open(encoding="utf-8", errors="replace") as file:
            next(file)
            for number, line in enumerate(file, 2):
                if not line.endswith("\n"):
                    break  # the run was killed while it wrote
                sighting = self._parse(line, number)
                if sighting.motion is None:
                    open_faces.discard(sighting.face)
                else:
                    open_faces.add(sighting.face)
                yield sighting
        for face in sorted(open_faces):
            yield Sighting(face, None)

    def _parse(self, line: str, number: int) -> Sighting:
        try:
            face, *rest = json.loads(line)
            if len(rest) == 1:
                return Sighting(face, None, rest[0])
            tick, pts, frame, quality, values = rest
            displacement = np.array(values, np.float32).reshape(-1, 2)
            return Sighting(face, RegionMotion(tick, pts, frame, displacement, quality))
        except (ValueError, TypeError) as error:
            raise SourceError(
                f"line {number} of {self._path} is damaged; delete it or record anew"
            ) from error
