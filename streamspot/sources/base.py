"""What every source has in common: the interface, names without secrets, time stamps, pixel formats."""

from __future__ import annotations

import hashlib
import math
import os
import re
import stat
import threading
import unicodedata
import uuid
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

import cv2
import numpy as np
from numpy.typing import NDArray

from streamspot.errors import SourceError
from streamspot.types import Item

MOST_PIXELS, MOST_SIDE = 1 << 26, 1 << 14
"""Larger pictures are refused, before they are decoded where that can be: a small file may hold one that fills the
memory, and MediaPipe ends the process at a side of 32,767."""

VIDEOS = frozenset({
    ".3gp", ".asf", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf",
    ".ogv", ".ts", ".vob", ".webm", ".wmv",
})  # fmt: skip
"""Endings of what is taken for a video where a folder is searched."""

LONGEST_NAME = 40
"""Characters of a name that may stand in a topic."""

_MIB = 1 << 20
_ALIKE = 0.02
"""Share by which the proportions of two pictures may differ and be the same."""
_MOST_TOLD = 5
"""Changes of size that are told."""


class Source(ABC):
    """Where frames, or the recorded motion of faces, come from.

    Attributes:
        live: True for what goes on whether it is read or not: cameras, network streams.
        once: Whether it cannot be read again, so that no other run gives what this one does.
        length: Number of pictures, 0 while unknown.
        messages: Warnings in plain words, oldest first; read and emptied by whoever shows them.

    Args:
        name: For people: the path, device or address, without user and password.
        stream: Short name fit for a topic, ``[a-z0-9_-]+``.
        identity: Names the *content*: equal for two readings of the same recording; new for each run if left out.
        fps: Nominal frames a second, None while unknown.
    """

    live = False
    length = 0

    def __init__(self, name: str, stream: str, identity: str = "", fps: float | None = None) -> None:
        self.name, self.stream, self.fps = name, stream, fps
        self.once = not identity
        self.identity = identity or f"{stream}:{uuid.uuid4().hex}"
        self.messages: deque[str] = deque(maxlen=20)  # it cannot grow without bound
        self.closed = threading.Event()

    @property
    def duration(self) -> float | None:
        """Time of its end on its own time line, s; None while unknown."""
        return self.length / self.fps if self.length and self.fps else None

    @abstractmethod
    def read(self) -> Iterator[Item]:
        """Yield every item in order, blocking for the next; raises SourceError."""

    def close(self) -> None:
        """End ``read`` after the present item; may be called from any thread, more than once, and never blocks."""
        self.closed.set()


def slug(text: str, default: str = "source") -> str:
    """Return ``text`` as a name that may stand in a topic: ``[a-z0-9_-]+``, at most 40 characters."""
    plain = unicodedata.normalize("NFKD", unquote(text).lower()).encode("ascii", "ignore").decode()
    name = re.sub(r"[^a-z0-9_]+", "-", plain).strip("-_")
    return name[:LONGEST_NAME].rstrip("-_") or default


def stream_name(title: str, place: str, default: str = "source") -> str:
    """Return a name for a topic that no other source has by accident: its title and a hash of its place."""
    digest = hashlib.sha256(place.encode(errors="surrogateescape")).hexdigest()
    return f"{slug(title, default)[:33].rstrip('-_')}-{digest[:6]}"


def without_login(address: str) -> str:
    """Return an address without user and password."""
    parts = urlsplit(address)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def kind_of(path: str | Path) -> Literal["file", "folder", "other"] | None:
    """Return what stands at ``path``, None when nothing does or it may not be seen; raises nothing."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - Path makes another path of some strange names
    except (OSError, ValueError):
        return None
    return "file" if stat.S_ISREG(mode) else "folder" if stat.S_ISDIR(mode) else "other"


def whole_path(path: str | Path) -> str:
    """Return the path by which FFmpeg takes a file for one: a relative one with a colon might name a protocol."""
    return str(Path(path).absolute())


def file_identity(path: Path) -> str:
    """Return an identity of a file's content: name, size and a hash of its first and last MiB."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        digest.update(file.read(_MIB))
        file.seek(max(0, size - _MIB))
        digest.update(file.read(_MIB))
    return f"file:{path.name}:{size}:{digest.hexdigest()[:32]}"


