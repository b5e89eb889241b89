"""Several faces in one recording: a label belongs to one of them, and each is learned from by itself."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from small_recordings import LAYOUT, write_recording

from streamspot.commands import Label
from streamspot.datasets.formats import read_format
from streamspot.datasets.measure import Measures, measure
from streamspot.engine import Engine
from streamspot.errors import DataError, SettingsError
from streamspot.layers import load_settings
from streamspot.outputs import Outputs
from streamspot.run import StreamRun
from streamspot.simulation import Scenario, simulate

HEAD = "video,subject,kind,point,fps,face\n"


def motion_of(seed: int) -> np.ndarray:
    """Return the motion that ``write_recording`` gives a face."""
    return simulate(seed, 180, layout=LAYOUT, scenario=Scenario(idle=0.1, expressions=12)).motion


async def test_a_live_label_names_the_face_where_several_are_in_view(tmp_path: Path) -> None:
    """Without a face, or with one that nobody sees, it is refused with the remedy; the row holds the number."""
    recording = write_recording(tmp_path / "two.motion", 1, 2)
    (tmp_path / "points.csv").write_text("video,subject,kind,point\nother.mp4,ann,macro,3\n")
    run = StreamRun(load_settings({"source": str(recording), "subject": "ann"}))
    run.load()
    asked = False
    async with Outputs([run]) as outputs, Engine([run]) as engine:
        async for run, update in engine:
            await outputs.take(run, update)
            if len(update.faces) == 2 and not asked:
                asked = True
                with pytest.raises(SettingsError, match="2 faces are in view; say whose label it is"):
                    outputs.obey(run.name, Label("macro"))
                with pytest.raises(SettingsError, match="face 7 is not in view"):
                    outputs.obey(run.name, Label("macro", 7))
                outputs.obey(run.name, Label("macro", 1))
    other, mine = csv.DictReader((tmp_path / "points.csv").read_text().splitlines())
    assert (other["video"], other["face"] or "") == ("other.mp4", "")  # it stands as it was
    assert (mine["video"], mine["kind"], mine["face"]) == ("two.motion", "macro", "1")


def test_each_face_that_is_labelled_is_a_video_of_its_own(tmp_path: Path) -> None:
    """Each has its own motion and its own labels; that somebody saw it to the end concerns none alone."""
    write_recording(tmp_path / "two.motion", 1, 2)
    rows = "two.motion,ann,macro,60,,0\ntwo.motion,ben,micro,90,,1\ntwo.motion,ann,,,,\n"
    (tmp_path / "points.csv").write_text(HEAD + rows)
    videos = read_format(tmp_path, "folder").videos
    assert [one.annotated.name for one in videos] == ["two-face0", "two-face1"]
    assert [one.annotated.subject for one in videos] == ["ann", "ben"]
    for video, seed in zip(videos, (1, 2), strict=True):
        assert len(video.annotated.instances) == 1
        assert np.allclose(measure(video, Measures(layout=LAYOUT)).motion, motion_of(seed), atol=1e-5)


def test_a_label_of_nobody_is_a_fault_where_others_name_their_face(tmp_path: Path) -> None:
    """The row is named with the remedy."""
    write_recording(tmp_path / "two.motion", 1, 2)
    (tmp_path / "points.csv").write_text(HEAD + "two.motion,ann,macro,60,,0\ntwo.motion,ann,macro,90,,\n")
    with pytest.raises(DataError, match=r"row 3.*names none; give the number of its face"):
        read_format(tmp_path, "folder")


def test_one_face_at_a_time_is_one_video(tmp_path: Path) -> None:
    """A face that was lost and found has a new number; labels and motion of all its numbers stay together."""
    path = write_recording(tmp_path / "one.motion")
    lines = path.read_text().splitlines()
    later = [line.replace("[0,", "[1,", 1) for line in lines[91:]]
    path.write_text("\n".join([*lines[:91], '[0,"face lost"]', *later, ""]))
    (tmp_path / "points.csv").write_text(HEAD + "one.motion,ann,macro,60,,0\none.motion,ann,macro,150,,1\n")
    (video,) = read_format(tmp_path, "folder").videos
    assert (video.annotated.name, len(video.annotated.instances)) == ("one", 2)
    assert np.allclose(measure(video, Measures(layout=LAYOUT)).motion, motion_of(1), atol=1e-5)


def test_faces_that_nobody_names_are_not_mixed(tmp_path: Path) -> None:
    """Where no label names a face, the one that was there first is learned from, tick by tick."""
    write_recording(tmp_path / "two.motion", 1, 2)
    (tmp_path / "points.csv").write_text("video,subject,kind,point\ntwo.motion,ann,macro,60\n")
    (video,) = read_format(tmp_path, "folder").videos
    assert np.allclose(measure(video, Measures(layout=LAYOUT)).motion, motion_of(1), atol=1e-5)
