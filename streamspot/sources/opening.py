"""From what the user wrote to a source: the kind is inferred."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from streamspot.credentials import with_password, without_secrets
from streamspot.errors import SourceError
from streamspot.sources.base import Source, kind_of, read_options, stream_name, without_login
from streamspot.sources.cameras import camera_source
from streamspot.sources.decoding import is_finite
from streamspot.sources.images import ImageFolder
from streamspot.sources.live import LiveSource
from streamspot.sources.motion import MotionRecording, is_recording
from streamspot.sources.network import STALL_S, NetworkStream, open_address
from streamspot.sources.stdin import StandardInput
from streamspot.sources.synthetic import Synthetic
from streamspot.sources.video import VideoFile

T = TypeVar("T")

_SCHEMES = ("file", "http", "https", "rtmp", "rtsp", "rtsps", "tcp", "udp")
_NOTHING = "no source was given; say 0 for the first camera, a file, an address or synthetic"


def open_source(spec: str) -> Source:
    """Return the source that ``spec`` names.

    * ``0``, ``/dev/video2``, ``/dev/v4l/...``: a camera; ``0?size=1280x720&fps=60`` asks for a mode.
    * ``clip.mp4``, ``anim.gif``: a recorded video, at its own time stamps; ``clip.mkv?stream=1`` takes another of its
      video streams than a player does, counted from 0.
    * ``frames/``: a folder of pictures in natural order; ``frames?fps=200``, else 30 fps.
    * ``rtsp://...``, ``udp://:5000``, ``http://...``: a network stream. An http address is asked at once what it
      serves, and read to its end if that is a recording; ``?follow=1`` lets it lead to other hosts. The password
      of a user that the address names comes from STREAMSPOT_SOURCE_PASSWORD, see ``password_of``.
    * ``session.motion``: a recording of region motion, made with ``--record``.
    * ``-``: JPEG or PNG pictures on standard input; ``-?fps=25``, else 30 fps.
    * ``-?size=640x480&fps=25``: raw BGR pictures on standard input.
    * ``synthetic``: a clip made here; ``synthetic:seed=3,expressions=4,micro=1,fps=60,seconds=30,noise=2``.

    Raises:
        SourceError: The file is missing or cannot be decoded, the folder holds no pictures, the scheme or an
            option is unknown, an http address does not answer. What only opening a camera or another address can
            tell is raised by ``read``.
    """
    if not spec:
        raise SourceError(_NOTHING)
    if spec == "synthetic" or spec.startswith("synthetic:"):
        return Synthetic.parse(spec)
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+)://", spec)
    if scheme:
        return _address(scheme[1].lower(), spec[: scheme.end(1)].lower() + spec[scheme.end(1) :])
    base, options = (spec, "") if kind_of(spec) else spec.partition("?")[::2]
    if base == "-":
        return StandardInput(**read_options(options, {"size": tuple, "fps": float}, "standard input"))
    if re.fullmatch(r"[0-9]{1,3}", base) or (base.startswith("/dev/") and kind_of(base) in {None, "other"}):
        if re.fullmatch(r"/dev/(stdin|fd/\d+)", base):
            raise SourceError(
                f"{base} is no file here; pipe JPEG or PNG pictures into the program and give - as the source"
            )
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
    if is_recording(Path(name)) or (kind == "file" and Path(name).suffix == ".motion"):
        if options:
            raise SourceError(f"{name} is a recording of motion and takes no options; leave out ?{options}")
        return MotionRecording(Path(name))
    return VideoFile(name, **read_options(options if kind else "", {"stream": int}, f"the file {name}"))


def _address(scheme: str, address: str) -> Source:
    if scheme not in _SCHEMES:
        raise SourceError(
            f"addresses that begin with {scheme}:// are unknown; use one of {', '.join(_SCHEMES)}"
        )
    if scheme == "file":
        return _local(unquote(address[len("file://") :].removeprefix("localhost")), "")
    try:
        host, _port = (parts := urlsplit(address)).hostname, parts.port
    except ValueError:
        raise SourceError(
            f"the address {without_secrets(address)} is malformed; check host and port, and escape special characters"
        ) from None
    if not host and scheme != "udp":
        raise SourceError(f"the address {without_secrets(address)} names no host; write {scheme}://host/path")
    address = with_password(address)
    if scheme in {"http", "https"}:
        return _web(address)
    return _live(address, slow="check the network and the camera's settings")


def _web(address: str) -> Source:
    """Ask an http address what it serves: a recording, or a live stream."""
    parts = urlsplit(address)
    pairs = parts.query.split("&")
    follow = "follow=1" in pairs
    address = parts._replace(query="&".join(pair for pair in pairs if pair != "follow=1")).geturl()
    wanted = next((int(pair[7:]) for pair in pairs if re.fullmatch(r"stream=\d{1,3}", pair)), None)

    def ask() -> tuple[bool, int]:
        with open_address(address, follow=follow) as container:
            return is_finite(container), len(container.streams.video)

    finite, streams = _interruptibly(ask)
    if wanted is not None and wanted >= streams:
        wanted = None  # the server's own option
    if finite:
        return VideoFile(address, stream=wanted, follow=follow)
    # The decoder invents a rate where the server declares none, which is nearly always.
    return _live(address, follow=follow, wanted=wanted)


def _live(address: str, *, slow: str = "", follow: bool = False, wanted: int | None = None) -> LiveSource:
    name, parts = without_secrets(address), urlsplit(address)
    path = name.partition("://")[2].partition("/")[2]
    title = f"{parts.hostname or parts.port} {Path(unquote(path)).stem}"

    before: NetworkStream | None = None

    def opening() -> NetworkStream:
        nonlocal before
        before = NetworkStream(open_address(address, follow=follow), name, wanted, before)
        return before

    stream = stream_name(title, without_login(address))  # a new password is no other stream
    return LiveSource(name, stream, opening, stall=STALL_S, slow=slow)


def _interruptibly(job: Callable[[], T]) -> T:
    """Do something in a thread that is left behind when Ctrl-C comes first."""
    outcome: Future[T] = Future()

    def work() -> None:
        try:
            outcome.set_result(job())
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            outcome.set_exception(error)

    threading.Thread(target=work, name="asking", daemon=True).start()
    return outcome.result()
