"""A tiny data set in the real on-disk form, made from nothing."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from streamspot.datasets.annotations import COLUMNS, Annotated
from streamspot.datasets.recording import Instance
from streamspot.datasets.store import Meta, save, usual
from streamspot.simulation import Scenario, simulate

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


def write_other(folder: Path, *, subjects: int, frames: int = 833, fps: float = 25.0) -> dict[str, int]:
    """Write simulated motion exactly as the public CAS(ME)² features come: twelve dlib points, no ``meta.yaml``.

    Returns:
        How many expressions of each kind were written.
    """
    meta, step = usual(12), 30 / fps
    assert meta.columns is not None
    arrays, rows, written = {}, [], {"macro": 0, "micro": 0}
    for subject in range(subjects):
        name = f"other_{subject:03d}_01"
        ticks = int(np.ceil(frames * step)) + 1
        one = simulate(20_000 + subject, ticks, layout="paper10", scenario=Scenario(idle=0.1, expressions=12))
        place, at = np.cumsum(one.motion.reshape(ticks, -1), 0), np.arange(frames + 1) * step
        curve = np.stack([np.interp(at, np.arange(ticks), column) for column in place.T], 1)
        arrays[name] = np.zeros((frames, 12, 2), np.float32)
        arrays[name][:, list(meta.columns)] = np.diff(curve, axis=0).reshape(frames, 10, 2) / meta.scale
        about = [name, f"other_{subject:03d}", f"{fps:g}", frames]
        inside = [i for i in one.instances if round(i.offset / step) < frames]
        for i in inside:
            written[i.kind] += 1
            rows.append(
                [*about, i.kind, *(round(t / step) for t in (i.onset, i.apex, i.offset, i.point)), ""]
            )
        if not inside:
            rows.append([*about, *[""] * 6])
    folder.mkdir(parents=True)
    np.savez_compressed(folder / "features.npz", **arrays)
    with (folder / "annotations.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([[*COLUMNS, "action_units"], *rows])
    return written


def csv_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file by the names of its columns."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def timeless_results(folder: Path) -> dict[str, Any]:
    """Return what ``results.json`` says, but for how long it took."""
    results = json.loads((folder / "results.json").read_text())
    return {key: value for key, value in results.items() if key not in {"wall_s", "compute_s"}}
