"""Promises to those who expect their own format: ROS, Home Assistant, avatars, Prometheus, analysts."""

from __future__ import annotations

import asyncio
import csv
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from brokers import Mosquitto, free_port, make_event, make_update, publisher_to

from streamspot.errors import SettingsError
from streamspot.mqtt.address import Broker
from streamspot.mqtt.bridges import HomeAssistant, Ros
from streamspot.mqtt.connection import Dialler
from streamspot.sinks.osc import OscSink
from streamspot.sinks.prometheus import metrics_server
from streamspot.sinks.table import EventTable
from streamspot.stats import Delivery, Stats
from streamspot.types import Score


async def test_bridges_speak_on_the_same_connection(tmp_path: Path):
    """Home Assistant's discovery is retained and announced at once, the ROS message follows each event."""
    with Mosquitto(tmp_path) as broker:
        async with Dialler(Broker.parse(broker.url)).connect() as connection:
            await connection.client.subscribe("streamspot/n/cam/hri", qos=1)
            bridges = [Ros("n", "cam"), HomeAssistant("n", "cam")]
            async with publisher_to(broker.url, tmp_path, bridges=bridges) as publisher:
                await publisher.take(make_update(make_event(0, "onset")))
                await publisher.take(make_update(make_event(1, "cancelled")))
                async with asyncio.timeout(5):
                    got = [(await anext(connection.client.messages)).payload for _ in range(2)]
            await connection.client.subscribe("homeassistant/#")
            async with asyncio.timeout(5):
                message = await anext(connection.client.messages)
    assert [json.loads(payload)["expression"] for payload in got] == ["macro", "neutral"]
    assert message.retain
    assert str(message.topic) == "homeassistant/device/streamspot_n_cam/config"


def test_the_ros_message_has_the_fields_of_hri_msgs_expression():
    """The bridge maps it without code: every field there, of the right type, and no emotion named."""
    (said,) = Ros("n", "cam").event(make_event(0, "onset"))
    message = json.loads(said.payload)
    assert list(message) == ["header", "expression", "valence", "arousal", "confidence"]
    assert message["header"] == {"stamp": {"sec": 1795341600, "nanosec": 300000000}, "frame_id": "face_0"}
    assert message["expression"] in {"neutral", "macro", "micro"}
    assert message["valence"] == message["arousal"] == 0


def test_home_assistants_templates_read_our_state():
    """What the discovery message tells Home Assistant to extract is what the state and the events hold."""
    jinja2 = pytest.importorskip("jinja2")
    (said,) = HomeAssistant("n", "cam.mp4").announce()
    config = json.loads(said.payload)
    assert [place["topic"] for place in config["availability"]] == [
        "streamspot/n/status",
        "streamspot/n/cam.mp4/status",
    ]
    environment = jinja2.Environment(autoescape=False)
    environment.filters["tojson"] = json.dumps

    def render(part: str, value: Any) -> str:
        return str(
            environment.from_string(config["components"][part]["value_template"]).render(value_json=value)
        )

    faces = {"3": {"state": "neutral", "intensity": 0.1}, "2": {"state": "micro", "intensity": 0.55555}}
    state = {"paused": True, "sensitivity": 1.5, "faces": faces}
    assert render("state", state) == "micro"
    assert render("intensity", state) == "0.556"
    assert render("state", {**state, "faces": {}}) == "neutral"
    assert render("active", state) == "off"
    assert render("sensitivity", state) == "1.5"
    event = {"data": {"phase": "offset", "kind": "macro", "intensity": 0.5}}
    assert json.loads(render("event", event))["event_type"] == "offset"
    unique = {part["unique_id"] for part in config["components"].values()}
    assert len(unique) == len(config["components"])


@pytest.fixture
async def packets() -> AsyncIterator[tuple[int, asyncio.Queue[tuple[str, tuple[Any, ...]]]]]:
    """Listen for OSC on a loopback port."""
    osc = pytest.importorskip("pythonosc.osc_message")
    queue: asyncio.Queue[tuple[str, tuple[Any, ...]]] = asyncio.Queue()

    class Listener(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            message = osc.OscMessage(data)
            queue.put_nowait((message.address, tuple(message.params)))

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Listener, local_addr=("127.0.0.1", 0))
    yield transport.get_extra_info("sockname")[1], queue
    transport.close()


async def test_vrchat_gets_its_parameters_at_once_and_again(packets: Any):
    """The avatar follows within a blink; one that loads later gets everything within a second."""
    port, queue = packets
    async with OscSink(f"vrchat://127.0.0.1:{port}") as sink:
        await sink.take(make_update(make_event(0, "onset"), scores=[(0, Score(0, 0.0, 0, 0.5, 0.9, 0.1))]))
        seen: dict[str, list[Any]] = {}
        async with asyncio.timeout(4):
            while len(seen.get("/avatar/parameters/StreamspotActive", [])) < 3:
                address, (value,) = await queue.get()
                seen.setdefault(address, []).append(value)
    assert 1 in seen["/avatar/parameters/StreamspotState"]
    assert pytest.approx(0.5, abs=1 / 255) in seen["/avatar/parameters/StreamspotIntensity"]
    assert seen["/avatar/parameters/StreamspotActive"][0] is True
    async with asyncio.timeout(3):
        while await queue.get() != ("/avatar/parameters/StreamspotActive", (False,)):
            pass


