"""Promises to avatars over OSC: VRChat and the VMC protocol."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
from brokers import free_port, make_event, make_update

from streamspot.errors import SettingsError
from streamspot.sinks.osc import OscSink
from streamspot.types import FaceState, Score, Update


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


async def test_each_of_several_faces_has_names_of_its_own(packets: Any):
    """A face keeps its place while it is in view; who comes takes the place that is free."""
    port, queue = packets
    of = FaceState(state="macro", intensity=1.0)
    async with OscSink(f"vrchat://127.0.0.1:{port}", faces=2) as sink:
        await sink.take(Update(faces={3: FaceState(), 4: of}))
        async with asyncio.timeout(3):
            while await queue.get() != ("/avatar/parameters/StreamspotState2", (1,)):
                pass
        await sink.take(Update(faces={4: of, 7: FaceState()}))
        await asyncio.sleep(1.2)  # within which everything is sent again
        values = dict(queue.get_nowait() for _ in range(queue.qsize()))
    assert values["/avatar/parameters/StreamspotState"] == (0,)
    assert values["/avatar/parameters/StreamspotState2"] == (1,)
    assert (
        values["/avatar/parameters/StreamspotActive"]
        == values["/avatar/parameters/StreamspotActive2"]
        == (True,)
    )
    assert len(values) == 6


async def test_vmc_gets_blend_shapes(packets: Any):
    """A VTuber program gets two blend shapes and the message that applies them; no bones are claimed."""
    port, queue = packets
    async with OscSink(f"vmc://127.0.0.1:{port}") as sink:
        await sink.take(make_update(make_event(0, "onset"), scores=[(0, Score(0, 0.0, 0, 0.75, 0.9, 0.1))]))
        async with asyncio.timeout(3):
            got = [await queue.get() for _ in range(4)]
    assert ("/VMC/Ext/Blend/Val", ("StreamspotMacro", pytest.approx(0.75, abs=0.01))) in got
    assert ("/VMC/Ext/Blend/Apply", ()) in got
    while not queue.empty():
        got.append(queue.get_nowait())
    assert {address for address, _ in got} == {"/VMC/Ext/Blend/Val", "/VMC/Ext/Blend/Apply"}


async def test_blend_shapes_may_be_presets_of_a_model(packets: Any):
    """Whoever has a VRM model without shapes of ours names two of its own."""
    port, queue = packets
    async with OscSink(f"vmc://127.0.0.1:{port}", "macro=Joy, micro=Surprised") as sink:
        await sink.take(make_update(make_event(0, "onset"), scores=[(0, Score(0, 0.0, 0, 0.75, 0.9, 0.1))]))
        async with asyncio.timeout(3):
            got = dict([(await queue.get())[1] for _ in range(2)])
    assert got == {"Joy": pytest.approx(0.75, abs=0.01), "Surprised": 0.0}


async def test_liblo_reads_what_we_send():
    """The C library that most OSC programs stand on prints the messages with their types."""
    if (oscdump := shutil.which("oscdump")) is None:
        pytest.skip("oscdump is not installed; apt-get install liblo-tools")
    port = free_port()
    dump = await asyncio.create_subprocess_exec(oscdump, "-L", str(port), stdout=asyncio.subprocess.PIPE)
    assert dump.stdout is not None
    lines: set[str] = set()
    try:
        async with OscSink(f"vrchat://127.0.0.1:{port}") as sink, asyncio.timeout(10):
            await sink.take(make_update(make_event(0, "onset")))
            while len(lines) < 3:
                lines.add((await dump.stdout.readline()).decode().split(" ", 1)[1].strip())
    finally:
        with contextlib.suppress(ProcessLookupError):
            dump.kill()
        await dump.wait()
    assert lines == {
        "/avatar/parameters/StreamspotState i 1",
        "/avatar/parameters/StreamspotIntensity f 0.000000",
        "/avatar/parameters/StreamspotActive T #T",
    }


def test_the_port_is_that_of_the_protocol():
    """Without a port VRChat's is taken, and for VMC the one at which a Performer hears Assistants."""
    assert OscSink("vrchat://host")._port == 9000
    assert OscSink("vmc://host")._port == 39540


NO_PORT = ["vrchat://host:port", "vrchat://host:0"]
NO_HOST = ["vrchat:192.168.1.20:9000", "vrchat:///", "vmc://a..b", f"vmc://{'a' * 64}"]


@pytest.mark.parametrize("url", ["osc://host", "nonsense", *NO_PORT, *NO_HOST])
def test_an_impossible_osc_address_is_one_sentence(url: str):
    """The message shows how to write it."""
    with pytest.raises(SettingsError, match="vrchat://host:9000"):
        OscSink(url)


@pytest.mark.parametrize(
    ("url", "names", "words"),
    [
        ("vmc://host", "joy", "macro=NAME"),
        ("vmc://host", "happy=Joy", "macro=NAME"),
        ("vmc://host", "macro=Joy,micro=Joy", "its own"),
        ("vrchat://host", "macro=Joy", "vmc://"),
    ],
)
def test_impossible_names_of_blend_shapes_are_one_sentence(url: str, names: str, words: str):
    """The message shows how to write them."""
    with pytest.raises(SettingsError, match=words):
        OscSink(url, names)


async def test_without_python_osc_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    """Who lacks the optional package is told its name."""
    monkeypatch.setitem(sys.modules, "pythonosc.udp_client", None)
    with pytest.raises(SettingsError, match=r"streamspot\[osc\]"):
        async with OscSink("vrchat://127.0.0.1"):
            pass


async def test_where_nothing_may_be_sent_it_is_said_once():
    """An address of all machines, which the system forbids, does not swallow everything in silence."""
    said: list[str] = []
    async with OscSink("vrchat://127.255.255.255", tell=said.append) as sink:
        await sink.take(make_update(make_event(0, "onset")))
        await asyncio.sleep(0.2)
    (sentence,) = said
    assert "127.255.255.255" in sentence
    assert "one machine" in sentence


async def test_nobody_listening_to_osc_is_no_trouble():
    """Avatars come and go; the stream does not care, and one that comes later gets everything."""
    port = free_port()
    async with OscSink(f"vrchat://127.0.0.1:{port}") as sink:
        await sink.take(make_update(make_event(0, "onset")))
        await asyncio.sleep(0.3)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as later:
            later.bind(("127.0.0.1", port))
            later.settimeout(3)
            assert await asyncio.to_thread(later.recv, 1024)
