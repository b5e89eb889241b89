"""Promises about MQTT in calm weather: against mosquitto and against the embedded broker."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from brokers import Mosquitto, make_event, make_update, overhear, publisher_to, until
from hypothesis import given
from hypothesis import strategies as st

from streamspot.commands import Command, Pause
from streamspot.errors import SettingsError
from streamspot.events import encode
from streamspot.mqtt import payloads
from streamspot.mqtt.address import Broker
from streamspot.mqtt.connection import Dialler
from streamspot.mqtt.resend import resend
from streamspot.mqtt.subscriber import Seen, Subscription, subscribe
from streamspot.sinks.json import JsonLines
from streamspot.sinks.table import IntensityCsv
from streamspot.sinks.writer import Host
from streamspot.state import fold
from streamspot.stats import Delivery, Stats
from streamspot.types import Controls, FaceMotion, FaceState, RegionMotion, Score, SegmentEnd, Update


async def take(events: Subscription, count: int) -> list[int]:
    """Return the numbers of that many events, which arrive within seconds."""
    async with asyncio.timeout(10):
        return [(await anext(events)).event.seq for _ in range(count)]


async def test_events_arrive_in_order_with_the_bytes_of_the_log(url: str, tmp_path: Path):
    """A subscriber gets every event once, in order; the JSON-lines file holds the same bytes."""
    delivery = Delivery()
    log = tmp_path / "events.jsonl"
    sent = [make_event(number) for number in range(40)]
    async with overhear(url, "streamspot/#") as raw, subscribe(url) as events:
        async with (
            publisher_to(url, tmp_path, delivery) as publisher,
            JsonLines(log, node="n", host=Host()) as lines,
        ):
            for event in sent:
                await publisher.take("cam", make_update(event))
                await lines.take(make_update(event))
            assert await take(events, 40) == list(range(40))
        payloads = [payload for topic, payload, _ in list(raw._queue) if topic == "streamspot/n/cam/event"]
    assert log.read_bytes().splitlines() == payloads
    assert delivery.acknowledged == 40
    assert delivery.queued == 0
    assert delivery.state == "stopped"


async def test_leaving_delivers_the_rest(url: str, tmp_path: Path):
    """A short clip may end before the connection stands; its events arrive all the same."""
    async with subscribe(url) as events:
        async with publisher_to(url, tmp_path, delivery := Delivery()) as publisher:
            for number in range(20):
                await publisher.take("cam", make_update(make_event(number)))
        assert delivery.queued == 0
        assert await take(events, 20) == list(range(20))


async def test_what_a_dead_broker_missed_goes_out_at_the_next_start(tmp_path: Path):
    """Events of a run without a broker wait in the journal; the program says how many."""
    with Mosquitto(tmp_path) as broker:
        broker.stop()
        delivery = Delivery()
        async with publisher_to(broker.url, tmp_path, delivery, drain=0.3) as publisher:
            for number in range(5):
                await publisher.take("cam", make_update(make_event(number)))
        assert delivery.queued == 5
        assert f"mqtt://127.0.0.1:{broker.port}" in delivery.error
        broker.start()
        async with subscribe(broker.url) as events, publisher_to(broker.url, tmp_path, stream="b") as other:
            await other.take("b", make_update(make_event(0, stream="b")))
            assert await take(events, 6) == [0, 1, 2, 3, 4, 0]


async def test_processes_that_share_a_node_are_told_and_keep_it_online(url: str, tmp_path: Path):
    """The second is warned once, with the remedy; the end of one does not mark the other stopped."""
    first, second = Delivery(), Delivery()
    async with publisher_to(url, tmp_path / "a", first, stream="a"):
        await until(lambda: first.state == "online")
        async with overhear(url, "streamspot/n/status") as status:
            async with publisher_to(url, tmp_path / "b", second, stream="b"):
                await until(lambda: len(second.messages) > 0)
            async with asyncio.timeout(5):
                while (await status.get())[1] != b"stopped":
                    pass
                assert (await status.get())[1] == b"online"
    assert not first.messages
    assert [message.split(";")[0] for message in second.messages] == [
        "the node n is online at the broker already"
    ]
    assert "--node" in second.messages[0]


async def test_status_is_online_then_stopped_and_offline_only_by_will(url: str, tmp_path: Path):
    """The retained status tells a clean end from a death."""
    async with overhear(url, "streamspot/n/status") as status:
        async with publisher_to(url, tmp_path):
            async with asyncio.timeout(5):
                assert (await status.get())[1] == b"online"
        async with asyncio.timeout(5):
            assert (await status.get())[1] == b"stopped"
    async with overhear(url, "streamspot/n/cam/status") as late, asyncio.timeout(5):
        while (item := await late.get())[0] != "streamspot/n/cam/status":
            pass  # amqtt 0.12 sends a new client the retained messages of everybody's subscriptions
        assert item[1:] == (b"stopped", True)


async def test_state_curve_stats_and_errors_have_their_topics(url: str, tmp_path: Path):
    """Beside the events a subscriber finds what goes on now, the curve, the figures and the troubles."""
    measured = Stats(source="rtsp://user:secret@camera/1", model="m")
    async with overhear(url, "streamspot/#") as raw:
        async with publisher_to(url, tmp_path, measured=measured) as publisher:
            update = make_update(
                make_event(0, "onset"),
                scores=[(0, Score(tick, tick / 30, tick, 0.5, 0.9, 0.1)) for tick in range(30)],
                messages=["the camera rtsp://user:secret@camera/1 stalls; check the cable"],
                controls=Controls(paused=True, sensitivity=0.25),
            )
            await publisher.take("cam", update)
            found: dict[str, list[bytes]] = {}
            async with asyncio.timeout(10):
                while not {"state", "intensity", "stats", "error", "event"} <= set(found) or not any(
                    json.loads(payload)["faces"] for payload in found["state"]
                ):
                    topic, payload, _ = await raw.get()
                    found.setdefault(topic.rsplit("/", 1)[-1], []).append(payload)
        async with asyncio.timeout(10):
            while (item := await raw.get())[1] != b"stopped":
                found.setdefault(item[0].rsplit("/", 1)[-1], []).append(item[1])
    states = [json.loads(payload) for payload in found["state"]]
    busy = next(state for state in states if state["faces"])
    assert busy["paused"] is True
    assert busy["sensitivity"] == 0.25
    assert busy["faces"]["0"]["state"] == "macro"
    assert busy["faces"]["0"]["expression"] == "r1/cam/0-0"
    assert states[-1]["faces"] == {}
    curve = json.loads(found["intensity"][0])["faces"]["0"]
    assert curve["tick"] == list(range(30))
    assert set(curve["intensity"]) == {0.5}
    assert json.loads(found["stats"][0])["model"] == "m"
    assert b"secret" not in b"".join(payload for payloads in found.values() for payload in payloads)
    assert b"camera/1 stalls" in found["error"][0]


def test_the_state_holds_the_faces_in_view_and_no_others():
    """However many faces come and go, the state stays small; who has left is not in it."""
    faces: dict[int, FaceState] = {}
    still = np.zeros((2, 2), np.float32)
    for number in range(40):
        motion = FaceMotion(number, RegionMotion(0, 0.0, 0, still)), SegmentEnd(number, "face lost")
        faces = fold(faces, motion[: 1 + (number % 20 != 3)], [(number, Score(0, 0.0, 0, 0.5, 0.9, 0.1))], [])
    told = json.loads(payloads.state(Update(faces=faces)))["faces"]
    assert list(told) == ["3", "23"]
    assert told["3"] == {
        "state": "neutral", "expression": None, "since": None, "intensity": 0.5, "trouble": None
    }  # fmt: skip


async def test_a_subscriber_drops_duplicates_and_counts_gaps(url: str):
    """Events repeated by QoS 1 or resent arrive once, gaps are told, strangers' messages passed over."""
    async with subscribe(url) as events, Dialler(Broker.parse(url)).connect() as connection:
        for number in (0, 1, 1, 0, 4, 3, 4):
            await connection.publish("streamspot/n/cam/event", encode(make_event(number), node="n"))
            await connection.publish("streamspot/n/cam/event", b"garbage")
        got = []
        async with asyncio.timeout(5):
            got = [await anext(events) for _ in range(4)]
        assert [(item.event.seq, item.missed, item.node) for item in got] == [
            (0, 0, "n"),
            (1, 0, "n"),
            (4, 2, "n"),
            (3, 1, "n"),
        ]
        assert events.duplicates == 2


