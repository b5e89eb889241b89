"""Labels of a review: every change is in the files at once, undo leads back, coders stay apart."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_clips import numbered, write_video
from small_data import csv_rows

from streamspot.datasets.annotations import Faults, read_annotations
from streamspot.datasets.formats import read_format
from streamspot.datasets.points import PointsFile
from streamspot.errors import DataError, SettingsError
from streamspot.review.files import ChangedElsewhereError, LabelFiles, coders
from streamspot.review.items import find_items
from streamspot.review.labels import Change, GivenLabel, Labels, UndoHistory, changed, merged
from streamspot.review.reviewing import Reviewing


def _label(
    name: str, kind: str, point: int, onset: int | None = None, offset: int | None = None
) -> GivenLabel:
    return GivenLabel(id=name, kind=kind, point=point, onset=onset, offset=offset)  # type: ignore[arg-type]


def _write(files: LabelFiles, video: str, labels: Labels) -> None:
    files.write(video, Path(video).stem, labels, subject="ann", fps=30.0, frames=900)


def _same(labels: Labels) -> list[tuple[str, int, int | None, int | None]]:
    return sorted((one.kind, one.point, one.onset or 0, one.offset or 0) for one in labels.given)


_POINT = st.integers(0, 500)
_LABEL = st.builds(
    lambda name, kind, marks, ends: _label(name, kind, marks[1], *((marks[0], marks[2]) if ends else ())),
    st.sampled_from("abcde"),
    st.sampled_from(["macro", "micro", "unsure", "rejected"]),
    st.lists(_POINT, min_size=3, max_size=3).map(sorted),
    st.booleans(),
)
_CHANGE = st.one_of(
    _LABEL.map(lambda label: Change(op="put", label=label)),
    st.sampled_from("abcde").map(lambda name: Change(op="remove", id=name)),
    st.booleans().map(lambda seen: Change(op="seen", seen=seen)),
    st.sampled_from([Change(op="undo"), Change(op="redo")]),
)


@given(st.lists(_CHANGE, max_size=40))
def test_any_changes_undone_and_done_again_are_the_fold_of_those_that_hold(changes: list[Change]) -> None:
    """What stands is what the changes that were not taken back lead to, one after the other."""
    history, done, undone = UndoHistory(Labels()), list[Change](), list[Change]()
    for change in changes:
        history.take(change)
        if change.op == "undo" and done:
            undone.append(done.pop())
        elif change.op == "redo" and undone:
            done.append(undone.pop())
        elif change.op not in {"undo", "redo"}:
            before = Labels()
            for one in done:
                before = changed(before, one)
            if changed(before, change) != before:
                done.append(change)
                undone.clear()
        folded = Labels()
        for one in done:
            folded = changed(folded, one)
        assert history.now == folded
        assert (history.undoable, history.redoable) == (bool(done), bool(undone))


@settings(deadline=None, max_examples=60)
@given(st.lists(_CHANGE, max_size=12))
def test_the_file_says_what_the_labels_say_after_every_change(
    tmp_path_factory: pytest.TempPathFactory, changes: list[Change]
) -> None:
    """At any moment the program may be killed: what is read again is what was on the page."""
    files, history = LabelFiles(tmp_path_factory.mktemp("review")), UndoHistory(Labels())
    for change in changes:
        _write(files, "clip.mp4", history.take(change))
        again = files.read("clip.mp4", "clip")
        assert _same(again) == _same(history.now)
        assert again.seen == history.now.seen


def test_labels_are_in_the_form_that_extract_reads(tmp_path: Path) -> None:
    """Point labels and those with both ends go into training as they are; what is unsure or rejected does not."""
    (tmp_path / "clip.mp4").touch()
    labels = (
        _label("a", "macro", 40, 30, 62),
        _label("b", "micro", 100),
        _label("c", "unsure", 200),
        _label("d", "rejected", 300, 290, 310),
    )
    _write(LabelFiles(tmp_path), "clip.mp4", Labels(labels))
    (video,) = read_format(tmp_path, "folder").videos
    found = [(i.kind, i.onset, i.apex, i.offset, i.point) for i in video.annotated.instances]
    assert found == [("macro", 30, 40, 62, 40), ("micro", 95, 100, 105, 100)]
    assert PointsFile(tmp_path / "points.csv", "clip.mp4", "ann", 30.0).count("macro") == 1


def test_a_row_that_stands_twice_is_one_label(tmp_path: Path) -> None:
    """As for extract and report; otherwise agreement would count it twice."""
    rows = "clip.mp4,ann,macro,40\nclip.mp4,ann,micro,40\nclip.mp4,ann,macro,40\n"
    (tmp_path / "points.csv").write_text(f"video,subject,kind,point\n{rows}")
    (labels,) = LabelFiles(tmp_path).all().values()
    assert _same(labels) == [("macro", 40, 0, 0), ("micro", 40, 0, 0)]


def test_annotations_hold_a_video_once_all_its_expressions_have_both_ends(tmp_path: Path) -> None:
    """A point alone is never written as if its ends were known."""
    files, path = LabelFiles(tmp_path), tmp_path / "annotations.csv"
    _write(files, "clip.mp4", Labels((_label("a", "macro", 40, 30, 62), _label("b", "micro", 100))))
    assert not path.exists()
    _write(files, "clip.mp4", Labels((_label("a", "macro", 40, 30, 62), _label("b", "micro", 100, 96, 104))))
    read = read_annotations(path, Faults())["clip"]
    assert [(i.kind, i.onset, i.apex, i.offset) for i in read.instances] == [
        ("macro", 30, 40, 62),
        ("micro", 96, 100, 104),
    ]
    assert (read.fps, read.frames, read.subject) == (30.0, 900, "ann")
    _write(files, "clip.mp4", Labels((_label("b", "micro", 100),)))
    assert csv_rows(path) == []


def test_a_video_seen_to_its_end_without_a_label_has_no_expression(tmp_path: Path) -> None:
    """That is said in both files, and nothing before it is."""
    files = LabelFiles(tmp_path)
    _write(files, "clip.mp4", Labels())
    assert not list(tmp_path.iterdir())
    _write(files, "clip.mp4", Labels(seen=True))
    assert [(row["video"], row["kind"], row["point"]) for row in csv_rows(tmp_path / "points.csv")] == [
        ("clip.mp4", "", "")
    ]
    assert read_annotations(tmp_path / "annotations.csv", Faults())["clip"].instances == []


def test_other_videos_and_foreign_columns_are_kept(tmp_path: Path) -> None:
    """A table that somebody else made is added to, not made anew."""
    path = tmp_path / "points.csv"
    path.write_text("video,subject,note,kind,point\nold.mp4,bob,windy,macro,7\nclip.mp4,cat,calm,micro,9\n")
    files = LabelFiles(tmp_path)
    before = files.read("clip.mp4", "clip")
    assert _same(before) == [("micro", 9, 0, 0)]
    _write(files, "clip.mp4", Labels((*before.given, _label("new", "macro", 80, 70, 99))))
    rows = csv_rows(path)
    assert rows[0]["note"] == "windy"
    assert [(row["subject"], row["point"], row["offset"] or "") for row in rows[1:]] == [
        ("cat", "9", ""),
        ("cat", "80", "99"),
    ]


def test_a_row_that_was_not_changed_stays_byte_for_byte(tmp_path: Path) -> None:
    """A new label of one face leaves the subjects and the further columns of all other rows as they stand."""
    path = tmp_path / "points.csv"
    head = "video,subject,kind,point,fps,onset,apex,offset,face,rater_confidence\n"
    there = [
        "a.mp4,ann,macro,20,30,,,,0,0.9\n",
        'a.mp4,ben,"macro",25,30.0,,,,1,0.4\n',
        "a.mp4,ben,,,,,,,1,\n",
    ]
    path.write_text(head + "".join(there))
    files = LabelFiles(tmp_path)
    found = files.read("a.mp4", "a")
    more = GivenLabel(id="new", kind="micro", point=90, onset=None, offset=None, face=1)
    _write(files, "a.mp4", changed(found, Change(op="put", label=more)))
    lines = path.read_text().splitlines(keepends=True)
    assert lines[0] == head
    assert set(lines[1:]) == {*there, "a.mp4,ben,micro,90,30,,,,1,\n"}
    moved = found.given[0].model_copy(update={"point": 21})
    _write(files, "a.mp4", changed(found, Change(op="put", label=moved)))
    assert set(path.read_text().splitlines(keepends=True)[1:]) == {
        "a.mp4,ann,macro,21,30,,,,0,0.9\n",
        *there[1:],
    }
    _write(files, "a.mp4", changed(found, Change(op="remove", id=moved.id)))
    _write(files, "a.mp4", found)
    assert "a.mp4,ann,macro,20,30,,,,0,0.9\n" in path.read_text(), "an undo brings back the whole row"


@pytest.mark.parametrize("known", [False, True])
def test_what_others_wrote_beside_a_label_goes_with_it(tmp_path: Path, known: bool) -> None:
    """A label without ends takes its video out of annotations.csv until it has them; no further cell is lost."""
    path = tmp_path / "annotations.csv"
    path.write_text(
        "video,subject,kind,onset,apex,offset,au\nclip,ann,macro,10,15,30,AU12\nclip,ann,,,,,calm\n"
    )
    if known:
        (tmp_path / "points.csv").write_text(
            "video,subject,kind,point,onset,apex,offset\nclip.mp4,ann,macro,15,10,15,30\nclip.mp4,ann,,,,,\n"
        )
    files = LabelFiles(tmp_path)
    found = files.read("clip.mp4", "clip")
    _write(files, "clip.mp4", changed(found, Change(op="put", label=_label("n", "macro", 90))))
    assert csv_rows(path) == []
    assert [row["au"] for row in csv_rows(tmp_path / "points.csv")] == ["AU12", "", "calm"]
    files = LabelFiles(tmp_path)
    found = files.read("clip.mp4", "clip")
    ends = [one.model_copy(update={"onset": 85, "offset": 95}) for one in found.given if one.point == 90]
    _write(files, "clip.mp4", changed(found, Change(op="put", label=ends[0])))
    assert [(row["onset"], row["au"]) for row in csv_rows(path)] == [("10", "AU12"), ("85", "")]


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_rows_of_other_videos_are_kept_as_they_stand(tmp_path: Path, ends: str) -> None:
    """Equal and empty column names, rows longer than the head, quotes, empty rows and a byte order mark."""
    path = tmp_path / "points.csv"
    head = "\ufeffVideo,subject,kind,point,note,note,"
    others = ["old.mp4,bob,macro,7,one,two,three,four,five", "", 'old.mp4,"b, ob",micro,9,"a\nb",', "x.mp4"]
    path.write_bytes(ends.join([head, *others]).encode())
    files = LabelFiles(tmp_path)
    found = files.read("clip.mp4", "clip")
    _write(files, "clip.mp4", changed(found, Change(op="put", label=_label("n", "macro", 80, 70, 99))))
    text = path.read_bytes().decode()
    assert text.startswith(head)
    assert ends + ends.join(others) + ends + "clip.mp4,ann,macro,80," in text
    (again,) = LabelFiles(tmp_path).read("clip.mp4", "clip").given
    assert (again.point, again.onset, again.offset) == (80, 70, 99)
    (row,) = (row for row in csv_rows(path) if "clip.mp4" in row.values())
    assert (row["subject"], row["note"]) == ("ann", "")
    assert LabelFiles(tmp_path).points.of("old.mp4")[0].cells.get("onset", "") == ""


def test_two_programs_on_one_folder_lose_no_label(tmp_path: Path) -> None:
    """What another program wrote meanwhile is said and nothing is written; whoever takes it in writes both."""
    one, other = LabelFiles(tmp_path), LabelFiles(tmp_path)
    mine, theirs = (UndoHistory(files.read("clip.mp4", "clip")) for files in (one, other))
    _write(one, "clip.mp4", mine.take(Change(op="put", label=_label("a", "macro", 40))))
    theirs.take(Change(op="put", label=_label("b", "micro", 90)))
    with pytest.raises(ChangedElsewhereError) as changed_there:
        _write(other, "clip.mp4", theirs.now)
    assert [row["point"] for row in csv_rows(tmp_path / "points.csv")] == ["40"]
    theirs.take_in(changed_there.value.before, changed_there.value.theirs)
    _write(other, "clip.mp4", theirs.now)
    assert [row["point"] for row in csv_rows(tmp_path / "points.csv")] == ["40", "90"]
    _write(other, "clip.mp4", theirs.take(Change(op="undo")))
    assert [row["point"] for row in csv_rows(tmp_path / "points.csv")] == ["40"], (
        "an undo takes back its own alone"
    )
    _write(other, "b.mp4", Labels((_label("c", "macro", 7),)))
    _write(one, "clip.mp4", mine.now)
    assert {row["video"] for row in csv_rows(tmp_path / "points.csv")} == {"clip.mp4", "b.mp4"}


@pytest.mark.parametrize("gone", [["points.csv"], ["annotations.csv"], ["points.csv", "annotations.csv"]])
def test_labels_outlive_their_file(tmp_path: Path, gone: list[str]) -> None:
    """A file that vanishes meanwhile is there again at the next key, with the labels of every video."""
    stretch = _label("a", "macro", 40, 30, 50)
    files = LabelFiles(tmp_path)
    files.read("clip.mp4", "clip")
    _write(files, "clip.mp4", Labels((stretch,)))
    _write(files, "b.mp4", Labels((_label("c", "micro", 7), _label("d", "unsure", 9))))
    (tmp_path / "points.csv").write_text(
        (tmp_path / "points.csv").read_text() + "old.mp4,eve,macro,3,25,,,,\n"
    )
    files.all()
    for name in gone:
        (tmp_path / name).rename(tmp_path / f"away-{name}")
    _write(files, "b.mp4", Labels((_label("c", "micro", 7),), seen=True))
    _write(files, "clip.mp4", Labels((stretch, _label("b", "micro", 90, 80, 95))))
    points = {
        (row["video"], row["subject"], row["kind"], row["point"]) for row in csv_rows(tmp_path / "points.csv")
    }
    assert points == {
        ("clip.mp4", "ann", "macro", "40"),
        ("clip.mp4", "ann", "micro", "90"),
        ("b.mp4", "ann", "micro", "7"),
        ("b.mp4", "ann", "", ""),
        ("old.mp4", "eve", "macro", "3"),
    }
    assert [row["onset"] for row in csv_rows(tmp_path / "annotations.csv")] == ["30", "80"]


@given(st.lists(_CHANGE, max_size=8), st.lists(_CHANGE, max_size=8), st.lists(_CHANGE, max_size=4))
def test_taking_in_what_others_changed_keeps_both(
    start: list[Change], mine: list[Change], theirs: list[Change]
) -> None:
    """A label that neither side had before is there afterwards, and so is what only one side changed."""
    before = Labels()
    for change in start:
        before = changed(before, change) if change.op in {"put", "remove", "seen"} else before
    ours, others = before, before
    for change in mine:
        ours = changed(ours, change) if change.op in {"put", "remove", "seen"} else ours
    for number, change in enumerate(theirs):
        if change.label is not None:
            label = change.label.model_copy(update={"id": f"their-{number}"})
            others = changed(others, Change(op="put", label=label))
    found = merged(before, ours, others)
    said = {one.content for one in found.given}
    assert said >= {one.content for one in others.given if one not in before.given}
    assert said >= {one.content for one in ours.given if one not in before.given}
    assert merged(before, ours, before) == ours
    assert merged(before, before, others) == others


def test_expressions_that_are_annotated_already_are_where_a_review_begins(tmp_path: Path) -> None:
    """What stands in annotations.csv alone is shown, and not lost by the first key."""
    (tmp_path / "annotations.csv").write_text(
        "video,subject,fps,frames,kind,onset,apex,offset,point\nclip,ann,30,900,macro,10,20,30,21\n"
    )
    files = LabelFiles(tmp_path)
    found = files.read("clip.mp4", "clip")
    assert _same(found) == [("macro", 21, 10, 30)]
    _write(files, "clip.mp4", changed(found, Change(op="put", label=_label("b", "micro", 100, 99, 105))))
    assert len(csv_rows(tmp_path / "annotations.csv")) == 2
    assert len(csv_rows(tmp_path / "points.csv")) == 2


@pytest.mark.parametrize("other", ["take.m4v", "away/take.mp4"])
def test_videos_of_one_name_do_not_share_their_labels(tmp_path: Path, other: str) -> None:
    """Reviewed one at a time, each begins with its own, beside the other or in another folder with one of labels."""
    (tmp_path / "away").mkdir()
    for name in ("take.mp4", other):
        (tmp_path / name).touch()

    def item_of(name: str) -> tuple[LabelFiles, str, str]:
        (item,), folder = find_items(str(tmp_path / name), tmp_path)
        return LabelFiles(folder), item.video, item.title

    files, video, title = item_of("take.mp4")
    first = Labels((_label("a", "macro", 40, 30, 50),))
    files.write(video, title, first, subject="ann", fps=25, frames=100)
    files, video, title = item_of(other)
    assert not files.read(video, title)
    files.write(video, title, Labels((_label("b", "micro", 7),)), subject="ben", fps=30, frames=200)
    assert [(row["video"], row["subject"], row["fps"]) for row in csv_rows(tmp_path / "points.csv")] == [
        ("take.mp4", "ann", "25"),
        (other, "ben", "30"),
    ]
    files, video, title = item_of("take.mp4")
    assert _same(files.read(video, title)) == _same(first)


def test_labels_belong_to_their_video_however_a_system_writes_its_accents(tmp_path: Path) -> None:
    """A folder that was labelled on a Mac and copied elsewhere shows its labels, and each once."""
    apart, whole = "U\u0308bung.mp4", "Übung.mp4"
    (tmp_path / whole).touch()
    table = tmp_path / "points.csv"
    table.write_text(f"video,subject,kind,point\n{apart},ann,macro,20\n", encoding="utf-8")
    (item,), folder = find_items(str(tmp_path / whole), None)
    files = LabelFiles(folder)
    assert [one.point for one in files.all()[item.video].given] == [20]
    found = files.read(item.video, item.title)
    _write(files, item.video, changed(found, Change(op="put", label=_label("b", "micro", 100))))
    assert [row["point"] for row in csv_rows(table)] == ["20", "100"]


def test_what_cannot_be_understood_is_named_and_left_alone(tmp_path: Path) -> None:
    """A row that is wrong ends in one sentence with file, video and place."""
    path = tmp_path / "points.csv"
    path.write_text("video,subject,kind,point\nclip.mp4,ann,happy,7\n")
    with pytest.raises(DataError, match=r"points.csv, clip.mp4 at 7: kind cannot be used .*; mend the row"):
        LabelFiles(tmp_path).read("clip.mp4", "clip")
    path.write_text("video,subject,kind,point\nclip.mp4,ann,macro,7\nclip.mp4,ann,,9\n,ann,macro,11\n")
    with pytest.raises(DataError, match=r"a label at 11: it names no video; name it in every row; merged"):
        LabelFiles(tmp_path).read("clip.mp4", "clip")
    path.write_text("video,subject,kind,point\nclip.mp4,ann,macro,7\nclip.mp4,ann,,9\n")
    with pytest.raises(DataError, match=r"clip.mp4 at 9: kind cannot be used .*; mend the row; merged"):
        LabelFiles(tmp_path).read("clip.mp4", "clip")
    path.write_text("something,else\n1,2\n")
    with pytest.raises(DataError, match="has no column 'video'"):
        _write(LabelFiles(tmp_path), "clip.mp4", Labels(seen=True))
    assert path.read_text() == "something,else\n1,2\n"


@pytest.mark.parametrize(
    ("table", "fps", "uneven", "refused"),
    [
        ("points.csv", "30", False, True),
        ("annotations.csv", "30", False, True),
        ("points.csv", "25.2", False, False),
        ("points.csv", "", False, False),
        ("points.csv", "30", True, False),
    ],
)
def test_frames_that_count_at_another_rate_are_refused(
    tmp_path: Path, table: str, fps: str, uneven: bool, refused: bool
) -> None:
    """They would stand at other moments; a rounded rate, and any of a video of variable rate, is as good as none."""
    stamps = [number / 25 + (uneven and number > 5) for number in range(10)]
    clip = write_video(tmp_path / "clip.mp4", numbered(10), fps=25, stamps=stamps)
    name = clip.name if table == "points.csv" else clip.stem
    (tmp_path / table).write_text(
        f"video,subject,kind,point,onset,offset,fps\n{name},ann,macro,7,5,9,{fps}\n"
    )
    items, folder = find_items(str(clip), None)
    review = Reviewing(items, LabelFiles(folder), {})
    if refused:
        with pytest.raises(
            DataError, match=rf"{table}, {name} at 7: fps is 30 and the video has 25; see that"
        ):
            review.opened(0)
    else:
        assert _same(review.opened(0).history.now) == [("macro", 7, 5, 9)]


def test_each_coder_has_files_of_their_own(tmp_path: Path) -> None:
    """A second coder begins with nothing and changes nothing of the first one's."""
    _write(LabelFiles(tmp_path), "clip.mp4", Labels((_label("a", "macro", 40),)))
    first = (tmp_path / "points.csv").read_bytes()
    second = LabelFiles(tmp_path, "ben")
    assert second.read("clip.mp4", "clip") == Labels()
    _write(second, "clip.mp4", Labels((_label("a", "micro", 41),)))
    assert (tmp_path / "points.csv").read_bytes() == first
    assert (tmp_path / "points-ben.csv").exists()
    assert list(coders(tmp_path)) == ["ben", ""]
    with pytest.raises(SettingsError, match=r"coder's name '\.\./x' is impossible"):
        LabelFiles(tmp_path, "../x")
