"""Promises about other programs' forms: each is opened again by its own reader, and nothing is lost on the way."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path, PureWindowsPath
from typing import Any

import pandas as pd
import pytest
from brokers import make_event
from typer.testing import CliRunner

from streamspot.cli import app
from streamspot.convert.elan import media_url
from streamspot.convert.forms import ENDINGS, convert
from streamspot.errors import DataError, SettingsError
from streamspot.events import encode
from streamspot.sinks.columns import EXPRESSIONS
from streamspot.types import Event, Moment, Moved

SPANS = [(1.0, 1.4, 2.0), (2.5, 2.6, 2.8), (3725.25, 3726.0, 3727.5)]
"""Onset, apex and offset of the expressions, s; the second is a micro-expression."""

EARLY = [(-6.0, -5.6, -5.0), (-0.5, -0.2, 0.5), *SPANS]
"""The same after two more, of which one ends before time 0 and one after it."""


def moment(seconds: float) -> Moment:
    """Return an instant of a source whose time 0 was at ten o'clock."""
    time = datetime(2026, 11, 22, 10, tzinfo=UTC) + timedelta(seconds=seconds)
    stamp = time.isoformat(timespec="microseconds").replace("+00:00", "Z")
    return Moment(tick=round(seconds * 30) + 300, frame=0, pts=seconds, time=stamp)


def expression(number: int, span: tuple[float, float, float], **changes: Any) -> list[Event]:
    """Return the onset and the final event of an expression."""
    onset, apex, offset = map(moment, span)
    final = make_event(2 * number + 1).model_copy(
        update={
            "expression": f"r1/cam/0-{number}",
            "kind": "micro" if number == 1 else "macro",
            "onset": onset,
            "apex": apex,
            "offset": offset,
            "moved": (Moved(region="mouth_corner_left", share=0.24), Moved(region="lips", share=0.11)),
            **changes,
        }
    )
    first = {"phase": "onset", "seq": 2 * number, "apex": None, "offset": None, "moved": ()}
    return [final.model_copy(update=first), final]


def write(path: Path, events: list[Event]) -> Path:
    """Write a file as ``--events`` does."""
    path.write_bytes(b"".join(encode(event, node="n") + b"\n" for event in events))
    return path


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """Return a file with three expressions, a cancelled one and a repetition."""
    all_ = [event for number, span in enumerate(SPANS) for event in expression(number, span)]
    taken_back = make_event(90, "cancelled")
    return write(tmp_path / "clip.jsonl", [*all_, taken_back, all_[1]])


def read_vtt(path: Path) -> list[tuple[float, float, str]]:
    """Read WebVTT with webvtt-py."""
    webvtt = pytest.importorskip("webvtt")

    def seconds(text: str) -> float:
        hours, minutes, rest = text.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(rest)

    return [(seconds(one.start), seconds(one.end), one.text) for one in webvtt.read(str(path))]


def read_srt(path: Path) -> list[tuple[float, float, str]]:
    """Read SubRip with srt."""
    srt = pytest.importorskip("srt")
    found = srt.parse(path.read_text(encoding="utf-8"))
    return [(one.start.total_seconds(), one.end.total_seconds(), one.content) for one in found]


def read_elan(path: Path) -> list[tuple[float, float, str]]:
    """Read an annotation document with pympi."""
    eaf = pytest.importorskip("pympi").Elan.Eaf(str(path))
    moved = eaf.get_ref_annotation_data_for_tier("face 0 moved")
    assert "left mouth corner 24 %" in moved[0][2]
    return [(a / 1000, b / 1000, text) for a, b, text in eaf.get_annotation_data_for_tier("face 0")]


def read_textgrid(path: Path) -> list[tuple[float, float, str]]:
    """Read a TextGrid with praatio."""
    textgrid = pytest.importorskip("praatio.textgrid")
    grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=False)
    apices = grid.getTier("face 0 apex")
    found = grid.getTier("face 0").entries
    assert [point.time for point in apices.entries] == [max(0, apex) for _, apex, _ in EARLY[-len(found) :]]
    return [(one.start, one.end, one.label) for one in found]


def read_bids(path: Path) -> list[tuple[float, float, str]]:
    """Read ``events.tsv`` as BIDS' own tools do, with pandas, and look at its sidecar."""
    table = pd.read_csv(path, sep="\t", na_values="n/a")
    assert list(table.columns[:3]) == ["onset", "duration", "trial_type"]
    about = json.loads(path.with_suffix(".json").read_text())
    assert set(about) == set(table.columns)
    assert set(table["trial_type"]) <= set(about["trial_type"]["Levels"])
    return [(a, round(a + b, 6), c) for a, b, c in table.iloc[:, :3].itertuples(index=False)]


