"""Small pictures and clips made from nothing, each picture telling its number."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np


def small_picture(number: int, width: int = 64, height: int = 48) -> np.ndarray:
    """A picture whose brightness tells its number, with something for an encoder to chew on."""
    image = np.full((height, width, 3), 20 + 5 * (number % 40), np.uint8)
    image[: height // 4, : width // 4] = (255, 0, 0)
    return image


def write_clip(path: Path, count: int = 20, fps: float = 25.0, codec: str = "MJPG", size=(64, 48)) -> Path:
    """Write a clip of such pictures and return its place."""
    # OpenCV's own writer takes odd sizes, FFmpeg's cuts them.
    backend = cv2.CAP_OPENCV_MJPEG if size[0] % 2 else cv2.CAP_FFMPEG
    writer = cv2.VideoWriter(str(path), backend, cv2.VideoWriter.fourcc(*codec), fps, size)
    assert writer.isOpened()
    for number in range(count):
        writer.write(small_picture(number, *size))
    writer.release()
    return path


def encoded(number: int, kind: str) -> bytes:
    """Return such a picture as a file of that ending."""
    return cv2.imencode(kind, small_picture(number))[1].tobytes()
