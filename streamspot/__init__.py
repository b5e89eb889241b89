"""streamspot: facial-expression spotting as a live stream.

Example:
    >>> import streamspot
    >>> with streamspot.open("clip.mp4") as stream:  # doctest: +SKIP
    ...     for update in stream:
    ...         for event in update.events:
    ...             print(event.phase, event.kind, event.onset.pts)
"""

import os

# A small file may hold a picture that fills the memory. OpenCV reads its limit when it is first imported.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(1 << 26))

TYPE_CHECKING = False
if TYPE_CHECKING:
    from streamspot.api import FrameSpotter, Stream, open  # noqa: A004
    from streamspot.errors import StreamspotError
    from streamspot.mqtt.subscriber import Received, Subscription, subscribe
    from streamspot.threads import one_thread
    from streamspot.types import Event, FaceState, Moment, Score, Update

__version__ = "0.1.0"

__all__ = [
    "Event",
    "FaceState",
    "FrameSpotter",
    "Moment",
    "Received",
    "Score",
    "Stream",
    "StreamspotError",
    "Subscription",
    "Update",
    "one_thread",
    "open",
    "subscribe",
]


def _homes() -> dict[str, str]:
    """Return where each public name is defined."""
    return {
        **dict.fromkeys(("FrameSpotter", "Stream", "open"), "api"),
        **dict.fromkeys(("Received", "Subscription", "subscribe"), "mqtt.subscriber"),
        **dict.fromkeys(("Event", "FaceState", "Moment", "Score", "Update"), "types"),
        "StreamspotError": "errors",
        "one_thread": "threads",
    }


def __getattr__(name: str) -> object:
    """Import what is asked for only then: a subscriber needs no torch, and Ctrl-C is heard from the start."""
    home = _homes().get(name)
    if home is None:
        raise AttributeError(f"module 'streamspot' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    return getattr(import_module(f"streamspot.{home}"), name)


def __dir__() -> list[str]:
    """Return the public names, which are imported only when they are asked for."""
    return [*__all__, "__version__"]
