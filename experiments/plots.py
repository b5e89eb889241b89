"""Figures for the pages as small PNG files."""

from __future__ import annotations

import io
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image


def save_png(figure: Figure, path: Path) -> None:
    """Write a figure with a palette of 32 colours, which its few lines do not exceed by much."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=90)
    Image.open(drawn).convert("RGB").quantize(32).save(path, optimize=True)
