"""Promises about a broker's address: every kind is understood; a wrong, silent or forbidden one is one sentence."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from brokers import Mosquitto, free_port
from hypothesis import given
from hypothesis import strategies as st
from running import SHORT

from streamspot.credentials import redacted
from streamspot.errors import BrokerError, SettingsError
from streamspot.layers import load_settings
from streamspot.mqtt.address import Broker
from streamspot.mqtt.connection import Dialler, RefusedError, backoff
from streamspot.mqtt.embedded import embedded_broker
from streamspot.mqtt.subscriber import subscribe
from streamspot.outputs import Outputs
from streamspot.run import StreamRun


async def test_nobody_there_is_one_sentence():
    """A subscriber without a broker learns which address does not answer."""
    port = free_port()
    with pytest.raises(BrokerError, match=f":{port} is not there"):
        async with subscribe(f"mqtt://127.0.0.1:{port}"):
            pass


async def test_wrong_credentials_are_refused_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Bad credentials are told from a missing broker; the password appears nowhere."""
    monkeypatch.setenv("STREAMSPOT_MQTT_PASSWORD", "hunter2")
    with Mosquitto(tmp_path, anonymous=False) as broker:
        url = broker.url.replace("//", "//me@")
        with pytest.raises(RefusedError, match="refuses us") as caught:
            async with subscribe(url):
                pass
        assert "hunter2" not in str(caught.value) + repr(Broker.parse(url))


async def test_a_broker_that_is_not_ready_refuses_nobody_for_good():
    """It is tried again like one that is away, and nobody looks for a wrong password."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(1000):
            writer.write(b"\x20\x02\x00\x03")  # CONNACK: server unavailable
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        with pytest.raises(BrokerError, match=r"\(server unavailable\); wait") as caught:
            async with subscribe(f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}"):
                pass
    assert not isinstance(caught.value, RefusedError)


@pytest.mark.parametrize(
    ("setting", "remedy"), [("retain_available false", "retained messages"), ("max_qos 0", "QoS 1")]
)
async def test_a_broker_that_lacks_what_we_need_says_what(tmp_path: Path, setting: str, remedy: str):
    """On MQTT 5 the sentence names the broker's setting, not user and password."""
    with Mosquitto(tmp_path, settings=f"{setting}\n") as broker:
        dialler = Dialler(Broker.parse(f"{broker.url}?version=5"))
        with pytest.raises(RefusedError, match=f"let it take .*{remedy}") as caught:
            async with dialler.connect(will=("streamspot/n/status", b"offline")):
                pass
    assert "password" not in str(caught.value)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("scheme", ["mqtts", "ws", "wss"])
async def test_a_wrong_scheme_is_told_from_a_broker_that_is_away(tmp_path: Path, scheme: str):
    """Where something listens nobody is told to start it; a client's certificate is thought of, too."""
    with Mosquitto(tmp_path) as broker, pytest.raises(BrokerError, match="check scheme and port") as caught:
        async with subscribe(broker.url.replace("mqtt", scheme)):
            pass
    assert "start it" not in str(caught.value)
    assert ("certfile=FILE" in str(caught.value)) == (scheme != "ws")


def test_a_password_in_the_address_is_refused_without_repeating_it():
    """An address with a password would stand in the process list: the message says where to put it."""
    for word in ("hunter2", "hun/ter2", "hun@ter2", "hun:ter#2?", "hunter%2"):
        with pytest.raises(SettingsError, match="STREAMSPOT_MQTT_PASSWORD") as caught:
            Broker.parse(f"me:{word}@host" if word == "hunter2" else f"mqtt://me:{word}@host")
        assert word not in str(caught.value)
        assert "ter" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://host",
        "mqtt://",
        "mqtt://host:port",
        "mqtt://h?x=1",
        "mqtt://h?version=4",
        "mqtt://h?cafile=a",
        None,
    ],
)
def test_an_impossible_address_is_one_sentence(url: str | None):
    """Every wrong address names itself and the remedy."""
    with pytest.raises(SettingsError, match=";"):
        Broker.parse(url)


