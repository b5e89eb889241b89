"""Data sets: what a user may rely on when a folder is loaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_data import REAL, write_small

from streamspot.datasets.annotations import Annotated, Faults, read_annotations, write_annotations
from streamspot.datasets.recording import Instance, sample_point, to_tick, to_ticks
from streamspot.datasets.store import Meta, load, read_meta, save
from streamspot.errors import DataError

HEAD = "video,subject,fps,frames,kind,onset,apex,offset,point\n"


def _annotated(folder: Path, *rows: str) -> Path:
    write_small(folder, subjects=1)
    (folder / "annotations.csv").write_text(HEAD + "\n".join(rows) + "\n")
    return folder


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    """A data set that was saved loads with the same subjects and expressions, each with a point label."""
    data = load(write_small(tmp_path, subjects=3, videos=2))
    assert data.subjects == ("s0", "s1", "s2")
    assert len(data.recordings) == 6
    first = data.recordings[0]
    assert [(i.kind, i.onset, i.offset) for i in first.instances] == [("macro", 60, 88), ("micro", 180, 190)]
    assert all(i.point is not None and i.onset <= i.point <= i.offset for i in first.instances)
    assert data.notes == ()


@pytest.mark.parametrize("name", ["file", "args", "allow_pickle", "Müller 3", "a/b.c"])
def test_a_video_may_have_any_name(tmp_path: Path, name: str) -> None:
    """What a video is called has nothing to do with how arrays are stored."""
    motion = np.full((40, 10, 2), 0.5, np.float32)
    save(tmp_path, {name: motion}, [Annotated(name, "s0", 30.0, 40)], Meta())
    assert load(tmp_path).recordings[0].name == name


def test_motion_is_counted_from_the_tick_before(tmp_path: Path) -> None:
    """Row n of a recording is what moved between tick n - 1 and tick n, so a stream could have known it."""
    folder = write_small(tmp_path, subjects=1)
    with np.load(folder / "features.npz") as file:
        flow = file["s0_v0"]
    motion = load(folder).recordings[0].motion
    assert not motion[0].any()
    np.testing.assert_allclose(motion[1:], flow[:-1], atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from([15.0, 24.0, 25.0, 29.97, 60.0, 200.0]), st.integers(2, 300))
def test_no_motion_is_lost_or_invented_by_resampling(fps: float, frames: int) -> None:
    """The displacement between any two instants is the same at every frame rate."""
    flow = np.random.default_rng(0).normal(size=(frames, 3, 2)).astype(np.float32)
    motion = to_ticks(flow, fps)
    curve = np.concatenate((np.zeros((1, 3, 2)), np.cumsum(flow[:-1], 0, dtype=np.float64)))
    seen = np.cumsum(motion, 0, dtype=np.float64)
    assert len(motion) == int((frames - 1) * 30 / fps + 1e-9) + 1
    for tick in range(len(motion)):
        at = tick * fps / 30
        low = min(int(at), frames - 1)
        expected = curve[low] + (at - low) * (curve[min(low + 1, frames - 1)] - curve[low])
        np.testing.assert_allclose(seen[tick], expected, atol=1e-4)


def test_25_fps_annotations_move_to_ticks(tmp_path: Path) -> None:
    """Frames of a 25 fps data set become ticks at the same time."""
    data = load(write_small(tmp_path, subjects=1, fps=25.0))
    assert data.recordings[0].instances[0].onset == to_tick(60, 25.0) == 72
    assert len(data.recordings[0].motion) == int(359 * 30 / 25) + 1


@given(st.integers(0, 200), st.integers(0, 120), st.integers(0, 120), st.integers(0, 1000))
def test_sampled_points_lie_inside(onset: int, rise: int, fall: int, seed: int) -> None:
    """A sampled point label lies between onset and offset, never farther from the apex than the shorter side."""
    instance = Instance("macro", onset, onset + rise, onset + rise + fall)
    point = sample_point(instance, np.random.default_rng(seed))
    assert instance.onset <= point <= instance.offset
    assert abs(point - instance.apex) <= min(rise, fall) + 1


def test_points_are_the_same_for_the_same_seed(tmp_path: Path) -> None:
    """Sampled points depend on the seed and on nothing else."""
    folder = write_small(tmp_path)
    once, again, other = load(folder, seed=3), load(folder, seed=3), load(folder, seed=4)
    assert once.recordings[1].instances == again.recordings[1].instances
    assert [r.instances for r in once.recordings] != [r.instances for r in other.recordings]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("s0_v0,s0,30,360,maximal,10,20,30,", "row 2: kind is 'maximal'; write macro or micro"),
        ("s0_v0,s0,30,360,macro,,20,30,", "row 2: onset is None"),
        ("s0_v0,s0,30,360,macro,ten,20,30,", "row 2: onset is 'ten'; count whole frames"),
        ("s0_v0,s0,30,360,macro,10.5,20,30,", "row 2: onset is '10.5'; count whole frames"),
        ("s0_v0,s0,30,360,macro,40,50,30,", "row 2: offset 30 lies before onset 40"),
        ("s0_v0,s0,30,360,macro,340,350,400,", "row 2: frame 399 lies behind the last, 359"),
        ("s0_v0,s0,30,999,macro,10,20,30,", "s0_v0 says 999 frames, its array has 360"),
        ("s0_v0,s0,-5,360,macro,10,20,30,", "row 2: fps is '-5'"),
        ("s0_v0,,30,360,macro,10,20,30,", "row 2: video or subject is empty"),
        ("other,s0,30,360,macro,10,20,30,", "other has no array in features.npz"),
    ],
)
def test_a_fault_is_named_by_file_row_and_remedy(tmp_path: Path, row: str, said: str) -> None:
    """Every broken row ends in an error that names the file, the row and what to do; none is dropped."""
    with pytest.raises(DataError) as caught:
        load(_annotated(tmp_path, row))
    assert said in str(caught.value)
    assert "annotations.csv" in str(caught.value)
    assert ";" in str(caught.value)


def test_incomplete_annotations_are_completed_and_said(tmp_path: Path) -> None:
    """A missing offset, an apex outside and an end one behind the last frame are mended, and noted."""
    data = load(
        _annotated(
            tmp_path,
            "s0_v0,s0,30,360,macro,10,20,,12",
            "s0_v0,s0,30,360,macro,100,90,140,110",
            "s0_v0,s0,30,360,macro,330,340,360,341",
        )
    )
    assert [(i.onset, i.apex, i.offset) for i in data.recordings[0].instances] == [
        (10, 20, 30),
        (100, 110, 140),
        (330, 340, 359),
    ]
    assert len(data.notes) == 3
    assert all("row" in note for note in data.notes)


def test_an_expression_that_stands_twice_is_one(tmp_path: Path) -> None:
    """A row that was copied is taken once, and noted."""
    row = "s0_v0,s0,30,360,macro,10,20,30,"
    data = load(_annotated(tmp_path, row, "s0_v0,s0,30,360,micro,10,20,30,", row))
    assert [one.kind for one in data.recordings[0].instances] == ["macro", "micro"]
    assert any("row 4: a label that stands there twice" in note for note in data.notes)


def test_hours_in_which_a_face_is_seldom_in_view_are_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is nearly all zeros shrinks as an archive does that was made to burst; extract writes it otherwise."""
    monkeypatch.setattr("streamspot.datasets.store._FREE", 0)
    motion = np.zeros((9000, 17, 2), np.float32)
    save(tmp_path, {"day": motion}, [Annotated("day", "ann", 30.0, 9000)], Meta(layout="face17"))
    assert len(load(tmp_path).recordings[0].motion) == 9000
    np.savez_compressed(tmp_path / "features.npz", day=motion)
    with pytest.raises(DataError, match=r"\(unpacked it would take 1 MiB\); write it again"):
        load(tmp_path)


