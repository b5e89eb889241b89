"""Promises about reports: a page that stands alone, with the run's own figures, whose terms are explained."""

from __future__ import annotations

import asyncio
import html
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from running import updates_of
from small_recordings import write_recording
from test_privacy import EMOTIONS
from typer.testing import CliRunner

from streamspot.cli import app
from streamspot.errors import DataError, SettingsError
from streamspot.evaluation.matching import Counts
from streamspot.events import encode, read_events
from streamspot.report.account import SUMMARY, Account, accounts_of
from streamspot.report.comparison import with_labels, with_run
from streamspot.report.figures import thinned
from streamspot.report.words import WORDS
from streamspot.sources.base import stream_name

pytest.importorskip("plotly")


@pytest.fixture(scope="module")
def visit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the events of a recording with expressions, curve and recording beside them."""
    folder = tmp_path_factory.mktemp("visit")
    recording = write_recording(folder / "visit.motion", ticks=600)
    flags = {"events": str(folder / "visit.jsonl"), "intensity": folder / "visit.csv"}
    asyncio.run(updates_of(recording, **flags))
    return folder / "visit.jsonl"


def page_of(*arguments: object) -> str:
    """Return the page that the command writes."""
    done = CliRunner().invoke(app, ["report", *map(str, arguments)])
    assert done.exit_code == 0, done.output
    return Path(done.output.rpartition(": ")[0].replace("\n", "")).read_text(encoding="utf-8")


def said(page: str) -> str:
    """Return what a reader sees as text."""
    return html.unescape(
        re.sub(r"<[^>]+>", " ", re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL))
    )


def figures(page: str) -> list[dict[str, Any]]:
    """Return the figures of a page."""
    return [json.loads(one) for one in re.findall(r'<script type="application/json">(.*?)</script>', page)]


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


def test_labels_are_compared_by_interval_or_by_point(visit: Path, tmp_path: Path):
    """An interval is found by overlap, a point by lying within; points are called points and drawn as such."""
    first, second, *_ = [event for event in read_events(visit) if event.offset is not None]
    assert first.offset is not None
    assert second.offset is not None
    rows = [
        ("visit.mp4", first.kind, "", first.onset.frame, "", first.offset.frame),
        ("visit.mp4", second.kind, second.offset.frame, "", "", ""),
        ("visit.mp4", second.kind, second.offset.frame + 3, "", "", ""),
        ("other.mp4", "micro", 3, "", "", ""),
        ("visit.mp4", "rejected", first.onset.frame, "", "", ""),  # as a review writes it
        ("visit.mp4", "Unsure", 3, "", "", ""),
    ]
    table = tmp_path / "points.csv"
    text = "".join(",".join(map(str, row)) + "\n" for row in rows)
    table.write_text(f"video,kind,point,onset,apex,offset\n{text}")
    (account,) = accounts_of(visit, "streamspot-base", 0.5)
    compared = with_labels(account, table)
    assert compared is not None
    assert compared.by_point == 2
    assert compared.hits == {first.id, second.id}
    assert sum(counts.fn for counts in compared.counts.values()) == 1
    assert [span.start == span.end for span in compared.spans] == [False, True, True]
    page = page_of(visit, "--labels", table, "--out", tmp_path / "page.html")
    assert "2 of 3 labels are points" in said(page)
    first_frame = f"video,kind,point\nvisit.mp4,macro,{first.onset.frame}\n"
    table.write_text(f"{first_frame}Visit é.mp4,macro,5\n")  # another video of a like name
    exact = with_labels(account, table)
    assert exact is not None
    assert sum(counts.tp + counts.fn for counts in exact.counts.values()) == 1
    table.write_text(f"{first_frame}visit.mp4,macro,999999\n")
    with pytest.raises(DataError, match="row 3: frame 999999 lies behind the end of visit"):
        with_labels(account, table)
    table.write_text("video,kind,point\nannother.mp4,micro,3\nthird.mp4,micro,3\n")
    with pytest.raises(DataError, match="no row of visit"):
        with_labels(account, table)


def test_labels_of_another_video_are_refused(visit: Path, tmp_path: Path):
    """One that is named alone too; a table without a video, or with the name of its source, is about the run."""
    (account,) = accounts_of(visit, "streamspot-base", 0.5)
    table = tmp_path / "points.csv"
    table.write_text("video,kind,point\nanother.mp4,micro,3\n")
    with pytest.raises(DataError, match=r"no row of visit \(it names another.mp4\)"):
        with_labels(account, table)
    for content in (
        "kind,point\nmicro,3\n",
        "video,kind,point\n,micro,3\n",
        "video,kind,point\nvisit.mp4,micro,3\n",
    ):
        table.write_text(content)
        found = with_labels(account, table)
        assert found is not None
        assert len(found.spans) == 1
    named = Account("results", account.events, stream="another-0a1b2c")
    table.write_text("video,kind,point\nclips/Another.mp4,micro,3\n")
    assert with_labels(named, table) is not None
    others = [Account(name, [], stream=name) for name in ("door", "hall")]
    assert with_labels(named, table, [named, *others]) is not None
    recorded = Account("re\u0301sultats", account.events, stream="door")  # as macOS writes an accent
    for video, of_it in (("door.motion", True), ("戸.mp4", False), ("résultats.mp4", True)):
        table.write_text(f"video,kind,point\n{video},micro,3\n", encoding="utf-8")
        assert (with_labels(recorded, table, [recorded, named]) is not None) == of_it


def test_labels_of_videos_that_are_called_alike_are_told_apart(visit: Path, tmp_path: Path):
    """By their folders, which a batch names, or which lie below the table; otherwise nothing is guessed."""
    events, table = read_events(visit), tmp_path / "points.csv"
    place = stream_name("neutral", str(tmp_path / "P02" / "neutral.mp4"))
    batch = [Account(f"P0{n}-neutral", events, stream="s", source=f"P0{n}/neutral.mp4") for n in (1, 2)]
    streams = [Account("one", events, stream="neutral-000000"), Account("two", events, stream=place)]

    def found(*videos: str, among: list[Account]) -> list[int | None]:
        rows = "".join(f"{video},macro,{n}\n" for n, video in enumerate(videos))
        table.write_text(f"video,kind,point\n{rows}")
        compared = [with_labels(one, table, among) for one in among]
        return [None if one is None else len(one.spans) for one in compared]

    both = "P01/neutral.mp4", "P02/neutral.mp4"
    assert found(*both, among=batch) == [1, 1]
    assert found("P02/neutral.mp4", "P02/neutral.mp4", among=batch) == [None, 2]
    assert found(*both, among=streams) == [1, 1]
    assert found("P02/neutral.mp4", among=streams) == [None, 1]
    with pytest.raises(DataError, match=r"whether neutral\.mp4 is P01-neutral or P02-neutral"):
        found("neutral.mp4", among=batch)
    with pytest.raises(
        DataError, match=r"whether one is P01/neutral\.mp4 or P03/neutral\.mp4; leave the rows of one"
    ):
        found("P01/neutral.mp4", "P03/neutral.mp4", among=streams[:1])


def test_of_several_faces_each_is_compared_with_its_own_labels(visit: Path, tmp_path: Path):
    """An expression of one face does not find what was labelled on another; a label without a face is anybody's."""
    first, second, *_ = [event for event in read_events(visit) if event.offset is not None]
    account = Account("visit", [first, second.model_copy(update={"face": 1})])
    assert first.apex is not None
    assert second.apex is not None
    table = tmp_path / "points.csv"

    def compared(*faces: object) -> tuple[frozenset[str], int, int]:
        rows = zip((first, second), faces, strict=True)
        text = "".join(f"visit.mp4,{one.kind},{one.apex.frame},{face}\n" for one, face in rows if one.apex)
        table.write_text(f"video,kind,point,face\n{text}")
        found = with_labels(account, table)
        assert found is not None
        counts = sum(found.counts.values(), Counts())
        return found.hits, counts.fp, counts.fn

    assert compared(0, 1) == ({first.id, second.id}, 0, 0)
    assert compared(1, 1) == ({second.id}, 1, 1)
    assert compared(3, 1) == ({second.id}, 1, 1)
    assert compared("", "") == ({first.id, second.id}, 0, 0)
    assert with_run(account, Account("other", [first, second])).hits == {first.id}


