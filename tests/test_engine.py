"""Promises of a run: the same input gives the same events by every way out, stopping is prompt."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest
from running import CLIP, SHORT, PushedLive, collect, delivered, overlap, updates_of

import streamspot
from streamspot.analysis import Analyser
from streamspot.commands import Label, Pause, Resume, Sensitivity
from streamspot.engine import Engine, open_runs
from streamspot.errors import ModelError, SettingsError, SourceError
from streamspot.face.detectors import FaceDetector, make_detector
from streamspot.layers import load_settings
from streamspot.model import Model
from streamspot.outputs import Outputs
from streamspot.run import StreamRun
from streamspot.sinks.labels import LiveLabels
from streamspot.sources.synthetic import Synthetic
from streamspot.types import Event, Frame, Session, Update


def test_a_clip_with_two_expressions_gives_them_in_order(recorded: tuple[Path, list, list[Event]]):
    """Both are found; each has its onset first and one last word, and all events are numbered without gaps."""
    _, scores, events = recorded
    assert [event.seq for event in events] == list(range(len(events)))
    truth = Synthetic.parse(CLIP).truth
    finished = [event for event in events if event.phase == "offset"]
    for true in truth:
        assert any(overlap(event, true.onset, true.offset) >= 0.5 for event in finished)
    for event in finished:
        phases = [other.phase for other in events if other.expression == event.expression]
        assert phases[0] == "onset"
        assert phases[-1] == "offset"
        assert event.decided_at.tick >= event.offset.tick
    ticks = [score.tick for _, score in scores]
    assert ticks == list(range(len(ticks)))


def test_the_decoder_settings_of_the_weights_hold_in_a_run(
    tmp_path: Path, recorded: tuple[Path, list, list[Event]]
):
    """Weights that ask for more than any expression has find none; all else of their scores is as before."""
    path, scores, events = recorded
    shipped = Model.load(device="cpu")
    strict = tmp_path / "strict.safetensors"
    Model(shipped.network, spotting={"macro_score": 1.9, "micro_score": 1.9}).save(strict)
    again, found = collect(path, weights=str(strict))
    assert again == scores
    assert any(event.phase == "offset" for event in events)
    assert not any(event.phase == "offset" for event in found)


def test_running_a_clip_twice_differs_in_wall_clock_and_run_only(recorded: tuple[Path, list, list[Event]]):
    """Two runs of the same clip give the same events, the id of the session included; the ids of the runs differ."""
    _, _, events = recorded
    _, again = collect(CLIP)
    assert [delivered(event, "time") for event in again] == [delivered(event, "time") for event in events]
    assert len({event.id for event in (*events, *again)}) == len(events) + len(again)


def test_the_session_tells_how_it_was_analysed(recorded: tuple[Path, list, list[Event]], tmp_path: Path):
    """Other weights, another decoder, another flow: another session; a name of one's own is kept."""
    path, _, events = recorded
    shipped = Model.load(device="cpu")
    Model(shipped.network, spotting={**shipped.spotting, "macro_score": 0.31}).save(
        tmp_path / "w.safetensors"
    )
    sessions = {
        events[0].session,
        collect(path, sensitivity=0.8)[1][0].session,
        collect(path, weights=str(tmp_path / "w.safetensors"))[1][0].session,
        collect(CLIP, flow="dis")[1][0].session,
    }
    assert len(sessions) == 4
    assert {event.session for event in collect(path, session="mine")[1]} == {"mine"}


async def test_what_happened_is_counted():
    """Frames, losses and the time that each stage takes are there for whoever shows them."""
    run = StreamRun(load_settings({"source": CLIP}))
    async with Engine([run]) as engine:
        async for _ in engine:
            pass
    stats = run.stats
    assert (stats.frames, stats.dropped, stats.faceless, stats.finished) == (300, 0, 0, True)
    assert all(stats.stages[name].count for name in ("face", "flow", "model", "spotting", "total"))


async def test_waiting_for_the_models_is_no_latency(monkeypatch: pytest.MonkeyPatch):
    """How long a decision takes is said as if everything had been loaded when the first frame came."""

    def slowly(faces: int, model: Path | None) -> FaceDetector:
        time.sleep(3)
        return make_detector(faces, model)

    monkeypatch.setattr("streamspot.face.detectors.make_detector", slowly)
    run = StreamRun(load_settings({"source": SHORT, "speed": 4.0}))
    async with Engine([run]) as engine:
        async for _ in engine:
            pass
    total = run.stats.stages["total"]
    assert total.count == run.stats.frames - 1
    assert total.quantiles()[1] < 3


