"""Expressions to avatars over OSC: VRChat's avatar parameters and the VMC protocol.

OSC is UDP: anything may be lost, and receivers start when they like. So everything is sent again every second.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from streamspot.errors import SettingsError, needs
from streamspot.types import FaceState, Kind, State, Update

_PORTS = {"vrchat": 9000, "vmc": 39540}
"""VMC: whoever sends blend shapes without bones is an Assistant, and the Performer listens to those on 39540."""
_STEP = 0.05  # s between two looks at what has changed
_REPEAT = 1.0  # s after which everything is sent again
_STATES: dict[State, int] = {"neutral": 0, "macro": 1, "micro": 2}


def target(url: str) -> tuple[str, str, int]:
    """Return protocol, host and port of an OSC address, the same however it is spelt.

    Raises:
        SettingsError: It makes no sense.
    """
    wrong = SettingsError(f"{url!r} is no OSC address; write vrchat://host:9000 or vmc://host:39540")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", _PORTS[parts.scheme] if parts.port is None else parts.port
        host.encode("idna")  # as whoever looks the name up does
    except (ValueError, KeyError):
        raise wrong from None
    if not host or not port:
        raise wrong
    return parts.scheme, "127.0.0.1" if host == "localhost" else host, port


class OscSink:
    """Sends the state and the intensity of each of so many faces.

    VRChat: ``/avatar/parameters/StreamspotState`` (int: 0 neutral, 1 macro, 2 micro),
    ``…/StreamspotIntensity`` (float in [0, 1], in steps of 1/255 as avatars synchronise it) and
    ``…/StreamspotActive`` (bool: a face is in view). VMC: the intensity as a blend shape for each kind,
    ``StreamspotMacro`` and ``StreamspotMicro`` unless named otherwise.

    Args:
        url: ``vrchat://host[:9000]`` or ``vmc://host[:39540]``.
        names: Kind to blend shape, ``macro=NAME,micro=NAME`` or one of the two; empty for the default.
        faces: How many.
        tell: Called, once, with a sentence if nothing may be sent there.

    Raises:
        SettingsError: Address or names make no sense, or (on entering) python-osc is missing.
    """

    def __init__(
        self, url: str, names: str = "", *, faces: int = 1, tell: Callable[[str], None] = lambda _: None
    ) -> None:
        scheme, self._host, self._port = target(url)
        self._vmc = scheme == "vmc"
        if names and not self._vmc:
            raise SettingsError("VRChat's parameters have fixed names; leave --osc-map out, or use vmc://")
        self._shapes = _shapes(names)
        self._faces: Mapping[int, FaceState] = {}
        self._places: list[int | None] = [None] * faces  # whose each is
        self._sent: dict[str, Any] = {}
        self._tell = tell
        self._forbidden = False
        self._client: Any = None
        self._task: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        try:
            from pythonosc.udp_client import SimpleUDPClient  # noqa: PLC0415  (an extra)
        except ImportError as error:
            raise SettingsError(needs("OSC", "python-osc", "osc", error)) from None
        try:
            self._client = SimpleUDPClient(self._host, self._port)
        except OSError as error:
            raise SettingsError(f"there is no host {self._host} ({error.strerror}); name another") from None
        self._task = asyncio.create_task(self._run(), name="osc")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])
        self._faces = {}
        self._send(everything=True)
        self._client.close()

    async def take(self, update: Update) -> None:
        """Take over what the faces in view do now; it is sent within 0.05 s."""
        self._faces = update.faces
        kept = [track if track in update.faces else None for track in self._places]
        new = iter(sorted(set(update.faces) - set(kept)))
        self._places = [next(new, None) if track is None else track for track in kept]

    async def _run(self) -> None:
        sent = 0.0
        while True:
            now = time.monotonic()
            due = now - sent >= _REPEAT
            sent = now if due else sent
            self._send(everything=due)
            await asyncio.sleep(_STEP)

    def _send(self, *, everything: bool) -> None:
        """Send what has changed, or everything."""
        values = dict(self._values())
        changed = {key: value for key, value in values.items() if everything or self._sent.get(key) != value}
        self._sent = values
        try:
            for key, value in changed.items():
                if self._vmc:
                    self._client.send_message("/VMC/Ext/Blend/Val", [key, value])
                else:
                    self._client.send_message(f"/avatar/parameters/{key}", value)
            if self._vmc and changed:
                self._client.send_message("/VMC/Ext/Blend/Apply", [])
        except PermissionError:
            if not self._forbidden:
                self._forbidden = True
                self._tell(
                    f"this computer forbids sending OSC to {self._host}; name the address of one machine, and see "
                    "whether a firewall stands in the way"
                )
        except OSError:
            pass  # nobody listens there yet

    def _values(self) -> Iterator[tuple[str, Any]]:
        for place, track in enumerate(self._places, 1):
            face = None if track is None else self._faces.get(track)
            state = "neutral" if face is None else face.state
            intensity = 0.0 if face is None else round(255 * face.intensity) / 255
            end = "" if place == 1 else str(place)
            if self._vmc:
                for kind, shape in self._shapes.items():
                    yield shape + end, intensity if state == kind else 0.0
            else:
                yield f"StreamspotState{end}", _STATES[state]
                yield f"StreamspotIntensity{end}", intensity
                yield f"StreamspotActive{end}", face is not None


def _shapes(names: str) -> dict[Kind, str]:
    shapes: dict[Kind, str] = {"macro": "StreamspotMacro", "micro": "StreamspotMicro"}
    for pair in filter(None, names.split(",")):
        kind, _, shape = (part.strip() for part in pair.partition("="))
        if kind not in shapes or not shape:
            raise SettingsError(
                f"{pair!r} names no blend shape; write --osc-map macro=NAME,micro=NAME or one of the two"
            )
        shapes[kind] = shape
    if len(set(shapes.values())) < len(shapes):
        raise SettingsError(f"both kinds cannot drive the blend shape {shapes['macro']}; give each its own")
    return shapes
