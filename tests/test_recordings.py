"""Promises of recordings of region motion: they replay to the same events, whole or cut, and hold no picture."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from running import CLIP, SHORT, PushedLive, collect, delivered

from streamspot.errors import SourceError
from streamspot.layers import load_settings
from streamspot.motion.regions import layout
from streamspot.run import StreamRun
from streamspot.sinks.motion import MotionRecorder
from streamspot.sinks.writer import Host
from streamspot.sources.motion import MotionRecording, MotionWriter, is_recording
from streamspot.sources.synthetic import Synthetic
from streamspot.types import Event, FaceMotion, RegionMotion, SegmentEnd, Session, Update


def test_a_recording_replays_to_the_same_bytes(recorded: tuple[Path, list, list[Event]]):
    """The events of a replayed recording are those of the recorded run, wall clock included, but for the run's id."""
    path, scores, events = recorded
    assert is_recording(path)
    again, replayed = collect(path)
    assert [delivered(event) for event in replayed] == [delivered(event) for event in events]
    assert {event.run for event in replayed}.isdisjoint(event.run for event in events)
    assert again == scores


def test_a_recording_holds_no_picture_and_no_landmark(recorded: tuple[Path, list, list[Event]]):
    """What is recorded is a few numbers a tick: region displacements, none larger than a face can move."""
    path, _, _ = recorded
    regions = len(layout(MotionRecording(path).layout))
    for line in path.read_text().splitlines()[1:]:
        value = json.loads(line)
        if len(value) == 6:
            assert len(value[-1]) == 2 * regions
            assert max(map(abs, value[-1])) < 1.0


