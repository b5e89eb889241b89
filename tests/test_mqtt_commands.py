"""Promises about commands over MQTT: they reach the program, nonsense is answered, and only in measure."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import jsonschema
import pytest
from brokers import Mosquitto, make_event, make_update, overhear, publisher_to, until
from hypothesis import given, settings
from hypothesis import strategies as st

from streamspot.commands import Command, Label, Pause, Resume, Sensitivity, parse
from streamspot.errors import SettingsError
from streamspot.layers import load_settings
from streamspot.mqtt.address import Broker
from streamspot.mqtt.connection import Dialler
from streamspot.mqtt.contract import asyncapi
from streamspot.mqtt.subscriber import subscribe
from streamspot.stats import Delivery


async def test_commands_reach_the_program_and_nonsense_is_answered(url: str, tmp_path: Path):
    """``…/set`` pauses, resumes, sets and labels; anything else comes back as a sentence on ``…/error``."""
    got: asyncio.Queue[Command] = asyncio.Queue()
    publisher = publisher_to(url, tmp_path, on_command=got.put_nowait)
    topic = "streamspot/n/cam/set"
    async with (
        Dialler(Broker.parse(url)).connect() as connection,
        overhear(url, "streamspot/+/+/error") as errors,
    ):
        await connection.publish(topic, b'{"command":"pause"}', retain=True)  # from before: must be ignored
        async with overhear(url, "streamspot/n/status") as status, publisher, asyncio.timeout(10):
            await status.get()
            await connection.publish(topic, b'{"command":"resume"}')
            await connection.publish(topic, b'{"command":"sensitivity","value":0.75}')
            await connection.publish(topic, b'{"command":"label","value":"micro"}')
            await connection.publish(topic, b"{}")
            assert await got.get() == Resume()
            assert await got.get() == Sensitivity(0.75)
            assert await got.get() == Label("micro")
            assert "is no command" in json.loads((await errors.get())[1])["message"]


async def test_a_retained_command_is_for_another_time(url: str, tmp_path: Path):
    """Not obeyed at the start; published while a stream runs, obeyed where the broker does not tell (MQTT 3.1.1)."""
    got: asyncio.Queue[Command] = asyncio.Queue()
    publisher = publisher_to(url, tmp_path, delivery := Delivery(), on_command=got.put_nowait)
    topic = "streamspot/n/cam/set"
    async with Dialler(Broker.parse(url)).connect() as other, overhear(url, "streamspot/+/+/error") as errors:
        await other.publish(topic, b'{"command":"pause"}', retain=True)
        async with publisher, asyncio.timeout(10):
            await until(lambda: delivery.state == "online")
            await other.publish(topic, b'{"command":"sensitivity","value":0.25}', retain=True)
            await other.publish(topic, b"", retain=True)  # deletes it, and is no command
            await other.publish(topic, b'{"command":"resume"}')
            commands = [await got.get()]
            while commands[-1] != Resume():
                commands.append(await got.get())
            await asyncio.sleep(0.3)
    assert commands == ([] if "version=5" in url else [Sensitivity(0.25)]) + [Resume()]
    assert errors.empty()


async def test_no_commands_means_that_nobody_is_obeyed(url: str, tmp_path: Path):
    """A stream that was told so does not even listen."""
    async with publisher_to(url, tmp_path, delivery := Delivery()), overhear(url, "streamspot/#") as heard:
        await until(lambda: delivery.state == "online")
        async with Dialler(Broker.parse(url)).connect() as other:
            await other.publish("streamspot/n/cam/set", b"nonsense")
        await asyncio.sleep(0.5)
        assert not [item for item in list(heard._queue) if item[0].endswith("/error")]
    assert load_settings({"commands": False, "broker": url}).mqtt.commands is False


@pytest.mark.parametrize("level", ["n", "n/cam"])
@pytest.mark.parametrize("lie", [b"stopped", b"offline", b"anything", b""])
async def test_a_forged_status_is_put_right(tmp_path: Path, level: str, lie: bytes):
    """Whoever says that a running node or stream is not online is contradicted within a moment, retained."""
    with Mosquitto(tmp_path) as broker:
        async with publisher_to(broker.url, tmp_path, delivery := Delivery()):
            await until(lambda: delivery.state == "online")
            async with Dialler(Broker.parse(broker.url)).connect() as other:
                await asyncio.sleep(0.1)
                await other.publish(f"streamspot/{level}/status", lie, retain=True)
            await asyncio.sleep(0.4)
            async with overhear(broker.url, f"streamspot/{level}/status") as status, asyncio.timeout(2):
                assert (await status.get())[1:] == (b"online", True)


async def test_a_flood_of_nonsense_is_answered_in_measure(tmp_path: Path):
    """Thousands of equal mistakes are one answer; the events go on beside them."""
    with Mosquitto(tmp_path) as broker:
        publisher = publisher_to(broker.url, tmp_path, delivery := Delivery(), on_command=lambda _: None)
        async with (
            subscribe(broker.url) as events,
            overhear(broker.url, "streamspot/+/+/error") as errors,
            publisher,
            Dialler(Broker.parse(broker.url)).connect() as other,
        ):
            await until(lambda: delivery.state == "online")
            for _ in range(3000):
                await other.publish("streamspot/n/cam/set", b"nonsense", qos=0)
            await publisher.take("cam", make_update(make_event(0)))
            async with asyncio.timeout(5):
                assert (await anext(events)).event.seq == 0
            await until(lambda: errors.qsize() > 0)
            await asyncio.sleep(0.5)
            assert errors.qsize() < 60


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.just("macro"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)
commands = st.dictionaries(
    st.sampled_from(["command", "value", "x"]),
    st.sampled_from(["pause", "resume", "sensitivity", "label", "micro", 0.5, 1, -0.0, 1.5]) | json_values,
)


@given(
    st.binary(max_size=60) | st.text(max_size=60).map(str.encode) | commands.map(json.dumps).map(str.encode)
)
def test_no_command_payload_breaks_the_parser(payload: bytes):
    """Whatever is sent to ``…/set`` is a command or one sentence that a terminal can show."""
    said = ""
    try:
        parse(payload)
    except SettingsError as refused:
        said = str(refused)
    assert said.isprintable()


@settings(max_examples=400)
@given(commands)
def test_the_schema_of_commands_refuses_what_the_program_refuses(command: object):
    """Who validates against the contract is never surprised on ``…/error``, and may send all that is obeyed."""
    payload = json.dumps(command).encode()
    try:
        parse(payload)
    except SettingsError:
        assert not COMMANDS.is_valid(command)
    else:
        assert COMMANDS.is_valid(command)


_CONTRACT = asyncapi()["components"]
COMMANDS = jsonschema.Draft202012Validator(
    {**_CONTRACT["messages"]["set"]["payload"], "components": _CONTRACT}
)


@pytest.mark.parametrize("value", [-0.1, 1.1, True, "1", None, [1], 1e999])
def test_an_impossible_sensitivity_is_refused(value: object):
    """Only numbers from 0 to 1 get through."""
    with pytest.raises(SettingsError, match="sensitivity"):
        parse(json.dumps({"command": "sensitivity", "value": value}).encode())
    assert parse(b'{"command":"pause"}') == Pause()
