"""Cameras of this computer: which there are, what they give, how one is opened."""

from __future__ import annotations

import math
import os
import re
import struct
import sys
import threading
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2

from streamspot.errors import SourceError
from streamspot.sources.base import slug
from streamspot.sources.live import LiveSource

_STALL_S = 2.0
_TRIED = ((640, 480), (1280, 720), (1920, 1080))
_MEASURE_S = 1.0
_PATIENCE_S = 6.0
"""A camera that takes longer than this to open and be measured is reported without modes."""


@dataclass(frozen=True, slots=True)
class Mode:
    """What a camera gave when it was asked for a size.

    Attributes:
        width: Of the picture, px.
        height: Of the picture, px.
        pixels: Format on the wire, ``MJPG`` or ``YUYV`` say; empty when unknown.
        nominal: Frames a second that the driver declares, None when it does not say.
        measured: Frames a second counted over a second.
    """

    width: int
    height: int
    pixels: str
    nominal: float | None
    measured: float


@dataclass(frozen=True, slots=True)
class CameraInfo:
    """A camera that was found.

    Attributes:
        index: What ``--source`` takes.
        path: Device file, empty where the system has none.
        name: As the driver calls it.
        modes: Sizes tried with the rate measured; empty when not asked for or when it cannot be opened.
    """

    index: int
    path: str
    name: str
    modes: tuple[Mode, ...] = ()


def list_cameras(
    *, measure: bool = False, dev: Path = Path("/dev"), sysfs: Path = Path("/sys/class/video4linux")
) -> list[CameraInfo]:
    """Return the cameras of this computer in order of index.

    Linux knows them without opening any; elsewhere indices 0 to 4 are tried, all at once, for at most 6 s.

    Args:
        measure: Open each camera and count its frames in three sizes; at most 6 s a camera.
        dev: Where Linux keeps device files.
        sysfs: Where Linux keeps their names.
    """
    if sys.platform == "linux":
        found = _linux_cameras(dev, sysfs)
    else:
        opened: dict[int, bool] = {}
        _within(_PATIENCE_S, *(lambda i=i: opened.update({i: _opens(i)}) for i in range(5)))
        found = [CameraInfo(i, "", f"camera {i}") for i in sorted(i for i, ok in dict(opened).items() if ok)]
    if not measure:
        return found
    measured = []
    for camera in found:
        modes: list[Mode] = []
        _within(_PATIENCE_S, lambda c=camera, m=modes: _measure(c.path or c.index, m))
        measured.append(replace(camera, modes=tuple(modes)))
    return measured


class Camera:
    """An opened camera.

    Attributes:
        fps: Frames a second that the driver declares, None when it says nothing sensible.
        greeting: The mode that the driver chose.

    Args:
        capture: Opened by OpenCV; owned.
        device: As the user calls it.
    """

    def __init__(self, capture: Any, device: str) -> None:
        self._capture = capture
        self.fps = _nominal_fps(capture)
        size = "x".join(
            str(int(capture.get(p))) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
        )
        rate = f" at {self.fps:g} fps" if self.fps else ""
        self.greeting = f"camera {device} gives {size} {_pixels(capture)}".rstrip() + rate

    def read(self) -> tuple[float, Any] | None:
        """Return the next picture with its stamp in seconds on the driver's clock, None if the driver failed."""
        ok, image = self._capture.read()
        return (self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000, image) if ok else None

    def release(self) -> None:
        """Give the device back."""
        self._capture.release()


def camera_source(
    device: str, *, size: tuple[int, int] | None = None, fps: float | None = None
) -> LiveSource:
    """Return the source of a camera; it is opened when its frames are asked for.

    Args:
        device: Index (``0``) or path (``/dev/video2``, ``/dev/v4l/by-id/...``); a link is followed at each
            opening, so a camera is found again that returns under another index.
        size: Width and height to ask for; the driver's choice by default.
        fps: Rate to ask for; the driver's choice by default.
    """
    number = re.fullmatch(r"(?:/dev/video)?(\d+)", device)
    stream = f"cam{int(number[1])}" if number else slug(Path(device).name)
    slow = "more light shortens the exposure and helps"
    opening = partial(_open_camera, device, size, fps)
    return LiveSource(f"camera {device}", stream, opening, stall=_STALL_S, slow=slow)


