"""Promises about the connection to the broker: encrypted or over ws:// it delivers; refused or mute, it says so."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import re
import shutil
import socket
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import aiomqtt
import paho.mqtt.client as paho
import pytest
from brokers import Mosquitto, free_port, make_event, make_update, overhear, publisher_to, until

import streamspot
from streamspot.errors import BrokerError
from streamspot.loop import run_to_end, watches_sockets
from streamspot.mqtt.address import Broker
from streamspot.mqtt.connection import Dialler, RefusedError
from streamspot.mqtt.paho import quiet_loop
from streamspot.mqtt.subscriber import subscribe
from streamspot.stats import Delivery

pytestmark = pytest.mark.usefixtures("impatient", "silence")


async def test_a_broker_that_accepts_and_never_answers_is_given_up_and_tried_again(tmp_path: Path):
    """A dead peer behind an open port neither blocks the stream nor leaks sockets."""
    connections = 0

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.read()
        connections -= 1
        writer.close()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    url = f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with publisher_to(url, tmp_path, delivery := Delivery(), drain=0.2) as publisher:
        for number in range(10):
            await publisher.take("cam", make_update(make_event(number)))
        await until(lambda: delivery.state == "retrying")
        assert "no answer" in delivery.error or "timed out" in delivery.error
        await asyncio.sleep(2.5)
        assert connections <= 1
    assert delivery.queued == 10
    server.close()


async def test_refused_credentials_say_so_and_are_mended_without_a_restart(tmp_path: Path):
    """Bad credentials show as ``refused``; once the administrator lets us in, everything arrives."""
    with Mosquitto(tmp_path, anonymous=False) as broker:
        async with publisher_to(broker.url, tmp_path, delivery := Delivery(), drain=0.2) as publisher:
            await publisher.take("cam", make_update(make_event(0)))
            await until(lambda: delivery.state == "refused")
            assert "refuses us" in delivery.error
        assert delivery.queued == 1
        broker.stop()
    with Mosquitto(tmp_path) as broker:
        async with subscribe(broker.url) as events, publisher_to(broker.url, tmp_path):
            async with asyncio.timeout(5):
                assert (await anext(events)).event.seq == 0


async def test_a_topic_the_broker_forbids_is_told_on_mqtt_5(tmp_path: Path):
    """An access rule that swallows events is no acknowledgement: they stay in the journal, the error is shown."""
    (tmp_path / "acl").write_text(
        "topic readwrite streamspot/n/status\ntopic readwrite streamspot/n/cam/status\n"
    )
    with Mosquitto(tmp_path, settings=f"acl_file {tmp_path}/acl\n") as broker:
        url = f"{broker.url}?version=5"
        async with publisher_to(url, tmp_path, delivery := Delivery(), drain=0.2) as publisher:
            await publisher.take("cam", make_update(make_event(0)))
            await until(lambda: delivery.state == "refused")
            assert "access rules" in delivery.error
        assert delivery.queued == 1


async def test_a_node_whose_events_are_refused_does_not_stay_online(tmp_path: Path):
    """Whoever looks at its status learns that nothing is delivered, also when the run has ended."""
    rules = ["read #", "write streamspot/n/status", "deny streamspot/n/cam/event", "write streamspot/n/cam/#"]
    (tmp_path / "acl").write_text("".join(f"topic {rule}\n" for rule in rules))
    with Mosquitto(tmp_path, settings=f"acl_file {tmp_path}/acl\n") as broker:
        url = f"{broker.url}?version=5"
        async with (
            overhear(url, "streamspot/n/status") as said,
            publisher_to(url, tmp_path, delivery := Delivery(), drain=0.2) as publisher,
        ):
            await publisher.take("cam", make_update(make_event(0)))
            await until(lambda: delivery.state == "refused")
            async with asyncio.timeout(5):
                assert [(await said.get())[1] for _ in range(2)] == [b"online", b"offline"]
        async with overhear(url, "streamspot/n/status") as said, asyncio.timeout(5):
            assert await said.get() == ("streamspot/n/status", b"offline", True)


def test_windows_default_loop_is_refused_in_one_sentence():
    """A loop that cannot watch sockets, as Windows' default, is named with its remedy."""

    class Proactor(asyncio.SelectorEventLoop):
        add_reader = asyncio.AbstractEventLoop.add_reader

    async def connect() -> None:
        async with Dialler(Broker.parse("mqtt://127.0.0.1:1")).connect():
            pass

    with (
        asyncio.Runner(loop_factory=Proactor) as runner,
        pytest.raises(BrokerError, match="SelectorEventLoop"),
    ):
        runner.run(connect())


