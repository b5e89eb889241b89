"""Promises about reports that compare: with labels, or with another run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from report_pages import page_of, said
from typer.testing import CliRunner

from streamspot.cli import app
from streamspot.datasets.recording import Instance, to_tick
from streamspot.errors import DataError
from streamspot.evaluation.matching import Counts, count
from streamspot.events import encode, read_events
from streamspot.report.account import Account, accounts_of
from streamspot.report.comparison import counterparts, with_labels, with_run
from streamspot.sources.base import stream_name
from streamspot.types import Detection, Moment

pytest.importorskip("plotly")


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
    table.write_text("video,kind,point\nvisit.mp4,micro,3\n,micro,9\nvisit.mp4,,12\nvisit.mp4,,\n")
    with pytest.raises(DataError, match=r"row 3: it names no video.*; merged cells .*\n.*row 4: .*; merged"):
        with_labels(account, table)
    table.write_text("video,kind,point\nannother.mp4,micro,3\nthird.mp4,micro,3\n")
    with pytest.raises(DataError, match="no row of visit"):
        with_labels(account, table)


@pytest.mark.parametrize(("apex", "apart"), [("", None), (3, 0.1), (0, 0.0)])
def test_apices_are_compared_where_both_sides_have_one(
    visit: Path, tmp_path: Path, apex: int | str, apart: float | None
):
    """The onset of a label without an apex is none."""
    (account,) = accounts_of(visit, "streamspot-base", 0.5)
    first = account.final[0]
    assert first.apex is not None
    assert first.offset is not None
    told = apex if apex == "" else first.apex.frame + int(apex)
    table = tmp_path / "annotations.csv"
    rows = f"{first.kind},{first.onset.frame},{told},{first.offset.frame}\n"
    table.write_text(f"kind,onset,apex,offset\n{rows}")
    compared = with_labels(account, table)
    assert compared is not None
    assert compared.hits == {first.id}
    assert compared.apart == (apart if apart is None else pytest.approx(apart))


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
    assert compared(0, "") == compared("", 1) == ({first.id, second.id}, 0, 0)
    alone = Account("visit", [first, second])
    assert with_run(account, alone).hits == with_run(alone, account).hits == {first.id}
    renumbered = Account("other", [one.model_copy(update={"face": 3}) for one in alone.events])
    assert with_run(alone, renumbered).hits == {first.id, second.id}
    account = Account("visit", [first, second, second.model_copy(update={"face": 1, "seq": 99})])
    assert [compared(*faces)[1:] for faces in (("", ""), (0, 0), (0, ""), (0, 1))] == [(1, 0)] * 4
    account = alone
    assert compared(1, 0) == ({second.id}, 1, 1)
    assert compared(0, 1) == ({first.id}, 1, 1)
    assert compared(3, "") == ({first.id, second.id}, 0, 0)


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
    both, one = tmp_path / "both", tmp_path / "one"
    for folder, names in ((both, ("door", "hall")), (one, ("door",))):
        folder.mkdir()
        for name in names:
            (folder / f"{name}.jsonl").write_text("".join(door) if name == "door" else "")
    done = CliRunner().invoke(app, ["report", str(both), "--compare", str(one)])
    assert done.exit_code == 0
    assert "has no run that is called hall, which is compared with nothing" in done.stderr


def test_a_run_that_found_nothing_is_compared_with_the_one_of_its_name():
    """On either side; never with a run of that name that is over another source."""
    ann, ben, carl = (Account(name, [], stream=name) for name in ("ann", "ben", "carl"))
    silent, moved = Account("ann", []), Account("elsewhere", [], stream="ann")
    assert counterparts([silent, ben], [ann, ben, carl]) == [ann, ben]
    assert counterparts([carl, ann, ben], [silent, ben]) == [None, silent, ben]
    assert counterparts([silent, Account("dora", []), ben], [silent, ben]) == [silent, None, ben]
    assert counterparts([silent, moved, ben], [ann, ben]) == [None, ann, ben]
    assert counterparts([moved, ben], [Account("elsewhere", [], stream="hall"), ben, carl]) == [None, ben]


def test_labels_say_their_rate_and_without_it_none_is_behind_the_end(visit: Path, tmp_path: Path):
    """A run that found nothing does not tell frames a second; labels of a 200 fps video are right all the same."""
    empty, table = tmp_path / "visit.jsonl", tmp_path / "points.csv"
    empty.touch()
    (account,) = accounts_of(empty, "streamspot-base", 0.5)
    account.seconds, account.whole = 10.0, True
    table.write_text("video,kind,onset,offset,fps\nvisit.mp4,macro,1100,1400,\nvisit.mp4,macro,1100,1400,\n")
    compared = with_labels(account, table)
    assert compared is not None
    assert sum(counts.fn for counts in compared.counts.values()) == 1  # what stands there twice is one
    table.write_text("video,kind,onset,offset,fps\nvisit.mp4,macro,1100,1400,200\n")
    compared = with_labels(account, table)
    assert compared is not None
    assert [(span.start, span.end) for span in compared.missed] == [(5.5, 7.0)]
    table.write_text("video,kind,point,fps\nvisit.mp4,macro,2010,200\n")
    with pytest.raises(DataError, match="behind the end"):
        with_labels(account, table)
    table.write_text("video,kind,onset,offset,fps\nvisit.mp4,macro,1400,1100,200\n")
    with pytest.raises(DataError, match="offset 1100 lies before onset 1400"):
        with_labels(account, table)


def test_a_label_that_goes_on_behind_the_end_ends_there(visit: Path, tmp_path: Path):
    """An expression that lasts to the end of a film is found by such a label, wherever its offset is said to be."""
    (account,) = accounts_of(visit, "streamspot-base", 0.5)
    last = account.final[-1]
    assert last.offset is not None
    assert account.seconds == (last.offset.tick + 1) / 30
    table = tmp_path / "annotations.csv"
    table.write_text(f"kind,onset,offset\n{last.kind},{last.onset.frame},{3 * last.offset.frame}\n")
    compared = with_labels(account, table)
    assert compared is not None
    assert compared.hits == {last.id}
    assert [span.end for span in compared.spans] == [pytest.approx(last.offset.pts)]


@pytest.mark.parametrize(
    ("fps", "label", "found"), [(200, (60, 119), 1), (200, (60, 124), 0), (25, (8, 14), 0)]
)
def test_labels_are_judged_as_evaluate_judges_them_at_any_rate(
    visit: Path, tmp_path: Path, fps: int, label: tuple[int, int], found: int
):
    """Both sides count in ticks: the last one of an expression lasts as long as any, however many frames that is."""
    event = next(event for event in read_events(visit) if event.offset is not None)
    onset, apex, offset = (
        event.onset.model_copy(update={"tick": tick, "frame": round(tick * fps / 30)}) for tick in (9, 11, 13)
    )
    event = event.model_copy(update={"onset": onset, "apex": apex, "offset": offset, "decided_at": offset})
    table = tmp_path / "annotations.csv"
    table.write_text(f"kind,onset,offset,fps\n{event.kind},{label[0]},{label[1]},{fps}\n")
    compared = with_labels(Account("visit", [event]), table)
    assert compared is not None
    assert compared.counts[event.kind].tp == found
    expected = Instance(event.kind, label[0], label[0], label[1]).at(lambda frame: to_tick(frame, fps))
    seen = Detection(0, "offset", event.kind, 9, 11, 13, event.intensity, event.score, 0)
    assert count([seen], [expected])[event.kind].tp == found


@pytest.mark.parametrize("beside", [True, False])
def test_labels_of_a_variable_frame_rate_stand_where_their_frames_were(
    visit: Path, tmp_path: Path, *, beside: bool
):
    """Whatever rate the table gives, the run knows when which frame was; none it may have is behind the end."""
    events, table = tmp_path / "visit.jsonl", tmp_path / "points.csv"

    def frame_at(tick: int) -> int:  # ten frames a second, after ten seconds thirty
        return tick // 3 if tick < 300 else tick - 200

    def moved(moment: Moment | None) -> Moment | None:
        return moment and moment.model_copy(update={"frame": frame_at(moment.tick)})

    names = "onset", "apex", "offset", "decided_at"
    changed = [
        event.model_copy(update={name: moved(getattr(event, name)) for name in names})
        for event in read_events(visit)
    ]
    events.write_bytes(b"".join(encode(event, node="here") + b"\n" for event in changed))
    if beside:
        header, *lines = visit.with_suffix(".motion").read_text().splitlines()
        rows = map(json.loads, lines)
        moved_rows = [json.dumps([*row[:3], frame_at(row[1]), *row[4:]]) for row in rows if len(row) > 2]
        end = json.dumps({"end": 599 / 30, "frame": frame_at(599)})
        (tmp_path / "visit.motion").write_text("\n".join([header, *moved_rows, end, ""]))
    (account,) = accounts_of(events, "streamspot-base", 0.5)
    account.seconds = 20.0
    for rate in ("10", "20", ""):
        rows_of_labels = "".join(f"visit.mp4,macro,{frame},{rate}\n" for frame in (50, 398))
        table.write_text(f"video,kind,point,fps\n{rows_of_labels}")
        compared = with_labels(account, table)
        assert compared is not None
        early, late = (span.at for span in compared.spans)
        assert early == pytest.approx(5.0, abs=0.1 if beside else 1.0)
        assert late == pytest.approx(598 / 30, abs=0.1 if beside else 1.0)
    if beside:
        table.write_text("video,kind,point,fps\nvisit.mp4,macro,402,20\n")
        with pytest.raises(DataError, match="frame 402 lies behind the end of visit"):
            with_labels(account, table)


@pytest.mark.parametrize(("rate", "refused"), [("60", True), ("25", True), ("29.97", False), ("", False)])
def test_labels_of_another_rate_than_the_source_are_refused(
    visit: Path, tmp_path: Path, rate: str, *, refused: bool
):
    """Their frames would be of other moments; a rate that is rounded, or none, is as good as the right one."""
    account, table = Account("visit", read_events(visit)), tmp_path / "points.csv"
    apex = account.final[0].apex
    assert apex is not None
    table.write_text(f"video,kind,point,fps\nvisit.mp4,macro,3,30\nvisit.mp4,macro,{apex.frame},{rate}\n")
    if refused:
        with pytest.raises(
            DataError, match=rf"row 3: fps is {rate} and visit has about 30; .* leave it empty"
        ):
            with_labels(account, table)
    else:
        compared = with_labels(account, table)
        assert compared is not None
        assert compared.hits == {account.final[0].id}


def test_labels_stand_on_the_time_line_of_a_source_that_does_not_begin_at_nought(visit: Path, tmp_path: Path):
    """As events do: a label at the apex of one stands where the apex stands."""
    event = next(event for event in read_events(visit) if event.offset is not None)
    assert event.apex is not None
    apex, onset = (one.model_copy(update={"pts": one.pts + 1000}) for one in (event.apex, event.onset))
    table = tmp_path / "points.csv"
    table.write_text(f"kind,point\n{event.kind},{apex.frame}\n")
    compared = with_labels(Account("visit", [event.model_copy(update={"onset": onset, "apex": apex})]), table)
    assert compared is not None
    assert compared.apart == 0.0
    assert [span.at for span in compared.spans] == [pytest.approx(apex.pts, abs=1e-5)]


def test_a_label_behind_the_last_face_is_counted(visit: Path, tmp_path: Path):
    """A face that has left does not end the video: a recording says how long it went on, or its end is not known."""
    events, table = tmp_path / "visit.jsonl", tmp_path / "points.csv"
    events.write_bytes(visit.read_bytes())
    lines = [*visit.with_suffix(".motion").read_text().splitlines()[:-1], '[0,"face lost"]']
    table.write_text("video,kind,point,fps\nvisit.mp4,macro,1000,30\n")
    for end, seconds in (([], 20.0), (['{"end":59.95,"frame":1798}'], 59.97)):
        (tmp_path / "visit.motion").write_text("\n".join([*lines, *end, ""]))
        (account,) = accounts_of(events, "streamspot-base", 0.5)
        assert account.seconds == pytest.approx(seconds, abs=0.05)
        compared = with_labels(account, table)
        assert compared is not None
        assert [span.at for span in compared.missed] == [pytest.approx(1000 / 30)]
    table.write_text("video,kind,point,fps\nvisit.mp4,macro,1900,30\n")
    with pytest.raises(DataError, match="frame 1900 lies behind the end of visit"):
        with_labels(account, table)
