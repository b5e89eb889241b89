"""Extraction of a data set's region motion: what a user may rely on."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from streamspot.cli import app
from streamspot.datasets.annotations import Annotated, Faults, read_annotations
from streamspot.datasets.extract import ExtractOutcome, extract
from streamspot.datasets.formats import read_format
from streamspot.datasets.measure import (
    Extracted,
    Measures,
    fingerprint,
    measure,
    on_ticks,
    rate_remark,
    read_extracted,
)
from streamspot.datasets.recording import Instance
from streamspot.datasets.store import load
from streamspot.datasets.videos import Found, Video
from streamspot.errors import DataError
from streamspot.processes import Processes
from streamspot.sources.motion import MotionWriter
from streamspot.sources.synthetic import Synthetic
from streamspot.types import FaceMotion, RegionMotion, Session

POINTS = "video,subject,kind,point,fps\nann,ann,macro,20,60\nbob.avi,bob,micro,12,\n"


def _run(folder: Path, out: Path, **options: object) -> ExtractOutcome:
    jobs = int(str(options.get("jobs", 1)))
    return extract(
        read_format(folder, "folder"),
        out,
        Measures(stride=2),
        workers=Processes(jobs),
        progress=lambda _, __: None,
    )


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of two short videos with a point each: pictures at 60 fps and a file at 30."""
    folder = tmp_path_factory.mktemp("clips")
    source = Synthetic.parse("synthetic:expressions=1,noise=0,fps=30")
    pictures = [source.picture(74 + i) for i in range(24)]  # the rise of the smile
    (folder / "ann").mkdir()
    for number, picture in enumerate(pictures):
        cv2.imwrite(str(folder / "ann" / f"img{number + 1}.jpg"), picture)
    writer = cv2.VideoWriter(str(folder / "bob.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 30, (640, 480))
    for picture in pictures:
        writer.write(picture)
    writer.release()
    (folder / "points.csv").write_text(POINTS)
    return folder


@pytest.fixture(scope="module")
def extracted(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return what was extracted of it."""
    out = tmp_path_factory.mktemp("motion")
    assert _run(clips, out).broken == {}
    return out


def test_what_is_extracted_trains(extracted: Path) -> None:
    """The result loads as a data set on 30 Hz ticks, frame numbers of every rate converted by time."""
    data = load(extracted)
    ann, bob = data.recordings
    assert (data.layout, data.subjects, data.regions) == ("face17", ("ann", "bob"), 17)
    assert (len(ann.motion), len(bob.motion)) == (12, 23)
    assert [(i.kind, i.point) for i in (*ann.instances, *bob.instances)] == [("macro", 10), ("micro", 12)]
    assert np.abs(bob.motion.sum(0)).max() > 0.01, "the smile moves something"
    annotated = read_annotations(extracted / "annotations.csv", Faults())
    assert {(v.fps, v.frames) for v in annotated.values()} == {(30.0, 12), (30.0, 23)}


def test_training_sees_what_the_live_stream_sees(clips: Path, extracted: Path) -> None:
    """Row n of a loaded recording is the estimator's displacement at tick n."""
    video = read_format(clips, "folder").videos[1]
    seen = measure(video, Measures(stride=2))
    np.testing.assert_array_equal(load(extracted).recordings[1].motion, seen.motion)


def test_a_second_run_measures_nothing_again(clips: Path, extracted: Path, tmp_path: Path) -> None:
    """Mended annotations and a lost result cost no second measurement; other measures and mended pictures do."""
    out, again = tmp_path / "out", tmp_path / "again"
    shutil.copytree(extracted, out)
    (out / "features.npz").unlink()
    again.mkdir()
    (again / "ann").symlink_to(clips / "ann")
    shutil.copy(clips / "bob.avi", again)
    (again / "points.csv").write_text(POINTS.replace("macro,20", "macro,16"))
    outcome = _run(again, out)
    assert (outcome.videos, outcome.resumed) == (2, 2)
    assert load(out).recordings[0].instances[0].point == 8
    video = read_format(clips, "folder").videos[0]
    file = out / "videos" / "ann.npz"
    assert read_extracted(file, fingerprint(video, Measures(stride=2))) is not None
    assert read_extracted(file, fingerprint(video, Measures(stride=1))) is None
    shutil.copytree(clips / "ann", tmp_path / "mended" / "ann")
    (tmp_path / "mended" / "ann" / "img12.jpg").write_bytes(b"another picture")
    other = replace(video, pictures=tuple(tmp_path / "mended" / "ann" / p.name for p in video.pictures))
    assert read_extracted(file, fingerprint(other, Measures(stride=2))) is None
    file.write_bytes(file.read_bytes()[:500])
    assert read_extracted(file, fingerprint(video, Measures(stride=2))) is None


def test_a_broken_video_is_named_and_the_others_kept(
    clips: Path, extracted: Path, tmp_path: Path, nobody: object
) -> None:
    """Files that are no video, pictures that are damaged or show nobody are left out, each with its remedy."""
    folder, out = tmp_path / "in", tmp_path / "out"
    shutil.copytree(clips, folder)
    shutil.copytree(extracted, out)
    (folder / "cut.mp4").write_bytes(b"nothing")
    for name in ("dark", "torn", "void"):
        (folder / name).mkdir()
    for number in range(3):
        cv2.imwrite(str(folder / "dark" / f"{number}.png"), np.full((240, 320, 3), 90, np.uint8))
        (folder / "torn" / f"{number}.jpg").write_bytes(b"\xff\xd8 torn")
    rows = "cut.mp4,c,macro,1,\ndark,d,,,\ntorn,t,,,\nvoid,v,,,\nann,ann,macro,2,60\n"
    (folder / "points.csv").write_text(POINTS + rows)
    result = CliRunner().invoke(
        app,
        ["extract", str(folder), "--layout", "folder", "--out", str(out), "--jobs", "1", "--stride", "2"],
    )
    assert isinstance(result.exception, DataError)
    said = str(result.exception)
    assert said.startswith("4 of 6 videos could not be used")
    for part in (
        "cut.mp4 is not a video",
        "dark: no face was seen",
        "torn: none of its 3",
        "void: its folder",
    ):
        assert part in said
    assert [r.name for r in load(out).recordings] == ["ann", "bob"]
    assert "left out: dark" in (out / "report.txt").read_text()


def _video(instances: list[Instance], fps: float) -> Video:
    rows = list(range(2, 2 + len(instances)))
    return Video(Annotated("v", "s", fps, 2001, instances, rows), tuple(Path(f"{i}") for i in range(2001)))


def test_200_fps_annotations_become_ticks_by_time() -> None:
    """A frame of a 200 fps video lies at the tick nearest in time; nothing leaves the recording."""
    frames = np.arange(0, 2001, 4)
    motion = np.zeros((301, 17, 2), np.float32)
    seen = Extracted(motion, np.ones(301, np.bool_), frames, frames / 200)
    video = _video([Instance("micro", 100, 150, 201, 152), Instance("macro", 1900, 1990, 2000)], 200.0)
    moved = on_ticks(video, seen)
    assert [(i.onset, i.apex, i.offset, i.point) for i in moved.instances] == [
        (15, 23, 30, 23),
        (285, 299, 300, None),
    ]
    with pytest.raises(DataError, match="row 2: frame 2004 lies behind the last, 2003"):
        on_ticks(_video([Instance("macro", 1, 2004, 2004)], 200.0), seen)


@pytest.mark.parametrize("point", [50, 99])
def test_a_label_lies_where_its_frame_first_shows(point: int) -> None:
    """However long the frame stays, as in a film of 10 fps or of varying rate; the last may be labelled too."""
    frames = np.arange(300) // 3
    seen = Extracted(np.zeros((300, 17, 2), np.float32), np.ones(300, np.bool_), frames, np.arange(300) / 30)
    video = Video(Annotated("v", "s", 10.0, None, [Instance("macro", 40, point, point, point)], [2]))
    assert on_ticks(video, seen).instances[0].point == 3 * point


@pytest.mark.parametrize(
    ("fps", "said"), [(200.0, "count 200 frames a second and it has 30"), (25.0, ""), (None, "")]
)
def test_labels_that_count_another_rate_than_the_video_are_named(
    tmp_path: Path, fps: float | None, said: str
) -> None:
    """They may have been made in another copy, whose frames are not these."""
    frames = np.arange(0, 60, 2)
    seen = Extracted(np.zeros((60, 17, 2)), np.ones(60, np.bool_), frames, frames / 30)
    remark = rate_remark(Video(Annotated("a", "ann", fps), (), tmp_path / "a.mp4"), seen)
    assert said in remark if said else not remark


def test_a_lost_face_leaves_the_time_line_whole(clips: Path, tmp_path: Path) -> None:
    """Where nobody is seen there is no motion, the ticks after stay where they are, and it is reported."""
    pictures = sorted((clips / "ann").iterdir(), key=lambda p: int(p.stem[3:]))[:6]
    blank = tmp_path / "blank.png"
    cv2.imwrite(str(blank), np.full((480, 640, 3), 90, np.uint8))
    shots = (*pictures, *[blank] * 20, *pictures)
    seen = measure(Video(Annotated("v", "s", 30.0, len(shots)), shots), Measures())
    assert len(seen.motion) == 32
    assert not seen.motion[7:26].any()
    assert not seen.seen[8:25].any()
    assert seen.seen[-1]
    assert "no face in" in seen.remarks[0]


def test_two_videos_of_one_name_are_refused(tmp_path: Path) -> None:
    """Videos whose names differ only in their ending cannot stand in one result."""
    videos = [Video(Annotated("a", "s")), Video(Annotated("a", "t"))]
    with pytest.raises(DataError, match="two videos are called a"):
        extract(Found(videos), tmp_path, Measures(), progress=lambda _, __: None)


def _recording(path: Path, ticks: int, layout: str = "face17") -> None:
    rng = np.random.default_rng(ticks)
    session = Session("r", "s", "s", 0.0, datetime(2026, 1, 1, tzinfo=UTC))
    with MotionWriter(path) as writer:
        writer.begin(session, layout)
        for tick in range(ticks):
            moved = rng.normal(0, 0.01, (17, 2)).astype(np.float32)
            writer.extend([FaceMotion(0, RegionMotion(tick, tick / 30, 2 * tick, moved))], session)


def test_recordings_of_region_motion_are_videos_too(tmp_path: Path) -> None:
    """What was recorded without a picture is extracted as it is, by several processes as by one."""
    folder, one, two = tmp_path / "in", tmp_path / "one", tmp_path / "two"
    folder.mkdir()
    _recording(folder / "a.motion", 40)
    _recording(folder / "b.motion", 50)
    _recording(folder / "c.motion", 30, "paper10")
    (folder / "points.csv").write_text(
        "video,subject,kind,point\na.motion,a,macro,30\nb.motion,b,,\nc.motion,c,,\n"
    )
    outcome = _run(folder, two, jobs=2)
    assert list(outcome.broken) == ["c"]
    assert "--regions paper10" in outcome.broken["c"]
    assert _run(folder, one).broken == outcome.broken
    data = load(two)
    assert [i.point for i in data.recordings[0].instances] == [15]
    assert [len(r.motion) for r in data.recordings] == [40, 50]
    for here, there in zip(load(one).recordings, data.recordings, strict=True):
        np.testing.assert_array_equal(here.motion, there.motion)
    assert (one / "features.npz").read_bytes() == (two / "features.npz").read_bytes()


def test_long_names_in_any_script_are_extracted_and_resumed(tmp_path: Path) -> None:
    """A name that the file system takes is no obstacle, and two that begin alike stay apart."""
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    names = [f"{'表情' * 38}{letter}" for letter in "甲乙"]
    for ticks, name in zip((40, 50), names, strict=True):
        _recording(folder / f"{name}.motion", ticks)
    rows = [f"{name}.motion,s,macro,30" for name in names]
    (folder / "points.csv").write_text("\n".join(("video,subject,kind,point", *rows)), encoding="utf-8")
    assert _run(folder, out).broken == {}
    assert _run(folder, out).resumed == 2
    assert {one.name: len(one.motion) for one in load(out).recordings} == dict(
        zip(names, (40, 50), strict=True)
    )


def test_each_labelled_face_of_a_video_is_measured_for_itself(tmp_path: Path) -> None:
    """Labels of two faces of a video make two videos, each with its own motion; a missing flag is named."""
    source = Synthetic.parse("synthetic:expressions=1,noise=0,fps=30")
    rest = source.picture(0)
    film = cv2.VideoWriter(str(tmp_path / "pair.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 30, (1280, 480))
    for number in range(64, 94):  # one smiles, the other rests
        film.write(np.hstack((rest, source.picture(number))))
    film.release()
    (tmp_path / "points.csv").write_text(
        "video,subject,kind,point,face\npair.avi,ann,macro,20,0\npair.avi,bob,macro,21,1\n"
    )
    found = read_format(tmp_path, "folder")
    outcome = extract(found, tmp_path / "one", Measures(), progress=lambda _, __: None)
    assert all("--faces" in fault for fault in outcome.broken.values())
    assert len(outcome.broken) == 2
    outcome = extract(found, tmp_path / "two", Measures(faces=2), progress=lambda _, __: None)
    assert outcome.broken == {}
    data = load(tmp_path / "two")
    assert [(one.name, one.subject) for one in data.recordings] == [
        ("pair-face0", "ann"),
        ("pair-face1", "bob"),
    ]
    moved = sorted(float(np.abs(one.motion.sum(0)).max()) for one in data.recordings)
    assert moved[1] > 5 * moved[0]


def test_a_full_disk_is_said_and_nothing_else(disk: Path, tmp_path: Path) -> None:
    """What was measured fits, the data set made of it does not: one sentence, and no traceback below it."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name in "ab":
        _recording(folder / f"{name}.motion", 160)
    (folder / "points.csv").write_text("video,subject,kind,point\na.motion,a,macro,30\nb.motion,b,,\n")
    command = [
        sys.executable,
        "-m",
        "streamspot",
        "extract",
        folder,
        "--layout",
        "folder",
        "--out",
        disk / "out",
    ]
    done = subprocess.run([*map(str, command), "--jobs", "1"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert len(list((disk / "out" / "videos").glob("*.npz"))) == 2
    assert done.stderr == (
        "streamspot: the output is full (no space left); free some space, or write to another place\n"
    )