def test_the_program_runs_on_a_loop_that_watches_sockets(monkeypatch: pytest.MonkeyPatch):
    """The commands choose such a loop themselves, on Windows too."""

    async def answer() -> bool:
        return watches_sockets()

    assert run_to_end(answer())
    monkeypatch.setattr(sys, "platform", "win32")
    assert run_to_end(answer())


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """Make an authority, a server's and a client's certificate, and a second authority nobody trusts."""
    if shutil.which("openssl") is None:
        pytest.skip("the openssl command is missing; apt-get install openssl")
    folder = tmp_path / "pki"
    folder.mkdir()

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    for name in ("ca", "other"):
        # Python 3.13 refuses an authority that does not say what its key is for
        subject = ["-subj", f"/CN={name}", "-days", "2", "-nodes", "-addext", "keyUsage=critical,keyCertSign"]
        openssl(
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-keyout",
            f"{name}.key",
            "-out",
            f"{name}.pem",
            *subject,
        )
    (folder / "names").write_text(  # and a certificate that does not name its authority's key
        "subjectAltName=IP:127.0.0.1,DNS:localhost\nauthorityKeyIdentifier=keyid\n"
    )
    for name in ("server", "client"):
        openssl(
            "req",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            f"{name}.key",
            "-out",
            f"{name}.csr",
            "-subj",
            f"/CN={name}",
        )
        openssl(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"),
            *("-out", f"{name}.pem", "-days", "2", "-extfile", "names"),
        )
    return folder


async def test_tls_with_a_client_certificate_and_a_wrong_authority(tmp_path: Path, certificates: Path):
    """Encrypted both ways it delivers; a certificate of an unknown authority is refused in one sentence."""
    files = f"cafile {certificates}/ca.pem\ncertfile {certificates}/server.pem\nkeyfile {certificates}/server.key\n"
    with Mosquitto(tmp_path, listener=files + "require_certificate true\n") as broker:
        mine = f"certfile={certificates}/client.pem&keyfile={certificates}/client.key"
        url = f"mqtts://127.0.0.1:{broker.port}?cafile={certificates}"
        async with subscribe(f"{url}/ca.pem&{mine}") as events:
            async with publisher_to(f"{url}/ca.pem&{mine}", tmp_path) as publisher:
                for number in range(20):
                    await publisher.take("cam", make_update(make_event(number)))
            async with asyncio.timeout(5):
                assert [(await anext(events)).event.seq for _ in range(20)] == list(range(20))
        async with publisher_to(
            f"{url}/other.pem&{mine}", tmp_path, delivery := Delivery(), drain=0.2
        ) as publisher:
            await publisher.take("cam", make_update(make_event(20)))
            await until(lambda: delivery.state == "refused")
            assert "cannot be trusted" in delivery.error
            assert "cafile" in delivery.error
        assert delivery.queued == 1


async def test_websockets_carry_the_same_events(tmp_path: Path):
    """Where only the web's ports are open, ``ws://`` delivers too."""
    port = free_port()
    with Mosquitto(tmp_path, settings=f"listener {port} 127.0.0.1\nprotocol websockets\n") as broker:
        async with subscribe(broker.url) as events:
            async with publisher_to(f"ws://127.0.0.1:{port}", tmp_path) as publisher:
                for number in range(20):
                    await publisher.take("cam", make_update(make_event(number)))
            async with asyncio.timeout(5):
                assert [(await anext(events)).event.seq for _ in range(20)] == list(range(20))


