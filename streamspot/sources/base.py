"""What every source has in common: the protocol, names without secrets, time stamps, pixel formats."""

from __future__ import annotations

import hashlib
import math
import os
import re
import stat
import uuid
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable
from urllib.parse import unquote

import cv2
import numpy as np
from numpy.typing import NDArray

from streamspot.errors import SourceError
from streamspot.types import Item

_MIB = 1 << 20


@runtime_checkable
class Source(Protocol):
    """Where frames, or the recorded motion of faces, come from.

    Attributes:
        name: For people: the path, device or address, without user and password.
        stream: Short name fit for a topic, ``[a-z0-9_-]+``.
        live: True for what cannot be read again: cameras, network streams.
        fps: Nominal frames a second, None while unknown.
        identity: Names the *content*: equal for two readings of the same recording, new for each live run.
        messages: Warnings in plain words, oldest first; read and emptied by whoever shows them.
    """

    name: str
    stream: str
    live: bool
    fps: float | None
    identity: str
    messages: deque[str]

    def read(self) -> Iterator[Item]:
        """Yield every item in order, blocking for the next; raises SourceError."""
        ...

    def close(self) -> None:
        """End ``read`` soon; may be called from any thread, more than once, and never blocks."""
        ...


def new_messages() -> deque[str]:
    """Return an empty store of warnings that cannot grow without bound."""
    return deque(maxlen=20)


def slug(text: str, default: str = "source") -> str:
    """Return ``text`` as a name that may stand in a topic: ``[a-z0-9_-]+``, at most 40 characters."""
    name = re.sub(r"[^a-z0-9_]+", "-", unquote(text).lower()).strip("-_")
    return name[:40].rstrip("-_") or default


def redact(address: str) -> str:
    """Return ``address`` without user, password, query and fragment: all places where secrets stand.

    A password may hold any character, unescaped too, so everything before the last ``@`` goes.
    """
    scheme, separator, rest = address.partition("://")
    return scheme + separator + re.split(r"[?#]", rest.rpartition("@")[2])[0]


def fresh_identity(kind: str) -> str:
    """Return an identity that no other run has."""
    return f"{kind}:{uuid.uuid4().hex}"


def kind_of(path: str | Path) -> Literal["file", "folder", "other"] | None:
    """Return what stands at ``path``, None when nothing does or it may not be seen; raises nothing."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - Path makes another path of some strange names
    except (OSError, ValueError):
        return None
    return "file" if stat.S_ISREG(mode) else "folder" if stat.S_ISDIR(mode) else "other"


def file_identity(path: Path) -> str:
    """Return an identity of a file's content: name, size and a hash of its first and last MiB."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        digest.update(file.read(_MIB))
        file.seek(max(0, size - _MIB))
        digest.update(file.read(_MIB))
    return f"file:{path.name}:{size}:{digest.hexdigest()[:32]}"


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


class Timeline:
    """Strictly increasing time stamps from those of a container, which may lie.

    The first picture is at 0. A stamp later than the last one is taken as it is, so a variable frame rate is
    honoured. Otherwise, and the repair never lets the time line fall behind the stamps:

    * no stamp has ever advanced: the container has none, and pictures follow each other at the nominal rate;
    * it jumps back by more than a second: the clock was restarted, and goes on one nominal interval later;
    * a repeated or slightly earlier stamp: an eighth of a nominal interval after the last picture.

    Args:
        fps: Nominal frames a second.
    """

    def __init__(self, fps: float) -> None:
        self._step = 1.0 / fps
        self._offset: float | None = None
        self._last = 0.0
        self._advanced = False
        self.repaired = 0

    def stamp(self, seconds: float) -> float:
        """Return the time in seconds of the next picture, which its container places at ``seconds``."""
        sane = math.isfinite(seconds) and abs(seconds) < 1e9
        if self._offset is None:
            self._offset = -seconds if sane else 0.0
            return 0.0
        pts = seconds + self._offset if sane else self._last
        if pts > self._last:
            self._advanced = True
        elif not self._advanced:
            pts = self._last + self._step
        elif pts < self._last - 1.0:
            self._offset += self._last + self._step - pts
            pts = self._last + self._step
            self.repaired += 1
        else:
            pts = self._last + self._step / 8
            self.repaired += 1
        self._last = pts
        return pts


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
