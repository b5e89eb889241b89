"""Recorded video: any container OpenCV reads, at its own time stamps."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2

from streamspot.errors import SourceError
from streamspot.sources.base import Timeline, as_bgr, file_identity, kind_of, new_messages, redact, slug
from streamspot.types import Frame

NETWORK_TIMEOUT_MS = 10_000
_DEFAULT_FPS = 30.0


def open_capture(address: str, *, network: bool) -> Any:
    """Return an opened ``cv2.VideoCapture``, or one whose ``isOpened()`` is False.

    OpenCV takes the time-outs only as parameters of the opening call and only together with a named back-end.
    """
    if network:
        timeouts = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, NETWORK_TIMEOUT_MS]
        timeouts += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, NETWORK_TIMEOUT_MS]
        return cv2.VideoCapture(address, cv2.CAP_FFMPEG, timeouts)
    capture = cv2.VideoCapture(address, cv2.CAP_FFMPEG)
    if not capture.isOpened():
        capture = cv2.VideoCapture(address, cv2.CAP_ANY)
    # On by default before OpenCV 4.11, off since.
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
    return capture


def nominal_fps(capture: Any) -> float | None:
    """Return the frame rate that the container or driver declares, None when it says nothing sensible."""
    fps = float(capture.get(cv2.CAP_PROP_FPS))
    return fps if math.isfinite(fps) and 0.5 <= fps <= 1000 else None


class VideoFile:
    """A recorded video: a local file, or an address that serves one.

    Args:
        address: Path of the file, or an ``http(s)`` address of one; an address is opened in ``read``.

    Raises:
        SourceError: The file is missing, empty, a folder, or in a format that cannot be decoded.
    """

    def __init__(self, address: str | Path) -> None:
        self._address = str(address)
        self._network = "://" in self._address
        self.live = False
        self.fps: float | None = None
        self.messages = new_messages()
        self._closed = False
        if self._network:
            self.name = redact(self._address)
            self.stream = slug(Path(self.name).stem)
            self.identity = f"url:{hashlib.sha256(self._address.encode()).hexdigest()[:32]}"
            return
        path = Path(self._address)
        self.name = self._address
        self.stream = slug(path.stem)
        self._check(path)
        self.identity = file_identity(path)
        capture = self._open()
        self.fps = nominal_fps(capture)
        capture.release()

    def read(self) -> Iterator[Frame]:
        """Yield every picture; a damaged file ends at the damage with a message.

        Raises:
            SourceError: Not a single picture can be decoded.
        """
        capture = self._open()
        try:
            self.fps = nominal_fps(capture)
            declared = capture.get(cv2.CAP_PROP_FRAME_COUNT)
            timeline = Timeline(self.fps or _DEFAULT_FPS)
            count = 0
            while not self._closed:
                ok, image = capture.read()
                if not ok or image is None:
                    break
                # Asked for before the reading, OpenCV tells the stamp of the picture before.
                pts = timeline.stamp(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
                yield Frame(count, pts, time.monotonic_ns(), as_bgr(image))
                count += 1
            else:
                return
        finally:
            capture.release()
        if not count:
            raise SourceError(
                f"{self.name} holds no picture that can be decoded; convert it with ffmpeg and try again"
            )
        self._report(count, declared, timeline.repaired)

    def close(self) -> None:
        """End ``read`` after the picture that is being read."""
        self._closed = True

    def _report(self, count: int, declared: float, repaired: int) -> None:
        # Containers without an index estimate their length, so small differences mean nothing.
        if math.isfinite(declared) and 0 < declared < 1e9 and count < 0.95 * declared - 2:
            self.messages.append(
                f"{self.name} ends after {count} of {declared:.0f} pictures: the file is damaged or cut short"
            )
        if repaired:
            self.messages.append(f"{self.name}: {repaired} time stamps did not increase and were repaired")

    def _open(self) -> Any:
        capture = open_capture(self._address, network=self._network)
        if capture.isOpened():
            return capture
        capture.release()
        if self._network:
            raise SourceError(
                f"{self.name} does not answer with a video; check the address, the network and the login"
            )
        raise SourceError(
            f"{self.name} is not a video that can be decoded (damaged, cut short or an unknown codec); "
            "convert it with: ffmpeg -i IN -c:v libx264 OUT.mp4"
        )

    def _check(self, path: Path) -> None:
        kind = kind_of(path)
        if kind is None:
            raise SourceError(
                f"there is no file {self.name}; check the path, or see streamspot run --help for sources"
            )
        if kind != "file":
            raise SourceError(f"{self.name} is not a regular file; give a video file or a folder of pictures")
        try:
            with path.open("rb") as file:
                empty = not file.read(1)
        except OSError as error:
            raise SourceError(
                f"{self.name} cannot be read ({error.strerror}); check its permissions"
            ) from None
        if empty:
            raise SourceError(f"{self.name} is empty; record or copy it again")
