"""Single pictures of a video by their number, as JPEG, for what a browser cannot play."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import suppress

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from streamspot.errors import SourceError
from streamspot.sources import open_source
from streamspot.sources.base import kind_of, whole_path
from streamspot.sources.decoding import Decoder
from streamspot.sources.images import ImageFolder
from streamspot.sources.video import VideoFile
from streamspot.types import Frame

_KEPT = 64 << 20
"""Bytes of pictures that are kept, so that stepping back costs nothing."""
_AHEAD = 120
"""Pictures that are rather decoded than jumped over."""
_BACK = 15
"""Pictures before the one asked for that are kept on the way there."""
_LEAST = 1e-4
"""Seconds by which the stamp of a picture may differ from its frame's time."""
_EVEN = 0.5
"""Share by which the time of a picture may differ from the mean where a rate is steady; stamps are rounded."""
_INDEXED = frozenset({"avi", "matroska", "mp4"})
"""Formats that say exactly where each picture is; in others stamps are guessed after a jump."""


class VideoPictures:
    """The pictures of one video, read by the project's own reader; nothing is written.

    A picture far from the one before is sought by its time, if the container's stamps are those of the source's time
    line; else all before it are decoded.

    Args:
        source: A video or a folder of pictures, as ``open_source`` takes it.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._size = 0
        self._next = 0
        self._reading: Iterator[tuple[int, NDArray[np.uint8]]] | None = None
        self._seekable = True
        self._timing = threading.Lock()
        self._times: bytes | None = None

    def jpeg(self, number: int, pts: float | None) -> bytes:
        """Return a picture.

        Args:
            number: Of its frame, from 0.
            pts: Time of the frame on the source's time line, None where it is not known yet.

        Raises:
            SourceError: There is no such picture, or it cannot be decoded.
        """
        with self._lock:
            if number not in self._kept:
                self._read_to(number, pts)
            if number not in self._kept:
                raise SourceError(f"{self._source} has no picture {number} that can be decoded")
            self._kept.move_to_end(number)
            return self._kept[number]

    def times(self) -> bytes:
        """Return the time of every picture in seconds from the first as float64, as the container says.

        Empty where it does not say so, or an option gives them other times.
        """
        with self._timing:
            if self._times is None:
                self._times = times_of(self._source).astype("<f8").tobytes()
            return self._times

    def close(self) -> None:
        """Forget everything."""
        with self._lock:
            self._kept.clear()
            self._size, self._reading = 0, None

    def _read_to(self, number: int, pts: float | None) -> None:
        near = self._reading is not None and self._next <= number <= self._next + _AHEAD
        if not near and number > _AHEAD and self._seekable:
            self._reading = _sought(self._source, number, pts)
            if self._advance(number):
                return
            self._seekable = pts is None
        if not near:
            self._reading, self._next = _from_start(self._source), 0
        self._advance(number)

    def _advance(self, number: int) -> bool:
        """Read on until the picture of that number; tell whether it came."""
        for index, image in self._reading or ():
            self._next = index + 1
            if index >= number - _BACK:
                self._keep(index, image)
            if index >= number:
                return index == number
        self._reading = None
        return False

    def _keep(self, index: int, image: NDArray[np.uint8]) -> None:
        _, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 88])
        self._size += jpeg.nbytes - len(self._kept.pop(index, b""))
        self._kept[index] = jpeg.tobytes()
        while self._size > _KEPT and len(self._kept) > 1:
            self._size -= len(self._kept.popitem(last=False)[1])


def times_of(source: str) -> NDArray[np.float64]:
    """Return the time of every picture of a video in seconds from the first, as its container says; else nothing."""
    times = np.zeros(0)
    if kind_of(source) == "file":
        with (
            suppress(av.FFmpegError, OSError, ValueError, SourceError),
            av.open(whole_path(source)) as container,
        ):
            times = np.array(Decoder(container, source, deque()).stamps())
    return times - times[:1]


def steady_rate(source: str) -> float | None:
    """Return the frames a second of a video whose pictures follow one another evenly; None for anything else."""
    steps = np.diff(times_of(source))
    if not steps.size or steps.min() <= 0 or abs(steps / steps.mean() - 1).max() > _EVEN:
        return None
    return float(1 / steps.mean())


def _from_start(source: str) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield number and picture of every frame as the source gives them."""
    last = -1
    for item in open_source(source).read():
        if isinstance(item, Frame) and item.index != last:  # one that is held comes several times
            last = item.index
            yield last, item.image


def _sought(source: str, number: int, pts: float | None) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield number and picture of a frame and of those behind it; nothing where it cannot be sought."""
    opened = open_source(source)
    if isinstance(opened, ImageFolder):
        for index in range(number, len(opened)):
            with suppress(FileNotFoundError):
                if (image := opened.picture(index)) is not None:
                    yield index, image
    elif isinstance(opened, VideoFile) and pts is not None and kind_of(source) == "file":
        with suppress(av.FFmpegError, OSError, SourceError):
            yield from _sought_in(source, number, pts)


def _sought_in(path: str, number: int, pts: float) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    with av.open(whole_path(path)) as container:
        if not _INDEXED & set(container.format.name.split(",")):
            return
        decoder = Decoder(container, path, deque())
        first = next((picture.stamp for picture in decoder.pictures()), None)
        if first is None:
            return
        container.seek(max(0, int((first + pts) * av.time_base)), backward=True)
        index = None
        for picture in decoder.pictures():
            if picture.stamp is None:
                return
            if index is None and picture.stamp > first + pts - _LEAST:
                if picture.stamp > first + pts + _LEAST:
                    return
                index = number
            if index is not None:
                yield index, picture.image
                index += 1
