"""Promises of the whole: chunking, frame rate and dropped frames do not matter, and nothing grows."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import psutil
import pytest
from brokers import Mosquitto, make_event

from streamspot.engine import Run
from streamspot.events import decode, encode
from streamspot.model import Model
from streamspot.mqtt.publisher import MqttSink
from streamspot.mqtt.subscriber import subscribe
from streamspot.pipeline import Interpreter
from streamspot.settings import load_settings
from streamspot.sources.motion import Recording
from streamspot.sources.synthetic import Synthetic
from streamspot.spotting.overlap import Span, iou
from streamspot.telemetry import Telemetry
from streamspot.types import Event, Frame, RegionMotion, Session, Sighting

CLIP = "synthetic:seed=3,seconds=6.5,expressions=1,noise=0"


async def _collect(source: str, record: Path | None = None) -> list[Event]:
    async with Run(load_settings({"source": source, "record": record})) as run:
        return [event async for batch in run for event in batch.events]


def finished(events: list[Event]) -> list[Span]:
    """Return onset and offset, s, of every finished expression."""
    return [(event.onset.pts, event.offset.pts) for event in events if event.offset is not None]


@pytest.fixture(scope="module")
def model() -> Model:
    """Return the shipped weights."""
    return Model.load("streamspot-base")


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recording, list[Event]]:
    """Return the synthetic clip as recorded motion, and its events."""
    path = tmp_path_factory.mktemp("reference") / "motion.jsonl"
    events = asyncio.run(_collect(CLIP, path))
    return Recording(path), events


def assert_whole_equals_stream(model: Model, recording: Recording) -> None:
    """Compare the network over each whole segment with the scores the stream gave."""
    segments: dict[int, list[list[RegionMotion]]] = {}
    for sighting in recording.sightings():
        of_face = segments.setdefault(sighting.face, [[]])
        if sighting.motion is None:
            of_face.append([])
        else:
            of_face[-1].append(sighting.motion)
    for motion in (segment for face in segments.values() for segment in face if segment):
        interpreter = Interpreter(model, recording.session, Telemetry())
        sightings = [*(Sighting(0, each) for each in motion), Sighting(0, None)]
        live = [score for sighting in sightings for score in interpreter.push(sighting)[0]]
        whole = model.forward(np.stack([each.displacement for each in motion])[None])
        assert len(live) == len(motion)
        streamed = [(score.intensity, score.macro, score.micro) for score in live]
        forward = np.concatenate([whole.intensity[0, :, None].cpu(), whole.classes[0].cpu()], axis=1)
        np.testing.assert_allclose(streamed, forward, atol=1e-5)


def test_tick_by_tick_is_the_whole(model: Model, reference: tuple[Recording, list[Event]]):
    """The scores of a run are those of the network over the whole recording, to 1e-5."""
    assert_whole_equals_stream(model, reference[0])


@pytest.mark.parametrize("clip", ["single_face.mp4", "face_noface.mov"])
def test_tick_by_tick_is_the_whole_on_real_clips(model: Model, data: Path, tmp_path: Path, clip: str):
    """So it is on real faces, with a face that goes."""
    asyncio.run(_collect(str(data / "clips" / clip), tmp_path / "motion.jsonl"))
    assert_whole_equals_stream(model, Recording(tmp_path / "motion.jsonl"))


def test_events_do_not_depend_on_who_else_is_there(model: Model, reference: tuple[Recording, list[Event]]):
    """A second face, and any order of arrival, change no event of the first but its number."""
    recording, events = reference

    def doubled() -> Iterator[Sighting]:
        for sighting in recording.sightings():
            yield Sighting(7, sighting.motion, sighting.reason)
            yield sighting

    interpreter = Interpreter(model, recording.session, Telemetry())
    both = [event for sighting in doubled() for event in interpreter.push(sighting)[1]]
    strip = lambda event: (event.phase, event.kind, event.onset, event.apex, event.offset, event.intensity)  # noqa: E731
    first, second = ([strip(e) for e in both if e.face == face] for face in (0, 7))
    assert first == second == [strip(event) for event in events]
    assert [event.seq for event in both] == list(range(len(both)))


@pytest.mark.parametrize("fps", [24, 60, pytest.param(200, marks=pytest.mark.slow)])
def test_the_frame_rate_does_not_matter(reference: tuple[Recording, list[Event]], fps: int):
    """The same movement seen at 24, 60 or 200 frames a second gives the same expressions as at 30."""
    expected = finished(reference[1])
    seen = finished(asyncio.run(_collect(f"{CLIP},fps={fps}")))
    assert_same(seen, expected)


def test_dropped_frames_do_not_matter(
    reference: tuple[Recording, list[Event]], monkeypatch: pytest.MonkeyPatch
):
    """With every third frame lost the expressions are the same."""
    frames = Synthetic.frames

    def lossy(self: Synthetic) -> Iterator[Frame]:
        return (frame for frame in frames(self) if frame.index % 3 != 1)

    monkeypatch.setattr(Synthetic, "frames", lossy)
    assert_same(finished(asyncio.run(_collect(CLIP))), finished(reference[1]))


def assert_same(seen: list[Span], expected: list[Span]) -> None:
    """Check that the real expression was found alike (another may be noise at the threshold)."""
    truth = [(t.onset / 30, t.offset / 30) for t in Synthetic.parse(CLIP).truth]
    assert expected
    for true in truth:
        before = max(expected, key=lambda span: iou(span, true))
        after = max(seen, key=lambda span: iou(span, true))
        assert iou(before, true) >= 0.5
        assert iou(before, after) >= 0.7, (before, after)


def _endless(recording: Recording) -> Iterator[RegionMotion]:
    motions = [sighting.motion for sighting in recording.sightings() if sighting.motion is not None]
    for tick in itertools.count():
        motion = motions[tick % len(motions)]
        yield RegionMotion(tick, tick / 30, tick, motion.displacement, motion.quality)


def test_the_interpreter_does_not_grow(model: Model, reference: tuple[Recording, list[Event]]):
    """Two minutes of ticks leave the process as large as it was; the hour is in benchmarks/soak.py."""
    session = Session("s", "s", 0.0, datetime.now(UTC))
    interpreter = Interpreter(model, session, Telemetry())
    motions = _endless(reference[0])
    process, sizes = psutil.Process(), []
    for _ in range(2):
        for motion in itertools.islice(motions, 2000):
            interpreter.push(Sighting(0, motion))
        sizes.append(process.memory_info().rss)
    assert sizes[1] <= 1.02 * sizes[0], sizes


async def test_a_file_that_is_run_again_is_heard_again(tmp_path: Path):
    """Ids are the same, yet a subscriber sees the second run; what is only repeated it sees once."""
    again = timedelta(hours=1)

    def later(event: Event) -> Event:
        text = encode(event, node="n").decode()
        for moment in {event.onset.time, event.decided_at.time}:
            moved = (datetime.fromisoformat(moment) + again).isoformat(timespec="microseconds")
            text = text.replace(moment, moved.replace("+00:00", "Z"))
        return decode(text)

    first = [make_event(number) for number in range(3)]
    with Mosquitto(tmp_path) as broker:
        async with subscribe(broker.url) as events:
            for name, run in (("a", first), ("b", first), ("c", [later(event) for event in first])):
                journal = tmp_path / name
                telemetry = Telemetry()
                async with MqttSink(
                    broker.url, node="n", stream="cam", journal=journal, telemetry=telemetry
                ) as sink:
                    for event in run:
                        await sink.event(event)
            async with asyncio.timeout(10):
                heard = [await anext(events) for _ in range(6)]
            assert events.duplicates == 3
    assert [each.event.id for each in heard] == [event.id for event in [*first, *first]]
    assert [each.missed for each in heard] == [0] * 6
