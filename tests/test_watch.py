"""Following streams from elsewhere: a dashboard before a broker shows what the stream's own would show."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiomqtt
import pytest
from brokers import Mosquitto, until
from screens import text_of

from streamspot.commands import Sensitivity
from streamspot.dashboard.view import Views
from streamspot.engine import Engine
from streamspot.errors import SettingsError
from streamspot.layers import load_settings
from streamspot.mqtt.payloads import StatePayload
from streamspot.mqtt.watch import Watch
from streamspot.outputs import Outputs
from streamspot.run import StreamRun
from streamspot.stats import Delivery, Stats

CLIP = "synthetic:seconds=7,expressions=1,noise=0"


async def test_what_is_watched_over_mqtt_is_what_the_stream_shows(tmp_path: Path):
    """Curve, events, faces and counts arrive; a command sent from there is obeyed."""
    flags = {"source": CLIP, "stream": "s", "node": "n", "journal": tmp_path / "journal"}
    with Mosquitto(tmp_path) as broker:
        async with Watch(broker.url) as watch:
            run = StreamRun(load_settings({**flags, "broker": broker.url}))
            here, there = Views([run.stats], Delivery()), Views([], watch.delivery)

            async def follow() -> None:
                async for followed in watch:
                    there.show(watch.stats)
                    there.take(followed.stats.stream, followed.update)

            following = asyncio.create_task(follow())
            run.load()
            async with Outputs([run]) as outputs, Engine([run]) as engine:
                asked = False
                async for run, update in engine:
                    await outputs.take(run, update)
                    here.take("s", update)
                    if update.events and not asked:
                        asked = True
                        await watch.send("n/s", Sensitivity(0.6))
                await asyncio.sleep(0.5)
            await asyncio.sleep(0.5)
            following.cancel()
            mine, theirs = here.shown(), there.shown()
    assert run.controls.sensitivity == 0.6
    assert [event.seq for event in theirs.events] == [event.seq for event in mine.events]
    (own,), (other,) = mine.streams[0].faces, theirs.streams[0].faces
    assert other.spans == own.spans
    newest = other.history.newest
    assert newest is not None
    count = newest.tick + 1
    assert abs(other.history.intensity(0, count) - own.history.intensity(0, count)).max() < 1e-5
    assert theirs.streams[0].stats.model == run.stats.model
    assert theirs.streams[0].stats.finished
    assert theirs.delivery.state == "online"
    assert "n/s" in text_of(there)


async def test_what_is_no_message_of_a_stream_ends_nothing(tmp_path: Path):
    """Junk, long numbers, wrong types and foreign topics are left out; the next message is understood."""
    state = (
        b'{"paused":false,"sensitivity":0.5,"no_picture_since":%s,"faces":{"0":'
        b'{"state":"neutral","expression":null,"since":null,"intensity":0.5,"trouble":null}}}'
    )
    curve = b'{"faces":{"0":{"tick":[%d],"pts":[2],"intensity":[0.5],"macro":[0.5],"micro":[0.1]}}}'
    junk = [
        b"",
        b"{",
        b"[" * 70_000,
        b'{"faces":{"x":{}}}',
        b'{"faces":{"1":{"tick":[1],"pts":[]}}}',
        b"\xff",
        state % b'"2026-01-01T00:00:00"',
        state % b"1e300",
        curve % 10**20,
        curve % -1,
    ]
    with Mosquitto(tmp_path) as broker:
        async with Watch(broker.url) as watch, aiomqtt.Client("127.0.0.1", broker.port) as client:
            for topic in ("state", "intensity", "stats", "error", "event", "labels"):
                for payload in junk:
                    await client.publish(f"streamspot/n/s/{topic}", payload)
            await client.publish("streamspot/n/s/status", b"online")
            async with asyncio.timeout(5):
                followed = await anext(watch)
    assert followed.stats.stream == "n/s"
    assert watch.refused >= 20


def test_names_that_are_none_are_refused():
    """A wildcard in the middle of a name is no name."""
    with pytest.raises(SettingsError, match="no name"):
        Watch("mqtt://localhost", node="a/#")


def test_how_long_no_picture_has_come_goes_by_the_clock_of_the_stream():
    """A machine whose clock is five minutes behind ours has lost its camera for as long as it says."""
    theirs = datetime.now(UTC) - timedelta(minutes=5)
    silent = StatePayload(
        time=theirs,
        paused=False,
        sensitivity=0.5,
        no_picture_since=theirs - timedelta(seconds=3),
        faces={},
    )
    followed = Watch("mqtt://localhost")._take("streamspot/n/cam/state", silent.encode())
    assert followed is not None
    assert followed.stats.no_picture_since is not None
    assert time.monotonic() - followed.stats.no_picture_since == pytest.approx(3, abs=1)


async def test_a_node_that_vanished_is_no_stream_that_runs(tmp_path: Path):
    """What a dead process left retained says that it runs; its node's status says that it is gone, and comes back."""
    with Mosquitto(tmp_path) as broker:
        async with Watch(broker.url) as watch, aiomqtt.Client("127.0.0.1", broker.port) as client:
            followed: dict[str, Stats] = {}
            shown = Views([Stats("waiting")], watch.delivery)

            async def follow() -> None:
                async for one in watch:
                    followed[one.stats.stream] = one.stats
                    shown.show(watch.stats)
                    shown.take(one.stats.stream, one.update)

            following = asyncio.create_task(follow())
            for status in (b"online", b"offline", b"online"):
                await client.publish("streamspot/n/cam/status", b"online", retain=True, qos=1)
                await client.publish("streamspot/n/status", status, retain=True, qos=1)
                await asyncio.sleep(0.3)
                assert followed["n/cam"].finished == (status == b"offline")
            for number in range(20):  # files that were run one after the other leave as many names
                await client.publish(f"streamspot/n/clip{number}/status", b"stopped", qos=1)
            await client.publish("streamspot/n/late/status", b"online", qos=1)
            await until(lambda: "n/late" in followed)
            assert not followed["n/cam"].finished
            assert len(shown.stats) == 16  # what has made room for another is not shown any more
            assert shown.stats[0] is followed["n/cam"]
            broker.stop()
            await until(lambda: watch.delivery.state == "retrying")
            broker.start()
            await until(lambda: watch.delivery.state == "online", 30.0)
            following.cancel()
