"""Clips made by PyAV, as strange as they come, and what is spotted in them."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from streamspot.face.detectors import make_detector
from streamspot.face.tracker import FaceTracker
from streamspot.model import Model
from streamspot.motion.estimator import MotionEstimator
from streamspot.motion.regions import layout
from streamspot.pipeline import Pipeline
from streamspot.sources import open_source
from streamspot.sources.synthetic import Synthetic
from streamspot.types import Event, Frame, Session

FPS = 25
SIZE = (384, 288)
"""Width and height: small enough to be quick, with eyes far enough apart."""

Picture = NDArray[np.uint8]
Expression = tuple[str, int, int]
"""Kind, and the frames of onset and offset."""


@cache
def portrait_clip(seconds: float = 10.2, fps: int = FPS, expressions: int = 2) -> tuple[Picture, ...]:
    """Return the pictures of a clip of so many expressions, of size ``SIZE``."""
    clip = Synthetic(seed=4, expressions=expressions, fps=fps, seconds=seconds, noise=0)
    return tuple(cv2.resize(frame.image, SIZE, interpolation=cv2.INTER_AREA) for frame in clip.read())


def numbered(count: int) -> list[Picture]:
    """Return pictures that carry their number as sixteen black or white blocks."""
    pictures = []
    for number in range(count):
        blocks = np.array([255 * (number >> bit & 1) for bit in range(16)], np.uint8)
        grey = np.kron(blocks.reshape(2, 8), np.ones((24, 24), np.uint8))
        pictures.append(np.repeat(grey[..., None], 3, axis=2))
    return pictures


def number_in(picture: Picture) -> int:
    """Return the number that a picture of ``numbered`` carries."""
    blocks = picture[12::24, 12::24, 0].ravel() > 127
    return sum(int(bit) << place for place, bit in enumerate(blocks))


def write_video(
    path: Path,
    pictures: Iterable[Picture],
    *,
    fps: float = FPS,
    codec: str = "libx264",
    layout: str = "yuv420p",
    stamps: Sequence[float] | None = None,
    ratio: Fraction | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    kind: str | None = None,
) -> Path:
    """Write pictures as a video and return its path.

    Args:
        path: Where to; its ending names the container unless ``kind`` does.
        pictures: ``(H, W, 3)`` uint8 BGR.
        fps: Nominal frames a second.
        codec: Encoder.
        layout: Pixel format.
        stamps: Seconds of each picture, by default at ``fps``.
        ratio: Of the pixels' width to their height.
        options: Of the encoder.
        container_options: Of the container.
        kind: Container.
    """
    rate = Fraction(fps).limit_denominator(1001)
    with _ordinary_time(), av.open(str(path), "w", format=kind, options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=rate, options=_quick(codec) | (options or {}))
        stream.pix_fmt = layout
        tick = Fraction(1, 1000) if stamps is not None else 1 / rate
        stream.codec_context.time_base = tick
        for number, picture in enumerate(pictures):
            if number == 0:
                stream.height, stream.width = picture.shape[:2]
                if ratio is not None:
                    stream.codec_context.sample_aspect_ratio = ratio
            frame = av.VideoFrame.from_ndarray(picture, "bgr24").reformat(format=layout)
            frame.time_base = tick
            frame.pts = number if stamps is None else round(stamps[number] * 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@contextmanager
def _ordinary_time() -> Iterator[None]:
    """Leave the scheduling class of this thread as it was.

    SVT-AV1 puts the thread that calls it into the real-time class where it may (as root), and whatever the tests
    start later would follow it there: their brokers and servers then starve one another.
    """
    if not hasattr(os, "sched_getscheduler"):
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameters)


def _quick(codec: str) -> dict[str, str]:
    """Return what makes an encoder quick and good."""
    return {
        "libx264": {"preset": "veryfast", "crf": "18"},
        "libx265": {"preset": "ultrafast", "crf": "18", "x265-params": "log-level=none"},
        "libvpx": {"deadline": "realtime", "cpu-used": "8", "b": "3M"},
        "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "b": "3M"},
        "libsvtav1": {"preset": "12", "crf": "20"},
        "mpeg4": {"b": "4M"},
        "mpeg2video": {"b": "6M"},
        "wmv2": {"b": "4M"},
        "flv": {"b": "4M"},
        "mjpeg": {"b": "20M"},
    }.get(codec, {})


def copy_streams(path: Path, *sources: Path, shift: float = 0.0, kind: str | None = None) -> Path:
    """Write the first video stream of each file into one container without encoding it anew.

    Args:
        path: Where to.
        sources: Files to copy from.
        shift: Seconds to add to the stamps.
        kind: Container.
    """
    with av.open(str(path), "w", format=kind) as container:
        opened = [av.open(str(source)) for source in sources]
        streams = [container.add_stream_from_template(one.streams.video[0]) for one in opened]
        packets = []
        for one, stream in zip(opened, streams, strict=True):
            for packet in one.demux(video=0):
                if packet.dts is not None:
                    late = round(shift / packet.time_base)
                    packet.pts, packet.dts = packet.pts + late, packet.dts + late
                    packets.append((packet.dts * packet.time_base, packet, stream))
        for _, packet, stream in sorted(packets, key=lambda item: item[0]):
            packet.stream = stream
            container.mux(packet)
        for one in opened:
            one.close()
    return path


def turn(path: Path, size: tuple[int, int], degrees: int) -> Path:
    """Say in the metadata of an mp4 or mov that its pictures are to be turned clockwise before they are shown.

    Args:
        path: The file, changed in place.
        size: Width and height as stored.
        degrees: 0, 90, 180 or 270.
    """
    data, one = bytearray(path.read_bytes()), 1 << 16
    width, height = size[0] * one, size[1] * one
    matrix = {
        0: (one, 0, 0, one, 0, 0),
        90: (0, one, -one, 0, height, 0),
        180: (-one, 0, 0, -one, width, height),
        270: (0, -one, one, 0, 0, width),
    }[degrees]
    a, b, c, d, x, y = matrix
    at = data.index(b"tkhd") + 4 + 40
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, x, y, 1 << 30)
    path.write_bytes(data)
    return path


@cache
def _model() -> Model:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    return Model.load("streamspot-base", device="cpu")


def spot(frames: Iterable[Frame]) -> list[Expression]:
    """Return the finished expressions of a clip."""
    model = _model()
    estimator = MotionEstimator(FaceTracker(make_detector(1), 1), layout(model.config.layout))
    pipeline = Pipeline(model, Session("r", "s", "c", 0.0, datetime.now(UTC)), estimator)
    events: list[Event] = []
    try:
        for frame in frames:
            events += pipeline.push(frame).events
        events += pipeline.finish().events
    finally:
        pipeline.close()
    return [(one.kind, one.onset.frame, one.offset.frame) for one in events if one.offset is not None]


def spotted(source: object) -> tuple[list[Expression], list[str]]:
    """Return the finished expressions of a source and what it said."""
    opened = open_source(str(source))
    return spot(opened.read()), list(opened.messages)


@cache
def reference() -> tuple[Expression, ...]:
    """Return the expressions of ``portrait_clip``, read without any video."""
    return tuple(spot(as_frames(portrait_clip())))


def as_frames(pictures: Iterable[Picture], fps: float = FPS) -> Iterator[Frame]:
    """Yield pictures as frames."""
    for number, picture in enumerate(pictures):
        yield Frame(number, number / fps, 0, picture)


def playable(folder: Path) -> Path:
    """Write a clip that every browser plays, alone in a folder below this one, and return its path."""
    (folder / "videos").mkdir()
    return write_video(folder / "videos" / "clip.mp4", numbered(40))


def same(found: Sequence[Expression], wanted: Sequence[Expression], *, within: int = 1) -> bool:
    """Return whether two lists hold the same expressions, each onset and offset within so many frames."""
    return len(found) == len(wanted) and all(
        a[0] == b[0] and abs(a[1] - b[1]) <= within and abs(a[2] - b[2]) <= within
        for a, b in zip(found, wanted, strict=True)
    )
