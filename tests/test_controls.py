"""Promises of a running stream: it can be paused, tuned and labelled, and each label can be taken back."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from running import CLIP, SHORT, PushedLive

from streamspot.commands import Label, Pause, Resume, Sensitivity
from streamspot.engine import Engine
from streamspot.errors import SettingsError
from streamspot.layers import load_settings
from streamspot.outputs import Outputs
from streamspot.run import StreamRun
from streamspot.sinks.labels import LiveLabels
from streamspot.sources.synthetic import Synthetic
from streamspot.types import Event, Session, Update


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