def test_two_runs_are_compared(visit: Path, tmp_path: Path):
    """A run and itself have everything in common; with less sensitivity there is less."""
    (account,) = accounts_of(visit, "streamspot-base", 0.5)
    same = with_run(account, account)
    assert sum(counts.tp for counts in same.counts.values()) == len(account.final)
    assert same.apart == 0.0
    fewer = Account("fewer", [event for event in account.events if event.seq > account.final[0].seq])
    compared = with_run(account, fewer)
    assert account.final[0].id not in compared.hits
    assert len(compared.hits) == len(fewer.final) == len(account.final) - 1
    page = page_of(visit, "--compare", visit.with_suffix(".motion"), "--out", tmp_path / "page.html")
    assert "only in the other run" in said(page)


def test_runs_over_different_sources_are_compared_with_a_warning(visit: Path, tmp_path: Path):
    """One sentence says so; two runs over one source are compared without a word."""
    other = tmp_path / "other.jsonl"
    other.write_text(visit.read_text().replace('"stream":"simulated"', '"stream":"door"'))
    page = tmp_path / "page.html"

    def warned(compared: Path) -> str:
        done = CliRunner().invoke(app, ["report", str(visit), "--compare", str(compared), "--out", str(page)])
        assert done.exit_code == 0, done.output
        return done.stderr

    assert "is of simulated and" in warned(other)
    assert warned(other).count("\n") == 1
    assert warned(visit.with_suffix(".motion")) == ""


def test_two_runs_over_several_sources_are_compared_source_by_source(visit: Path, tmp_path: Path):
    """Each stream is held against itself, in whichever order; one without an event there is named."""
    lines = visit.read_text().splitlines(keepends=True)
    door = [line.replace('"stream":"simulated"', '"stream":"door"') for line in lines]
    later = [line.replace(read_events(visit)[0].run, "0a1b2c3d4e5f") for line in (*door[3:], *lines)]
    mine, theirs, less = (tmp_path / f"{name}.jsonl" for name in ("mine", "theirs", "less"))
    for path, written in ((mine, [*lines, *door]), (theirs, later), (less, later[: len(door) - 3])):
        path.write_text("".join(written))
    page = said(page_of(mine, "--compare", theirs))
    assert "2 recordings compared with the other run" in page
    done = CliRunner().invoke(app, ["report", str(mine), "--compare", str(less)])
    assert done.exit_code == 0
    assert "has no event of simulated" in done.stderr
    done = CliRunner().invoke(app, ["report", str(mine), "--compare", str(visit.with_suffix(".motion"))])
    assert done.exit_code == 0
    assert "has no event of door" in done.stderr


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
