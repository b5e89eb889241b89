"""Decoding with PyAV: the stream a player shows, its pictures upright, with square pixels and their own stamps."""

from __future__ import annotations

import math
import platform
import re
import struct
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.video.reformatter import Colorspace, VideoReformatter
from numpy.typing import NDArray

from streamspot.errors import SourceError
from streamspot.sources.base import MOST_PIXELS, TOO_LARGE, ShownSize, is_too_large

_STILLS = frozenset({"bmp", "jpeg2000", "jpegxl", "mjpeg", "png", "tiff", "webp"})
"""Codecs of cover pictures and stills; a stream of one of them is taken only where there is no other."""
_CLOCKED = frozenset({"mpeg", "mpegts"})
_GAPLESS = frozenset({"apng", "gif", "mp4"})
SEGMENTED = frozenset({"dash", "hls"})
"""Formats whose pictures arrive seconds at once."""
_PACKED = {
    "bgra": (4, cv2.COLOR_BGRA2BGR),
    "rgb24": (3, cv2.COLOR_RGB2BGR),
    "rgba": (4, cv2.COLOR_RGBA2BGR),
}
"""Layouts of pixels that OpenCV turns into BGR in less time than FFmpeg, with their channels."""
_MOST_BROKEN = 100
"""Errors of a container one after the other after which the rest is given up."""


@dataclass(frozen=True, slots=True)
class DecodedPicture:
    """One decoded picture.

    Attributes:
        stamp: Its presentation time in seconds as the container says, None where it says nothing.
        lasts: Seconds for which the container says it is shown, 0 where it says nothing.
        image: ``(H, W, 3)`` uint8, BGR.
    """

    stamp: float | None
    lasts: float
    image: NDArray[np.uint8]