def test_a_pause_is_no_latency(monkeypatch: pytest.MonkeyPatch):
    """A picture that was read ahead before a pause did not take as long as the pause to be judged."""
    settings = load_settings({"source": SHORT, "speed": 1.0})
    analyser = Analyser(settings, Synthetic.parse(SHORT))
    analyser.load()
    clock, picture = time.monotonic_ns, np.zeros((48, 64, 3), np.uint8)
    analyser.analyse(Frame(0, 0.0, clock(), picture))
    ahead = Frame(1, 0.03, clock(), picture)
    monkeypatch.setattr("streamspot.analysis.time.monotonic_ns", lambda: clock() + 60 * 10**9)
    analyser.resume()
    analyser.analyse(ahead)
    analyser.close()
    assert 0 < analyser.stats.stages["total"].quantiles()[1] < 60


async def test_stopping_ends_the_run_and_cancels_what_is_open():
    """Ctrl-C leaves no expression open and nobody waiting; the rest of the minute of video is not read."""
    events: list[Event] = []
    run = StreamRun(load_settings({"source": "synthetic:seconds=60,expressions=9", "speed": 4.0}))
    async with Engine([run]) as engine:
        async for run, update in engine:
            events += update.events
            if events:
                run.stop()
    assert run.stats.pts < 50
    started = {event.expression for event in events if event.phase == "onset"}
    ended = {event.expression for event in events if event.phase in ("offset", "cancelled")}
    assert started == ended
    assert events[-1].reason == "stopped"


def test_a_busy_consumer_is_told_what_a_stop_cancels(
    recorded: tuple[Path, list, list[Event]], monkeypatch: pytest.MonkeyPatch
):
    """Whoever is as far behind as may be, stops the stream and then does something else is told all the same."""
    monkeypatch.setattr("streamspot.run._AHEAD", 2)
    told: list[tuple[str, str | None]] = []
    with streamspot.open(str(recorded[0])) as stream:
        for update in stream:
            told += [(event.phase, event.reason) for event in update.events]
            assert update.messages == ()
            if told == [("onset", None)]:
                time.sleep(0.2)
                stream.stop()
                time.sleep(0.6)
                told.append(("", None))
    assert told[-1] == ("cancelled", "stopped")


async def test_a_consumer_that_leaves_early_leaves_no_thread_behind():
    """A consumer that has seen enough may just go: capture and analysis end with the block."""
    before = set(threading.enumerate())
    run = StreamRun(load_settings({"source": "synthetic:seconds=60", "speed": 1.0}))
    async with Engine([run]) as engine:
        async for _ in engine:
            break
    ours = [
        one for one in set(threading.enumerate()) - before if one.name.startswith(("analysis", "capture"))
    ]
    assert ours == []


async def test_a_run_that_came_to_its_end_was_not_stopped():
    """Outputs wait longer for a broker at the regular end than after Ctrl-C, so the two are told apart."""
    run = StreamRun(load_settings({"source": SHORT}))
    async with Engine([run]) as engine:
        async for _ in engine:
            pass
    assert not run.ending.asked


async def test_two_sources_run_side_by_side():
    """One engine runs several sources; each gives the events that it gives alone."""
    clips = (
        "synthetic:seed=1,seconds=7,expressions=1,noise=0",
        "synthetic:seed=2,seconds=7,expressions=1,noise=0",
    )
    runs = [StreamRun(load_settings({"source": clip, "stream": f"s{n}"})) for n, clip in enumerate(clips)]
    together: dict[str, list[object]] = {"s0": [], "s1": []}
    async with Engine(runs) as engine:
        async for run, update in engine:
            together[run.name] += [delivered(event, "time") for event in update.events]
    for n, clip in enumerate(clips):
        alone = [event for update in await updates_of(clip, stream=f"s{n}") for event in update.events]
        assert together[f"s{n}"] == [delivered(event, "time") for event in alone] != []


def test_standard_input_is_read_by_one_source():
    """Two would tear each other's pictures apart."""
    with pytest.raises(SettingsError, match="standard input is one source"):
        open_runs([load_settings({"source": source}) for source in ("-", "-?fps=25")])


def test_an_event_has_the_intensity_that_the_curve_shows(recorded: tuple[Path, list, list[Event]]):
    """Also where the weights decode the curve to a power: the peak of an event is a peak of what is published."""
    _, scores, events = recorded
    assert Model.load().spotting["power"] != 1
    curve = {score.tick: score.intensity for _, score in scores}
    finished = [event for event in events if event.phase == "offset"]
    assert finished
    for event in finished:
        shown = [curve[tick] for tick in range(event.onset.tick, event.offset.tick + 1)]
        assert event.intensity == pytest.approx(max(shown), abs=1e-3)


