"""What a person sees of a running stream: a live picture in a terminal, plain lines without one."""

from __future__ import annotations

from streamspot.dashboard.lines import PlainLines
from streamspot.dashboard.text import plain

__all__ = ["PlainLines", "plain"]
