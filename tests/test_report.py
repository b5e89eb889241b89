"""Promises about reports: a page that stands alone, with the run's own figures, whose terms are explained."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_pages import figures, page_of, said
from running import updates_of
from small_recordings import write_recording
from test_privacy import EMOTIONS
from typer.testing import CliRunner

from streamspot.cli import app
from streamspot.clips import finished_in
from streamspot.errors import DataError, SettingsError
from streamspot.events import encode, read_events
from streamspot.report.account import SUMMARY, Account, accounts_of
from streamspot.report.figures import thinned
from streamspot.report.run import _delays
from streamspot.report.words import WORDS

pytest.importorskip("plotly")


def test_the_page_tells_what_the_run_found(visit: Path, tmp_path: Path):
    """Every finished expression has its row; the terms are explained where they stand; no emotion is named."""
    page = page_of(visit, "--out", tmp_path / "page.html")
    final = [event for event in read_events(visit) if event.offset is not None]
    assert len(final) > 1
    section = page.partition("Every expression")[2].partition("<h2")[0]
    assert section.count("<tr>") == 1 + len(final)
    assert "lips" in section
    text = said(page)
    for name in ("curve", "frequencies", "expressions", "delays", "sight", "made"):
        assert WORDS[name] in text
    assert not re.search(EMOTIONS, text, re.IGNORECASE)
    assert "None" not in text


def test_delays_are_those_of_expressions_that_were_found(visit: Path, tmp_path: Path):
    """An announcement that was taken back, however late it came, is none of an expression."""
    events = read_events(visit)
    announced = next(event for event in events if event.phase == "onset")
    late = announced.decided_at.model_copy(update={"pts": announced.decided_at.pts + 100})
    false = announced.model_copy(update={"expression": "another", "decided_at": late})
    more = tmp_path / "more.jsonl"
    lines = [encode(event, node="here") for event in (*events, false, false)]
    more.write_bytes(b"\n".join(lines) + b"\n")
    delays = [
        said(page.partition("How soon it was known")[2].partition("<h2")[0])
        for page in (
            page_of(visit, "--out", tmp_path / "a.html"),
            page_of(more, "--out", tmp_path / "b.html"),
        )
    ]
    assert delays[0] == delays[1]
    assert " s " in delays[0]


def test_delays_are_from_the_moments_in_the_table(visit: Path):
    """An onset that was announced with another time than it has in the end counts from the last."""
    events = read_events(visit)
    early = [
        event.model_copy(update={"onset": event.onset.model_copy(update={"pts": event.onset.pts - 9})})
        if event.phase == "onset"
        else event
        for event in events
    ]
    told = ["".join(_delays(Account("visit", some), 2)) for some in (events, early)]
    assert told[0] == told[1]
    assert "onset" in told[0]


def test_the_page_stands_alone(visit: Path, tmp_path: Path):
    """It names nothing to load, and forbids the browser to fetch or send anything."""
    page = page_of(visit, "--out", tmp_path / "page.html")
    assert "default-src 'none'" in page
    assert not re.search(r"<(script|img|iframe)[^>]* src|<link|@import", page.partition("<script>")[0])


def test_a_recording_is_analysed_anew_and_reported_alike(visit: Path, tmp_path: Path):
    """Events with what stands beside them, and the recording alone, give the same curve and the same table."""
    pages = [
        page_of(path, "--out", tmp_path / f"{n}.html")
        for n, path in enumerate((visit, visit.with_suffix(".motion")))
    ]
    tables = [page.partition("Every expression")[2].partition("<h2")[0] for page in pages]
    assert tables[0] == tables[1]
    one, other = ((trace["x"], trace["y"]) for page in pages for trace in figures(page)[0]["data"][:1])
    assert np.abs(np.interp(one[0], *other) - one[1]).max() < 0.01


def test_a_folder_is_one_report(visit: Path, tmp_path: Path):
    """Each recording has a row in the first table and a section of its own."""
    for name in ("ann", "ben"):
        for ending in (".jsonl", ".csv", ".motion"):
            shutil.copy(visit.with_suffix(ending), tmp_path / f"{name}{ending}")
    page = page_of(tmp_path)
    assert (tmp_path / "report.html").exists()
    assert page.count('<div class="figure">') == 2
    assert "2 recordings" in said(page)
    table = tmp_path / "points.csv"
    table.write_text("video,kind,point\nann.mp4,macro,3\n")
    page = page_of(tmp_path, "--labels", table)
    assert "1 recording compared with the labels" in said(page)
    assert said(page).count("Compared with the labels") == 1


def test_a_report_replaces_nothing_but_a_report(visit: Path, tmp_path: Path):
    """An earlier report may be written anew; any other file only by force, and what is read never."""
    page, notes = tmp_path / "page.html", tmp_path / "notes.html"
    page_of(visit, "--out", page)
    page_of(visit, "--out", page)
    notes.write_text("<!doctype html><html><head><title>my streamspot: notes</title></head></html>")
    before = notes.read_text()
    done = CliRunner().invoke(app, ["report", str(visit), "--out", str(notes)])
    assert isinstance(done.exception, SettingsError)
    assert "is no report of this program" in str(done.exception)
    assert notes.read_text() == before
    events = visit.read_text()
    done = CliRunner().invoke(app, ["report", str(visit), "--out", str(visit), "--force"])
    assert "is read by this very command" in str(done.exception)
    assert visit.read_text() == events
    assert "streamspot" in page_of(visit, "--out", notes, "--force")


def test_a_setting_that_changes_nothing_is_refused(visit: Path, tmp_path: Path):
    """Written events are as they are: the sentence leads to the recording, which takes other settings."""
    page, recording = tmp_path / "page.html", visit.with_suffix(".motion")

    def refused(*arguments: object) -> str:
        done = CliRunner().invoke(app, ["report", *map(str, arguments), "--out", str(page)])
        assert isinstance(done.exception, SettingsError)
        assert not page.exists()
        return str(done.exception)

    for flag, value in (("--sensitivity", 0.95), ("--weights", "/nope.safetensors")):
        assert f"{flag} changes nothing" in refused(visit, flag, value)
        assert "give the recording (.motion)" in refused(visit, "--compare", visit, flag, value)
        assert "give the recording (.motion)" in refused(visit.parent, flag, value)
    assert "--data is for a folder of crossval" in refused(visit, "--data", "mine")
    page_of(recording, "--sensitivity", 0.95, "--out", page)
    page_of(visit, "--compare", recording, "--sensitivity", 0.95, "--out", page)


def test_what_a_batch_has_not_finished_is_left_out_and_named(visit: Path, tmp_path: Path):
    """Stopped while it wrote the results of a file, a batch has said so beside them."""
    for name, how in (("ann", "abc"), ("ben", "")):
        for ending in (".jsonl", ".csv", ".motion"):
            shutil.copy(visit.with_suffix(ending), tmp_path / f"{name}{ending}")
        summary = {"format": SUMMARY, "place": "x", "how": how, "seconds": 20, "about": {}}
        (tmp_path / f"{name}.json").write_text(json.dumps(summary))
    done = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert "of 1 run" in done.stdout
    assert "ben is not finished and left out" in done.stderr.replace("\n", " ")
    assert "ann" not in done.stderr.partition(" holds of ")[2]
    (tmp_path / "ann.json").unlink()
    (tmp_path / "ann.jsonl").unlink()
    (tmp_path / "ann.motion").unlink()
    done = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert isinstance(done.exception, DataError)
    assert "finished" in str(done.exception)


@pytest.mark.parametrize("said", [{}, {"seconds": "long", "about": {}}, {"seconds": 20, "about": []}])
def test_what_stands_beside_events_and_is_no_summary_is_none(
    visit: Path, tmp_path: Path, said: dict[str, object]
):
    """A summary that somebody has cut or changed ends no report."""
    events = shutil.copy(visit, tmp_path / "ann.jsonl")
    (tmp_path / "ann.json").write_text(json.dumps({"format": SUMMARY, "place": "x", "how": "abc"} | said))
    assert len(accounts_of(Path(events), "streamspot-base", 0.5)) == 1
    assert finished_in(tmp_path) == {}


def test_recordings_without_events_in_a_folder_of_events_are_named(visit: Path, tmp_path: Path):
    """What is reported is what has events; that a recording is not among it is said."""
    for ending in (".jsonl", ".csv", ".motion"):
        shutil.copy(visit.with_suffix(ending), tmp_path / f"visit{ending}")
    lines = visit.with_suffix(".motion").read_text().replace('"stream":"', '"stream":"other-', 1)
    (tmp_path / "later.motion").write_text(lines)
    done = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert "of 1 run" in done.stdout
    assert "later.motion in" in done.stderr
    assert "visit.motion" not in done.stderr


def test_files_of_another_clip_beside_the_events_are_not_used(visit: Path, tmp_path: Path):
    """A curve and a recording that got the name of other events are named; nothing of them is in the report."""
    events, told = tmp_path / "visit.jsonl", []
    shutil.copy(visit, events)
    other = write_recording(tmp_path / "visit.motion", 2, ticks=900)
    header, _, rest = other.read_text().partition("\n")
    other.write_text(
        header.replace('"session":"simulated"', '"session":"another"').replace("-11-22T10", "-11-23T11")
        + "\n"
        + rest
    )
    asyncio.run(updates_of(other, intensity=tmp_path / "visit.csv"))
    (account,) = accounts_of(events, "streamspot-base", 0.5, told.append)
    assert (account.curves, account.sight, account.seconds) == ({}, {}, None)
    assert [f"visit{ending} is " in one for ending, one in zip((".csv", ".motion"), told, strict=True)] == [
        True,
        True,
    ]


def test_what_a_spreadsheet_has_saved_again_is_used_or_named(visit: Path, tmp_path: Path):
    """A mark at the beginning of a file changes nothing; a curve with other separators is said not to be used."""
    told: list[str] = []
    for ending in (".jsonl", ".csv"):
        text = visit.with_suffix(ending).read_text()
        (tmp_path / f"visit{ending}").write_text(text, encoding="utf-8-sig")
    (account,) = accounts_of(tmp_path / "visit.jsonl", "streamspot-base", 0.5, told.append)
    assert (len(account.events), len(account.curves[0]), told) == (len(read_events(visit)), 600, [])
    curve = tmp_path / "visit.csv"
    curve.write_text(curve.read_text(encoding="utf-8-sig").replace(",", ";"))
    (account,) = accounts_of(tmp_path / "visit.jsonl", "streamspot-base", 0.5, told.append)
    assert not account.curves
    assert "visit.csv has other separators" in told[0]


@pytest.mark.parametrize("flags", [{}, {"sensitivity": 0.7}, {"session": "mine", "stream": "door"}])
def test_a_recording_that_was_analysed_in_another_way_is_that_of_the_events(
    visit: Path, tmp_path: Path, flags: dict[str, object]
):
    """Whatever the settings and the names of the run that judged it, curve and recording beside are used."""
    recording = tmp_path / "visit.motion"
    shutil.copy(visit.with_suffix(".motion"), recording)
    outputs = {"events": str(tmp_path / "visit.jsonl"), "intensity": tmp_path / "visit.csv"}
    asyncio.run(updates_of(recording, **outputs, **flags))
    told: list[str] = []
    (account,) = accounts_of(tmp_path / "visit.jsonl", "streamspot-base", 0.5, told.append)
    assert told == []
    assert account.sight[0].ticks == len(account.curves[0]) == 600


def test_of_faces_in_turn_each_has_its_part_of_the_curve(visit: Path, tmp_path: Path):
    """Who comes back has a new number, which a curve of one face at a time does not tell: the events do."""
    header, *lines = visit.with_suffix(".motion").read_text().splitlines()
    later = [line.replace("[0,", "[1,", 1) for line in lines[320:]]
    recording = tmp_path / "turns.motion"
    recording.write_text("\n".join([header, *lines[:300], '[0,"face lost"]', *later, ""]))
    events, curve = tmp_path / "turns.jsonl", tmp_path / "turns.csv"
    asyncio.run(updates_of(recording, events=str(events), intensity=curve))
    assert "face" not in curve.read_text()
    told: list[str] = []
    (account,) = accounts_of(events, "streamspot-base", 0.5, told.append)
    assert told == []
    assert {event.face for event in account.final} == {0, 1}
    assert {face: len(rows) for face, rows in account.curves.items()} == {0: 300, 1: 280}
    assert account.curves[0][:, 0].max() < account.curves[1][:, 0].min()
    of_the_first = [encode(event, node="here") for event in account.events if event.face == 0]
    events.write_bytes(b"\n".join(of_the_first) + b"\n")
    (account,) = accounts_of(events, "streamspot-base", 0.5, told.append)
    assert len(account.curves[0]) == 580


def test_events_alone_are_reported_without_what_is_not_known(visit: Path, tmp_path: Path):
    """Without curve and recording there is no rate and no quality, and it is said how to get the curve."""
    shutil.copy(visit, tmp_path / "alone.jsonl")
    text = said(page_of(tmp_path / "alone.jsonl"))
    assert "--intensity" in text
    assert "How well the face could be seen" not in text


@given(st.lists(st.floats(0, 1), min_size=2, max_size=400))
def test_the_drawn_curve_is_close_to_the_true_one(values: list[float]):
    """What is left out of a long curve lies on the line between what is kept."""
    times = np.arange(len(values)) / 30
    x, y = thinned(np.column_stack((times, values)))
    assert np.abs(np.interp(times, np.array(x, float), np.array(y, float)) - values).max() < 0.0042
    assert len(x) <= len(values)


def test_an_hour_of_rest_is_a_few_points():
    """A report of hours stays small; a gap in the curve stays a gap."""
    times = np.arange(30 * 3600) / 30
    curve = np.column_stack((times, np.zeros_like(times)))
    assert len(thinned(curve)[0]) == 2
    assert thinned(np.delete(curve, range(1000, 2000), 0))[0].count(None) == 1


def test_a_browser_draws_it_and_prints_it(visit: Path, tmp_path: Path):
    """In Chromium every figure is drawn, nothing is fetched, and on paper it fits the page."""
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no Chromium")
    page_of(visit, "--out", tmp_path / "page.html")
    asked: list[str] = []
    faults: list[str] = []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1100, "height": 900})
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto((tmp_path / "page.html").as_uri())
        page.wait_for_selector(".figure .main-svg")
        assert page.locator(".figure .main-svg path.js-line").count() > 0
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.locator(".figure .main-svg").first.bounding_box()["width"] <= 680
        page.pdf(path=tmp_path / "page.pdf", prefer_css_page_size=True)
        browser.close()
    assert (tmp_path / "page.pdf").stat().st_size > 10_000
    assert asked == [(tmp_path / "page.html").as_uri()]
    assert faults == []