def test_times_hang_on_the_earliest_arrival():
    """The first picture of a live source comes 0.4 s late, the others at once: they tell what time it is."""
    images = [frame.image for frame in Synthetic.parse(SHORT).read()]
    run = StreamRun(load_settings({"source": SHORT}), PushedLive())
    run.load()
    begun, ns = datetime.now(UTC), time.monotonic_ns()
    frames = Synthetic.parse(SHORT).read()
    for frame in frames:
        late = 0.4 if frame.index == 0 else 0.0
        arrived = ns + int((frame.pts + late) * 1e9)
        update = run.analyser.analyse(type(frame)(frame.index, frame.pts, arrived, images[frame.index]))
    run.analyser.close()
    assert abs(update.session.start - begun) < timedelta(seconds=0.05)


def test_mistakes_are_said_before_anything_starts(tmp_path: Path):
    """A missing file, missing weights and a mistyped key raise one sentence each."""
    with pytest.raises(SourceError, match="nowhere"):
        collect("nowhere.mp4")
    with pytest.raises(ModelError, match="streamspot-bass"):
        collect(CLIP, weights="streamspot-bass")
    with pytest.raises(SettingsError, match="there is no folder"):
        collect(CLIP, record=tmp_path / "no" / "such" / "folder")


async def _controlled(
    source: object, **settings: object
) -> tuple[list[Event], list[bool], Outputs, StreamRun]:
    """Run a source, label, pause, tune and resume it at the first onset."""
    events: list[Event] = []
    paused: list[bool] = []
    run = StreamRun(load_settings({"source": str(source), "speed": 4.0, **settings}))
    run.load()
    async with Outputs([run]) as outputs, Engine([run]) as engine:
        async for run, update in engine:
            await outputs.take(run, update)
            if not events and update.events:
                outputs.obey(run.name, Label("macro"))
                outputs.obey(run.name, Pause())
                asyncio.get_running_loop().call_later(0.3, outputs.obey, run.name, Sensitivity(0.6))
                asyncio.get_running_loop().call_later(0.4, outputs.obey, run.name, Resume())
            events += update.events
            paused.append(update.controls.paused)
    return events, paused, outputs, run


def _assert_controlled(events: list[Event], paused: list[bool], run: StreamRun) -> None:
    assert [event.reason for event in events if event.phase == "cancelled"][:1] == ["paused"]
    assert any(event.phase == "offset" for event in events)
    numbers = [event.expression for event in events if event.phase == "onset"]
    assert len(numbers) == len(set(numbers))
    assert True in paused
    assert (run.controls.paused, run.controls.sensitivity) == (False, 0.6)


async def test_a_running_stream_can_be_paused_tuned_and_labelled(tmp_path: Path):
    """A pause cancels what is open, a label lands beside the recording, and expression ids stay unique."""
    record = tmp_path / "run.motion"
    events, paused, _, run = await _controlled(CLIP, record=record, subject="ann")
    _assert_controlled(events, paused, run)
    head, row = (tmp_path / "points.csv").read_text().splitlines()
    label = dict(zip(head.split(","), row.split(","), strict=True))
    assert (label["video"], label["subject"], label["kind"]) == ("run.motion", "ann", "macro")
    behind = 9 * 4  # 0.3 s to press a key, at four times the pace
    assert int(label["point"]) == pytest.approx(events[0].decided_at.frame - behind, abs=2)


async def test_a_recording_obeys_as_a_camera_does(tmp_path: Path, recorded: tuple[Path, list, list[Event]]):
    """Pause, sensitivity, labels and the stream's name work on a recording of motion too."""
    path = tmp_path / "again.motion"
    path.write_bytes(recorded[0].read_bytes())
    events, paused, _, run = await _controlled(path, stream="lab")
    _assert_controlled(events, paused, run)
    assert {event.stream for event in events} == {"lab"}
    assert "again.motion,lab,macro" in (tmp_path / "points.csv").read_text()


async def test_a_pause_loses_nothing_of_a_recording(recorded: tuple[Path, list, list[Event]]):
    """Every tick of a recording is judged, whether it is paused in between or not."""
    run = StreamRun(load_settings({"source": str(recorded[0])}))
    ticks: list[int] = []
    async with Engine([run]) as engine:
        async for run, update in engine:
            ticks += [score.tick for _, score in update.scores]
            if ticks and ticks[-1] in {50, 51, 100}:
                run.obey(Pause())
                await asyncio.sleep(0.1)
                run.obey(Resume())
    assert ticks == [score.tick for _, score in recorded[1]]


async def test_a_label_without_a_recording_is_refused_with_the_remedy():
    """A label has to belong to something that can be trained on."""
    run = StreamRun(load_settings({"source": CLIP}))
    with pytest.raises(SettingsError, match="--record"):
        Outputs([run]).obey(run.name, Label("micro"))