class Decoder:
    """The pictures of one video stream of an opened container.

    Attributes:
        fps: Frames a second that the container declares, None while unknown.
        gapless: Whether the container shows each picture until the next, and cannot express a gap.
        clocked: Whether the stamps are those of a sender's clock, which may be set.
        begun: Stamp in seconds of the first picture by the container's account.
        duration: Seconds from there to the end of the last picture by that account, None while unknown.
        length: Number of pictures by the container's account, 0 while unknown.
        others: Stamp in seconds up to which other streams go, if the container's account is one for all of them.
        damaged: Packets so far that could not be decoded.
        broken: What ended the reading early, in the library's words; empty at a regular end.

    Args:
        container: Opened by PyAV; owned.
        name: For messages.
        messages: Told what the user should know.
        stream: Number of the video stream to take; None for the one that a player takes.
        patience: Seconds after which it has broken off if data come and no picture.

    Raises:
        SourceError: It holds no video, or not so many streams.
    """

    def __init__(
        self,
        container: InputContainer,
        name: str,
        messages: deque[str],
        stream: int | None = None,
        patience: float = math.inf,
    ) -> None:
        self._container, self._name, self._messages = container, name, messages
        try:
            self._stream = self._chosen(stream)
        except SourceError:
            container.close()
            raise
        self._stream.codec_context.thread_count = 1
        self._stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)} | _fast(self._stream)
        guessed = self._stream.guessed_rate or self._stream.average_rate
        codec = self._stream.codec_context
        # A program stream of these stamps only some of its pictures, and from those the rate is guessed.
        sparse = container.format.name == "mpeg" and codec.name in {"h264", "hevc"}
        rate = float((codec.framerate if sparse else None) or guessed or 0)
        self.fps = rate if 0 < rate <= 1000 else None
        self._unordered = container.format.name == "avi"  # it has stamps of decoding only
        kinds = set(container.format.name.split(","))
        self.gapless, self.clocked = bool(_GAPLESS & kinds), bool(_CLOCKED & kinds)
        end = _end(container, self._stream)
        self.begun = float((self._stream.start_time or 0) * (self._stream.time_base or 0))
        self.duration = end - self.begun if end is not None and end > self.begun else None
        self._together = self._stream.duration is None and "DURATION" not in self._stream.metadata
        self.others = 0.0
        self.length = self._stream.frames or round((self.duration or 0) * (self.fps or 0))
        _keep_freed_memory()
        self.damaged = 0
        self.broken = ""
        self._patience, self._asked = patience, 0.0
        self._convert = VideoReformatter().reformat
        self._rotation: int | None = None
        self._matrix = (1, 0, 0, 1)
        self._stored: tuple[int, int, bool] | None = None
        self._target = (0, 0)
        self._sizes = ShownSize(name, messages)

    def pictures(self) -> Iterator[DecodedPicture]:
        """Yield every picture that can be decoded; what cannot is counted."""
        base = float(self._stream.time_base or 1)
        self._asked = time.monotonic()
        for packet in self._packets():
            try:
                frames = packet.decode()
            except av.FFmpegError:
                self.damaged += 1
                continue
            for frame in frames:
                if is_too_large(frame.width, frame.height):  # it was smaller before
                    self.damaged += 1
                    continue
                stamp = frame.pts
                if self._unordered or (stamp is None and not self._stream.codec_context.has_b_frames):
                    stamp = frame.dts  # where pictures are reordered it is no time of presentation
                yield DecodedPicture(
                    None if stamp is None else stamp * base, (frame.duration or 0) * base, self._image(frame)
                )
                self._asked = time.monotonic()

    def stamps(self) -> list[float]:
        """Return the presentation times in seconds of all pictures in order, as their packets say; none is decoded.

        Empty where packets do not tell: without stamps, with a clock that may be set, with hidden pictures.
        """
        if self._unordered or self.clocked or self._stream.codec_context.name in {"vp8", "libvpx"}:
            return []
        base = float(self._stream.time_base or 1)
        found = [one.pts for one in self._packets() if one.size and not one.is_discard]
        return sorted(pts * base for pts in found if pts is not None) if None not in found else []

    def close(self) -> None:
        """Close the container."""
        self._container.close()

    def _chosen(self, number: int | None) -> av.VideoStream:
        """Return the stream of that number, or the one that a player takes."""
        stream, name = self._named(number), self._name
        if is_too_large(stream.width, stream.height):
            size = f"{stream.width}x{stream.height}"
            raise SourceError(f"the pictures of {name} have {size} pixels; {TOO_LARGE}")
        return stream

    def _named(self, number: int | None) -> av.VideoStream:
        name = self._name
        # Without a context its codec is unknown.
        streams = [one for one in self._container.streams.video if one.codec_context is not None]
        if not streams:
            raise SourceError(
                f"{name} holds no pictures that can be decoded; convert it with ffmpeg and try again"
            )
        if number is not None:
            if number < len(streams):
                return streams[number]
            raise SourceError(
                f"{name} has no video stream {number}; there are {len(streams)}, counted from 0"
            )
        best = max(streams, key=_rank)
        if sum(one.codec_context.name not in _STILLS for one in streams) > 1:
            self._messages.append(
                f"{name} holds {len(streams)} video streams, of which number {streams.index(best)} is read; "
                "?stream=N takes another"
            )
        return best

    def _packets(self) -> Iterator[av.Packet[av.VideoStream]]:
        """Yield the packets of the stream, at the end the empty one that makes the decoder give its last pictures."""
        failed = 0
        container: Any = self._container  # whose packets are those of every stream
        while failed < _MOST_BROKEN:
            try:
                for packet in container.demux():
                    if time.monotonic() - self._asked > self._patience:
                        self.broken = "no picture came"
                        return
                    if packet.stream is self._stream:
                        yield packet
                    elif self._together and packet.pts is not None:
                        self.others = max(
                            self.others, float((packet.pts + (packet.duration or 0)) * packet.time_base)
                        )
                    failed = 0
            except (av.InvalidDataError, BlockingIOError):
                failed += 1  # the container goes on behind the damage
            except (av.FFmpegError, OSError) as error:
                self.broken = error.strerror or type(error).__name__
                return
            else:
                return
        self.broken = "too much of it is damaged"

    def _image(self, frame: av.VideoFrame) -> NDArray[np.uint8]:
        """Return a frame in BGR: of one field, with square pixels, upright."""
        image = self._in_bgr(frame)
        if frame.interlaced_frame:
            image = image[::2]
        if frame.rotation != self._rotation:
            # Not for every picture: one that was asked for its side data refers to itself and is freed late.
            self._rotation, self._matrix = frame.rotation, _matrix(frame)
        a, b, c, d = self._matrix
        sideways = abs(b) > abs(a)
        stored = frame.width, frame.height, sideways
        if stored != self._stored:
            self._stored, self._target = stored, self._shown(*self._square(*stored[:2]), sideways=sideways)
        if image.shape[1::-1] != self._target:
            image = cv2.resize(image, self._target)
        if sideways:
            image, a, d = cv2.transpose(image), c, b
        if a < 0 or d < 0:
            image = cv2.flip(image, -1 if a < 0 and d < 0 else int(a < 0))
        return np.asarray(image, np.uint8)

    def _in_bgr(self, frame: av.VideoFrame) -> NDArray[np.uint8]:
        """Return the pixels of a frame, ``(H, W, 3)`` BGR."""
        if frame.planes[0].line_size < 0:
            # A bitmap stored from its last row to its first: FFmpeg puts it right when it makes another layout of it.
            layout = "bgr24" if frame.format.name == "rgb24" else "rgb24"
            frame = self._convert(frame, format=layout, src_colorspace=Colorspace.ITU601, threads=1)
        channels, code = _PACKED.get(frame.format.name, (0, 0))
        if not channels:
            # One thread: handing slices to several costs more than the conversion. The matrix is that of BT.601: so
            # grey, on which motion is measured, is the luma itself, and colours are those of OpenCV's reader.
            frame = self._convert(frame, format="bgr24", src_colorspace=Colorspace.ITU601, threads=1)
        plane: Any = frame.planes[0]
        shape = frame.height, frame.width, channels or 3
        pixels: NDArray[np.uint8] = np.ndarray(shape, np.uint8, plane, 0, (plane.line_size, shape[2], 1))
        return np.asarray(cv2.cvtColor(pixels, code), np.uint8) if channels else pixels

    def _square(self, width: int, height: int) -> tuple[int, int]:
        """Return the size at which pixels are square and none is lost."""
        ratio = float(self._stream.sample_aspect_ratio or 1)  # of a pixel's width to its height
        if not 0.2 < ratio < 5 or abs(ratio - 1) < 0.01:
            return width, height
        return (round(width * ratio), height) if ratio > 1 else (width, round(height / ratio))

    def _shown(self, width: int, height: int, *, sideways: bool) -> tuple[int, int]:
        """Return the size at which a picture is shown, before it is turned upright."""
        return self._sizes.of(height, width)[::-1] if sideways else self._sizes.of(width, height)


