"""From what the user wrote to a source: the kind is inferred."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from streamspot.credentials import with_password
from streamspot.errors import SourceError
from streamspot.sources.base import Source, kind_of, read_options, redact, slug
from streamspot.sources.cameras import camera_source
from streamspot.sources.images import ImageFolder
from streamspot.sources.live import Capture, LiveSource, Origin
from streamspot.sources.motion import MotionRecording, is_recording
from streamspot.sources.stdin import StandardInput
from streamspot.sources.synthetic import Synthetic
from streamspot.sources.video import VideoFile, open_capture

_SCHEMES = ("file", "http", "https", "rtmp", "rtsp", "rtsps", "tcp", "udp")
_RECORDED = frozenset({".avi", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv"})
_NETWORK_STALL_S = 10.0
_NOTHING = "no source was given; say 0 for the first camera, a file, an address or synthetic"


def open_source(spec: str) -> Source:
    """Return the source that ``spec`` names.

    * ``0``, ``/dev/video2``, ``/dev/v4l/...``: a camera; ``0?size=1280x720&fps=60`` asks for a mode.
    * ``clip.mp4``, ``anim.gif``: a recorded video, at its own time stamps.
    * ``frames/``: a folder of pictures in natural order; ``frames?fps=200``, else 30 fps.
    * ``rtsp://...``, ``http://...``: a network stream; an http address that ends like a video file is one. The
      password of a user that the address names comes from STREAMSPOT_SOURCE_PASSWORD, see ``password_of``.
    * ``session.motion``: a recording of region motion, made with ``--record``.
    * ``-``: JPEG or PNG pictures on standard input; ``-?fps=25``, else 30 fps.
    * ``-?size=640x480&fps=25``: raw BGR pictures on standard input.
    * ``synthetic``: a clip made here; ``synthetic:seed=3,expressions=4,micro=1,fps=60,seconds=30,noise=2``.

    Raises:
        SourceError: The file is missing or cannot be decoded, the folder holds no pictures, the scheme or an
            option is unknown. What only opening a camera or an address can tell is raised by ``read``.
    """
    if not spec:
        raise SourceError(_NOTHING)
    if spec == "synthetic" or spec.startswith("synthetic:"):
        return Synthetic.parse(spec)
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+)://", spec)
    if scheme:
        return _address(scheme[1].lower(), spec)
    base, options = (spec, "") if kind_of(spec) else spec.partition("?")[::2]
    if base == "-":
        return StandardInput(**read_options(options, {"size": tuple, "fps": float}, "standard input"))
    if re.fullmatch(r"[0-9]{1,3}", base) or base.startswith("/dev/"):
        return camera_source(base, **read_options(options, {"size": tuple, "fps": float}, f"camera {base}"))
    return _local(base, options)


def _local(name: str, options: str) -> Source:
    if not name:
        raise SourceError(_NOTHING)
    with suppress(RuntimeError, ValueError):  # the home of a user who does not, or cannot, exist
        name = str(Path(name).expanduser())
    kind = kind_of(name)
    if kind == "folder":
        return ImageFolder(Path(name), **read_options(options, {"fps": float}, f"the folder {name}"))
    if options and kind:
        raise SourceError(f"{name} is a file and takes no options; leave out ?{options}")
    if is_recording(Path(name)):
        return MotionRecording(Path(name))
    return VideoFile(name)


def _address(scheme: str, address: str) -> Source:
    if scheme not in _SCHEMES:
        raise SourceError(
            f"addresses that begin with {scheme}:// are unknown; use one of {', '.join(_SCHEMES)}"
        )
    if scheme == "file":
        return _local(unquote(address[len("file://") :].removeprefix("localhost")), "")
    try:
        parts = urlsplit(address)
        host, _port = parts.hostname, parts.port
    except ValueError:
        raise SourceError(
            f"the address {redact(address)} is malformed; check host and port, and escape special characters"
        ) from None
    if not host:
        raise SourceError(f"the address {redact(address)} names no host; write {scheme}://host/path")
    address = with_password(address)
    if Path(parts.path).suffix.lower() in _RECORDED and scheme in {"http", "https"}:
        return VideoFile(address)
    tail = Path(unquote(parts.path)).stem
    origin = Origin(
        name=redact(address),
        stream=slug(f"{host}-{tail}" if tail else host),
        open=_opener(address),
        stall=_NETWORK_STALL_S,
        # Over http the decoder invents a rate where the server declares none, which is nearly always.
        slow="" if scheme.startswith("http") else "check the network and the camera's settings",
    )
    return LiveSource(origin)


def _opener(address: str) -> Callable[[], tuple[Capture, str]]:
    def opening() -> tuple[Capture, str]:
        # OpenCV reads this at each opening and has no parameter for it; over UDP pictures tear.
        os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;tcp")
        capture = open_capture(address, network=True)
        if not capture.isOpened():
            capture.release()
            raise SourceError(
                f"{redact(address)} does not answer with a video; check the address, network and login"
            )
        return capture, ""

    return opening
