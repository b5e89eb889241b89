"""From what the user wrote to a source: the kind is inferred."""

from __future__ import annotations

from streamspot.sources.base import Source
from streamspot.sources.synthetic import Synthetic
from streamspot.sources.video import VideoFile


def open_source(spec: str) -> Source:
    """Return the source that ``spec`` names."""
    if spec == "synthetic" or spec.startswith("synthetic:"):
        return Synthetic.parse(spec)
    return VideoFile(spec)
