"""Addresses: opened as a player opens them, but never led to another host or protocol."""

from __future__ import annotations

import errno
import time
import urllib.request
from collections import deque
from collections.abc import Mapping
from http.client import HTTPException, HTTPMessage
from typing import IO, Any
from urllib.parse import unquote, urlsplit

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from streamspot.credentials import without_secrets
from streamspot.errors import SourceError
from streamspot.sources.base import without_login
from streamspot.sources.decoding import SEGMENTED, Decoder, is_finite
from streamspot.sources.live import Over

PATIENCE_S = 10.0
"""How long an address may take to answer, and then between two pictures."""

STALL_S = 8.0
"""Seconds without a picture after which an address is opened anew."""

_SILENT_S = 20.0
"""Seconds for which an address may send no picture though it sends something, before the connection ends."""

_WEB = {"protocol_whitelist": "crypto,http,https,tcp,tls"}
_PLAYLISTS = frozenset({"concat", "dash", "hls", "imf", "sdp", "webm_dash_manifest"})
"""Formats that name other addresses."""
_RTSP = {"rtsp_transport": "tcp"}  # over UDP pictures tear
_LIVE = {"analyzeduration": "500000", "fpsprobesize": "0"}
_AHEAD_S = 10.0
_First = tuple[float, NDArray[np.uint8]]
_NO_TIMESTAMPS = 0x80
"""``AVFMT_NOTIMESTAMPS`` of FFmpeg."""


def open_address(address: str, *, follow: bool = False) -> InputContainer:
    """Return what an address serves, opened.

    Args:
        address: Any that FFmpeg knows.
        follow: Whether an http address may lead to other hosts.

    Raises:
        SourceError: It does not answer, or with nothing that can be read, or it leads elsewhere.
    """
    try:
        if not address.startswith(("http://", "https://")):
            return _open(address, _LIVE | _RTSP if address.startswith("rtsp") else _LIVE)
        if follow:
            return _open(address, _LIVE | _WEB)
        return _open_here(address)
    except (av.FFmpegError, OSError, HTTPException, ValueError) as error:
        waited = f"nothing came in {PATIENCE_S:.0f} s" if isinstance(error, av.error.ExitError) else None
        reason = waited or getattr(error, "strerror", None)
        reason = f" ({reason})" if reason else ""
        raise SourceError(
            f"{without_secrets(address)} does not answer with a video{reason}; check the address, the network and "
            "the login"
        ) from None


def _open(address: str, options: dict[str, str], guard: _Guard | None = None) -> InputContainer:
    return av.open(address, options=options, timeout=PATIENCE_S, io_open=guard)


def _open_here(address: str) -> InputContainer:
    """Open an http address without leaving its host.

    FFmpeg reads what is no playlist by itself and follows nowhere. What a playlist names, and where a server
    redirects to, is fetched here if it lies on the same host.
    """
    formats = ",".join(sorted(av.formats_available - _PLAYLISTS))
    options = _LIVE | _WEB | {"format_whitelist": formats, "max_redirects": "0"}
    guard = _Guard(address)
    try:
        return _open(address, options)
    except av.ArgumentError:  # a format that is not on the list
        return _open(address, _LIVE | {"http_persistent": "0", "http_multiple": "0"}, guard)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        there = guard.destination(address)
        if there == address:
            raise
        return _open_here(there)


