"""Promises to strangers: the tools that consumers use themselves accept what we publish."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import pytest
from brokers import Mosquitto, make_event, make_update, publisher_to

from streamspot.events import encode
from streamspot.fleet.lease import Lease
from streamspot.fleet.remains import hand_over
from streamspot.mqtt.contract import write
from streamspot.mqtt.homeassistant import HomeAssistant
from streamspot.mqtt.ros import Ros
from streamspot.types import Phase, Score

HERE = Path(__file__).parent / "consumers"
SAMPLES = Path(__file__).parents[1] / "docs" / "samples"


@contextlib.asynccontextmanager
async def node(*command: Path | str) -> AsyncIterator[asyncio.StreamReader]:
    """Run a program of Node.js and yield its output."""
    if (binary := shutil.which("node")) is None or not (HERE / "node_modules").is_dir():
        pytest.skip("Node.js or its packages are not installed; npm install --prefix tests/consumers")
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(binary, *command, stdout=pipe)
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_mqtt_js_ajv_asyncapi_and_cloudevents_accept_a_run(tmp_path: Path):
    """Every message of a run over MQTT 5 is in the document, has its content type and satisfies its schema."""
    write(tmp_path)
    with Mosquitto(tmp_path) as broker:
        url = f"{broker.url}?version=5"
        async with node(HERE / "check.js", broker.url, tmp_path / "asyncapi.json") as output:
            async with asyncio.timeout(30):
                assert await output.readline() == b"listening\n"
            bridges = [Ros("n", "cam"), HomeAssistant("n", "cam")]
            async with publisher_to(url, tmp_path, bridges=bridges) as publisher:
                assert await hand_over(Lease("cam", 1), tmp_path / "fleet" / "1", url, "n", "engine-1")
                phases: list[Phase] = ["onset", "apex", "offset", "cancelled"]
                for number in range(60):
                    event = make_event(number, phases[number % 4])
                    scores = [(0, Score(number, number / 30, number, 0.5, 0.9, 0.1))]
                    messages = ["the camera stalls; check it"] * (number == 9)
                    await publisher.take("cam", make_update(event, scores=scores, messages=messages))
                await asyncio.sleep(0.5)
            async with asyncio.timeout(30):
                found = json.loads(await output.readline())
    assert found["valid"]
    assert found["complaints"] == []
    assert found["invalid"] == []
    assert found["events"] == found["messages"]["event"] == 60
    document = json.loads((tmp_path / "asyncapi.json").read_text())
    assert set(found["messages"]) == set(document["channels"]) - {"set"}


async def test_the_javascript_sample_prints_each_expression_once(tmp_path: Path):
    """An event that comes again and again is printed once; after the broker's restart it listens anew."""
    shutil.copytree(SAMPLES / "javascript", tmp_path / "sample")
    (tmp_path / "sample" / "node_modules").symlink_to(HERE / "node_modules")
    program = tmp_path / "sample" / "print.js"
    with Mosquitto(tmp_path) as broker:
        publisher = publisher_to(broker.url, tmp_path)
        async with node(program, broker.url) as output, publisher, asyncio.timeout(60):

            async def some(count: int) -> list[bytes]:
                return [await output.readline() for _ in range(count)]

            async def printed(*seconds: int) -> list[bytes]:
                """Publish expressions with these onsets over and over, until as many lines are there."""
                lines = asyncio.create_task(some(len(seconds)))
                while not lines.done():
                    for second in seconds:
                        await publisher.take("cam", make_update(make_event(3 * second)))
                    await asyncio.wait([lines], timeout=0.2)
                return [line.split()[3] for line in await lines]

            assert set(await printed(1, 2)) == {
                b"2026-11-22T10:00:01.000000Z",
                b"2026-11-22T10:00:02.000000Z",
            }
            broker.stop()
            broker.start()
            assert await printed(3) == [b"2026-11-22T10:00:03.000000Z"]


async def taken(sample: str, messages: Iterable[tuple[str, object]], folder: Path) -> list[int]:
    """Return the numbers of the events that a sample takes of messages, each a topic and a payload."""
    lines = [json.dumps([topic, json.dumps(payload)]) + "\n" for topic, payload in messages]
    (folder / "messages").write_text("".join(lines))
    shutil.copytree(SAMPLES / Path(sample).parent, folder / "sample")
    (folder / "sample" / "node_modules").symlink_to(HERE / "node_modules")
    program = folder / "sample" / Path(sample).name
    async with node(HERE / "once.js", program, folder / "messages") as output, asyncio.timeout(60):
        numbers: list[int] = json.loads(await output.readline())
        return numbers


@pytest.mark.parametrize("sample", ["javascript/streamspot.js", "node-red/flow.json"])
async def test_the_samples_take_each_event_of_a_journal_sent_again_once(sample: str, tmp_path: Path):
    """However long a run was, what came is dropped and what had been lost is taken; another run is another."""
    event = json.loads(encode(make_event(3, "offset"), node="lab"))
    moments = {key: event["data"][key] for key in ("phase", "onset", "offset")}

    def message(run: str, number: int) -> tuple[str, object]:
        data = {"run": run, "seq": number, **moments}
        return "streamspot/lab/cam/event", {"id": f"{run}/{number}", "type": event["type"], "data": data}

    lost = range(50, 11_000, 100)
    came = sorted({*range(11_000)} - {*lost})
    messages = [message("r1", number) for number in (*came, *range(11_000), 7)] + [message("r2", 7)]
    assert await taken(sample, messages, tmp_path) == [*came, *lost, 7]


@pytest.mark.parametrize("sample", ["javascript/streamspot.js", "node-red/flow.json"])
async def test_the_samples_take_nothing_but_events_of_the_version_they_know(sample: str, tmp_path: Path):
    """Foreign messages on our topic, and a version to come, are passed over and end nothing."""
    event = json.loads(encode(make_event(3, "offset"), node="lab"))
    foreign: list[object] = [
        None,
        "text",
        [1],
        {"id": "x"},
        {"type": event["type"], "id": "x"},
        {"type": event["type"], "id": "x", "data": None},
        {"type": event["type"], "id": "x", "data": {"phase": "offset"}},
        {**event, "type": event["type"].replace("v1", "v2")},
        {**event, "type": None},
    ]
    messages = [("streamspot/lab/cam/event", payload) for payload in [*foreign, event]]
    assert await taken(sample, messages, tmp_path) == [3]


@pytest.mark.parametrize("phase", ["onset", "apex", "offset", "cancelled"])
def test_the_cloudevents_sdk_reads_every_event(phase: Phase):
    """The Python SDK takes an event for a valid CloudEvent and finds our data in it."""
    sdk: Any = pytest.importorskip("cloudevents.core.bindings.http")
    payload = encode(make_event(3, phase), node="n")
    message = sdk.HTTPMessage({"content-type": "application/cloudevents+json"}, payload)
    event = sdk.from_structured_event(message)
    assert event.get_id() == "r1/cam/3"
    assert event.get_source() == "streamspot/n/cam"
    assert event.get_data()["phase"] == phase


def test_the_node_red_flow_is_wired():
    """Every wire and every broker named is there, so the flow can be imported as it is."""
    flow = json.loads((SAMPLES / "node-red" / "flow.json").read_text())
    known = {part["id"] for part in flow}
    assert len(known) == len(flow)
    for part in flow:
        assert {wire for output in part.get("wires", []) for wire in output} <= known
        assert part.get("broker") in known or part["type"] != "mqtt in"
        assert part.get("z", "ss-tab") in known