def _matrix(frame: av.VideoFrame) -> tuple[int, int, int, int]:
    """Return the entries a, b, c, d of the matrix that turns a picture upright.

    PyAV hands out no side data at all where one kind is unknown to it, as EXIF is. How far the picture is to be
    turned it says nevertheless, though not whether it is mirrored.
    """
    try:
        turn: Any = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:
        angle = math.radians(frame.rotation)  # anticlockwise
        across, down = round(math.cos(angle)), round(math.sin(angle))
        return across, -down, down, across
    return (1, 0, 0, 1) if turn is None else struct.unpack_from("=2i4x2i", turn)


def _keep_freed_memory() -> None:
    """Let the C library keep what pictures occupied for the next ones, once it has freed a block of this size.

    Else glibc gives it back to the system with many a picture and has it zeroed page by page for the next, which
    costs as much as decoding.
    """
    np.empty(31 << 20, np.uint8)


def _fast(stream: av.VideoStream) -> dict[str, str]:
    """Return options with which a decoder does the same in less time.

    On x86 a JPEG decoded with Xvid's inverse transform costs up to a third less, and differs less from libjpeg's.
    Where pictures follow from others, rounding that is not the encoder's would add up.
    """
    quick = stream.codec_context.name == "mjpeg" and platform.machine().lower() in {"amd64", "x86_64"}
    return {"idct": "xvid"} if quick else {}


def _rank(stream: av.VideoStream) -> tuple[bool, bool, int]:
    """Return a key that is largest for the stream a player takes."""
    return (
        not stream.disposition & av.stream.Disposition.attached_pic,
        stream.codec_context.name not in _STILLS,
        stream.width * stream.height,
    )


def is_finite(container: InputContainer) -> bool:
    """Return whether a container is a recording: its length is known, or that of the file that holds it.

    Some MJPEG cameras declare a length that they never reach. Nobody sends an animation live.
    """
    kind = container.format.name
    sized = container.size > 0 and kind not in SEGMENTED | {"mpjpeg"}
    return container.duration is not None or sized or kind in {"apng", "gif"}


def _end(container: InputContainer, stream: av.VideoStream) -> float | None:
    """Return the stamp in seconds at which a stream ends by the container's account."""
    if stream.duration is not None:
        return float(((stream.start_time or 0) + stream.duration) * (stream.time_base or 0))
    # Matroska's tag counts from 0 wherever the stamps start. It stands at the end, so a file cut short lacks it.
    clock = re.fullmatch(r"(\d+):(\d+):([\d.]+)", stream.metadata.get("DURATION", ""))
    if clock is not None:
        return 3600 * int(clock[1]) + 60 * int(clock[2]) + float(clock[3])
    return None if container.duration is None else container.duration / av.time_base
