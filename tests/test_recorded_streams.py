"""Promises about recordings as streams: commands, names and labels work as on a camera, every run is heard."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from brokers import Mosquitto, overhear, until
from small_data import csv_rows
from small_recordings import write_recording

from streamspot.engine import Engine
from streamspot.layers import load_settings
from streamspot.mqtt.address import Broker
from streamspot.mqtt.connection import Connection, Dialler
from streamspot.mqtt.subscriber import subscribe
from streamspot.outputs import Outputs
from streamspot.run import StreamRun
from streamspot.types import Event, FaceMotion, Update

CLIP = "synthetic:seconds=2,expressions=0,noise=0"


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a recording of six seconds with two expressions."""
    return write_recording(tmp_path_factory.mktemp("recorded") / "visit.motion")


async def run(url: str, folder: Path, source: str | Path, **settings: Any) -> AsyncIterator[Update]:
    """Run a source into a broker; yield every update once all outputs have it."""
    flags = {"source": str(source), "broker": url, "node": "n", "journal": folder / "journal", **settings}
    one = StreamRun(load_settings(flags))
    async with Outputs([one]) as outputs, Engine([one]) as engine:
        await until(lambda: outputs.delivery.state == "online")
        async for one, update in engine:
            await outputs.take(one, update)
            yield update


async def ask(connection: Connection, stream: str, command: str, value: object = None) -> None:
    """Publish a command, as a robot or Home Assistant would."""
    message = {"command": command} if value is None else {"command": command, "value": value}
    await connection.publish(f"streamspot/n/{stream}/set", json.dumps(message).encode())


async def test_pause_sensitivity_and_name_of_a_stream_work_on_a_recording(tmp_path: Path, recording: Path):
    """Played in its own time: a pause cancels what is open, settings show in the state, no tick is lost."""
    states: list[dict[str, Any]] = []
    events: list[Event] = []
    ticks: list[int] = []
    with Mosquitto(tmp_path) as broker:
        async with (
            overhear(broker.url, "streamspot/n/visitor/state") as said,
            Dialler(Broker.parse(broker.url)).connect() as robot,
        ):

            async def state(**expected: Any) -> None:
                async with asyncio.timeout(5):
                    while not states or any(states[-1][key] != value for key, value in expected.items()):
                        states.append(json.loads((await said.get())[1]))

            async def pause() -> None:
                await ask(robot, "visitor", "pause")
                await state(paused=True)
                await ask(robot, "visitor", "sensitivity", 0.75)
                await state(paused=True, sensitivity=0.75)
                before = len(ticks)
                await asyncio.sleep(1.0)
                assert len(ticks) <= before + 1
                await ask(robot, "visitor", "resume")
                await state(paused=False, sensitivity=0.75)

            paused: asyncio.Task[None] | None = None
            began = time.monotonic()
            async for update in run(broker.url, tmp_path, recording, speed=1, stream="visitor"):
                events += update.events
                ticks += [one.motion.tick for one in update.motion if isinstance(one, FaceMotion)]
                if events and paused is None:
                    paused = asyncio.create_task(pause())
            assert paused is not None
            await paused
    read_ahead = 5 / 30  # s of ticks that were read before the pause
    assert time.monotonic() - began > 179 / 30 + 1.0 - read_ahead
    assert ticks == list(range(180))
    assert {event.stream for event in events} == {"visitor"}
    assert [(event.phase, event.reason) for event in events[:2]] == [("onset", None), ("cancelled", "paused")]
    assert {event.phase for event in events[2:]} >= {"onset", "apex", "offset"}


async def test_two_runs_over_one_recording_are_both_heard(tmp_path: Path, recording: Path):
    """A subscriber loses nothing of the second run; both have the same session and the same expressions."""
    sent: list[Event] = []
    with Mosquitto(tmp_path) as broker:
        async with subscribe(broker.url) as arriving:
            for _ in range(2):
                sent += [event async for u in run(broker.url, tmp_path, recording) for event in u.events]
            async with asyncio.timeout(10):
                got = [await anext(arriving) for _ in sent]
            assert arriving.duplicates == 0
    assert [received.event.id for received in got] == [event.id for event in sent]
    assert not any(received.missed for received in got)
    first, second = sent[: len(sent) // 2], sent[len(sent) // 2 :]
    assert len(first) == len(second) > 3
    assert first[0].run != second[0].run
    assert {event.session for event in sent} == {first[0].session}
    mine = {"run", "expression"}
    assert [one.model_dump(exclude=mine) for one in first] == [one.model_dump(exclude=mine) for one in second]


async def label_at(seconds: float, url: str, folder: Path, source: str | Path, **settings: Any) -> None:
    """Label what is shown so many seconds into the source; go on when the label is written."""
    asked = False
    async with Dialler(Broker.parse(url)).connect() as robot:
        async for update in run(url, folder, source, **settings):
            if update.pts >= seconds and not asked:
                asked = True
                await ask(robot, update.session.stream if update.session else "", "label", "micro")
                await until((folder / "points.csv").exists)


async def test_a_label_belongs_to_the_recording_being_made(tmp_path: Path):
    """It names the subject and the frame that was shown a reaction time before."""
    with Mosquitto(tmp_path) as broker:
        flags = {"record": tmp_path / "new.motion", "subject": "anna", "stream": "lab"}
        await label_at(1.5, broker.url, tmp_path, CLIP, **flags)
    (row,) = csv_rows(tmp_path / "points.csv")
    assert (row["video"], row["subject"], row["kind"]) == ("new.motion", "anna", "micro")
    assert int(row["point"]) == pytest.approx(30 * (1.5 - 0.3), abs=1)
    assert (tmp_path / "new.motion").is_file()


async def test_a_label_belongs_to_the_recording_that_is_replayed(tmp_path: Path):
    """The same while a recording is watched again, played in its own time."""
    played = write_recording(tmp_path / "again.motion", ticks=60)
    with Mosquitto(tmp_path) as broker:
        await label_at(1.0, broker.url, tmp_path, played, speed=1)
    (row,) = csv_rows(tmp_path / "points.csv")
    assert (row["video"], row["subject"], row["kind"]) == ("again.motion", "simulated", "micro")
    assert int(row["point"]) == pytest.approx(30 * (1.0 - 0.3), abs=1)


async def test_a_label_without_a_recording_is_answered_with_the_remedy(tmp_path: Path):
    """Whoever labels learns on ``…/error`` what to start the run with; nothing is written."""
    with Mosquitto(tmp_path) as broker:
        async with (
            overhear(broker.url, "streamspot/n/lab/error") as errors,
            Dialler(Broker.parse(broker.url)).connect() as robot,
        ):
            answer = ""
            async for _ in run(broker.url, tmp_path, CLIP, stream="lab"):
                if not answer:
                    await ask(robot, "lab", "label", "macro")
                    async with asyncio.timeout(5):
                        answer = json.loads((await errors.get())[1])["message"]
    assert "--record" in answer
    assert not (tmp_path / "points.csv").exists()
