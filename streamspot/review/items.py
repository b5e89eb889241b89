"""What is reviewed: a video, a recording of region motion, or a folder of them."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import av

from streamspot.datasets.tables import one_form
from streamspot.errors import SourceError
from streamspot.sources import MotionRecording, open_source
from streamspot.sources.base import VIDEOS, kind_of, whole_path
from streamspot.sources.images import ImageFolder, natural
from streamspot.sources.motion import is_recording

_BROWSERS = {
    "video/mp4": ({".mp4", ".m4v", ".mov"}, {"h264", "vp9", "av1"}),
    "video/webm": ({".webm"}, {"vp8", "vp9", "av1"}),
}
"""What every browser of today plays: endings and codecs."""


@dataclass(frozen=True, slots=True)
class ReviewItem:
    """One thing to look at.

    Attributes:
        path: The file, or the folder of pictures.
        options: What follows the path in the source that is opened: empty, or ``?fps=200``, ``?stream=1``.
        video: Its name in ``points.csv``: the path as seen from the folder of the labels.
        title: Its name in ``annotations.csv``: without the ending, unless another item beside it has the same.
        motion: Whether it is a recording of region motion, without a picture.
    """

    path: Path
    options: str
    video: str
    title: str
    motion: bool

    @property
    def source(self) -> str:
        """The source to open."""
        # a bare number would name a camera
        here = f"{os.curdir}{os.sep}" if str(self.path).isdigit() else ""
        return f"{here}{self.path}{self.options}"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of an item before it is analysed.

    Attributes:
        seconds: How long it is, 0 where that is unknown.
        frames: How many frames it has, by its container's account; 0 where that is unknown.
        fps: Nominal frames a second, None where only time counts.
        plays: The content type under which a browser plays it; None where it is shown frame by frame.
    """

    seconds: float
    frames: int
    fps: float | None
    plays: str | None


def find_items(source: str, folder: Path | None) -> tuple[list[ReviewItem], Path]:
    """Return what is to be reviewed, in natural order of the names, and the folder of the label files.

    Args:
        source: A video, a recording, a folder of pictures, or a folder of any of these; with options as for
            ``streamspot run`` if it is one thing.
        folder: Where the label files are; None for where the videos lie.

    Raises:
        SourceError: There is nothing to look at.
    """
    name, _, options = (source, "", "") if kind_of(source) else source.partition("?")
    path, kind = Path(name), kind_of(name)
    if kind not in {"file", "folder"}:
        raise SourceError(
            f"there is no file or folder {name}; review looks at what lies on this computer, so record a camera or "
            "download an address first"
        )
    found = [path]
    if kind == "folder":
        inside = sorted(
            (p for p in path.iterdir() if not p.name.startswith(".")), key=lambda p: natural(p.name)
        )
        if videos := [one for one in inside if _is_item(one)]:
            found = videos
        elif not _holds_pictures(path):
            raise SourceError(f"the folder {path} holds no video, recording or pictures; name another")
    folder = folder or found[0].parent
    stems = Counter(one.stem for one in (found if len(found) > 1 else _of_one_stem(found[0])))
    return [
        ReviewItem(
            one,
            f"?{options}" if options and one == path else "",
            one_form(os.path.relpath(one, folder)),
            one_form(one.stem if stems[one.stem] == 1 else one.name),
            is_recording(one),
        )
        for one in found
    ], folder


def _of_one_stem(path: Path) -> list[Path]:
    """Return an item, and what lies beside it and has the same name but for the ending."""
    beside: list[Path] = []
    with suppress(OSError):  # a folder that cannot be listed
        beside = [one for one in path.parent.iterdir() if one.stem == path.stem and one.name != path.name]
    return [path, *(one for one in beside if _is_item(one))]


def _is_item(path: Path) -> bool:
    if path.is_dir():
        return _holds_pictures(path)
    return path.suffix.lower() in VIDEOS or is_recording(path)


def _holds_pictures(folder: Path) -> bool:
    try:
        return len(ImageFolder(folder)) > 0
    except SourceError:
        return False


def facts_of(item: ReviewItem) -> Facts:
    """Look at an item without analysing it.

    Raises:
        SourceError: It cannot be read.
    """
    source = open_source(item.source)
    source.close()
    if isinstance(source, MotionRecording):
        return Facts(max(0.0, source.duration - source.session.origin), source.last_frame + 1, None, None)
    fps = source.fps or 30.0
    if isinstance(source, ImageFolder):
        return Facts(len(source) / fps, len(source), fps, None)
    with av.open(whole_path(item.path)) as container:
        streams = [one for one in container.streams.video if one.codec_context is not None]
        seconds, frames = source.duration or 0.0, source.length
        if not frames:  # as a browser writes it while it records
            frames = sum(packet.size > 0 for packet in container.demux(streams[0]))
            seconds = frames / fps
        plain = len(streams) == 1 and streams[0].pix_fmt in {"yuv420p", "yuvj420p"}
        codec = streams[0].codec_context.name.removeprefix("lib").partition("-")[0]
        codec = {"vpx": "vp8", "dav1d": "av1"}.get(codec, codec)
    plays = (
        kind
        for kind, (endings, codecs) in _BROWSERS.items()
        if item.path.suffix.lower() in endings and codec in codecs
    )
    return Facts(seconds, frames, source.fps, next(plays, None) if plain and not item.options else None)