class _Guard(urllib.request.HTTPRedirectHandler):
    """Fetches what an address leads to, on its own host only.

    Args:
        address: Where it begins, with user and password if they are needed.
    """

    def __init__(self, address: str) -> None:
        self._name = without_secrets(address)
        self._parts = urlsplit(address)
        passwords = urllib.request.HTTPPasswordMgrWithPriorAuth()
        if self._parts.username is not None:
            user, password = unquote(self._parts.username), unquote(self._parts.password or "")
            passwords.add_password(None, without_login(address), user, password, is_authenticated=True)
        self._opener = urllib.request.build_opener(
            self,
            urllib.request.HTTPBasicAuthHandler(passwords),
            urllib.request.HTTPDigestAuthHandler(passwords),
        )

    def __call__(self, address: str, _flags: int, options: Mapping[str, str]) -> Any:
        """Return the opened resource; PyAV asks for it."""
        self._check(address)
        headers = {}
        if (first := int(options.get("offset", 0))) or "end_offset" in options:
            last = int(options["end_offset"]) - 1 if "end_offset" in options else ""
            headers["Range"] = f"bytes={first}-{last}"
        request = urllib.request.Request(without_login(address), headers=headers)  # noqa: S310 - checked above
        return self._opener.open(request, timeout=PATIENCE_S)

    def destination(self, address: str) -> str:
        """Return where an address redirects to."""
        with self._opener.open(without_login(address), timeout=PATIENCE_S) as answer:
            there = urlsplit(answer.url)
        login, at, _ = self._parts.netloc.rpartition("@")
        return str(there._replace(netloc=login + at + there.netloc).geturl())

    def redirect_request(  # noqa: PLR0917 - the library's signature
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Follow a redirection on the same host."""
        self._check(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)

    def _check(self, address: str) -> None:
        parts = urlsplit(address)
        if parts.scheme not in {"http", "https"} or _place(parts) != _place(self._parts):
            raise SourceError(
                f"{self._name} leads to {without_secrets(address)}, which is another host; say ?follow=1 to allow "
                "that"
            )


def _place(parts: Any) -> tuple[str | None, int | None]:
    """Return host and port, the usual one as None."""
    return parts.hostname, None if parts.port in {80, 443} else parts.port


class NetworkStream:
    """Live pictures from an address; those that come seconds at once are handed out at their own pace.

    Attributes:
        finite: Whether it has an end.
        first: Stamp and picture with which it began, None until it has come to an end of itself.
        fps: Frames a second that the stream declares, None while unknown.
        greeting: What the user should know of it.

    Args:
        container: The opened address; owned.
        name: For messages.
        stream: Number of the video stream to take; None for the one that a player takes.
        before: What the address served when it was opened last.

    Raises:
        Over: It was a broadcast of segments, which has ended since.
        SourceError: It holds no video, or what stands in for a live stream.
    """

    def __init__(
        self,
        container: InputContainer,
        name: str,
        stream: int | None = None,
        before: NetworkStream | None = None,
    ) -> None:
        self.finite = is_finite(container)
        self._segmented = container.format.name in SEGMENTED
        if self.finite and before is not None and not before.finite:
            container.close()
            if self._segmented:  # the end of its playlist has been read
                raise Over(f"{name}: the broadcast has ended")
            raise SourceError(f"{name} shows a picture or a recording in place of the live stream; check it")
        messages: deque[str] = deque(maxlen=1)
        self._decoder = Decoder(container, name, messages, stream, _SILENT_S)
        self._name = name
        self._begun: _First | None = None
        self.first: _First | None = None
        self._before = None if before is None or self._segmented else before.first
        self.greeting = "".join(messages)
        self.fps = self._decoder.fps
        self._unstamped = _is_unstamped(container)
        self._pictures = self._decoder.pictures()
        self._base: float | None = None

    def read(self) -> tuple[float, NDArray[np.uint8]] | None:
        """Return the next picture and its stamp in seconds, NaN if it has none; None when the stream has broken off.

        Raises:
            Over: It had an end, and this is it; or it begins as what was served before, which had an end.
        """
        picture = next(self._pictures, None)
        if picture is None:
            if self._decoder.broken:
                return None
            self.first = self._begun
            if self.finite:
                raise Over
            return None
        stamp = np.nan if picture.stamp is None or self._unstamped else picture.stamp
        if self._begun is None:
            self._begun = stamp, picture.image
            before, self._before = self._before, None
            if before is not None and before[0] == stamp and np.array_equal(before[1], picture.image):
                raise Over(f"{self._name}: the recording has ended; download it to have it at its own times")
        if self._segmented and picture.stamp is not None:
            now = time.monotonic()
            ahead = 0.0 if self._base is None else self._base + stamp - now
            if self._base is None or not 0 <= ahead <= _AHEAD_S:
                self._base = now - stamp
            else:
                time.sleep(ahead)
        return stamp, picture.image

    def release(self) -> None:
        """Close the connection."""
        self._decoder.close()


def _is_unstamped(container: InputContainer) -> bool:
    """Return whether a format says nothing of time, as MJPEG and bare H.264: FFmpeg then counts at a fixed rate."""
    return bool(container.format.flags & _NO_TIMESTAMPS) or container.format.name.endswith("pipe")