def test_addresses_of_every_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Scheme, default port, user and password file are understood; the address shown has no credentials."""
    (tmp_path / "password").write_text("from file\n")
    monkeypatch.setenv("STREAMSPOT_MQTT_PASSWORD_FILE", str(tmp_path / "password"))
    broker = Broker.parse("wss://robo%40lab@broker.example/ws")
    assert (broker.port, broker.user, broker.password, broker.path) == (443, "robo@lab", "from file", "/ws")
    assert broker.address == "wss://broker.example:443"
    assert Broker.parse("localhost").address == "mqtt://localhost:1883"
    assert Broker.parse("mqtts://[::1]").address == "mqtts://[::1]:8883"
    assert redacted("rtsp://a:b@c/d and mqtt://e@f, 3@4") == "rtsp://c/d and mqtt://f, 3@4"
    assert redacted("mqtt://user:sec/r@t@host is away") == "mqtt://host is away"


@given(st.integers(1, 10_000))
def test_waiting_grows_to_a_minute_and_no_further(attempt: int):
    """However long a broker is away, it is tried again within a minute."""
    assert 0 < backoff(attempt) <= 60


async def test_the_demo_broker_ends_though_somebody_only_knocked():
    """A connection that came and went without a word keeps nobody waiting, on any Python."""
    async with asyncio.timeout(5), embedded_broker() as url:
        _, writer = await asyncio.open_connection("127.0.0.1", int(url.rsplit(":", 1)[1]))
        writer.close()
        await writer.wait_closed()


async def test_the_demo_broker_names_a_taken_port():
    """A second broker on one port is one sentence."""
    async with embedded_broker() as url:
        with pytest.raises(BrokerError, match="choose another"):
            async with embedded_broker(port=int(url.rsplit(":", 1)[1])):
                pass


async def test_the_demo_broker_takes_the_usual_port_or_another_that_is_free():
    """Subscribers find it where they look first; a second one, or one beside another broker, starts all the same."""
    async with embedded_broker(port=None) as first, embedded_broker(port=None) as second:
        assert first != second
        with contextlib.suppress(OSError):  # unless a broker of the machine's own has it
            socket.create_server(("127.0.0.1", 1883)).close()
            raise AssertionError("port 1883 was free and not taken")
        async with subscribe(first), subscribe(second):
            pass


def test_a_run_says_at_the_start_where_its_own_broker_is(tmp_path: Path):
    """A listener in another terminal finds it, also where no dashboard is drawn."""
    command = [sys.executable, "-m", "streamspot"]
    arguments = ["run", "--source", "synthetic:seconds=60", "--speed", "1", "--broker", "embedded", "--no-ui"]
    environment = os.environ | {"XDG_STATE_HOME": str(tmp_path)}
    with subprocess.Popen(
        [*command, *arguments], stdout=subprocess.PIPE, text=True, env=environment
    ) as running:
        try:
            assert running.stdout is not None
            said = [running.stdout.readline() for _ in range(2)]
            address = re.search(r"embedded broker is (mqtt://127\.0\.0\.1:\d+)", said[1])
            assert address is not None, said
            asyncio.run(_meet(address[1]))
        finally:
            running.kill()


async def test_two_brokers_never_share_a_journal():
    """However long their addresses are: what waits for one never goes to the other."""
    long = "mqtt://[0000:0000:0000:0000:0000:0000:0000:0001]"
    for address in (f"{long}:1", f"{long}:2", "mqtt://127.0.0.1:1"):
        settings = load_settings({"source": SHORT, "broker": address, "node": "n", "stream": "cam"})
        async with Outputs([StreamRun(settings)]):
            pass
    journals = (Path(os.environ["XDG_STATE_HOME"]) / "streamspot" / "journal").glob("*/n/cam/journal.sqlite")
    names = {journal.parents[2].name for journal in journals}
    assert len(names) == 3
    assert "mqtt-127-0-0-1-1" in names


async def _meet(address: str) -> None:
    async with asyncio.timeout(30), subscribe(address) as events:
        async for received in events:
            assert received.event.stream == "synthetic"
            return
