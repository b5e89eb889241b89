"""One's own frames: pictures and their times from any Python iterable."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamspot.errors import SourceError, cut
from streamspot.sources.base import TOO_LARGE, Source, as_bgr, is_picture, is_too_large
from streamspot.types import Frame

_FOREVER = 1e11
"""Seconds, some three thousand years."""

_ALIKE = 0.05
"""Share by which the sizes of two pictures may differ: a face then is nearly where it was, and is followed."""

Pictures = Iterable[tuple[NDArray[Any], float]]
"""Pictures ``(H, W, 3)`` uint8 BGR, each with its time in seconds; times increase."""


def as_frame(
    index: int, image: NDArray[Any], pts: float, before: float | None, *, reused: bool = False
) -> Frame:
    """Return a picture of the user's own as a frame.

    Args:
        index: Its number.
        image: ``(H, W)``, ``(H, W, 3)`` or ``(H, W, 4)``, uint8 or uint16, BGR.
        pts: Its time in seconds.
        before: Time of the picture before, None for the first.
        reused: Whether the next picture may be written over it, which is then copied.

    Raises:
        SourceError: It is no picture, or its time does not increase.
    """
    try:
        image = np.array(image) if reused else np.asarray(image)
    except ValueError:
        raise SourceError(f"picture {index} is no array; give (height, width, 3) of uint8, BGR") from None
    if image.ndim in {2, 3} and is_too_large(image.shape[1], image.shape[0]):
        raise SourceError(
            f"picture {index} has {image.shape[1]}x{image.shape[0]} pixels; {TOO_LARGE}; make it smaller"
        )
    if not is_picture(image):
        raise SourceError(
            f"picture {index} is an array of shape {image.shape} and type {image.dtype}; "
            "give (height, width, 3) of uint8, BGR"
        )
    given = pts
    try:
        pts = float(given)
    except (TypeError, ValueError, OverflowError):
        pts = math.nan
    if not abs(pts) < _FOREVER:
        raise SourceError(
            f"the time of picture {index} is {cut(given)}; give a sensible number of seconds, increasing"
        )
    if before is not None and pts <= before:
        raise SourceError(
            f"the time of picture {index}, {pts} s, is not after that of the one before, {before} s; "
            "times must increase"
        )
    return Frame(index, float(pts), time.monotonic_ns(), as_bgr(image))


class Resizing:
    """Notices when a picture is a good deal larger or smaller than the one before, which loses every face."""

    def __init__(self) -> None:
        self._size: tuple[int, ...] | None = None
        self._told = False

    def take(self, frame: Frame) -> tuple[str, ...]:
        """Take the next picture; return what is to be said of its size, once at most."""
        before, (height, width) = self._size, frame.image.shape[:2]
        self._size = height, width
        if self._told or before is None or np.allclose(self._size, before, rtol=_ALIKE, atol=0):
            return ()
        self._told = True
        return (
            f"picture {frame.index} is {width}x{height}: scale all to one size, or nobody is followed into it",
        )


class PushedFrames(Source):
    """The pictures of an iterable as a source.

    Args:
        pictures: Pictures with their times.

    Example:
        >>> source = PushedFrames((image, n / 30) for n, image in enumerate(images))  # doctest: +SKIP
    """

    def __init__(self, pictures: Pictures) -> None:
        super().__init__("own frames", "frames")
        self._pictures = pictures

    def read(self) -> Iterator[Frame]:
        """Yield every picture.

        Raises:
            SourceError: What the iterable yields is no picture, or its time does not increase.
        """
        before: float | None = None
        sizes = Resizing()
        for index, item in enumerate(self._pictures):
            if self.closed.is_set():
                return
            try:
                image, pts = item
            except (TypeError, ValueError):
                raise SourceError(
                    f"item {index} of the frames is no pair of a picture and its time"
                ) from None
            frame = as_frame(index, image, pts, before, reused=True)
            self.messages.extend(sizes.take(frame))
            before = frame.pts
            yield frame