def read_boris(path: Path) -> list[tuple[float, float, str]]:
    """Read a BORIS project: its state events come in pairs."""
    project = json.loads(path.read_text())
    codes = {one["code"]: one["type"] for one in project["behaviors_conf"].values()}
    (observation,) = project["observations"].values()
    assert project["project_date"] == observation["date"] == "2026-11-22T10:00:00"
    states = [event for event in observation["events"] if codes[event[2]] == "State event"]
    pairs = [(a[0], b[0], a[2]) for a, b in zip(states[::2], states[1::2], strict=True) if a[2] == b[2]]
    assert len([event for event in observation["events"] if event[2] == "apex"]) == len(pairs)
    return pairs


def read_csv(path: Path) -> list[tuple[float, float, str]]:
    """Read CSV."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(EXPRESSIONS.columns)
    assert rows[0]["moved"] == "mouth_corner_left=0.24;lips=0.11"
    return [(float(row["onset_pts"]), float(row["offset_pts"]), row["kind"]) for row in rows]


def read_parquet(path: Path) -> list[tuple[float, float, str]]:
    """Read Parquet with pandas."""
    pytest.importorskip("pyarrow")
    table = pd.read_parquet(path)
    assert str(table["onset_time"].dtype).startswith("datetime64")
    return list(table[["onset_pts", "offset_pts", "kind"]].itertuples(index=False, name=None))


READERS: dict[str, Callable[[Path], list[tuple[float, float, str]]]] = {
    "vtt": read_vtt,
    "srt": read_srt,
    "elan": read_elan,
    "textgrid": read_textgrid,
    "boris": read_boris,
    "bids": read_bids,
    "csv": read_csv,
    "parquet": read_parquet,
}


@pytest.mark.parametrize("form", ENDINGS)
def test_each_form_is_read_by_its_own_reader(events: Path, form: str):
    """Every finished expression is there once, with time and kind, in a file for its owner only and in no other."""
    if form == "elan":
        pytest.importorskip("pympi")
    before = set(events.parent.iterdir())
    (path, *more), count = convert(events, form)
    assert set(events.parent.iterdir()) - before == {path, *more}
    assert all(one.stat().st_mode & 0o777 == 0o600 for one in (path, *more))
    assert count == len(SPANS)
    assert path.name == f"clip{ENDINGS[form]}"
    found = READERS[form](path)
    assert [(a, b) for a, b, _ in found] == [(onset, offset) for onset, _, offset in SPANS]
    assert [text.split()[0] for *_, text in found] == ["macro", "micro", "macro"]


@pytest.mark.parametrize("form", ENDINGS)
def test_times_before_0_are_kept_or_it_is_said_what_a_form_cannot_hold(tmp_path: Path, form: str):
    """Own frames may be timed from a stimulus; others begin at 0, where what crosses it is cut."""
    if form == "elan":
        pytest.importorskip("pympi")
    all_ = [event for number, span in enumerate(EARLY) for event in expression(number, span)]
    told: list[str] = []
    (path, *_), count = convert(write(tmp_path / "clip.jsonl", all_), form, tell=told.append)
    kept = [(a, b) for a, _, b in EARLY]
    if form in {"vtt", "srt", "elan", "textgrid"}:
        kept = [(0.0, 0.5), *kept[2:]]
        assert told.pop().startswith(
            f"{form} has no time before 0, where 1 expression is left out; take bids"
        )
    assert [(a, b) for a, b, _ in READERS[form](path)] == kept
    assert (count, told) == (len(kept), [])


@pytest.mark.parametrize("form", ENDINGS)
def test_a_run_that_found_nothing_converts_too(tmp_path: Path, form: str):
    """An empty file is a result: a form without entries, which its reader opens."""
    if form == "elan":
        pytest.importorskip("pympi")
    (path, *_), count = convert(write(tmp_path / "quiet.jsonl", []), form)
    assert count == 0
    assert path.exists()


def test_the_program_boris_opens_the_project(events: Path, monkeypatch: pytest.MonkeyPatch):
    """BORIS' own function reads it, complains of nothing and changes nothing."""
    monkeypatch.setattr(sys, "argv", ["boris"])  # it reads the command line when it is imported
    try:
        from boris import project_functions  # boris-behav-obs, with Qt and libmpv
    except (ImportError, OSError) as missing:
        pytest.skip(f"BORIS is not here: {missing}")
    (path,), _ = convert(events, "boris")
    _, changed, project, message = project_functions.open_project_json(str(path))
    assert (changed, message) == (False, "")
    assert "error" not in project
    state = project_functions.check_state_events_obs(
        "cam", project["behaviors_conf"], project["observations"]["cam"]
    )
    assert state[0]


def test_two_faces_have_a_tier_each_and_what_overlaps_a_further_one(tmp_path: Path):
    """No annotation overlaps another on its tier, and none is cut short or lost."""
    textgrid = pytest.importorskip("praatio.textgrid")
    spans = [(1.0, 1.5, 2.0), (1.2, 1.6, 2.2), (1.9, 2.1, 2.5)]
    faces = [0, 1, 0]
    all_ = [
        event
        for number, (span, face) in enumerate(zip(spans, faces, strict=True))
        for event in expression(number, span, face=face)
    ]
    (path,), _ = convert(write(tmp_path / "two.jsonl", all_), "textgrid")
    grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=False)
    found = {
        name: [(one.start, one.end) for one in grid.getTier(name).entries] for name in grid.tierNames[::2]
    }
    assert found == {"face 0": [(1.0, 2.0)], "face 0 (2)": [(1.9, 2.5)], "face 1": [(1.2, 2.2)]}