@pytest.mark.parametrize(("pictures", "after"), [(310, 10), (30, 1)])
async def test_a_video_without_a_face_is_said_once_with_the_remedy(tmp_path: Path, pictures: int, after: int):
    """After ten seconds, or at the end of a shorter clip, whoever has no dashboard learns why nothing comes."""
    clip = tmp_path / "wall.avi"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"MJPG"), 30, (64, 48))
    for _ in range(pictures):
        writer.write(np.full((48, 64, 3), 90, np.uint8))
    writer.release()
    said = [message for update in await updates_of(clip) for message in update.messages]
    assert [message.split(";")[0] for message in said] == [f"no face has been found in {after} s of video"]
    assert "lit from the front" in said[0]


async def test_a_flood_of_labels_is_refused_and_hurts_nobody(tmp_path: Path):
    """A subscriber who labels without end is told so; what he gave before is kept."""
    run = StreamRun(load_settings({"source": SHORT, "record": tmp_path / "run.motion", "stream": "s"}))
    labels = LiveLabels(run)
    session = Session("r", "s", "s", 0.0, datetime(2026, 1, 1, tzinfo=UTC))
    await labels.take(Update(session=session, frame=7, pts=0.2))
    refused = 0
    for _ in range(500):
        try:
            labels.add("micro")
        except SettingsError as error:
            refused += "more than 20 labels" in str(error)
    assert refused == 480
    assert len((tmp_path / "points.csv").read_text().splitlines()) == 1 + 20


async def test_every_label_of_a_run_can_be_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """However many there are; taking one back makes no room for a flood."""
    now = 100.0
    monkeypatch.setattr("streamspot.sinks.labels.time.monotonic", lambda: now)
    run = StreamRun(load_settings({"source": SHORT, "record": tmp_path / "run.motion", "stream": "s"}))
    labels = LiveLabels(run)
    session = Session("r", "s", "s", 0.0, datetime(2026, 1, 1, tzinfo=UTC))
    await labels.take(Update(session=session, frame=7, pts=0.2))
    for _ in range(25):
        now += 5
        labels.add("macro")
    for _ in range(25):
        labels.undo()
    with pytest.raises(SettingsError, match="no label of this run"):
        labels.undo()
    now += 60
    for _ in range(20):
        labels.add("macro")
        labels.undo()
    with pytest.raises(SettingsError, match="more than 20 labels"):
        labels.add("macro")


async def test_a_label_is_of_what_was_on_show_when_it_was_seen(tmp_path: Path):
    """Whatever the pace, people take 0.3 s to press a key; during a pause the picture that stands is labelled."""
    flags = {"source": SHORT, "record": tmp_path / "run.motion", "stream": "s", "speed": 8.0}
    run = StreamRun(load_settings(flags))
    labels = LiveLabels(run)
    session = Session("r", "s", "s", 0.0, datetime(2026, 1, 1, tzinfo=UTC))
    for frame in range(240):
        await labels.take(Update(session=session, frame=frame, pts=frame / 30))
    labels.add("micro")
    run.obey(Pause())
    labels.add("macro")
    _, *rows = (tmp_path / "points.csv").read_text().splitlines()
    assert [row.split(",")[3] for row in rows] == ["167", "239"]


@pytest.mark.parametrize("policy", ["latest", "every"])
async def test_a_source_that_ends_during_a_pause_ends_the_run(policy: str, monkeypatch: pytest.MonkeyPatch):
    """A camera that is gone while the stream is paused is not waited for for ever, nor held up before."""
    monkeypatch.setattr("streamspot.run._POLL", 1.0)  # more pictures come in that time than are read ahead
    pictures = ((frame.image, frame.pts) for frame in Synthetic.parse(SHORT).read())
    run = StreamRun(load_settings({"source": SHORT, "policy": policy}), PushedLive(pictures))
    async with Engine([run]) as engine, asyncio.timeout(30):
        run.obey(Pause())
        async for _ in engine:
            pass
    assert run.stats.finished


async def test_an_unforeseen_error_leaves_no_expression_open(monkeypatch: pytest.MonkeyPatch):
    """Whatever goes wrong in the analysis, a subscriber is told that what was open is over."""
    from streamspot import analysis as module

    events: list[Event] = []
    push = module.push_timed

    def fails_in_an_expression(*given):
        if events:
            raise RuntimeError("unforeseen")
        update, seconds = push(*given)
        events.extend(update.events)
        return update, seconds

    monkeypatch.setattr(module, "push_timed", fails_in_an_expression)
    told: list[Event] = []
    run = StreamRun(load_settings({"source": CLIP}))
    with pytest.raises(RuntimeError, match="unforeseen"):  # noqa: PT012
        async with Engine([run]) as engine:
            async for _, update in engine:
                told += update.events
    assert (told[-1].phase, told[-1].reason) == ("cancelled", "source failed")
    with pytest.raises(SettingsError, match="started before"):
        run.start(lambda _: None)