def test_a_recording_cut_short_replays_up_to_the_cut(
    recorded: tuple[Path, list, list[Event]], tmp_path: Path
):
    """A run that was killed in mid-line can still be replayed."""
    path, _, _ = recorded
    text = path.read_text()
    (tmp_path / "cut.jsonl").write_text(text[: len(text) // 2])
    scores, _ = collect(tmp_path / "cut.jsonl")
    assert 50 < len(scores) < len(text.splitlines())


def test_displacements_survive_a_recording_exactly(tmp_path: Path, recorded: tuple[Path, list, list[Event]]):
    """Every float32 is read back bit for bit."""
    session = MotionRecording(recorded[0]).session
    values = np.random.default_rng(0).normal(0, 1e-3, (17, 2)).astype(np.float32)
    values[0] = (1e-45, -9e9)  # smallest and largest that a recording holds
    with MotionWriter(tmp_path / "r") as writer:
        writer.begin(session, "face17")
        writer.extend([FaceMotion(0, RegionMotion(0, 0.0, 0, values)), SegmentEnd(0)], session)
    first, _ = MotionRecording(tmp_path / "r").read()
    np.testing.assert_array_equal(first.motion.displacement, values)


def test_a_damaged_recording_is_named_with_its_line(tmp_path: Path, recorded: tuple[Path, list, list[Event]]):
    """Nonsense in the middle ends the run with the line's number."""
    lines = recorded[0].read_text().splitlines()
    lines[5] = "nonsense"
    (tmp_path / "bad").write_text("\n".join(lines) + "\n")
    with pytest.raises(SourceError, match="line 6"):
        collect(tmp_path / "bad")


def test_a_start_that_became_known_better_replays_with_the_ticks_it_was_known_at(tmp_path: Path):
    """A recording keeps when the wall-clock time of its first tick was mended; a replay mends it there again."""
    clip = list(Synthetic.parse(CLIP).read())
    run = StreamRun(load_settings({"source": CLIP}), PushedLive())
    run.load()
    updates = []
    with MotionWriter(tmp_path / "live.motion") as writer:
        for frame in clip:
            late = 0.4 if frame.index < 120 else 0.0
            arrived = int((100 + frame.pts + late) * 1e9)
            updates.append(run.analyser.analyse(type(frame)(frame.index, frame.pts, arrived, frame.image)))
            if frame.index == 0:
                writer.begin(updates[0].session, run.analyser.layout, run.analyser.judging)
            writer.extend(updates[-1].motion, updates[-1].session)
    updates.append(run.analyser.finish())
    run.analyser.close()
    live = [delivered(event) for update in updates for event in update.events]
    assert len({update.session.start for update in updates}) == 2
    assert [delivered(event) for event in collect(tmp_path / "live.motion")[1]] == live


def test_a_recording_with_other_regions_than_its_layout_is_refused(tmp_path: Path):
    """One that another program made wrongly is named with both numbers, before anything comes of it."""
    path = tmp_path / "made.motion"
    with MotionWriter(path) as writer:
        session = Session("r", "s", "s", 0.0, datetime(2026, 1, 1, tzinfo=UTC))
        writer.begin(session, "face17")
        writer.extend([FaceMotion(0, RegionMotion(0, 0.0, 0, np.zeros((16, 2), np.float32)))], session)
    with pytest.raises(SourceError, match="has 16 regions, but its layout face17 has 17"):
        collect(path)


async def test_a_recording_with_a_gap_says_so(tmp_path: Path):
    """What a full disk left out ends the segment; a clock that became known better meanwhile is not left out."""
    run = StreamRun(load_settings({"source": SHORT}))
    run.analyser.layout = "face17"
    session = Session("r", "s", "s", 0.0, datetime(2026, 1, 1, tzinfo=UTC))
    recorder = MotionRecorder(tmp_path / "r.motion", run, Host())
    async with recorder:
        for tick in range(9):
            recorder._writer._room = 0 if 3 <= tick < 6 else 2**20
            motion = FaceMotion(0, RegionMotion(tick, tick / 30, tick, np.zeros((17, 2), np.float32)))
            if tick == 4:
                session = replace(session, start=session.start + timedelta(hours=8))
            await recorder.take(Update(session=session, motion=(motion,)))
    read = list(MotionRecording(tmp_path / "r.motion").read())
    assert [one.start for one in read if isinstance(one, Session)][-1] == session.start
    ticks = [
        one.motion.tick if isinstance(one, FaceMotion) else one.reason
        for one in read
        if not isinstance(one, Session)
    ]
    assert ticks == [0, 1, 2, "recording interrupted", 6, 7, 8]


async def test_a_recording_says_when_its_source_ended(tmp_path: Path):
    """The end may come long after the last face, and one cut short knows none."""
    first, cut = tmp_path / "first.motion", tmp_path / "cut.motion"
    run = StreamRun(load_settings({"source": SHORT}))
    run.analyser.layout = "face17"
    session = Session("r", "s", "s", 0.0, datetime(2026, 1, 1, tzinfo=UTC))
    async with MotionRecorder(first, run, Host()) as recorder:
        motion = FaceMotion(0, RegionMotion(0, 0.0, 0, np.zeros((17, 2), np.float32)))
        await recorder.take(Update(session=session, motion=(motion,)))
        await recorder.take(Update(session=session, pts=9.5, frame=285))
    cut.write_text("".join(first.read_text().splitlines(keepends=True)[:-1]))
    for path, end in ((first, (9.5, 285, True)), (cut, (0.0, 0, False))):
        recording = MotionRecording(path)
        assert (recording.duration, recording.last_frame, recording.whole) == end


@pytest.mark.parametrize(
    "line",
    [
        '[0,"100",3.3,100,1.0,[]]', "[0,100.5,3.3,100,1.0,[]]", "[0,null,3.3,100,1.0,[]]", "[-1,100,3.3,100,1.0,[]]",
        "[0,100,1e400,100,1.0,[]]", "[0,100,3.3,100,NaN,[]]", "[0,5]", '"ab"', "[0,100,3.3,100,1.0,[1,2]]",
        "[0,99999999999999,3.3,1,1.0,[]]", '{"start":"9999-12-31T00:00:00+00:00"}', '{"start":5}', "[" * 100_000,
    ],
)  # fmt: skip
def test_a_line_of_nonsense_is_named(tmp_path: Path, recorded: tuple[Path, list, list[Event]], line: str):
    """Wrong types, too large numbers, missing regions, deep nesting: one sentence with the line's number."""
    lines = recorded[0].read_text().splitlines()
    values = json.loads(lines[101])[-1]
    lines[101] = line.replace("[]]", f"{json.dumps(values)}]")
    (tmp_path / "bad.motion").write_text("\n".join(lines) + "\n")
    with pytest.raises(SourceError, match=r"line 102 of .* is damaged"):
        collect(tmp_path / "bad.motion")


def test_a_gap_in_a_recording_is_no_expression(tmp_path: Path, recorded: tuple[Path, list, list[Event]]):
    """Lines that were taken out cancel what was going on; what runs backwards is damaged."""
    lines = recorded[0].read_text().splitlines()
    onset = next(event.onset.tick for event in recorded[2] if event.phase == "onset")
    (tmp_path / "gap.motion").write_text("\n".join([*lines[: onset + 15], *lines[onset + 25 :]]) + "\n")
    _, events = collect(tmp_path / "gap.motion")
    assert "gap in the recording" in [event.reason for event in events]
    (tmp_path / "back.motion").write_text("\n".join([lines[0], *reversed(lines[1:100])]) + "\n")
    with pytest.raises(SourceError, match="line 3 of"):
        collect(tmp_path / "back.motion")
