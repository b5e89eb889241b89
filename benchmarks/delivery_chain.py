"""Publisher, proxy, broker and subscriber, which ``faults.py`` does its faults to.

``numbered_events.py`` publishes through a proxy to mosquitto, and a subscriber with a persistent session collects
what arrives.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

from streamspot.mqtt.address import Broker
from streamspot.mqtt.connection import Connection, Dialler

_PUBLISHER = Path(__file__).with_name("numbered_events.py")
_CONFIG = """listener {port} 127.0.0.1
allow_anonymous true
acl_file {folder}/acl
persistence true
persistence_location {folder}/
max_queued_messages 1000000
autosave_on_changes true
autosave_interval 1
user root
"""
_RULES = {True: "topic readwrite #\n", False: "topic read #\ntopic readwrite probe\n"}


class Proxy:
    """Passes bytes on to the broker, until it is told to harm them."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.harm = ""
        self.writers: set[asyncio.StreamWriter] = set()

    async def serve(self) -> int:
        """Listen; return the port."""
        server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        return int(server.sockets[0].getsockname()[1])

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            theirs, ours = await asyncio.open_connection("127.0.0.1", self.target)
            self.writers |= {writer, ours}
            await asyncio.wait(
                [
                    asyncio.create_task(self._pass(reader, ours)),
                    asyncio.create_task(self._pass(theirs, writer)),
                ],
                return_when=asyncio.FIRST_COMPLETED,
            )
            ours.close()
        writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(4096):
                if self.harm == "delay":
                    await asyncio.sleep(0.3)
                while self.harm == "stall":
                    await asyncio.sleep(0.05)
                if self.harm == "truncate":
                    writer.write(data[: len(data) // 2])
                    return
                writer.write(data)
                await writer.drain()

    def reset(self) -> None:
        """Cut every connection at once."""
        for writer in self.writers:
            writer.transport.abort()
        self.writers.clear()


class DeliveryChain:
    """The four, and what was reported and has arrived.

    Args:
        folder: For all their files; a disk of 40 MB is mounted in it if that is allowed.

    Attributes:
        disk: Folder of the journal.
        small: Whether the disk is one that can be filled.
        reported: Run and number of every event that the publisher printed, in order.
        arrived: Payload of every event by its id, in order of arrival.
        queued: How many events the publisher last said were queued.
        runs: How many publishers were started.
        again: How many events arrived once more.
        forged: How many of those with other bytes.
        dropped: The most events that a run's journal dropped.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.disk = folder / "disk"
        self.disk.mkdir()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.allow_publishing(allowed=True)
        (folder / "conf").write_text(_CONFIG.format(port=self.port, folder=folder))
        self.small = not subprocess.run(  # noqa: S603
            ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(self.disk)],  # noqa: S607
            check=False,
            capture_output=True,
        ).returncode
        self.proxy = Proxy(self.port)
        self.reported: list[tuple[str, int]] = []
        self.arrived: dict[str, bytes] = {}
        self.set_clock(0)
        self.again = self.forged = self.runs = self.queued = self.dropped = 0
        self._subscriber: Connection | None = None
        self._probed = asyncio.Event()
        self.broker: subprocess.Popen[bytes]
        self.publisher: asyncio.subprocess.Process

    async def start(self) -> None:
        """Start everything."""
        self.start_broker()
        self.url = f"mqtt://127.0.0.1:{await self.proxy.serve()}?version=5"  # which tells who may not
        asyncio.get_running_loop().create_task(self._subscribe())
        await asyncio.sleep(1.0)
        await self.start_publisher()

    def start_broker(self) -> None:
        """Start mosquitto."""
        binary = str(shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin"))
        self.broker = subprocess.Popen([binary, "-c", str(self.folder / "conf")], stderr=subprocess.DEVNULL)  # noqa: S603

    def set_clock(self, seconds: int) -> None:
        """Set the clock of all runs that much off."""
        (self.folder / "clock.new").write_text(str(seconds))
        (self.folder / "clock.new").replace(self.folder / "clock")

    async def start_publisher(self) -> None:
        """Start a run."""
        self.runs += 1
        run, journal = f"r{self.runs}", self.disk / "journal"
        self.publisher = await asyncio.create_subprocess_exec(
            *(sys.executable, str(_PUBLISHER), run, str(journal), self.url), stdout=subprocess.PIPE
        )
        reader = asyncio.get_running_loop().create_task(self._read(self.publisher))
        reader.add_done_callback(lambda _: None)
        before = len(self.reported)
        while len(self.reported) == before and self.publisher.returncode is None:
            await asyncio.sleep(0.02)

    async def _read(self, publisher: asyncio.subprocess.Process) -> None:
        assert publisher.stdout is not None  # noqa: S101
        async for line in publisher.stdout:
            words = line.split()
            if line.endswith(b"\n") and words[0] == b"queued":
                self.queued = int(words[1])
            elif line.endswith(b"\n"):
                self.reported.append((words[0].decode(), int(words[1])))
                self.dropped = max(self.dropped, int(words[2]))

    async def caught_up(self) -> None:
        """Wait until the subscriber is there and has all that the broker took before now."""
        self._probed.clear()
        while not self._probed.is_set():
            with contextlib.suppress(Exception):
                async with asyncio.timeout(2.0):
                    if self._subscriber is not None:
                        await self._subscriber.publish("probe", b"")
                    await self._probed.wait()

    async def _subscribe(self) -> None:
        dialler = Dialler(Broker.parse(f"mqtt://127.0.0.1:{self.port}"), "robot", persistent=True)
        while True:
            with contextlib.suppress(Exception):
                async with dialler.connect() as connection:
                    await connection.client.subscribe([("streamspot/n/s/event", 1), ("probe", 1)])
                    self._subscriber = connection
                    async for message in connection.client.messages:
                        if str(message.topic) == "probe":
                            self._probed.set()
                            continue
                        payload = bytes(message.payload)
                        one = json.loads(payload)["id"]
                        self.again += one in self.arrived
                        self.forged += self.arrived.setdefault(one, payload) != payload
            self._subscriber = None
            await asyncio.sleep(0.1)

    def allow_publishing(self, *, allowed: bool) -> None:
        """Write the access rules; the broker reads them at SIGHUP."""
        (self.folder / "acl.new").write_text(_RULES[allowed])
        (self.folder / "acl.new").replace(self.folder / "acl")

    async def drained(self) -> None:
        """Hold the publisher until nothing is queued, then kill it."""
        (self.disk / "hold").touch()
        self.queued = -1
        while self.queued != 0:
            await asyncio.sleep(0.02)
        self.publisher.kill()
        await self.publisher.wait()
        (self.disk / "hold").unlink()

    def end(self) -> None:
        """Kill broker and publisher, and take the disk away."""
        self.broker.kill()
        with contextlib.suppress(ProcessLookupError):
            self.publisher.kill()
        if self.small:
            subprocess.run(["umount", "-l", str(self.disk)], check=False)  # noqa: S603, S607
