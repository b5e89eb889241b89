"""Promises of a run: the same input gives the same events by every way out, stopping is prompt."""

from __future__ import annotations

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
from streamspot.engine import Engine, open_runs
from streamspot.errors import ModelError, SettingsError, SourceError
from streamspot.face.detectors import FaceDetector, make_detector
from streamspot.layers import load_settings
from streamspot.model import Model
from streamspot.run import StreamRun
from streamspot.sources.synthetic import Synthetic
from streamspot.types import Event, Frame


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
    """Frames, losses and the time that each stage takes are there for whoever shows them, and at the end no rate."""
    run = StreamRun(load_settings({"source": CLIP}))
    async with Engine([run]) as engine:
        async for _ in engine:
            pass
    stats = run.stats
    assert (stats.frames, stats.dropped, stats.faceless, stats.finished) == (300, 0, 0, True)
    assert stats.fps == 0
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
