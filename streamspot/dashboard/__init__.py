"""What a person sees of a running stream: a live picture in a terminal, plain lines without one."""

from __future__ import annotations

from streamspot.dashboard.curve import braille
from streamspot.dashboard.lines import PlainLines
from streamspot.dashboard.live import Dashboard
from streamspot.dashboard.picture import picture
from streamspot.dashboard.text import plain
from streamspot.dashboard.view import Shown, View

__all__ = ["Dashboard", "PlainLines", "Shown", "View", "braille", "picture", "plain"]
