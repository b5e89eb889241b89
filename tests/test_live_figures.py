"""What a live user feels: figures from curves whose delays are known."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamspot.datasets.recording import Instance, Recording
from streamspot.evaluation.live import HEADS, announcements, follow, live_figures, live_table
from streamspot.evaluation.search import Scores
from streamspot.spotting import SpotSettings, decode, scores_of

HOW = SpotSettings()


def _curve(ticks: int, *bumps: tuple[int, int], top: float = 0.9) -> Scores:
    """Return scores that are ``top`` from first to last tick of each bump, all macro."""
    scores = np.zeros((ticks, 3), np.float32)
    scores[:, 1] = 1
    for first, last in bumps:
        scores[first : last + 1, 0] = top
    return scores


def _recording(ticks: int, *instances: Instance) -> Recording:
    return Recording("v", "s", np.zeros((ticks, 10, 2), np.float32), instances)


def test_delays_are_from_the_annotated_moment_to_the_tick_that_was_seen() -> None:
    """A box from 100 to 139, annotated 98 to 139 with apex 120: every figure is known."""
    recording = _recording(400, Instance("macro", 98, 120, 139))
    phases = {"v": follow(_curve(400, (100, 139)), HOW)}
    # the onset is confirmed by the second tick above its level, the offset by eight ticks at the floor
    for look_ahead in (0, 4, 8, 16):
        row = live_figures([recording], phases, look_ahead)["macro"]
        onset, offset = (101 + look_ahead - 98) / 30, (147 + look_ahead - 139) / 30
        assert (row["found"], row["annotated"]) == (1, 1)
        assert row["onset_delay_s"] == pytest.approx({"median": onset, "p95": onset}, abs=1e-3)
        assert row["offset_delay_s"] == pytest.approx({"median": offset, "p95": offset}, abs=1e-3)
        assert row["announced_before_apex"] == 1
        assert (row["early"], row["cancelled"]) == (1, 0)


def test_an_announcement_at_the_apex_is_not_before_it() -> None:
    """The look-ahead counts: what is decided before the apex may be known only at it."""
    recording = _recording(400, Instance("macro", 98, 109, 139))
    phases = {"v": follow(_curve(400, (100, 139)), HOW)}
    shares = [live_figures([recording], phases, ahead)["overall"]["share_of_found"] for ahead in (4, 8)]
    assert shares == [1.0, 0.0]
    assert live_figures([recording], phases, 7)["overall"]["share_of_found"] == 1.0


def test_an_expression_never_announced_counts_as_not_announced() -> None:
    """One of two expressions is missed: half of the annotated are announced, all of the found."""
    recording = _recording(600, Instance("macro", 100, 120, 139), Instance("macro", 400, 420, 439))
    row = live_figures([recording], {"v": follow(_curve(600, (100, 139)), HOW)}, 0)["macro"]
    assert (row["share_of_found"], row["share_of_annotated"]) == (1.0, 0.5)
    none = live_figures([recording], {}, 0)["macro"]
    assert (none["found"], none["share_of_found"], none["share_of_annotated"]) == (0, None, 0.0)
    assert none["onset_delay_s"] is None


def test_an_expression_announced_only_when_complete_is_not_early() -> None:
    """A curve below the onset's level is reported with its final event, after the apex."""
    recording = _recording(400, Instance("macro", 100, 120, 139))
    row = live_figures([recording], {"v": follow(_curve(400, (100, 139), top=0.38), HOW)}, 0)["macro"]
    assert (row["found"], row["early"], row["announced_before_apex"]) == (1, 0, 0)
    assert row["onset_delay_s"]["median"] == pytest.approx(47 / 30, abs=1e-3)


def test_cancelled_and_false_ones_are_counted_by_the_hour() -> None:
    """A blip is announced and cancelled, a bump without annotation is a false alarm, in one minute."""
    recording = _recording(1800)
    row = live_figures([recording], {"v": follow(_curve(1800, (100, 103), (500, 560)), HOW)}, 8)["overall"]
    assert (row["early"], row["cancelled"], row["cancelled_share"]) == (2, 1, 0.5)
    assert row["cancelled_per_hour"] == pytest.approx(60)
    assert row["false_alarms_per_hour"] == pytest.approx(60)


def test_nothing_is_known_after_the_end() -> None:
    """The last tick of a recording releases everything that waited for the look-ahead."""
    found = announcements(follow(_curve(200, (150, 199)), HOW), (), look_ahead=16, ticks=200)
    assert [a.final_known for a in found] == [199]


def test_the_table_shows_every_kind() -> None:
    """The table for people has a row a kind, also where nothing was found, and the block is JSON."""
    figures = live_figures([_recording(400, Instance("macro", 100, 120, 139))], {}, 8)
    rows = live_table(json.loads(json.dumps(figures)))
    assert [row[0] for row in rows] == ["macro", "micro", "overall"]
    assert {len(row) for row in rows} == {len(HEADS)}


@pytest.mark.parametrize(
    ("hourly", "shown"), [(0.0, "0"), (0.38, "0.38"), (1.04, "1"), (9.96, "10"), (12.4, "12")]
)
def test_few_an_hour_are_not_shown_as_none(hourly: float, shown: str) -> None:
    """Below ten an hour two digits are shown."""
    row = live_figures([], {}, 8)["macro"] | dict.fromkeys(
        ("cancelled_per_hour", "false_alarms_per_hour"), hourly
    )
    cells = live_table({"macro": row, "micro": row, "overall": row})[0]
    assert cells[-2:] == (f"-, {shown} / h", f"{shown} / h")


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 300), st.sampled_from([0, 8]))
def test_shifting_everything_shifts_nothing_but_ticks(seed: int, shift: int, look_ahead: int) -> None:
    """Neutral ticks before a recording or after it give the same figures."""
    rng = np.random.default_rng(seed)
    smooth = np.convolve(rng.random(400), np.ones(15) / 15, "valid")
    core = np.stack(
        (np.clip((smooth - 0.45) * 6, 0, 1), rng.random(len(smooth)), rng.random(len(smooth))), 1
    ).astype(np.float32)
    still = np.zeros((40, 3), np.float32)
    core = np.concatenate((still, core, still))
    pad = np.zeros((shift, 3), np.float32)
    later, sooner = np.concatenate((pad, core)), np.concatenate((core, pad))
    truths = [(d.kind, d.onset, d.apex or 0, d.offset or 0) for d in decode(scores_of(*core.T), HOW)][::2]

    def figures(scores: Scores, by: int) -> object:
        instances = [Instance(kind, a - 3 + by, b + by, c + 2 + by) for kind, a, b, c in truths]
        return live_figures([_recording(len(scores), *instances)], {"v": follow(scores, HOW)}, look_ahead)

    assert figures(later, shift) == figures(sooner, 0)