async def test_no_message_ends_a_subscriber_or_a_publisher(url: str, tmp_path: Path):
    """Megabytes, bombs and forged numbers on every topic we read: the next event and command get through."""
    whole = encode(make_event(0), node="n")
    nasty = [
        b"[" * 2**20,
        b"0" * 70_000,
        whole.replace(b'"seq":0', b'"seq":' + b"9" * 4300),
        whole.replace(b'"intensity":0.75', b'"intensity":1e999'),
        whole.replace(b'"reason":null', rb'"reason":"\udfff"'),
        whole.replace(b'"pts":0.0', b'"pts":1' + b"0" * 400),
        b"\xff\xfe\x00",
    ]
    got: asyncio.Queue[Command] = asyncio.Queue()
    async with (
        publisher_to(url, tmp_path, delivery := Delivery(), on_command=got.put_nowait) as publisher,
        subscribe(url) as events,
        Dialler(Broker.parse(url)).connect() as stranger,
    ):
        await until(lambda: delivery.state == "online")
        for payload in nasty:
            for topic in ("event", "set", "status"):
                await stranger.publish(f"streamspot/n/cam/{topic}", payload)
        await stranger.publish("streamspot/n/cam/set", b'{"command":"pause"}')
        await publisher.take("cam", make_update(make_event(1)))
        async with asyncio.timeout(10):
            assert await got.get() == Pause()
            assert (await anext(events)).event.seq == 1
        assert events.refused >= len(nasty) - 2


