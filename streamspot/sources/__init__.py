"""Where frames come from: cameras, files, addresses, folders of images, standard input, a synthetic clip."""

from __future__ import annotations

from streamspot.sources.base import Source
from streamspot.sources.feed import EndOfStream, FrameFeed, Policy
from streamspot.sources.opening import open_source

__all__ = ["EndOfStream", "FrameFeed", "Policy", "Source", "open_source"]
