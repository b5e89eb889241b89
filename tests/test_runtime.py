"""Promises of a run: the same input gives the same events by every way out, recordings replay, stopping is prompt."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

import streamspot
from streamspot.engine import Run
from streamspot.errors import ModelError, SettingsError, SourceError
from streamspot.events import encode
from streamspot.model import Model
from streamspot.motion.regions import layout
from streamspot.mqtt.commands import Label, Pause, Resume, Sensitivity
from streamspot.settings import load_settings
from streamspot.sources.motion import Recorder, Recording, is_recording
from streamspot.sources.synthetic import Synthetic, Truth
from streamspot.spotting.overlap import iou
from streamspot.telemetry import Telemetry
from streamspot.types import Event, RegionMotion, Sighting

CLIP = "synthetic:seconds=10,expressions=2,noise=0"
WALL_CLOCK = ("time",)


def collect(source: str, telemetry: Telemetry | None = None, **settings: object) -> tuple[list, list[Event]]:
    """Run a source to its end and return its scores and events."""

    async def consume() -> tuple[list, list[Event]]:
        scores, events = [], []
        async with Run(load_settings({"source": source, **settings}), telemetry) as run:
            async for batch in run:
                scores += batch.scores
                events += batch.events
        return scores, events

    return asyncio.run(consume())


def without_wall_clock(event: Event) -> dict:
    """Return the delivered form of an event without its wall-clock fields."""

    def strip(value: object) -> object:
        if isinstance(value, dict):
            return {key: strip(inner) for key, inner in value.items() if key not in WALL_CLOCK}
        return value

    return strip(json.loads(encode(event, node="test")))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list, list[Event]]:
    """Return a recording with the scores and events of the run that made it."""
    path = tmp_path_factory.mktemp("recording") / "run.jsonl"
    scores, events = collect(CLIP, record=path)
    return path, scores, events


def _overlap(event: Event, true: Truth) -> float:
    return iou((event.onset.frame, event.offset.frame + 1), (true.onset, true.offset + 1))


def test_a_clip_with_two_expressions_gives_them_in_order(recorded: tuple[Path, list, list[Event]]):
    """Both are found; each has its onset first and one last word, and all events are numbered without gaps."""
    _, scores, events = recorded
    assert [event.seq for event in events] == list(range(len(events)))
    truth = Synthetic.parse(CLIP).truth
    finished = [event for event in events if event.phase == "offset"]
    for true in truth:
        assert any(_overlap(event, true) >= 0.5 for event in finished)
    for event in finished:
        phases = [other.phase for other in events if other.expression == event.expression]
        assert phases[0] == "onset"
        assert phases[-1] == "offset"
        assert event.decided_at.tick >= event.offset.tick
    ticks = [score.tick for _, score in scores]
    assert ticks == list(range(len(ticks)))


def test_a_recording_replays_to_the_same_bytes(recorded: tuple[Path, list, list[Event]]):
    """The events of a replayed recording are those of the recorded run, wall clock included."""
    path, scores, events = recorded
    assert is_recording(path)
    again, replayed = collect(str(path))
    assert [encode(event, node="n") for event in replayed] == [encode(event, node="n") for event in events]
    assert again == scores


def test_the_decoder_settings_of_the_weights_hold_in_a_run(
    tmp_path: Path, recorded: tuple[Path, list, list[Event]]
):
    """Weights that ask for more than any expression has find none; all else of their scores is as before."""
    path, scores, events = recorded
    shipped = Model.load(device="cpu")
    strict = tmp_path / "strict.safetensors"
    Model(shipped._network, spotting={"macro_score": 1.9, "micro_score": 1.9}).save(strict)
    again, found = collect(str(path), weights=str(strict))
    assert again == scores
    assert any(event.phase == "offset" for event in events)
    assert not any(event.phase == "offset" for event in found)


def test_running_a_clip_twice_differs_in_wall_clock_fields_only(recorded: tuple[Path, list, list[Event]]):
    """Two runs of the same clip give the same events, ids included."""
    _, _, events = recorded
    _, again = collect(CLIP)
    assert [without_wall_clock(event) for event in again] == [without_wall_clock(event) for event in events]


def test_iterator_and_callback_give_the_same_events(recorded: tuple[Path, list, list[Event]]):
    """``async for`` and a callback see what the sinks see."""
    path, _, events = recorded

    async def iterate() -> list[Event]:
        return [event async for event in streamspot.stream(str(path))]

    called: list[Event] = []
    streamspot.watch(str(path), called.append)
    assert asyncio.run(iterate()) == called == events


def test_a_recording_holds_no_picture_and_no_landmark(recorded: tuple[Path, list, list[Event]]):
    """What is recorded is a few numbers a tick: region displacements, none larger than a face can move."""
    path, _, _ = recorded
    regions = len(layout(Recording(path).layout))
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
    scores, _ = collect(str(tmp_path / "cut.jsonl"))
    assert 50 < len(scores) < len(text.splitlines())


def test_displacements_survive_a_recording_exactly(tmp_path: Path, recorded: tuple[Path, list, list[Event]]):
    """Every float32 is read back bit for bit."""
    session = Recording(recorded[0]).session
    values = np.random.default_rng(0).normal(0, 1e-3, (17, 2)).astype(np.float32)
    values[0] = (1e-45, -3.4e38)
    with Recorder(tmp_path / "r", session, "face17") as recorder:
        recorder.extend([Sighting(0, RegionMotion(0, 0.0, 0, values)), Sighting(0, None)])
    first = next(Recording(tmp_path / "r").sightings())
    np.testing.assert_array_equal(first.motion.displacement, values)


def test_a_damaged_recording_is_named_with_its_line(tmp_path: Path, recorded: tuple[Path, list, list[Event]]):
    """Nonsense in the middle ends the run with the line's number."""
    lines = recorded[0].read_text().splitlines()
    lines[5] = "nonsense"
    (tmp_path / "bad").write_text("\n".join(lines) + "\n")
    with pytest.raises(SourceError, match="line 6"):
        collect(str(tmp_path / "bad"))