@pytest.mark.parametrize(
    ("name", "mimetype"),
    [
        ("clip.mp4", "video/mp4"),
        ("Größe 100 %, 12:30.MOV", "video/quicktime"),
        ("clip.qqq", "unknown"),
        ("clip", "unknown"),
    ],
)
def test_elan_plays_the_video_that_is_named(events: Path, tmp_path: Path, name: str, mimetype: str):
    """The document is linked with the video, whatever its ending; a form that cannot be is refused."""
    pympi = pytest.importorskip("pympi")
    video = tmp_path / name
    video.touch()
    (path,), _ = convert(events, "elan", video=video)
    (linked,) = pympi.Elan.Eaf(str(path)).get_linked_files()
    assert (linked["MEDIA_URL"], linked["MIME_TYPE"]) == (f"file://{video}", mimetype)
    with pytest.raises(SettingsError, match="leave it out"):
        convert(events, "srt", video=video)


@pytest.mark.parametrize(
    ("path", "url"),
    [
        (PureWindowsPath(r"C:\Users\a b\clip.mp4"), "file:///C:/Users/a b/clip.mp4"),
        (PureWindowsPath(r"\\machine\share\clip.mp4"), "file://machine/share/clip.mp4"),
    ],
)
def test_elan_finds_the_video_on_windows_too(path: PureWindowsPath, url: str):
    """It cuts off all that stands before a colon, so a drive follows the scheme that ELAN itself writes."""
    assert media_url(path) == url


def test_elan_says_what_moved_of_the_right_expression(tmp_path: Path):
    """Also where one begins at the very moment at which another ends."""
    pympi = pytest.importorskip("pympi")
    touching = [*expression(0, (1.0, 1.4, 2.0)), *expression(1, (2.0, 2.1, 2.3))]
    (document,), _ = convert(write(tmp_path / "clip.jsonl", touching), "elan")
    found = pympi.Elan.Eaf(str(document)).get_ref_annotation_data_for_tier("face 0 moved")
    assert [one[:2] for one in found] == [(1000, 2000), (2000, 2300)]


def test_mistakes_are_answered_with_the_remedy(events: Path, tmp_path: Path):
    """An unknown form, what is no file of events, a file that is there, several runs in one file."""
    with pytest.raises(SettingsError, match="did you mean 'textgrid'"):
        convert(events, "textgird")
    (tmp_path / "curve.csv").write_text("tick,pts\n1,2\n")
    with pytest.raises(DataError, match=r"line 1 of .*--events"):
        convert(tmp_path / "curve.csv", "vtt")
    convert(events, "vtt")
    with pytest.raises(SettingsError, match="--force"):
        convert(events, "vtt")
    convert(events, "vtt", force=True)
    both = [*expression(0, SPANS[0]), *expression(0, SPANS[0], run="r2")]
    with pytest.raises(DataError, match="several runs"):
        convert(write(tmp_path / "both.jsonl", both), "vtt")
    moved = [event.model_copy(update={"seq": event.seq + 9}) for event in expression(0, SPANS[0])]
    last = make_event(8).model_copy(update={"decided_at": moment(9.0)})
    with pytest.raises(DataError, match="that a fleet moved"):
        convert(write(tmp_path / "moved.jsonl", [last, *moved]), "vtt")


def test_what_is_read_is_kept_even_by_force(events: Path, tmp_path: Path):
    """The events, by whatever name, and the video; and a table for BIDS is never replaced by its description."""
    video = tmp_path / "clip.json"
    video.write_text("a video")
    (tmp_path / "link").symlink_to(events)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for form, out in (("vtt", events), ("csv", tmp_path / "link"), ("elan", video)):
        with pytest.raises(SettingsError, match="is read by this very command"):
            convert(events, form, out, video=video if form == "elan" else None, force=True)
    with pytest.raises(SettingsError, match=r"name a \.tsv"):
        convert(events, "bids", tmp_path / "new.json")
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_file_that_broke_off_is_read_to_its_last_whole_line(events: Path):
    """A run that was killed leaves half a line, which costs nothing else."""
    events.write_bytes(events.read_bytes()[:-20])
    assert convert(events, "csv")[1] == len(SPANS)


def test_the_command_says_what_it_wrote(events: Path):
    """One line: the files, and how many expressions they hold."""
    said = CliRunner().invoke(app, ["convert", str(events), "--to", "bids"])
    assert said.exit_code == 0
    assert "clip_events.tsv and " in said.output.replace("\n", "")
    assert "3 expressions" in said.output.replace("\n", " ")