def _open_camera(device: str, size: tuple[int, int] | None, fps: float | None) -> Camera:
    """Return an opened camera.

    Raises:
        SourceError: There is no such camera, it may not be read, or it is in use.
    """
    target: str | int = int(device) if device.isdigit() else os.path.realpath(device)
    path = Path(f"/dev/video{target}" if isinstance(target, int) else target)
    if sys.platform == "linux":
        if not path.exists():
            raise SourceError(f"there is no camera {device}; {_known()}")
        if not os.access(path, os.R_OK | os.W_OK):
            raise SourceError(
                f"camera {device} may not be read by this user; add the user to the group that owns {path} "
                "(usually: sudo usermod -aG video $USER, then log in again)"
            )
    capture = _capture(target)
    if not capture.isOpened():
        capture.release()
        raise SourceError(
            f"camera {device} cannot be opened (in use by another program, or none there); {_known()}"
        )
    _ask_for(capture, size)
    if fps:
        capture.set(cv2.CAP_PROP_FPS, fps)
    return Camera(capture, device)


def _ask_for(capture: Any, size: tuple[int, int] | None) -> None:
    # USB 2 has no room for raw pictures at full rate, so compressed ones are asked for, and before the size:
    # drivers choose the size among those of the present format.
    capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
    if size:
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, size[0])
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, size[1])


def _nominal_fps(capture: Any) -> float | None:
    fps = float(capture.get(cv2.CAP_PROP_FPS))
    return fps if math.isfinite(fps) and 0.5 <= fps <= 1000 else None


def _pixels(capture: Any) -> str:
    code = int(capture.get(cv2.CAP_PROP_FOURCC))
    text = "".join(chr(code >> 8 * i & 0xFF) for i in range(4)) if code > 0 else ""
    return text if text.isprintable() and text.isascii() else ""


def _capture(target: str | int) -> Any:
    backends = {"linux": cv2.CAP_V4L2, "win32": cv2.CAP_DSHOW, "darwin": cv2.CAP_AVFOUNDATION}
    return cv2.VideoCapture(target, backends.get(sys.platform, cv2.CAP_ANY))


def _known() -> str:
    if sys.platform != "linux":
        return "streamspot cameras lists those there are"
    cameras = list_cameras()
    if not cameras:
        return "no camera was found at all: plug one in, or try --source synthetic"
    return "there are: " + ", ".join(f"{camera.index} ({camera.name})" for camera in cameras)


def _linux_cameras(dev: Path, sysfs: Path) -> list[CameraInfo]:
    found = []
    for path in dev.glob("video*"):
        number = re.fullmatch(r"video(\d+)", path.name)
        if number and _captures(path):
            try:
                name = (sysfs / path.name / "name").read_text(errors="replace").strip()
            except OSError:
                name = "unknown"
            found.append(CameraInfo(int(number[1]), str(path), name))
    return sorted(found, key=lambda camera: camera.index)


def _captures(path: Path) -> bool:
    """Return False when the driver says that this node gives none: webcams have a second one for metadata."""
    import fcntl  # noqa: PLC0415 - not on Windows

    query, capabilities, device_capabilities = 0x80685600, 84, 88
    per_device, capture = 0x80000000, 0x1 | 0x1000
    answer = bytearray(104)
    try:
        with path.open("rb", buffering=0) as node:
            fcntl.ioctl(node, query, answer)
    except OSError:
        return True  # busy or forbidden: opening it will tell the user which
    flags = struct.unpack_from("<I", answer, capabilities)[0]
    if flags & per_device:
        flags = struct.unpack_from("<I", answer, device_capabilities)[0]
    return bool(flags & capture)


def _opens(index: int) -> bool:
    capture = _capture(index)
    try:
        return bool(capture.isOpened())
    finally:
        capture.release()


def _measure(target: str | int, modes: list[Mode]) -> None:
    capture = _capture(target)
    try:
        for size in _TRIED:
            if not capture.isOpened():
                return
            _ask_for(capture, size)
            ok, image = capture.read()
            began, count = time.monotonic(), 0
            while ok and time.monotonic() - began < _MEASURE_S:
                ok, image = capture.read()
                count += ok
            if not ok:
                continue
            height, width = image.shape[:2]
            if all((width, height) != (other.width, other.height) for other in modes):
                measured = count / (time.monotonic() - began)
                modes.append(Mode(width, height, _pixels(capture), _nominal_fps(capture), measured))
    finally:
        capture.release()


def _within(seconds: float, *jobs: Any) -> None:
    """Run all ``jobs`` at once for at most ``seconds``; drivers that hang are left behind."""
    threads = [threading.Thread(target=job, daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
