"""Readers of the formats in which data sets come, on small trees with the quirks of the true ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from openpyxl import Workbook

from streamspot.datasets.formats import read_format
from streamspot.datasets.tables import records_of
from streamspot.errors import DataError, SettingsError
from streamspot.sources.images import ImageFolder


def _frames(folder: Path, pattern: str, numbers: range) -> None:
    folder.mkdir(parents=True)
    for number in numbers:
        (folder / pattern.format(number)).touch()
    (folder / ".DS_Store").touch()


def _book(path: Path, **sheets: list[tuple[Any, ...]]) -> None:
    book = Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name.replace("__", " "))
        for row in rows:
            sheet.append(row)
    path.parent.mkdir(parents=True, exist_ok=True)
    book.save(path)


def _samm(folder: Path, *rows: tuple[Any, ...]) -> Path:
    head = (
        "Subject",
        "Filename",
        "Inducement Code",
        "Onset",
        "Apex",
        "Offset",
        "Duration",
        "Type",
        "AUs",
        "Notes",
    )
    preamble = [("SAMM Long Videos",), *[(None,)] * 7, ("please cite",)]
    _book(folder / "SAMM_LongVideos_V2_Release.xlsx", Sheet1=[*preamble, head, *rows])
    _frames(folder / "SAMM_longvideos" / "006_2", "006_2_{:04d}.jpg", range(1, 401))
    _frames(folder / "SAMM_longvideos" / "007_1", "007_1_{:04d}.jpg", range(1, 51))
    return folder


def test_sammlv_as_released(tmp_path: Path) -> None:
    """Preamble, 1-based frames, unknown apex, float frames and instance numbers with gaps are understood."""
    found = read_format(
        _samm(
            tmp_path,
            ("006", "006_2_1", 2, 101, 151, 201, 101, "Macro", "4", ""),
            ("006", "006_2_4", 2, 211.4, -1, 251, 41, "Micro - 1/2", "12", ""),
        ),
        "sammlv",
    )
    first, empty = found.videos
    assert (first.annotated.name, first.annotated.subject, first.annotated.fps) == ("006_2", "006", 200)
    assert [(i.kind, i.onset, i.apex, i.offset) for i in first.annotated.instances] == [
        ("macro", 100, 150, 200),
        ("micro", 210, 220, 250),
    ]
    assert [p.name for p in first.pictures[:2]] == ["006_2_0001.jpg", "006_2_0002.jpg"]
    assert len(first.pictures) == 400
    assert empty.annotated.instances == []
    assert any("row 12" in note and "no apex" in note for note in found.notes)


def test_sammlv_faults_name_the_row(tmp_path: Path) -> None:
    """An instance without its folder is reported by file and row, not dropped."""
    with pytest.raises(DataError, match=r"Release\.xlsx, row 11: there is no folder for 036_7_4"):
        read_format(_samm(tmp_path, ("036", "036_7_4", 2, 1, 5, 9, 9, "Macro", "", "")), "sammlv")
    cut = [("Subject", "Filename"), ("006", "006_2_1")]
    _book(tmp_path / "SAMM_LongVideos_V2_Release.xlsx", Sheet1=cut)
    with pytest.raises(DataError, match=r"row 2: it has 2 of its columns, and the kind is the eighth; give"):
        read_format(tmp_path, "sammlv")


def test_sammlv_unpacked_twice(tmp_path: Path) -> None:
    """An empty copy counts for nothing, and of two with pictures both are named."""
    folder = _samm(tmp_path, ("006", "006_2_1", 2, 101, 151, 201, 101, "Macro", "4", ""))
    (folder / "AA" / "006_2").mkdir(parents=True)
    assert len(read_format(folder, "sammlv").videos[0].pictures) == 400
    _frames(folder / "zz" / "006_2", "006_2_{:04d}.jpg", range(1, 51))
    with pytest.raises(DataError, match=r"SAMM_longvideos\S+: \S+/zz/006_2 holds the same video; leave one"):
        read_format(folder, "sammlv")


def _casme2(folder: Path, *rows: tuple[Any, ...]) -> Path:
    _book(
        folder / "CAS(ME)^2code_final.xlsx",
        Sheet1=list(rows),
        naming__rule1=[(15, "s15", 1), (16, "s16", 2)],
        naming__rule2=[("0101", "disgust1"), ("0401", "anger1"), ("0508", "happy5")],
    )
    _frames(folder / "rawpic" / "s15" / "15_0101disgustingteeth", "img{:03d}.jpg", range(1, 301))
    _frames(folder / "rawpic" / "s16" / "16_0401girlcrashing", "img{}.jpg", range(1, 121))
    return folder


def test_casme2_as_released(tmp_path: Path) -> None:
    """No head row, naming rules, 1-based frames, offset 0 and an apex after the offset are understood."""
    found = read_format(
        _casme2(
            tmp_path,
            (1, "disgust1_1", 101, 111, 0, "4", "negative", "macro-expression", "disgust"),
            (1, "disgust1_2", 201, 240, 214, "12", "positive", "micro-expression", "happiness"),
        ),
        "casme2",
    )
    first, empty = found.videos
    assert (first.annotated.name, first.annotated.subject) == ("casme_015_0101", "casme_015")
    assert [(i.kind, i.onset, i.apex, i.offset) for i in first.annotated.instances] == [
        ("macro", 100, 110, 120),
        ("micro", 200, 206, 213),
    ]
    assert [p.name for p in empty.pictures[8:11]] == ["img9.jpg", "img10.jpg", "img11.jpg"]
    assert len(found.notes) == 2
    assert all("code_final.xlsx, row" in note for note in found.notes)


def test_casme2_unknown_code(tmp_path: Path) -> None:
    """An expression that no naming rule knows is a fault with its row."""
    with pytest.raises(DataError, match=r"row 1: subject 1 or expression 'sad1_1' is in no naming rule"):
        read_format(_casme2(tmp_path, (1, "sad1_1", 1, 2, 3, "", "", "macro-expression", "")), "casme2")


def test_casme2_with_the_cropped_faces_beside(tmp_path: Path) -> None:
    """Of two sets of pictures the raw one is taken, whatever came first; two others are named."""
    row = (1, "disgust1_1", 101, 111, 120, "4", "negative", "macro-expression", "disgust")
    folder = _casme2(tmp_path, row)
    for place in ("s15/15_0101disgustingteeth", "s16/16_0401girlcrashing"):
        _frames(folder / "croppedpic" / place, "img{}.jpg", range(1, 121))
        (folder / "__MACOSX" / "rawpic" / place).mkdir(parents=True)
    found = read_format(folder, "casme2")
    assert [one.pictures[0].parents[2].name for one in found.videos] == ["rawpic"] * 2
    (folder / "rawpic").rename(folder / "selectedpic")
    with pytest.raises(DataError, match=r"croppedpic\S+: \S+/selectedpic\S+ holds the same video; leave one"):
        read_format(folder, "casme2")


def test_casme2_without_kinds(tmp_path: Path) -> None:
    """A sheet that was cut is a fault with its row."""
    with pytest.raises(DataError, match=r"row 1: it has 1 of its columns, and the kind is the eighth; give"):
        read_format(_casme2(tmp_path, (1,)), "casme2")


def test_casme3_as_released(tmp_path: Path) -> None:
    """Files that start above 0 and have gaps become positions; apex or offset 0 means unknown."""
    head = ("Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Objective class", "Expression type")
    rows = [
        ("spNO.1", "a", 10, 15, 30, "4", "", "Macro-expression"),
        ("spNO.1", "a", 40, 0, 0, "4", "", "Micro-expression"),
    ]
    _book(tmp_path / "annotation" / "CAS(ME)3_part_A_v2.xlsx", label=[head, *rows])
    place = tmp_path / "data" / "part_A" / "spNO.1" / "a" / "color"
    _frames(place, "{}.jpg", range(5, 105))
    for gone in (20, 21):
        (place / f"{gone}.jpg").unlink()
    video = read_format(tmp_path, "casme3").videos[0]
    assert (video.annotated.name, video.annotated.subject, video.annotated.frames) == (
        "spNO.1_a",
        "spNO.1",
        98,
    )
    assert [(i.kind, i.onset, i.apex, i.offset) for i in video.annotated.instances] == [
        ("macro", 5, 10, 23),
        ("micro", 33, 43, 53),
    ]


def test_casme3_old_excel_is_refused_with_a_remedy(tmp_path: Path) -> None:
    """The released .xls is named with what to do."""
    (tmp_path / "CAS(ME)3_part_A_v1.xls").touch()
    with pytest.raises(DataError, match=r"save it as \.xlsx"):
        read_format(tmp_path, "casme3")


def test_a_plain_folder(tmp_path: Path) -> None:
    """Videos and folders of pictures with points.csv; only the point need be known."""
    (tmp_path / "one.mp4").touch()
    _frames(tmp_path / "two", "{:04d}.png", range(60))
    (tmp_path / "points.csv").write_text(
        "video,subject,kind,point,fps\none.mp4,ann,macro,45,25\none.mp4,ann,micro,90,25\ntwo,bob,,,\n"
    )
    one, two = read_format(tmp_path, "folder").videos
    assert (one.annotated.name, one.annotated.fps, one.file) == ("one", 25, tmp_path / "one.mp4")
    assert [(i.kind, i.onset, i.point, i.offset) for i in one.annotated.instances] == [
        ("macro", 35, 45, 55),
        ("micro", 85, 90, 95),
    ]
    assert two.annotated.instances == []
    assert len(two.pictures) == 60


@pytest.mark.parametrize("given", ["40,,", ",44,", ",,60", "40,44,", ",44,60"])
def test_no_end_is_made_up_for_a_label(tmp_path: Path, given: str) -> None:
    """Without both ends it is a point, to which no result holds how far an event overlaps it; as in a report."""
    (tmp_path / "one.mp4").touch()
    (tmp_path / "points.csv").write_text(
        f"video,subject,kind,point,onset,apex,offset\none.mp4,ann,macro,45,{given}\none.mp4,ann,macro,90,80,,99\n"
    )
    point, whole = read_format(tmp_path, "folder").videos[0].annotated.instances
    assert (point.point, point.bounded) == (45, False)
    assert (whole.onset, whole.apex, whole.offset, whole.bounded) == (80, 90, 99, True)


def test_a_frame_rate_counts_in_whichever_row_it_stands(tmp_path: Path) -> None:
    """A row that gives none takes nothing away from one that does."""
    (tmp_path / "one.mp4").touch()
    (tmp_path / "points.csv").write_text(
        "video,subject,kind,point,fps\none.mp4,ann,,,\none.mp4,ann,macro,45,200\none.mp4,ann,micro,90,\n"
    )
    (video,) = read_format(tmp_path, "folder").videos
    assert video.annotated.fps == 200


def test_a_label_that_stands_there_twice_is_one_expression(tmp_path: Path) -> None:
    """A row that was copied, or written by two programs, is no second expression, and is noted."""
    (tmp_path / "one.mp4").touch()
    row = "one.mp4,ann,macro,45\n"
    (tmp_path / "points.csv").write_text(f"video,subject,kind,point\n{row}one.mp4,ann,micro,45\n{row}")
    found = read_format(tmp_path, "folder")
    assert [i.kind for i in found.videos[0].annotated.instances] == ["macro", "micro"]
    assert any("row 4: a label that stands there twice" in note for note in found.notes)


def test_a_name_is_found_however_a_system_writes_its_accents(tmp_path: Path) -> None:
    """A folder that was labelled on a Mac and copied, or whose table was typed elsewhere, is one and the same."""
    apart, whole = "U\u0308bung.mp4", "Übung.mp4"
    (tmp_path / apart).touch()
    rows = f"{whole},ann,macro,45\n{apart},ann,micro,90\n"
    (tmp_path / "points.csv").write_text(f"video,subject,kind,point\n{rows}", encoding="utf-8")
    (video,) = read_format(tmp_path, "folder").videos
    assert video.file == tmp_path / apart
    assert [i.kind for i in video.annotated.instances] == ["macro", "micro"]


def test_pictures_are_the_frames_that_a_stream_reads(tmp_path: Path) -> None:
    """A label's frame is that of ``run`` and ``review``: the same pictures in the same order."""
    names = [f"frame_{n}_cam1.jpg" for n in (10, 9, 1)] + ["frame_2_cam1.webp"]
    (tmp_path / "clip").mkdir()
    for name in names:
        cv2.imwrite(str(tmp_path / "clip" / name), np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "points.csv").write_text("video,subject,kind,point\nclip,ann,macro,2\n")
    (video,) = read_format(tmp_path, "folder").videos
    assert [path.name for path in video.pictures] == [names[2], names[3], names[1], names[0]]
    assert len(video.pictures) == len(ImageFolder(tmp_path / "clip"))