def test_leaving_waits_for_no_broker_that_is_a_black_hole(tmp_path: Path):
    """Ctrl-C is not held up by a broker whose packets vanish."""
    with socket.socket() as hole, contextlib.ExitStack() as crowd:
        hole.bind(("127.0.0.1", 0))
        hole.listen(0)
        for _ in range(4):  # a full queue: the kernel answers nobody else
            one = crowd.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(hole.getsockname())

        async def run() -> int:
            url = f"mqtt://127.0.0.1:{hole.getsockname()[1]}"
            async with publisher_to(url, tmp_path, delivery := Delivery(), drain=0.2) as publisher:
                await publisher.take("cam", make_update(make_event(0)))
                await asyncio.sleep(0.1)
            return delivery.queued

        start = time.monotonic()
        assert asyncio.run(run()) == 1
        assert time.monotonic() - start < 3.0  # an answer is waited for four seconds


FOREIGN = {
    "_client": (aiomqtt.Client, "2.5.1"),
    "_disconnected": (aiomqtt.Client, "2.5.1"),
    "_sock_close": (paho.Client, "2.2.0"),
}
"""Private parts of aiomqtt and paho-mqtt that are touched, and the version each was checked with."""


def test_private_parts_of_other_libraries_are_these_three_in_the_pinned_versions():
    """Who updates aiomqtt or paho-mqtt learns here what to look at: one file, and no other private part anywhere."""
    touched = set()
    for path in (Path(streamspot.__file__).parent / "mqtt").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and re.match(r"_[a-z]", node.attr):
                touched |= {(path.name, node.attr)} if ast.unparse(node.value) != "self" else set()
    assert touched == {("paho.py", name) for name in FOREIGN}
    installed = {aiomqtt.Client: version("aiomqtt"), paho.Client: version("paho-mqtt")}
    for name, (owner, checked) in FOREIGN.items():
        assert installed[owner] == checked, name
        assert hasattr(owner, name) or f"self.{name}" in inspect.getsource(owner), name
    for hook in ("on_publish", "on_socket_register_write", "connect_timeout"):
        assert isinstance(getattr(paho.Client, hook), property), hook


async def test_a_refusal_belongs_to_the_message_that_was_refused(tmp_path: Path):
    """Of messages that are in flight together each learns whether the broker took it: no event is lost so."""
    (tmp_path / "acl").write_text("topic write yes\n")
    with Mosquitto(tmp_path, settings=f"acl_file {tmp_path}/acl\n") as broker:
        async with Dialler(Broker.parse(broker.url + "?version=5")).connect() as connection:

            async def outcomes(topic: str) -> set[str]:
                found = set()
                for _ in range(100):
                    try:
                        await connection.publish(topic, b"x")
                        found.add("taken")
                    except RefusedError as error:
                        found.add(str(error).partition(";")[0])
                return found

            refused, taken = await asyncio.gather(outcomes("no"), outcomes("yes"))
    assert refused == {"the broker refuses messages to no (not authorized)"}
    assert taken == {"taken"}


async def test_a_subscription_that_the_broker_refuses_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A subscriber would wait for ever; a stream without commands goes on, and says that it hears none."""

    async def refuse(*_: object, **__: object) -> tuple[int, ...]:
        return (0x80,)

    with Mosquitto(tmp_path) as broker:
        monkeypatch.setattr(aiomqtt.Client, "subscribe", refuse)
        with pytest.raises(RefusedError, match=r"refuses a subscription to streamspot/.*access rules"):
            async with subscribe(broker.url):
                pass
        async with publisher_to(broker.url, tmp_path, delivery := Delivery()) as publisher:
            await publisher.take("cam", make_update(make_event(0)))
            await until(lambda: delivery.acknowledged == 1)


async def test_a_loop_is_quiet_as_long_as_anybody_is_connected():
    """Uses that overlap leave nothing behind, in whatever order they end."""
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    first, second = contextlib.ExitStack(), contextlib.ExitStack()
    for _ in range(3):
        first.enter_context(quiet_loop())
        second.enter_context(quiet_loop())
        first.close()
        assert loop.get_exception_handler() is not before
        second.close()
        assert loop.get_exception_handler() is before
