"""streamspot: facial-expression spotting as a live stream.

Example:
    >>> import streamspot
    >>> async for event in streamspot.stream("clip.mp4"):  # doctest: +SKIP
    ...     print(event.phase, event.kind, event.onset.pts)
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from streamspot.engine import stream, watch
    from streamspot.errors import StreamspotError
    from streamspot.mqtt.subscriber import subscribe
    from streamspot.types import Event, Score

__version__ = "0.1.0"

__all__ = ["Event", "Score", "StreamspotError", "stream", "subscribe", "watch"]

_HOMES = {
    "Event": "types",
    "Score": "types",
    "StreamspotError": "errors",
    "stream": "runtime",
    "subscribe": "subscription",
    "watch": "runtime",
}


def __getattr__(name: str) -> object:
    """Import what is asked for only then: a subscriber needs no torch, and Ctrl-C is heard from the start."""
    if name not in _HOMES:
        raise AttributeError(f"module 'streamspot' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    return getattr(import_module(f"streamspot.{_HOMES[name]}"), name)