async def test_vmc_gets_blend_shapes(packets: Any):
    """A VTuber program gets two blend shapes and the message that applies them."""
    port, queue = packets
    async with OscSink(f"vmc://127.0.0.1:{port}") as sink:
        await sink.take(make_update(make_event(0, "onset"), scores=[(0, Score(0, 0.0, 0, 0.75, 0.9, 0.1))]))
        async with asyncio.timeout(3):
            got = [await queue.get() for _ in range(4)]
    assert ("/VMC/Ext/Blend/Val", ("StreamspotMacro", pytest.approx(0.75, abs=0.01))) in got
    assert ("/VMC/Ext/Blend/Apply", ()) in got


@pytest.mark.parametrize("url", ["osc://host", "vrchat://host:port", "nonsense"])
def test_an_impossible_osc_address_is_one_sentence(url: str):
    """The message shows how to write it."""
    with pytest.raises(SettingsError, match="vrchat://host:9000"):
        OscSink(url)


@pytest.mark.parametrize(
    ("package", "sink", "extra"),
    [
        ("pythonosc.udp_client", lambda path: OscSink("vrchat://127.0.0.1"), "osc"),
        ("pyarrow.parquet", lambda path: EventTable(path / "t.parquet"), "parquet"),
    ],
)
async def test_a_missing_extra_is_named(
    package: str, sink: Any, extra: str, tmp_path: Path, monkeypatch: Any
):
    """Who lacks an optional package is told what to install."""
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(SettingsError, match=rf"pip install 'streamspot\[{extra}\]'"):
        async with sink(tmp_path):
            pass


async def test_prometheus_fetches_the_counts_from_loopback():
    """One GET gives every counter in the text format; any other path is a 404, nonsense does no harm."""
    measured = Stats(frames=7, source="rtsp://user:hunter2@camera")
    measured.stages["flow"].add(0.004)
    async with metrics_server(measured, Delivery(), 0) as port:

        async def ask(request: bytes) -> str:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            writer.write_eof()
            async with asyncio.timeout(5):
                answer = await reader.read()
            writer.close()
            return answer.decode()

        page = await ask(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        assert "404" in await ask(b"GET / HTTP/1.1\r\n\r\n")
        await ask(b"\xff" * 100_000)
        with pytest.raises(SettingsError, match="choose another"):
            async with metrics_server(measured, Delivery(), port):
                pass
    assert "streamspot_frames_total 7\n" in page
    assert 'streamspot_stage_seconds{stage="flow",quantile="0.5"} 0.004\n' in page
    assert "hunter2" not in page
    length = int(page.split("Content-Length: ")[1].split("\r\n")[0])
    assert len(page.split("\r\n\r\n", 1)[1]) == length


@pytest.mark.parametrize("ending", ["csv", "parquet"])
async def test_the_analysts_log_grows_from_run_to_run(tmp_path: Path, ending: str):
    """Two runs make one table, a row an event, unknown moments empty."""
    if ending == "parquet":
        pytest.importorskip("pyarrow.parquet", exc_type=ImportError)
    path = tmp_path / f"events.{ending}"
    for first in (0, 3):
        async with EventTable(path) as table:
            await table.take(make_update(make_event(first, "onset")))
            await table.take(make_update(make_event(first + 1, "offset")))
    if ending == "csv":
        with path.open(newline="") as file:
            rows: list[dict[str, Any]] = list(csv.DictReader(file))
        assert [row["offset_tick"] for row in rows] == ["", "19", "", "49"]
        assert rows[1]["onset_time"] == "2026-11-22T10:00:00.333333Z"
    else:
        from pyarrow import parquet

        rows = sorted(parquet.read_table(path).to_pylist(), key=lambda row: row["seq"])
        assert [row["offset_tick"] for row in rows] == [None, 19, None, 49]
    assert [int(row["seq"]) for row in rows] == [0, 1, 3, 4]
    assert [row["phase"] for row in rows] == ["onset", "offset"] * 2


async def test_a_table_of_another_kind_is_refused(tmp_path: Path):
    """The endings that work are named, and so is a place that does not."""
    with pytest.raises(SettingsError, match="csv"):
        EventTable("events.xlsx")
    with pytest.raises(SettingsError, match="name another place"):
        async with EventTable(tmp_path / "nowhere" / "events.csv"):
            pass


async def test_nobody_listening_to_osc_is_no_trouble():
    """Avatars come and go; the stream does not care."""
    async with OscSink(f"vrchat://127.0.0.1:{free_port()}") as sink:
        await sink.take(make_update(make_event(0, "onset")))
        await asyncio.sleep(0.3)
        assert sink._task.done() is False
