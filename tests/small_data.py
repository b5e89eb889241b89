"""A tiny data set in the real on-disk form, made from nothing."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from streamspot.datasets.annotations import Annotated
from streamspot.datasets.meta import Meta
from streamspot.datasets.recording import Instance
from streamspot.datasets.store import save

_BESIDE = Path(__file__).parents[2] / "shared" / "data"
REAL = Path(os.environ.get("STREAMSPOT_DATA", _BESIDE)) / "casme2_flow"


def write_small(
    folder: Path, *, subjects: int = 5, videos: int = 1, frames: int = 360, fps: float = 30.0
) -> Path:
    """Write a data set whose expressions are plain rises and falls of all regions."""
    rng = np.random.default_rng(7)
    arrays, annotated = {}, []
    for subject in range(subjects):
        for video in range(videos):
            name = f"s{subject}_v{video}"
            motion = rng.normal(0, 0.001, (frames, 10, 2))
            instances = []
            for first in range(60, frames - 80, 120):
                half = 14 if (first // 120) % 2 == 0 else 5
                motion[first : first + half] += 0.02
                motion[first + half : first + 2 * half] -= 0.02
                kind = "macro" if half == 14 else "micro"
                instances.append(Instance(kind, first, first + half, first + 2 * half))
            arrays[name] = motion.astype(np.float32)
            annotated.append(Annotated(name, f"s{subject}", fps, frames, instances))
    save(folder, arrays, annotated, Meta(fps=fps))
    return folder
