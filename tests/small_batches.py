"""Batches over a few files, and what their tables hold."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

from streamspot.batch import run_batch
from streamspot.clips import TOGETHER
from streamspot.layers import load_settings


def batch(source: object, out: Path, **flags: object) -> list[tuple[int, ...]]:
    """Analyse files; return the progress that was told, whose last entry is the end."""
    told: list[tuple[int, ...]] = []
    settings = load_settings({"source": str(source), **flags})
    run_batch(settings, out, progress=lambda *progress: told.append(progress))
    return told


def expressions_of(out: Path) -> Counter[str]:
    """Return how many expressions of each file stand in the table of all."""
    with (out / TOGETHER).open(newline="", encoding="utf-8") as file:
        return Counter(row["file"] for row in csv.DictReader(file))
