"""Promises of the contract: the documents are current, and what is really published keeps to them."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from brokers import Mosquitto, make_event, make_update, overhear, publisher_to

from streamspot.events import decode, encode
from streamspot.fleet.lease import Lease
from streamspot.fleet.remains import hand_over
from streamspot.mqtt.address import Broker
from streamspot.mqtt.connection import Dialler
from streamspot.mqtt.contract import asyncapi, json_schema, write
from streamspot.mqtt.homeassistant import HomeAssistant
from streamspot.mqtt.journal import Journal
from streamspot.mqtt.payloads import stats
from streamspot.mqtt.ros import Ros
from streamspot.stats import Delivery, Stats
from streamspot.types import Phase, Score

DOCS = Path(__file__).parents[1] / "docs" / "schema"


def test_the_committed_documents_are_current(tmp_path: Path):
    """Whoever reads docs/schema reads what the program does; renew with ``python -m streamspot.mqtt.contract``."""
    write(tmp_path)
    for path in tmp_path.iterdir():
        assert path.read_text() == (DOCS / path.name).read_text(), (
            f"run: python -m streamspot.mqtt.contract {DOCS}"
        )


@pytest.mark.parametrize("phase", ["onset", "apex", "offset", "cancelled"])
def test_every_event_satisfies_the_schema(phase: Phase):
    """A consumer may generate its types from the schema; an event without a field does not pass."""
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    event = json.loads(encode(make_event(3, phase), node="n"))
    validator.validate(event)
    for field in event["data"]:
        spoilt = {**event, "data": {key: value for key, value in event["data"].items() if key != field}}
        assert not validator.is_valid(spoilt), field


def test_a_stage_that_never_ran_publishes_no_duration():
    """A recording of motion has no faces to look for: that takes no 0 ms."""
    measured = Stats(source="motion.npz")
    measured.stages["model"].add(0.002)
    assert json.loads(stats(measured, Delivery()))["latency_ms"] == {"model": {"p50": 2.0, "p99": 2.0}}


def references(value: Any) -> set[str]:
    """Return every reference in a document."""
    if isinstance(value, dict):
        found = {value["$ref"]} if isinstance(value.get("$ref"), str) else set[str]()
        return found.union(*(references(item) for item in value.values()))
    if isinstance(value, list):
        return set[str]().union(*(references(item) for item in value))
    return set()


def test_every_reference_of_the_asyncapi_document_leads_somewhere():
    """Code generators can follow it from the operation to the last field."""
    document = asyncapi()
    for reference in references(document):
        place: Any = document
        for key in reference.removeprefix("#/").split("/"):
            place = place[key]
    assert set(document["operations"]) == set(document["channels"]) == set(document["components"]["messages"])
    assert document["asyncapi"] == "3.0.0"


def test_every_definition_has_the_title_of_its_type():
    """Generators of types name a class by its title, so one type is one class wherever it is used."""
    for definitions in (json_schema()["$defs"], asyncapi()["components"]["schemas"]):
        assert {name: schema["title"] for name, schema in definitions.items()} == {
            name: name for name in definitions
        }


async def test_the_status_published_when_we_vanish_says_what_it_is(tmp_path: Path):
    """On MQTT 5 the will has a content type, as every other message has."""
    with Mosquitto(tmp_path) as broker:
        url = f"{broker.url}?version=5"
        async with Dialler(Broker.parse(url)).connect() as listener:
            await listener.client.subscribe("streamspot/n/status", qos=1)
            async with Dialler(Broker.parse(url)).connect(
                will=("streamspot/n/status", b"offline")
            ) as vanishing:
                vanishing.client._client._sock_close()
                async with asyncio.timeout(5):
                    message = await anext(listener.client.messages)
    assert message.payload == b"offline"
    assert message.properties.ContentType == "text/plain"


async def test_everything_published_is_in_the_contract_and_private(tmp_path: Path):
    """Each message of a full run stands in the AsyncAPI document and satisfies it; nothing secret is in any."""
    document = asyncapi()
    measured = Stats(source="rtsp://user:hunter2@camera/1", model="m")
    seen: dict[str, int] = {}
    with Mosquitto(tmp_path) as broker:
        bridges = [Ros("n", "cam"), HomeAssistant("n", "cam")]
        async with overhear(broker.url, "#") as messages:
            async with publisher_to(broker.url, tmp_path, measured=measured, bridges=bridges) as publisher:
                for number in range(20):
                    ticks = range(10 * number, 10 * number + 10)
                    update = make_update(
                        make_event(number, "onset" if number % 2 else "offset"),
                        scores=[(0, Score(tick, tick / 30, tick, 0.5, 0.9, 0.1)) for tick in ticks],
                        messages=["the camera rtsp://user:hunter2@camera/1 stalls; check it"] * (number == 9),
                    )
                    await publisher.take("cam", update)
                    await asyncio.sleep(0.02)
                await asyncio.sleep(0.3)
            await hand_over(Lease("cam", 1), tmp_path / "cam" / "1", broker.url, "n", "engine")
            topic = ""
            async with asyncio.timeout(5):
                while topic != "streamspot/n/cam/lease":  # comes last
                    topic, payload, _ = await messages.get()
                    check(document, topic, payload, seen)
    assert set(seen) == set(document["channels"]) - {"set"}
    journal = b"".join(path.read_bytes() for path in (tmp_path / "j").iterdir())
    assert b"hunter2" not in journal
    assert all(decode(line) for line in journal.splitlines() if line.startswith(b"{"))


def check(document: dict[str, Any], topic: str, payload: bytes, seen: dict[str, int]) -> None:
    """Validate one message against the document; no secret, and nothing long enough to hide a picture in."""
    (name,) = (
        name
        for name, channel in document["channels"].items()
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", channel["address"]), topic)
    )
    seen[name] = seen.get(name, 0) + 1
    message = document["components"]["messages"][name]
    text = payload.decode()
    value = text if message["contentType"] == "text/plain" else json.loads(text)
    schema = {**message["payload"], "components": document["components"]}
    jsonschema.Draft202012Validator(schema).validate(value)
    assert "hunter2" not in text
    assert "nobody" not in text
    assert "user" not in text
    assert not re.search(r"[A-Za-z0-9+/=]{100}", text)
    assert len(payload) < 16_384


@pytest.mark.slow
async def test_a_whole_run_leaks_neither_picture_nor_landmark_nor_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Everything that a run publishes, logs, journals and prints is numbers and names of the contract."""
    monkeypatch.setenv("STREAMSPOT_MQTT_PASSWORD", "hunter2")
    document, seen = asyncapi(), dict[str, int]()
    with Mosquitto(tmp_path) as broker:
        url = broker.url.replace("//", "//nobody@")
        files = [tmp_path / name for name in ("events.jsonl", "intensity.csv")]
        command = [sys.executable, "-m", "streamspot", "run", "--source", "synthetic"]
        command += ["--no-ui", "--broker", url, "--node", "n", "--journal", str(tmp_path / "j")]
        command += ["--events", str(files[0]), "--intensity", str(files[1])]
        async with overhear(broker.url, "#") as messages:
            pipe = asyncio.subprocess.PIPE
            process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
            finished = asyncio.create_task(process.communicate())
            published = []
            async with asyncio.timeout(120):
                while (message := await messages.get())[:2] != ("streamspot/n/status", b"stopped"):
                    topic, payload, _ = message
                    check(document, topic, payload, seen)
                    if topic.endswith("/event"):
                        published.append(payload)
                printed = b"".join(await finished)
        assert process.returncode == 0, printed
        journal = list(Journal.read(tmp_path / "j"))
        logs = [*journal, *(path.read_bytes() for path in files), broker.log.read_bytes(), printed]
        assert published
        assert files[0].read_bytes().splitlines() == published
        assert journal == published
        assert not any(b"hunter2" in path.read_bytes() for path in (tmp_path / "j").iterdir())
        assert files[1].read_bytes().splitlines()[0] == b"tick,pts,intensity,macro,micro"
        for log in logs:
            assert b"hunter2" not in log
            assert not re.search(rb"[A-Za-z0-9+/=]{120}|(?:[\d.e-]+[, ]+){12}", log)
            log.decode()