def test_telemetry_counts_what_happened(recorded: tuple[Path, list, list[Event]]):
    """Frames, events, curve and the state of the face are there for the dashboard."""
    telemetry = Telemetry()
    _, events = collect(CLIP, telemetry)
    assert telemetry.frames == 300
    assert telemetry.dropped == telemetry.faceless == 0
    assert telemetry.finished
    assert list(telemetry.events) == events
    (face,) = telemetry.faces.values()
    assert len(face.curve) == 300
    assert all(telemetry.stages[name].count for name in ("face", "flow", "model", "spotting", "total"))


async def test_stopping_ends_within_a_second_and_cancels_what_is_open():
    """Ctrl-C leaves no expression open and nobody waiting."""
    events: list[Event] = []
    async with Run(load_settings({"source": "synthetic", "speed": 1.0})) as run:
        stopped = 0.0
        async for batch in run:
            events += batch.events
            if not stopped and (events or run.telemetry.pts > 1.0):
                stopped = time.monotonic()
                run.stop()
        assert time.monotonic() - stopped < 1.0
    started = {event.expression for event in events if event.phase == "onset"}
    ended = {event.expression for event in events if event.phase in ("offset", "cancelled")}
    assert started == ended


async def test_leaving_the_iterator_early_stops_the_threads():
    """A consumer that has seen enough may just go."""
    async for _ in streamspot.stream(CLIP):
        break
    begun = time.monotonic()
    await asyncio.sleep(0)
    assert time.monotonic() - begun < 1.0


