"""A folder of pictures, read in natural order at a declared rate."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from streamspot.errors import SourceError
from streamspot.sources.base import ShownSize, Source, is_picture, kind_of, slug, stream_name
from streamspot.types import Frame

_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
_SAMPLE = 4096
"""Bytes of each picture that its identity knows: all of ten thousand pictures would take a minute to read."""


def natural(name: str) -> list[tuple[int, str]]:
    """Return a sort key that puts ``img2`` before ``img10``."""
    parts = re.findall(r"\d+|\D+", name)
    return [(int(part), "") if part.isdecimal() else (-1, part.lower()) for part in parts]


def picture_files(folder: Path) -> tuple[Path, ...]:
    """Return the pictures of a folder in the order in which they are its frames.

    A folder in it is none, nor is what macOS leaves beside each file.

    Raises:
        OSError: The folder cannot be read.
    """
    found = (
        path
        for path in folder.iterdir()
        if not path.name.startswith(".") and path.suffix.lower() in _SUFFIXES and kind_of(path) == "file"
    )
    return tuple(sorted(found, key=lambda path: (natural(path.name), path.name)))


def _sample(path: Path) -> bytes | None:
    """Return what tells a picture from others: its size and some bytes of its middle; None if it has vanished."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _SAMPLE) // 2)
            return b"%d:" % size + file.read(_SAMPLE)
    except FileNotFoundError:
        return None
    except OSError:
        return b""  # it may not be read, which is said when its turn comes


class ImageFolder(Source):
    """The pictures of a folder as a video.

    Args:
        folder: Its bmp, jpeg, pgm, png, ppm, tiff and webp files are read; nothing else in it, and none whose name
            begins with a dot.
        fps: Frames a second to assume.

    Raises:
        SourceError: The folder holds no pictures.
    """

    def __init__(self, folder: Path, *, fps: float = 30.0) -> None:
        try:
            samples = {
                path: sample for path in picture_files(folder) if (sample := _sample(path)) is not None
            }
        except OSError as error:
            raise SourceError(f"{folder} cannot be read ({error.strerror}); check its permissions") from None
        if not samples:
            kinds = ", ".join(sorted(suffix[1:] for suffix in _SUFFIXES))
            raise SourceError(
                f"{folder} holds no pictures; give a folder of {kinds} files, or add --out FOLDER "
                "if it holds videos"
            )
        self._files = list(samples)
        self._rate = fps
        digest = hashlib.sha256(f"{fps:g}".encode())
        for path in self._files:
            digest.update(f"{path.name}:".encode(errors="surrogateescape") + samples[path])
        name = folder.resolve().name
        super().__init__(
            str(folder),
            stream_name(name, str(folder.absolute()), "images"),
            f"images:{slug(name)}:{len(samples)}:{digest.hexdigest()[:32]}",
            fps,
        )

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self._files)

    def picture(self, index: int) -> NDArray[np.uint8] | None:
        """Return the picture of that number, ``(H, W, 3)`` uint8 BGR; None if it cannot be decoded.

        Raises:
            FileNotFoundError: It has vanished.
        """
        try:
            data = np.fromfile(self._files[index], np.uint8)
            image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
        except FileNotFoundError:
            raise
        except (OSError, cv2.error):
            return None
        return np.asarray(image, np.uint8) if is_picture(image) else None

    def read(self) -> Iterator[Frame]:
        """Yield every picture; a damaged one leaves a gap in the numbering, and a message at the end.

        One of another size is shown in that of the first; other proportions are told.

        Raises:
            SourceError: None of them can be read.
        """
        bad: list[str] = []
        sizes = ShownSize(self.name, self.messages)
        count = 0
        for index, path in enumerate(self._files):
            if self.closed.is_set():
                return
            try:
                image = self.picture(index)
            except FileNotFoundError:
                continue  # it has vanished meanwhile
            if image is None:
                bad.append(path.name)
                continue
            yield Frame(index, index / self._rate, time.monotonic_ns(), sizes.fit(image))
            count += 1
        if not count:
            raise SourceError(
                f"none of the {len(self._files)} pictures in {self.name} can be decoded; check that they are whole "
                "and have no more than 64 megapixels"
            )
        if bad:
            self.messages.append(
                f"{len(bad)} of {len(self._files)} pictures in {self.name} are damaged or too large and were left "
                f"out, first {bad[0]}"
            )
