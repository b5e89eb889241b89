"""Promises of the whole: chunking, frame rate and dropped frames do not matter, and nothing grows."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psutil
import pytest
from running import collect, delivered

from streamspot.model import Model
from streamspot.pipeline import Pipeline
from streamspot.sources.motion import MotionRecording
from streamspot.sources.synthetic import Synthetic
from streamspot.spotting.overlap import Span, iou
from streamspot.types import Event, FaceMotion, Frame, Motion, RegionMotion, SegmentEnd, Session

CLIP = "synthetic:seed=3,seconds=6.5,expressions=1,noise=0"


def finished(events: list[Event]) -> list[Span]:
    """Return onset and offset, s, of every finished expression."""
    return [(event.onset.pts, event.offset.pts) for event in events if event.offset is not None]


@pytest.fixture(scope="module")
def model() -> Model:
    """Return the shipped weights."""
    return Model.load("streamspot-base")


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> tuple[MotionRecording, list[Event]]:
    """Return the synthetic clip as recorded motion, and its events."""
    path = tmp_path_factory.mktemp("reference") / "motion.jsonl"
    _, events = collect(CLIP, record=path)
    return MotionRecording(path), events


def assert_whole_equals_stream(model: Model, recording: MotionRecording) -> None:
    """Compare the network over each whole segment with the scores the stream gave."""
    segments: dict[int, list[list[RegionMotion]]] = {}
    for one in recording.read():
        of_face = segments.setdefault(one.face, [[]])
        if isinstance(one, SegmentEnd):
            of_face.append([])
        else:
            of_face[-1].append(one.motion)
    for motion in (segment for face in segments.values() for segment in face if segment):
        pipeline = Pipeline(model, recording.session)
        updates = [*(pipeline.push(FaceMotion(0, each)) for each in motion), pipeline.finish()]
        live = [score for update in updates for _, score in update.scores]
        whole = model.forward(np.stack([each.displacement for each in motion])[None])
        assert len(live) == len(motion)
        streamed = [(score.intensity, score.macro, score.micro) for score in live]
        np.testing.assert_allclose(streamed, whole.scores[0].cpu(), atol=1e-5)


def test_tick_by_tick_is_the_whole(model: Model, reference: tuple[MotionRecording, list[Event]]):
    """The scores of a run are those of the network over the whole recording, to 1e-5."""
    assert_whole_equals_stream(model, reference[0])


@pytest.mark.parametrize("clip", ["single_face.mp4", "face_noface.mov"])
def test_tick_by_tick_is_the_whole_on_real_clips(model: Model, data: Path, tmp_path: Path, clip: str):
    """So it is on real faces, with a face that goes."""
    collect(data / "clips" / clip, record=tmp_path / "motion.jsonl")
    assert_whole_equals_stream(model, MotionRecording(tmp_path / "motion.jsonl"))


def test_events_do_not_depend_on_who_else_is_there(
    model: Model, reference: tuple[MotionRecording, list[Event]]
):
    """A second face, and any order of arrival, change no event of the first but its number."""
    recording, events = reference

    def doubled() -> Iterator[Motion]:
        for one in recording.read():
            yield replace(one, face=7)
            yield one

    pipeline = Pipeline(model, recording.session)
    updates = [*(pipeline.push(one) for one in doubled()), pipeline.finish()]
    both = [event for update in updates for event in update.events]
    strip = lambda event: (event.phase, event.kind, event.onset, event.apex, event.offset, event.intensity)  # noqa: E731
    first, second = ([strip(e) for e in both if e.face == face] for face in (0, 7))
    assert first == second == [strip(event) for event in events]
    assert [event.seq for event in both] == list(range(len(both)))


@pytest.mark.parametrize("fps", [24, 60, pytest.param(200, marks=pytest.mark.slow)])
def test_the_frame_rate_does_not_matter(reference: tuple[MotionRecording, list[Event]], fps: int):
    """The same movement seen at 24, 60 or 200 frames a second gives the same expressions as at 30."""
    expected = finished(reference[1])
    seen = finished(collect(f"{CLIP},fps={fps}")[1])
    assert_same(seen, expected)


def test_dropped_frames_do_not_matter(
    reference: tuple[MotionRecording, list[Event]], monkeypatch: pytest.MonkeyPatch
):
    """With every third frame lost the expressions are the same."""
    read = Synthetic.read

    def lossy(self: Synthetic) -> Iterator[Frame]:
        return (frame for frame in read(self) if frame.index % 3 != 1)

    monkeypatch.setattr(Synthetic, "read", lossy)
    assert_same(finished(collect(CLIP)[1]), finished(reference[1]))


def assert_same(seen: list[Span], expected: list[Span]) -> None:
    """Check that the real expression was found alike (another may be noise at the threshold)."""
    truth = [(t.onset / 30, t.offset / 30) for t in Synthetic.parse(CLIP).truth]
    assert expected
    for true in truth:
        before = max(expected, key=lambda span: iou(span, true))
        after = max(seen, key=lambda span: iou(span, true))
        assert iou(before, true) >= 0.5
        assert iou(before, after) >= 0.7, (before, after)


def _endless(recording: MotionRecording) -> Iterator[FaceMotion]:
    motions = [one.motion for one in recording.read() if isinstance(one, FaceMotion)]
    for tick in itertools.count():
        motion = motions[tick % len(motions)]
        yield FaceMotion(0, RegionMotion(tick, tick / 30, tick, motion.displacement, motion.quality))


def test_the_pipeline_does_not_grow(model: Model, reference: tuple[MotionRecording, list[Event]]):
    """Minutes of ticks leave the process as large as it was; the hour is in benchmarks/soak.py."""
    pipeline = Pipeline(model, Session("r", "s", "s", 0.0, datetime.now(UTC)))
    motions = _endless(reference[0])
    process, sizes = psutil.Process(), []
    for _ in range(4):
        for motion in itertools.islice(motions, 2000):
            pipeline.push(motion)
        sizes.append(process.memory_info().rss)
    assert min(sizes[2:]) <= sizes[1] + (1 << 20), sizes


def test_pushing_whole_or_in_steps_is_the_same(model: Model, reference: tuple[MotionRecording, list[Event]]):
    """An engine that times the three steps of a push gets what a push gives."""
    recording, events = reference
    pipeline = Pipeline(model, replace(recording.session, run=events[0].run))
    stepped = []
    for one in recording.read():
        motion = pipeline.measure(one)
        stepped += pipeline.spot(motion, pipeline.score(motion)).events
    stepped += pipeline.finish().events
    assert [delivered(event, "session") for event in stepped] == [
        delivered(event, "session") for event in events
    ]
