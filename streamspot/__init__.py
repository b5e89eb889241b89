"""streamspot: facial-expression spotting as a live stream.

Example:
    >>> import streamspot
    >>> async for event in streamspot.stream("clip.mp4"):  # doctest: +SKIP
    ...     print(event.phase, event.kind, event.onset.pts)
"""

from typing import TYPE_CHECKING, Any

from streamspot.errors import StreamspotError
from streamspot.types import Event, Score

if TYPE_CHECKING:
    from streamspot.runtime import stream, watch
    from streamspot.subscription import subscribe

__version__ = "0.1.0"

__all__ = ["Event", "Score", "StreamspotError", "stream", "subscribe", "watch"]


def __getattr__(name: str) -> Any:
    """Import what needs torch or a broker only when it is asked for: a subscriber needs no network."""
    if name in ("stream", "watch"):
        from streamspot import runtime  # noqa: PLC0415

        return getattr(runtime, name)
    if name == "subscribe":
        from streamspot.subscription import subscribe  # noqa: PLC0415

        return subscribe
    raise AttributeError(f"module 'streamspot' has no attribute {name!r}")
