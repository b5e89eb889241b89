"""The intensity as an area of braille, its marks, thresholds and axes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from rich.cells import cell_len

from streamspot.dashboard.curve import TickSpan, Window, braille, mark_row, threshold_dots, time_axis
from streamspot.dashboard.history import History
from streamspot.dashboard.text import bar, clock, elide
from streamspot.types import Score

FULL = chr(0x28FF)


@given(
    curve=npst.arrays(
        np.float64, st.integers(0, 300), elements=st.floats(allow_nan=True, allow_infinity=True)
    ),
    width=st.integers(1, 130),
    height=st.integers(1, 12),
)
def test_braille_stays_in_its_box(curve, width, height):
    """Whatever the numbers, a curve fills exactly its rows and columns with braille characters."""
    rows = braille(curve, width, height)
    assert len(rows) == height
    assert all(len(row) == width for row in rows)
    assert all(0x2800 <= ord(character) <= 0x28FF for row in rows for character in row)


@given(
    level=st.floats(0, 1),
    width=st.integers(1, 40),
    height=st.integers(1, 10),
    missing=st.sampled_from([0, 1, 7]),
)
def test_braille_height_is_the_intensity(level, width, height, missing):
    """A constant curve is a bar within half a dot of its value, missing samples blank at the left."""
    rows = braille(np.full(max(2 * width - missing, 0), level), width, height)
    dots = sum((ord(row[-1]) - 0x2800).bit_count() for row in rows) / 2
    if level > 0.5 / (4 * height) and width > 4:
        assert abs(dots - level * 4 * height) <= 0.5 + 1e-9
        assert len({row[-1] + row[-2] for row in rows}) <= 3
        if missing == 7:
            assert all(row[:3] == "\u2800" * 3 for row in rows)


def test_braille_nan_is_nothing():
    """A gap in the curve is drawn as zero; one is a full column; a trace above zero still shows."""
    assert braille(np.array([np.nan, np.nan, 1.0, 1.0, 1e-9, 0.0]), 3, 2) == [
        f"\u2800{FULL}\u2800",
        f"\u2800{FULL}\u2840",
    ]


@given(
    one=npst.arrays(np.float64, 80, elements=st.floats(0, 1)),
    two=npst.arrays(np.float64, 80, elements=st.floats(0, 1)),
)
def test_braille_grows_with_the_curve(one, two):
    """A higher curve lights every dot that a lower one lights."""
    low = braille(np.minimum(one, two), 40, 5)
    high = braille(np.maximum(one, two), 40, 5)
    assert all(
        ord(a) & ~ord(b) & 0xFF == 0
        for x, y in zip(low, high, strict=True)
        for a, b in zip(x, y, strict=True)
    )


@given(edge=st.integers(0, 10_000), width=st.integers(1, 200), shift=st.integers(0, 50))
def test_a_scrolling_curve_keeps_its_shape(edge, width, shift):
    """Samples lie on a fixed grid: time passing moves the curve and its marks, but never redraws them."""
    scores = History()
    for t in range(max(edge - 200, 0), edge + 1):
        scores.add(Score(t, t / 30, t, (t * 7919 % 101) / 100, 0.5, 0.5))
    before = Window(edge, width)
    after = Window(edge + shift * before.pool, width)
    old, new = before.samples(scores), after.samples(scores)
    assert scores.newest is not None
    assert old[-1] >= np.float32(scores.newest.intensity)
    np.testing.assert_array_equal(old[min(shift, 2 * width) :], new[: max(2 * width - shift, 0)])


def test_marks_tell_macro_from_micro_without_colour():
    """Onset, apex and offset stand in order; micro is hollow; an open expression reaches the edge."""
    window = Window(399, 100)
    found = [
        TickSpan(100, "macro", apex=130, offset=190),
        TickSpan(220, "micro", offset=240, cancelled=True),
        TickSpan(250, "micro", apex=257, offset=264),
        TickSpan(350, "macro"),
    ]
    row, owner = mark_row(found, window)
    assert "".join(c for c in row if c not in "━┄╌ ") == "▲◆▼△✕△◇▽▲"
    assert row.endswith("━")
    assert [span is not None for span in owner] == [c != " " for c in row]
    assert row[window.cell(240) + 1 : window.cell(250)].isspace()


def test_thresholds_stand_at_their_height():
    """A threshold at one half of 4 rows is drawn at the top of the third row; 0 and 1 stay inside."""
    assert threshold_dots([0.5], 4) == {2: ("⠁", 0.5)}
    assert set(threshold_dots([0.0, 1.0], 4)) == {0, 3}


@pytest.mark.parametrize("width", [1, 5, 14, 40, 150])
def test_time_axis_fits(width):
    """The axis is as wide as the graph, however narrow."""
    assert len(time_axis(Window(500, width), "00:16.7")) == width


def test_times_and_bars_are_written_short():
    """Times carry milliseconds and hours only when needed; bars never leave their cells."""
    assert clock(12.4331) == "00:12.433"
    assert clock(3599.9996) == "1:00:00.000"
    assert clock(float("nan")) == "--:--"
    assert bar(0.005, 0.01, 0.01, 8) == "━━━━────"
    assert bar(9.0, 1.0, 0.5, 4) == "━━━━"
    assert cell_len(elide("映像ファイルの長い名前.mp4", 11)) <= 11