def is_too_large(width: int, height: int) -> bool:
    """Return whether a picture of that size is refused."""
    return width * height > MOST_PIXELS or max(width, height) > MOST_SIDE


TOO_LARGE = f"64 million in all and {MOST_SIDE:,} a side are the most"
"""What to say then."""


def is_picture(image: Any) -> bool:
    """Return whether an array is a picture that ``as_bgr`` takes."""
    return (
        isinstance(image, np.ndarray)
        and image.ndim in {2, 3}
        and image.size > 0
        and image.dtype in {np.dtype(np.uint8), np.dtype(np.uint16)}
        and (image.ndim == 2 or image.shape[2] in {1, 3, 4})
        and not is_too_large(image.shape[1], image.shape[0])
    )


class ShownSize:
    """The size in which pictures are shown: that of the first, as long as they are as wide for their height.

    Args:
        name: Of their source.
        messages: Told of other proportions, which lose every face.
    """

    def __init__(self, name: str, messages: deque[str]) -> None:
        self._name, self._messages = name, messages
        self._size: tuple[int, int] | None = None
        self._told = 0

    def of(self, width: int, height: int) -> tuple[int, int]:
        """Return width and height in which the next picture is shown, which has this size."""
        before = self._size
        if before is not None and abs(before[0] * height / (before[1] * width) - 1) <= _ALIKE:
            return before
        if before is not None and self._told < _MOST_TOLD:
            self._told += 1
            self._messages.append(f"{self._name}: the picture is now {width}x{height}")
        self._size = width, height
        return self._size

    def fit(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the next picture, ``(H, W, 3)``, in the size in which it is shown."""
        size = self.of(image.shape[1], image.shape[0])
        return image if size == image.shape[1::-1] else np.asarray(cv2.resize(image, size), np.uint8)


def as_bgr(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Return ``image`` as ``(H, W, 3)`` uint8 BGR, whatever a decoder made of it.

    Shape:
        image: ``(H, W)``, ``(H, W, 1)``, ``(H, W, 3)`` or ``(H, W, 4)``; uint8 or uint16.
    """
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    if image.ndim == 2 or image.shape[2] == 1:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    elif image.shape[2] == 4:
        image = cv2.cvtColor(image, cv2.COLOR_BGRA2BGR)
    return np.ascontiguousarray(image, dtype=np.uint8)


def read_options(text: str, allowed: dict[str, type], what: str) -> dict[str, Any]:
    """Return the ``key=value`` pairs of ``text``, separated by commas or ampersands.

    Raises:
        SourceError: A key is unknown, or a value is not of the type that ``allowed`` gives for it.
    """
    options: dict[str, Any] = {}
    for pair in filter(None, re.split(r"[,&]", text)):
        key, _, value = pair.partition("=")
        if key not in allowed:
            known = ", ".join(allowed)
            raise SourceError(f"{what} has no option {key!r}; choose from {known}")
        try:
            options[key] = _value(key, value, allowed[key])
        except ValueError:
            example = {int: "3", float: "30", tuple: "640x480"}[allowed[key]]
            raise SourceError(
                f"{what}: {key}={value!r} cannot be read; write for example {key}={example}"
            ) from None
    return options


def _value(key: str, text: str, kind: type) -> float | tuple[int, int]:
    if kind is tuple:
        width, height = (int(part) for part in text.split("x"))
        if min(width, height) < 1:
            raise ValueError(text)
        return width, height
    number = kind(text)
    if not math.isfinite(number) or number < 0 or (key == "fps" and not 0.01 <= number <= 10_000):
        raise ValueError(text)
    return int(number) if kind is int else float(number)