def test_an_excel_file_is_one_whatever_its_ending_looks_like(tmp_path: Path) -> None:
    """Windows also writes it in capitals."""
    _book(tmp_path / "LABELS.XLSX", Sheet1=[("video", "kind"), ("one.mp4", "macro")])
    assert list(records_of(tmp_path / "LABELS.XLSX", ("video",))) == [
        (2, {"video": "one.mp4", "kind": "macro"})
    ]


def test_semicolons_are_named(tmp_path: Path) -> None:
    """Spreadsheets of half of Europe write them."""
    (tmp_path / "points.csv").write_text("video;subject;kind;point\none.mp4;ann;macro;5\n")
    with pytest.raises(DataError, match="separated by semicolons; save it separated by commas"):
        read_format(tmp_path, "folder")


def test_rows_are_numbered_as_an_editor_numbers_them(tmp_path: Path) -> None:
    """An empty line in a table is skipped and counted, so that a fault names the line to mend."""
    (tmp_path / "points.csv").write_text("Video, Subject,kind,point\n\n,,,\nnone.mp4,ann,macro,5\n")
    with pytest.raises(DataError, match=r"points\.csv, row 4: there is no video 'none\.mp4'"):
        read_format(tmp_path, "folder")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("none.mp4,ann,macro,5", "row 2: there is no video 'none.mp4'"),
        ("one.mp4,ann,macro,", "row 2: point is ''"),
        ("one.mp4,ann,macro,12.34", "row 2: point is '12.34'; give the frame"),
        ("one.mp4,ann,macro,50,1.5,60", "row 2: onset is '1.5'; count whole frames"),
        ("one.mp4,ann,smile,5", "row 2: kind is 'smile'"),
        ("one.mp4,ann,macro,5\none.mp4,ann,,50", "row 3: kind is ''; write macro or micro; merged cells"),
        ("one.mp4,ann,macro,5\n,ann,macro,50", "row 3: there is no video '', .* merged cells"),
        ("one.mp4,,macro,5", "row 2: there is no video 'one.mp4', or no subject"),
        ("one.mp4,ann,macro,50\none.mp4,bob,macro,90", "row 3: one.mp4 has another subject"),
        ("one.mp4,ann,macro,50,,,200\none.mp4,ann,macro,90,,,60", "row 3: one.mp4 has another fps"),
        ("one.mp4,ann,macro,50,4O,60", "row 2: onset is '4O'"),
        ("one.mp4,ann,macro,50,,00:02", "row 2: offset is '00:02'"),
        ("", "no video of .* is named"),
    ],
)
def test_faults_of_points_csv(tmp_path: Path, row: str, said: str) -> None:
    """A broken points.csv is reported by row."""
    (tmp_path / "one.mp4").touch()
    (tmp_path / "points.csv").write_text(f"video,subject,kind,point,onset,offset,fps\n{row}\n")
    with pytest.raises(DataError, match=said.replace("(", r"\(")):
        read_format(tmp_path, "folder")


def test_unknown_formats_and_folders(tmp_path: Path) -> None:
    """An unknown format and a folder that lacks its annotation end in one sentence."""
    with pytest.raises(SettingsError, match="casme2, sammlv, casme3, folder"):
        read_format(tmp_path, "samm")
    for name in ("casme2", "sammlv", "casme3", "folder"):
        with pytest.raises(DataError, match="there is no"):
            read_format(tmp_path, name)
    with pytest.raises(DataError, match="there is no folder"):
        read_format(tmp_path / "nowhere", "casme2")
