"""What a person sees of a running stream: a live picture in a terminal, plain lines without one."""

from __future__ import annotations

from streamspot.dashboard.curve import braille
from streamspot.dashboard.live import Dashboard, PlainLines
from streamspot.dashboard.picture import picture

__all__ = ["Dashboard", "PlainLines", "braille", "picture"]
