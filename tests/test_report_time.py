"""Promises about the times in a report: lengths, shares of the time, and rates an hour, also of several faces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_recordings import write_recording

from streamspot.events import read_events
from streamspot.report.account import Account, SightCounts, accounts_of
from streamspot.report.run import _found, _frequencies, _overview, _rate, _seen
from streamspot.report.words import WORDS

pytest.importorskip("plotly")


@pytest.mark.parametrize(
    ("seconds", "lead"), [(20.0, "2 recordings of 40 s in all."), (None, "in 2 recordings.")]
)
def test_the_length_of_all_is_said_where_each_is_known(seconds: float | None, lead: str):
    """The first sentence of a folder's report says no length that leaves one recording out."""
    accounts = [Account("ann", [], seconds=20.0), Account("ben", [], seconds=seconds)]
    assert lead in next(_overview(accounts, []))


@pytest.mark.parametrize("seeds", [(1,), (1, 2)])
def test_two_faces_in_view_together_are_no_more_of_the_time(tmp_path: Path, seeds: tuple[int, ...]):
    """Half of a recording in which faces could be judged is a half, of one as of two."""
    recording = write_recording(tmp_path / "visit.motion", *seeds, ticks=60)
    lines = recording.read_text().splitlines()
    recording.write_text("\n".join([*lines[:-1], '{"end":3.967,"frame":119}', ""]))
    (account,) = accounts_of(recording, "streamspot-base", 0.5)
    assert (account.seconds, _seen([account])) == (4.0, "50 %")


def test_a_recording_without_a_face_counts_among_others(tmp_path: Path):
    """Nobody could be judged in it: that is 0 % of its time, and half of the time of two of like length."""
    write_recording(tmp_path / "ann.motion", ticks=60)
    header, *_, end = (tmp_path / "ann.motion").read_text().splitlines()
    (tmp_path / "empty.motion").write_text(f"{header}\n{end}\n")
    accounts = accounts_of(tmp_path, "streamspot-base", 0.5)
    unknown = Account("events alone", [], seconds=100.0)
    assert [_seen([one]) for one in (*accounts, unknown)] == ["100 %", "0 %", "–"]
    assert _seen([*accounts, unknown]) == "50 %"


def test_the_share_of_the_time_is_of_the_time_in_which_a_face_has_a_curve(visit: Path):
    """Without a recording two faces in view for half of a run count for that half; without a curve none is said."""
    final = [event for event in read_events(visit) if event.offset is not None]
    times = np.arange(900) / 30
    both = [event.model_copy(update={"face": face}) for event in final for face in (0, 1)]
    busy = sum(event.offset.pts - event.onset.pts for event in final if event.offset is not None)
    curves = {face: np.column_stack((times, times)) for face in (0, 1)}
    rows = list(_frequencies(Account("two", both, curves=curves, seconds=60.0)))
    assert [row[-1] for row in rows] == [f"{busy / 30:.1%}".replace("%", " %")] * 3
    assert {row[-1] for row in _frequencies(Account("two", both, seconds=60.0))} == {"–"}


def test_the_share_of_the_time_is_of_all_of_the_time_in_view(visit: Path):
    """What is found of a face that is too small is part of the time in which it was, as every expression is."""
    final = [event for event in read_events(visit) if event.offset is not None]
    busy = sum(event.offset.pts - event.onset.pts for event in final if event.offset is not None)
    (row,) = _frequencies(Account("small", final, sight={0: SightCounts(600, 3)}, seconds=20.0))
    assert row[-1] == f"{busy / 20:.1%}".replace("%", " %")


def test_expressions_of_one_face_at_once_take_no_more_of_the_time(visit: Path):
    """A micro-expression within a macro-expression, or over its end, adds only what sticks out."""
    event = next(event for event in read_events(visit) if event.offset is not None)
    assert event.offset is not None
    long = event.offset.pts - event.onset.pts
    later = [one.model_copy(update={"pts": one.pts + long / 2}) for one in (event.onset, event.offset)]
    over = event.model_copy(update={"kind": "micro", "onset": later[0], "offset": later[1]})
    of_another = event.model_copy(update={"face": 1})
    for more, times in (([event], 1), ([over], 1.5), ([event, over], 1.5), ([of_another], 2)):
        sight = {0: SightCounts(600, 600)}
        row = next(_frequencies(Account("both", [event, *more], sight=sight, seconds=20.0)))
        assert row[-1] == f"{times * long / 20:.1%}".replace("%", " %")


def test_of_what_hour_the_rate_of_a_face_is_is_said(visit: Path):
    """It is of the time in view, and unknown without; that of all is of the recording. One face needs no words."""
    event = next(event for event in read_events(visit) if event.offset is not None)
    events = [event, event.model_copy(update={"face": 1})]
    for sight, rates in (({0: SightCounts(27000, 9)}, ["2", "4", "–"]), ({}, ["2", "–", "–"])):
        account = Account("two", events, sight=sight, seconds=3600.0)
        assert [row[3] for row in _frequencies(account)] == rates
        assert WORDS["faces"] in "".join(_found(account, None, 2))
    assert WORDS["faces"] not in "".join(_found(Account("one", [event]), None, 2))


@pytest.mark.parametrize(
    ("count", "hours", "rate"),
    [
        (0, 8, "0"),
        (1, 8, "0.12"),
        (3, 8, "0.38"),
        (12, 8, "1.5"),
        (39, 4, "9.8"),
        (9990, 1000, "10"),
        (99, 8, "12"),
    ],
)
def test_a_few_in_hours_are_not_none(count: int, hours: int, rate: str):
    """What was found is never 0 an hour."""
    assert _rate(count, hours * 3600.0) == rate


def test_two_hours_are_two_rows():
    """A run that ends with an hour has no row for the next."""
    assert [row[0] for row in _frequencies(Account("long", [], seconds=7200.0))] == [
        "all",
        "hour 1",
        "hour 2",
    ]


def test_the_rows_of_hours_and_of_all_divide_by_the_same_time(visit: Path):
    """Whatever stood in the way, and where an expression goes on over the hour, the hours add up to all of it."""
    event = next(event for event in read_events(visit) if event.offset is not None)
    onset, offset = event.onset, event.offset
    assert offset is not None
    late = offset.model_copy(update={"pts": offset.pts + 3600})
    curve = np.column_stack((np.arange(7200 * 30) / 30, np.zeros(7200 * 30)))
    events, sight = [event.model_copy(update={"offset": late})], {0: SightCounts(7200 * 30, 3600 * 30)}
    rows = _frequencies(Account("long", events, curves={0: curve}, sight=sight, seconds=7200.0))
    shares = [float(row[-1].removesuffix(" %")) for row in rows]
    busy = (3600 - onset.pts, offset.pts)
    assert shares == [round(part / 36, 1) for part in (sum(busy) / 2, *busy)]
