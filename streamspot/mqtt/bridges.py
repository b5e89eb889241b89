"""Further messages on the same connection, for systems that expect their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from streamspot.types import Update


@dataclass(frozen=True, slots=True)
class Message:
    """What is published beside the events; if many wait, the oldest is dropped."""

    topic: str
    payload: bytes
    retain: bool = False


class Bridge(Protocol):
    """Turns updates into messages for another system."""

    def announce(self) -> list[Message]:
        """Return what is published at every new connection."""

    def update(self, update: Update) -> list[Message]:
        """Return what is published at an update."""
