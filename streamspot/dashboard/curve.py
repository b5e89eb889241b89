"""Curves in braille: the intensity as an area, the announced expressions as a line of marks above it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from streamspot.dashboard.history import History
from streamspot.types import TICK_RATE, Kind, Phase

BLANK = "\u2800"
_LEFT = np.array([0x00, 0x40, 0x44, 0x46, 0x47], np.uint32)  # 0..4 dots from the bottom of the left column
_RIGHT = np.array([0x00, 0x80, 0xA0, 0xB0, 0xB8], np.uint32)
_DOT = ("⡀", "⠄", "⠂", "⠁")  # one dot, lowest first: a threshold line in an empty cell


def braille(curve: NDArray[np.float64], width: int, height: int) -> list[str]:
    """Draw a curve as a filled area, newest sample at the right edge, fixed range 0 to 1.

    Each character holds 2 samples side by side and 4 levels. A sample above zero lights at least one dot;
    zero, NaN and what the curve is too short for stay blank; values outside the range are clipped to it.

    Args:
        curve: ``(N,)`` intensities, oldest first, one per half character; the last ``2 * width`` are drawn.
        width: Characters in a row, at least 1.
        height: Rows, at least 1.

    Returns:
        ``height`` strings of ``width`` characters of U+2800..U+28FF, top row first.
    """
    values = np.clip(np.nan_to_num(np.asarray(curve, np.float64)[-2 * width :], nan=0.0), 0.0, 1.0)
    dots = np.rint(values * (4 * height)).astype(np.int64)
    dots = np.where(values > 0.0, np.maximum(dots, 1), 0)
    dots = np.concatenate([np.zeros(2 * width - len(dots), np.int64), dots])  # (2W,)
    above = 4 * np.arange(height - 1, -1, -1)[:, None]  # dots below each row, (H, 1)
    filled = np.clip(dots[None, :] - above, 0, 4)  # (H, 2W)
    codes = 0x2800 + _LEFT[filled[:, 0::2]] + _RIGHT[filled[:, 1::2]]  # (H, W)
    return [row.astype("<u4").tobytes().decode("utf-32-le") for row in codes]


@dataclass(frozen=True)
class Window:
    """The stretch of time a graph shows: ``2 * width`` samples of ``pool`` ticks each, ending at tick ``edge``.

    Samples lie on a fixed grid of ticks, so that a scrolling curve keeps its shape.
    """

    edge: int
    width: int
    seconds: float = 12.0

    @cached_property
    def pool(self) -> int:
        """Ticks in a sample: the finest grid at which ``width`` characters hold the seconds."""
        return math.ceil(self.seconds * TICK_RATE / (2 * self.width))

    def sample(self, tick: int) -> int:
        """Return the sample in which a tick lies, ``2 * width - 1`` for the newest; negative when out of sight."""
        return tick // self.pool - self.edge // self.pool + 2 * self.width - 1

    def cell(self, tick: int) -> int:
        """Return the character in which a tick lies."""
        return self.sample(tick) // 2

    def samples(self, history: History) -> NDArray[np.float64]:
        """Return ``(2 * width,)`` intensities, the highest of each sample's ticks, 0 without any."""
        count = 2 * self.width
        first = (self.edge // self.pool - count + 1) * self.pool
        values: NDArray[np.float64] = (
            history.intensity(first, count * self.pool).reshape(count, -1).max(axis=1)
        )
        return values


@dataclass(frozen=True, slots=True)
class TickSpan:
    """One announced expression as far as it is known, in ticks; cancelled ones end where they were cancelled."""

    onset: int
    kind: Kind
    apex: int | None = None
    offset: int | None = None
    cancelled: bool = False


MARKS: dict[Kind, dict[Phase, str]] = {
    "macro": {"onset": "▲", "apex": "◆", "offset": "▼", "cancelled": "✕"},
    "micro": {"onset": "△", "apex": "◇", "offset": "▽", "cancelled": "✕"},
}


def mark_row(found: Iterable[TickSpan], window: Window) -> tuple[str, list[TickSpan | None]]:
    """Draw expressions as brackets: ``▲━━◆━━━▼`` macro, ``△┄◇┄▽`` micro, an open one to the right edge.

    With the ``window.width`` characters it returns for each of them the expression it belongs to.
    """
    row = [" "] * window.width
    owner: list[TickSpan | None] = [None] * window.width
    for span in found:
        first = window.cell(span.onset)
        last = window.width - 1 if span.offset is None else window.cell(span.offset)
        line = "╌" if span.cancelled else "━" if span.kind == "macro" else "┄"
        for cell in range(max(first, 0), min(last + 1, window.width)):
            row[cell], owner[cell] = line, span
        moments: list[tuple[Phase, int | None]] = [("onset", span.onset), ("apex", span.apex)]
        if span.cancelled:
            moments.append(("cancelled", span.offset))
        else:  # where they share a character the apex stands in it
            moments.insert(1, ("offset", span.offset))
        for phase, tick in moments:
            if tick is not None and 0 <= (cell := window.cell(tick)) < window.width:
                row[cell], owner[cell] = MARKS[span.kind][phase], span
    return "".join(row), owner


def threshold_dots(thresholds: Iterable[float], height: int) -> dict[int, tuple[str, float]]:
    """Return, for each row (0 at the top) that holds a threshold, its dot character and its value."""
    rows: dict[int, tuple[str, float]] = {}
    for value in thresholds:
        dot = int(np.clip(round(value * 4 * height) - 1, 0, 4 * height - 1))
        rows.setdefault(height - 1 - dot // 4, (_DOT[dot % 4], value))
    return rows


def time_axis(window: Window, label: str) -> str:
    """Return ``window.width`` characters of axis: seconds before the newest, ``label`` at the right."""
    row, cell = ["─"] * window.width, 2 * window.pool / TICK_RATE  # seconds in a character
    step = next((s for s in (1, 2, 5, 10, 20, 60, 120, 300) if s / cell >= 11), 600)
    free = window.width - len(label) - 3
    for count in range(1, 60):
        text = f" -{count * step} s "
        start = window.width - 1 - round(count * step / cell) - len(text) // 2
        if start < 0:
            break
        if start + len(text) <= free:
            row[start : start + len(text)] = text
            free = start
    if len(label) + 2 <= window.width:
        row[window.width - len(label) - 2 :] = f" {label} "
    return "".join(row)
