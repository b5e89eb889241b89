"""Recorded video: files, and addresses that end, at their own time stamps."""

from __future__ import annotations

import hashlib
import math
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import av

from streamspot.credentials import without_secrets
from streamspot.errors import SourceError
from streamspot.sources.base import (
    Source,
    file_identity,
    kind_of,
    stream_name,
    whole_path,
    without_login,
)
from streamspot.sources.decoding import Decoder
from streamspot.sources.network import open_address
from streamspot.types import Frame

_DEFAULT_FPS = 30.0
_EVENTS = b'{"specversion"'
"""How a file of events begins."""
_OPTIONS = {
    "protocol_whitelist": "crypto,file",  # a playlist may not reach the network
    "correct_ts_overflow": "0",  # a clock that was set back is no overflow
}
_PAUSE_S = 0.5
"""Between two pictures; a longer one ends what is open."""
_HELD_S = 10.0
"""A picture that its container shows for longer is taken for a gap in the recording."""
_JUMP_S = 60.0
"""Such a gap in a stream that carries the sender's clock is a jump of that clock."""
_TURN_S = 2**33 / 90_000
"""After so long that clock begins anew at 0, every 26 hours."""
_MOST_GAPS = 5
"""Gaps that are named one by one."""


class Timeline:
    """Strictly increasing time stamps from those of a container, which may lie.

    The first picture is at 0. A stamp later than the last one is taken as it is, so a variable frame rate is
    honoured. Otherwise, and the repair never lets the time line fall behind the stamps:

    * a picture without a stamp follows the one before at the nominal rate;
    * a jump back by more than a second, or forward by more than ``longest``: the clock was set anew, and time goes on
      one nominal interval later;
    * a repeated or slightly earlier stamp: an eighth of a nominal interval after the last picture.

    Args:
        fps: Nominal frames a second.
        longest: Gap in seconds that may be one; a longer one is a jump of the clock.
    """

    def __init__(self, fps: float, longest: float = math.inf) -> None:
        self._step, self._longest = 1.0 / fps, longest
        self._offset: float | None = None
        self._last = -self._step
        self.repaired = 0
        self.jumped = 0.0
        """Seconds by which the clock jumped forward before the newest picture."""

    def stamp(self, seconds: float | None) -> float:
        """Return the time in seconds of the next picture, which its container places at ``seconds``."""
        following = max(0.0, self._last + self._step)
        self.jumped = 0.0
        if seconds is None or not math.isfinite(seconds) or abs(seconds) > 1e9:
            self._last = following
            return following
        if self._offset is None:
            self._offset = following - seconds
        pts = seconds + self._offset
        turned = pts + _TURN_S * round((self._last - pts) / _TURN_S)
        if abs(turned - self._last) < self._longest < math.inf:
            pts = turned
        if pts > self._last + self._longest:
            self.jumped = pts - following
            self._offset -= self.jumped
            pts = following
        elif pts < self._last - 1.0:
            self._offset += following - pts
            pts = following
            self.repaired += 1
        elif pts <= self._last:
            pts = self._last + self._step / 8
            self.repaired += 1
        self._last = pts
        return pts