def test_mistakes_are_said_before_anything_starts(tmp_path: Path):
    """A missing file, missing weights and a mistyped key raise one sentence each."""
    with pytest.raises(SourceError, match="nowhere"):
        collect("nowhere.mp4")
    with pytest.raises(ModelError, match="streamspot-bass"):
        collect(CLIP, weights="streamspot-bass")
    with pytest.raises(SettingsError, match="did you mean 'sensitivity'"):
        collect(CLIP, sensitivty=0.5)
    with pytest.raises(SourceError, match="record"):
        collect(CLIP, record=tmp_path / "no" / "such" / "folder")


def test_settings_come_from_file_environment_and_flag_in_that_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A flag wins over the environment, the environment over the file, the file over the default."""
    file = tmp_path / "live.yaml"
    file.write_text("source: a\nfaces: 2\nsensitivity: 0.1\n")
    monkeypatch.setenv("STREAMSPOT_FACES", "3")
    monkeypatch.setenv("STREAMSPOT_SENSITIVITY", "0.2")
    settings = load_settings({"sensitivity": 0.3, "policy": None}, file)
    assert (settings.source, settings.faces, settings.sensitivity) == ("a", 3, 0.3)
    file.write_text("souce: a\n")
    with pytest.raises(SettingsError, match=r"'souce' \(in .*live\.yaml\); did you mean 'source'"):
        load_settings({}, file)
    with pytest.raises(SettingsError, match=r"faces = '0'|faces = 0"):
        load_settings({"faces": 0})


@pytest.mark.parametrize("name", ["live", "replay"])
def test_ready_settings_are_valid(name: str):
    """The files in configs/ can be used as they are."""
    folder = Path(__file__).resolve().parents[1] / "configs"
    assert load_settings({"source": "clip.mp4"}, folder / f"{name}.yaml").policy in ("every", "latest")


async def test_a_running_stream_can_be_paused_tuned_and_labelled(tmp_path: Path):
    """A pause cancels what is open, a label lands beside the recording, and expression ids stay unique."""
    record = tmp_path / "run.motion"
    events: list[Event] = []
    asked = False
    async with Run(load_settings({"source": CLIP, "record": record, "speed": 4.0})) as run:
        async for batch in run:
            events += batch.events
            if not asked and any(event.phase == "onset" for event in events):
                asked = True
                run.obey(Label("macro"))
                run.obey(Pause())
                await asyncio.sleep(0.3)
                assert run.paused
                run.obey(Sensitivity(0.6))
                run.obey(Resume())
        assert (run.paused, run.sensitivity) == (False, 0.6)
    assert [event.reason for event in events if event.phase == "cancelled"][:1] == ["paused"]
    assert any(event.phase == "offset" for event in events)
    numbers = [event.expression for event in events if event.phase == "onset"]
    assert len(numbers) == len(set(numbers))
    assert "macro" in (tmp_path / "points.csv").read_text()


async def test_a_label_without_a_recording_is_refused_with_the_remedy():
    """A label has to belong to something that can be trained on."""
    run = Run(load_settings({"source": CLIP}))
    with pytest.raises(SettingsError, match="--record"):
        run.obey(Label("micro"))


@pytest.mark.parametrize(("pictures", "after"), [(310, 10), (30, 1)])
async def test_a_video_without_a_face_is_said_once_with_the_remedy(tmp_path: Path, pictures: int, after: int):
    """After ten seconds, or at the end of a shorter clip, whoever has no dashboard learns why nothing comes."""
    clip = tmp_path / "wall.avi"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"MJPG"), 30, (64, 48))
    for _ in range(pictures):
        writer.write(np.full((48, 64, 3), 90, np.uint8))
    writer.release()
    async with Run(load_settings({"source": str(clip)})) as run:
        said = [message async for batch in run for message in batch.messages]
    assert said == list(run.telemetry.messages)
    assert [message.split(";")[0] for message in said] == [f"no face has been found in {after} s of video"]
    assert "lit from the front" in said[0]
