"""Where frames come from: cameras, files, addresses, images, standard input, a synthetic clip, recorded motion."""

from __future__ import annotations

from streamspot.sources.base import Source
from streamspot.sources.feed import EndOfStream, Feed
from streamspot.sources.motion import MotionRecording
from streamspot.sources.opening import open_source

__all__ = ["EndOfStream", "Feed", "MotionRecording", "Source", "open_source"]