class VideoFile(Source):
    """A recorded video: a local file, or an address that serves one.

    Attributes:
        length: Number of pictures by the file's account, 0 while unknown.

    Args:
        address: Path of the file, or an ``http(s)`` address of one.
        stream: Number of the video stream to read; None for the one that a player takes.
        follow: Whether the address may lead to other hosts.

    Raises:
        SourceError: The file is missing, empty, a folder, or in a format that cannot be decoded.
    """

    def __init__(self, address: str | Path, *, stream: int | None = None, follow: bool = False) -> None:
        self._address = str(address)
        self._number, self._follow = stream, follow
        self._duration: float | None = None
        self._network = "://" in self._address
        which = "" if stream is None else f":{stream}"  # another film
        if self._network:
            name = without_secrets(self._address)
            place = without_login(self._address)  # a new password is no other recording
            identity = f"url:{hashlib.sha256(place.encode()).hexdigest()[:32]}{which}"
            super().__init__(name, stream_name(Path(name).stem, place + which), identity)
            self.length = 0
            return
        path = Path(self._address)
        identity = _checked(path, self._address) + which
        super().__init__(self._address, stream_name(path.stem, f"{path.absolute()}{which}"), identity)
        decoder = self._open(deque())  # what it says is said when it is read
        self.fps, self.length, self._duration = decoder.fps, decoder.length, decoder.duration
        decoder.close()

    @property
    def duration(self) -> float | None:
        """Time of its end as its container says it, whatever the frame rate; else by the number of pictures."""
        return self._duration or super().duration

    def read(self) -> Iterator[Frame]:
        """Yield every picture that can be decoded; a message tells of damage, of gaps and of an end too early.

        A picture that its container shows for longer than its rate asks, because equal ones were left out, is
        repeated under the same number.

        Raises:
            SourceError: Not a single picture can be decoded.
        """
        decoder = self._open(self.messages)
        try:
            self.fps = decoder.fps
            fps = decoder.fps or _DEFAULT_FPS
            timeline = Timeline(fps, _JUMP_S if decoder.clocked else math.inf)
            gaps = _Gaps(self.name, fps, self.messages, whole=decoder.gapless)
            count, end = 0, 0.0
            before: Frame | None = None
            lasts = 0.0
            for picture in decoder.pictures():
                pts = timeline.stamp(picture.stamp)
                if timeline.jumped:
                    self.messages.append(
                        f"{self.name}: the clock jumps by {timeline.jumped:.0f} s at {pts:.1f} s"
                    )
                if before is not None:
                    for held in gaps.between(before.pts, pts, lasts):
                        yield replace(before, pts=held, captured_ns=time.monotonic_ns())
                before, lasts = Frame(count, pts, time.monotonic_ns(), picture.image), picture.lasts
                yield before
                if self.closed.is_set():
                    return
                count += 1
                end = max(end, (picture.stamp or 0.0) + picture.lasts - decoder.begun)
        finally:
            decoder.close()
        if not count:
            remedy = "download it first" if self._network else "convert it with ffmpeg and try again"
            if Path(self.name).suffix.lower() == ".webp":  # FFmpeg decodes none that moves
                remedy = "convert it with ImageMagick: magick IN.webp OUT.gif"
            raise SourceError(f"{self.name} holds no picture that can be decoded; {remedy}")
        if troubles := ", ".join(self._troubles(decoder, end, timeline.repaired, gaps.unnamed)):
            self.messages.append(f"{self.name}: {troubles}")

    def _troubles(self, decoder: Decoder, end: float, repaired: int, gaps: int) -> Iterator[str]:
        """Yield what was wrong with it.

        Args:
            decoder: Which has read it to its end.
            end: Seconds from its begin to the end of the last picture.
            repaired: Stamps that did not increase.
            gaps: Those that were not named.
        """
        whole, fps = decoder.duration, decoder.fps or _DEFAULT_FPS
        if decoder.damaged:
            yield f"{_count(decoder.damaged, 'picture')} damaged and left out"
        if decoder.broken:
            yield f"breaks off after {end:.1f} s ({decoder.broken})"
        elif whole is not None and max(end, decoder.others - decoder.begun) < whole - max(
            5 / fps, 0.02 * whole
        ):
            yield f"ends after {end:.1f} of {whole:.1f} s: damaged or cut short"
        if repaired:
            yield f"{_count(repaired, 'time stamp')} did not increase and repaired"
        if gaps:
            yield f"{_count(gaps, 'more gap')}"

    def _open(self, messages: deque[str]) -> Decoder:
        if self._network:
            container = open_address(self._address, follow=self._follow)
        else:
            try:
                container = av.open(whole_path(self._address), options=_OPTIONS)
            except (av.FFmpegError, OSError, ValueError):
                with suppress(OSError), Path(self._address).open("rb") as file:
                    if file.read(len(_EVENTS)) == _EVENTS:
                        raise SourceError(
                            f"{self.name} holds events, not a video; streamspot report and convert take it"
                        ) from None
                raise SourceError(
                    f"{self.name} is not a video that can be decoded (damaged, cut short or an unknown codec); "
                    "convert it with: ffmpeg -i IN -c:v libx264 OUT.mp4"
                ) from None
        return Decoder(container, self.name, messages, self._number)


def _checked(path: Path, name: str) -> str:
    """Return the identity of a file that can be read.

    Raises:
        SourceError: It cannot.
    """
    kind = kind_of(path)
    if kind is None:
        pattern = any(one in name for one in "*?[")
        hint = (
            "for a pattern of many files add --out FOLDER"
            if pattern
            else "see streamspot run --help for sources"
        )
        raise SourceError(f"there is no file {name}; check the path, or {hint}")
    if kind != "file":
        raise SourceError(f"{name} is not a regular file; give a video file or a folder of pictures")
    try:
        return file_identity(path)
    except OSError as error:
        raise SourceError(f"{name} cannot be read ({error.strerror}); check its permissions") from None


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


class _Gaps:
    """Fills the time for which a picture is held, and names the gaps of a recording.

    Args:
        name: Of the recording.
        fps: Its nominal rate.
        whole: Whether its container knows no gaps.
        messages: Told of the gaps.
    """

    def __init__(self, name: str, fps: float, messages: deque[str], *, whole: bool) -> None:
        self._name, self._step, self._messages, self._whole = name, 1.0 / fps, messages, whole
        self._named = 0
        self.unnamed = 0

    def between(self, last: float, now: float, lasts: float) -> Iterator[float]:
        """Yield the times at which the picture of time ``last`` is to be repeated before the next comes.

        Args:
            last: Time of a picture, s.
            now: Time of the next.
            lasts: How long the container shows the first of them, s.
        """
        gap = now - last
        if gap <= max(_PAUSE_S, 2.5 * self._step):
            return
        if (self._whole or lasts > gap - 1.5 * self._step) and gap <= _HELD_S:
            for number in range(1, round(gap / self._step)):
                yield last + number * self._step
        elif self._named < _MOST_GAPS:
            self._named += 1
            self._messages.append(f"{self._name}: gap of {round(gap, 1):g} s at {last:.1f} s")
        else:
            self.unnamed += 1