@given(st.lists(st.integers(0, 40)))
def test_seen_numbers_are_never_taken_twice(numbers: list[int]):
    """Whatever the order, each number is new exactly once and the gap before it is right."""
    seen, model = Seen(), set[int]()
    for number in numbers:
        missing = seen.add(number)
        if number in model:
            assert missing is None
        else:
            below = [other for other in model if other < number]
            assert missing == (number - max(below) - 1 if below else 0)
        model.add(number)


async def test_resend_repeats_the_journal_while_the_stream_runs(url: str, tmp_path: Path):
    """An analyst who was away gets the past once more; those who have it drop it."""
    async with publisher_to(url, tmp_path, delivery := Delivery()) as publisher:
        for number in range(3):
            await publisher.take("cam", make_update(make_event(number)))
        async with asyncio.timeout(5):
            while delivery.queued:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        async with subscribe(url) as events:
            assert await resend(url, tmp_path / "j") == 3
            assert await resend(url, tmp_path / "j", since=datetime(2027, 1, 1, tzinfo=UTC)) == 0
            assert await take(events, 3) == [0, 1, 2]
    with pytest.raises(SettingsError, match="no journal"):
        await resend(url, tmp_path / "nowhere")


async def test_the_curve_as_csv(tmp_path: Path):
    """The file has the documented columns and a row for each tick."""
    async with IntensityCsv(tmp_path / "curve.csv", host=Host()) as csv:
        await csv.take(make_update(make_event(0), scores=[(0, Score(3, 0.1, 4, 0.5, 0.25, 0.125))]))
    assert (tmp_path / "curve.csv").read_text() == (
        "tick,pts,intensity,macro,micro\n3,0.100000,0.500000,0.250000,0.125000\n"
    )
    with pytest.raises(SettingsError, match="name another"):
        async with IntensityCsv(tmp_path / "nowhere" / "curve.csv", host=Host()):
            pass


async def test_two_runs_write_the_same_bytes(tmp_path: Path):
    """The log of the same events is the same file, apart from the run's id and what the wall clock says."""
    for name, time in (("a", "2026-11-22T10:00:00.000000Z"), ("b", "2027-01-01T00:00:00.000000Z")):
        async with JsonLines(tmp_path / name, node="n", host=Host()) as lines:
            for number in range(5):
                event = make_event(number, run=f"run-{name}")
                moments = ("onset", "apex", "offset", "decided_at")
                set_to = {key: getattr(event, key).model_copy(update={"time": time}) for key in moments}
                await lines.take(make_update(event.model_copy(update=set_to)))
    first, second = ((tmp_path / name).read_text() for name in "ab")
    assert first != second
    assert first.replace("run-a", "run-b").replace("2026-11-22T10", "2027-01-01T00") == second
