"""Pictures from standard input: JPEG or PNG files one after the other (MJPEG), or raw pixels.

Either way the rate is declared, not measured, so that the same bytes always give the same time line::

    ffmpeg -i clip.mp4 -f image2pipe -c:v mjpeg - | streamspot run --source "-?fps=25"
    ffmpeg -i clip.mp4 -f rawvideo -pix_fmt bgr24 - | streamspot run --source "-?size=640x480&fps=25"
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from streamspot.errors import SourceError
from streamspot.sources.base import TOO_LARGE, ShownSize, Source, is_picture, is_too_large
from streamspot.types import Frame

_CHUNK = 1 << 18
_LARGEST = 1 << 26
"""No picture has more bytes; a stream without an end of picture for that long is not one of pictures."""
_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_START = re.compile(re.escape(_JPEG) + b"|" + re.escape(_PNG))
_MARKER_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_DECLARED_FPS = 30.0


class StandardInput(Source):
    """Pictures piped into the program.

    Args:
        size: Width and height of raw BGR pictures, 3 bytes a pixel; None for JPEG or PNG.
        fps: Frames a second that the pictures stand for, 30 by default.
        read: Returns up to that many bytes, none at the end; file descriptor 0 by default.

    Raises:
        SourceError: The pictures would have more than 64 megapixels.
    """

    def __init__(
        self,
        *,
        size: tuple[int, int] | None = None,
        fps: float | None = None,
        read: Callable[[int], bytes] | None = None,
    ) -> None:
        if size is not None and is_too_large(*size):
            raise SourceError(f"raw pictures of {size[0]}x{size[1]} pixels are too large; {TOO_LARGE}")
        self._rate = fps or _DECLARED_FPS
        super().__init__("standard input", "stdin", fps=self._rate)
        self._size = size
        # Not sys.stdin: a thread that is left behind in its read would hold its lock and abort the exit.
        self._read = read or (lambda count: os.read(0, count))
        self._terminal = read is None and os.isatty(0)
        if fps is None:
            self.messages.append(
                'standard input is taken to be 30 fps; say --source "-?fps=25" when it is not'
            )

    def read(self) -> Iterator[Frame]:
        """Yield every picture; a damaged one leaves a gap in the numbering, and a message at the end.

        One of another size is shown in that of the first; other proportions are told.

        Raises:
            SourceError: Standard input is a terminal, or holds no picture.
        """
        if self._terminal:
            raise SourceError(
                "standard input is a terminal; pipe pictures into the program, or give another source"
            )
        sizes = ShownSize(self.name, self.messages)
        bad = count = 0
        for index, image in enumerate(self._raw(*self._size) if self._size else self._encoded()):
            if image is None:
                bad += 1
                continue
            yield Frame(index, index / self._rate, time.monotonic_ns(), sizes.fit(image))
            count += 1
        if self.closed.is_set():
            return
        if not count:
            wanted = "raw BGR pictures of the size given" if self._size else "JPEG or PNG pictures"
            raise SourceError(
                f"standard input holds no {wanted}; for raw pixels say --source '-?size=640x480&fps=30'"
            )
        if bad:
            self.messages.append(
                f"{bad} of {bad + count} pictures on standard input were damaged and left out"
            )

    def _raw(self, width: int, height: int) -> Iterator[NDArray[np.uint8]]:
        need = width * height * 3
        data = bytearray()
        while not self.closed.is_set():
            chunk = self._read(min(need - len(data), _CHUNK))
            if not chunk:
                if data:
                    self.messages.append(
                        f"standard input ended within a picture ({len(data)} of {need} bytes)"
                    )
                return
            data += chunk
            if len(data) == need:
                yield np.frombuffer(bytes(data), np.uint8).reshape(height, width, 3)
                data.clear()

    def _encoded(self) -> Iterator[NDArray[np.uint8] | None]:
        """Yield each picture, None for one that cannot be decoded."""
        data = bytearray()
        lengths: Iterator[int | None] | None = None  # of the picture that it begins with
        while not self.closed.is_set():
            chunk = self._read(_CHUNK)
            if not chunk:
                if _START.search(data):
                    self.messages.append("standard input ended within a picture")
                return
            data += chunk
            while True:
                if lengths is None:
                    start = _START.search(data)
                    if start is None:
                        del data[: max(0, len(data) - len(_PNG) + 1)]
                        break
                    del data[: start.start()]
                    lengths = (_jpeg_length if data.startswith(_JPEG) else _png_length)(data)
                length = next(lengths)
                if length is None:
                    break
                lengths = None
                if not length:
                    del data[:2]  # the next picture may begin inside what this one claims
                    yield None
                    continue
                yield _decode(bytes(data[:length]))
                del data[:length]
            if len(data) > _LARGEST:
                raise SourceError("standard input holds a picture without an end; send JPEG or PNG pictures")


def _decode(data: bytes) -> NDArray[np.uint8] | None:
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        return None
    return np.asarray(image, np.uint8) if is_picture(image) else None


def _jpeg_length(data: bytearray) -> Iterator[int | None]:
    """Yield the length of the JPEG that ``data`` begins with: None as long as its end has not come, 0 if damaged.

    ``data`` may grow meanwhile; no byte is looked at twice. Segments are stepped over by their lengths: a thumbnail
    inside one has an end-of-image marker of its own.
    """
    at = 2
    while True:
        while at + 4 > len(data) and data[at : at + 2] != b"\xff\xd9":
            yield None
        marker = data[at + 1]
        if data[at] != 0xFF or marker == 0xD8:
            yield 0
        elif marker == 0xD9:
            yield at + 2
        elif marker == 0xFF or marker == 0x01 or 0xD0 <= marker <= 0xD7:  # noqa: PLR1714 - a range stands among them
            at += 1 if marker == 0xFF else 2
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4])
            if marker == 0xDA:
                while (end := _MARKER_AFTER_SCAN.search(data, at)) is None:
                    at = max(at, len(data) - 1)
                    yield None
                at = end.start()


def _png_length(data: bytearray) -> Iterator[int | None]:
    """Yield the length of the PNG that ``data`` begins with: None as long as its end has not come, 0 if damaged."""
    at = len(_PNG)
    while True:
        while at + 12 > len(data):
            yield None
        size, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        if size > _LARGEST:
            yield 0
        at += 12 + size
        if kind == b"IEND":
            while at > len(data):
                yield None
            yield at