def test_a_video_without_expression_counts(tmp_path: Path) -> None:
    """A row with an empty kind adds a recording without expressions."""
    data = load(_annotated(tmp_path, "s0_v0,s0,30,360,,,,,"))
    assert data.recordings[0].instances == ()


@pytest.mark.parametrize("name", ["features.npz", "annotations.csv"])
def test_missing_and_damaged_files_are_named(tmp_path: Path, name: str) -> None:
    """A missing or damaged file is named in one sentence."""
    folder = write_small(tmp_path, subjects=1)
    (folder / name).write_bytes(b"\xff\xfe\x00garbage")
    with pytest.raises(DataError, match=name):
        load(folder)
    (folder / name).unlink()
    with pytest.raises(DataError, match=name):
        load(folder)


def test_motion_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    """A NaN in the features is reported with video and frame."""
    folder = write_small(tmp_path, subjects=1)
    with np.load(folder / "features.npz") as file:
        flow = file["s0_v0"].copy()
    flow[17, 0, 0] = np.nan
    np.savez(folder / "features.npz", s0_v0=flow)
    with pytest.raises(DataError, match="array s0_v0: frame 17 is not finite"):
        load(folder)


@pytest.mark.parametrize(
    ("text", "said"), [("fpss: 25\n", r"fpss is wrong.*layout"), ("fps: yes\n", r"fps is wrong.*a number")]
)
def test_meta_refuses_what_was_not_meant(tmp_path: Path, text: str, said: str) -> None:
    """An unknown key in meta.yaml is an error that names the known ones, and yes is no number."""
    (tmp_path / "meta.yaml").write_text(text)
    with pytest.raises(DataError, match=said):
        read_meta(tmp_path / "meta.yaml")


def test_annotations_survive_a_round_trip(tmp_path: Path) -> None:
    """What is written to annotations.csv reads back the same."""
    folder = write_small(tmp_path, subjects=2)
    once = read_annotations(folder / "annotations.csv", Faults())
    write_annotations(tmp_path / "again.csv", once.values())
    assert read_annotations(tmp_path / "again.csv", Faults()) == once


@pytest.mark.skipif(not REAL.exists(), reason="the research data set is not beside the checkout")
def test_the_real_data_set_loads_whole() -> None:
    """CAS(ME)² features load with all 357 expressions of 22 subjects; 44 missing offsets are noted."""
    data = load(REAL)
    kinds = [i.kind for r in data.recordings for i in r.instances]
    assert (len(data.recordings), len(data.subjects), data.regions) == (97, 22, 10)
    assert (kinds.count("macro"), kinds.count("micro")) == (300, 57)
    assert sum("no offset" in note for note in data.notes) == 44
