"""Inject faults into delivery at random: is any event lost that was reported, or out of order?

A process publishes numbered events through a proxy to mosquitto and prints each number once the journal has it, as
any other sink would report it. A persistent subscriber collects what arrives. Meanwhile one fault follows another, of
every kind in turn: signals to either side, a proxy that cuts, truncates, delays and stalls, a full disk, a journal
damaged in ten ways (while nothing is queued), a deleted journal, clocks that jump in a run and between two, revoked
rights. At the end all that was reported has to be there, in order within each run, and whatever came twice with the
same id and bytes. The broker is ended only when the subscriber has all that the broker took, and takes nothing before
the subscriber is back: mosquitto 2.0.11 acknowledges and then forgets some of what it still has to deliver then,
whatever it is told to save. Usage:

    python benchmarks/faults.py [--faults 100] [--seed 0]

Needs mosquitto, and root for the full disk.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from streamspot.mqtt.address import Broker
from streamspot.mqtt.connection import Connection, Dialler

PUBLISHER = """
import asyncio, sys, time
from datetime import datetime, timedelta
from pathlib import Path
run, folder, url = sys.argv[1:]
clock, now = Path(folder).parents[1] / "clock", time.time
time.time = lambda: now() + float(clock.read_text())
from streamspot.mqtt.channel import Channel
from streamspot.mqtt.publisher import Publisher
from streamspot.stats import Delivery, Stats
from streamspot.types import Event, Moment, Update

async def main():
    delivery = Delivery()
    publisher = Publisher(url, node="n", channels=[Channel("s", Stats())], journal=Path(folder), delivery=delivery)
    async with publisher:
        for seq in range(10**9):
            stamp = (datetime(2026, 1, 1) + timedelta(seconds=float(clock.read_text()))).isoformat() + "Z"
            moment = Moment(tick=seq, frame=seq, pts=seq / 30, time=stamp)
            event = Event(run=run, session="x", stream="s", face=0, expression=f"{run}/s/0-{seq}", phase="onset",
                kind="macro", seq=seq, onset=moment, apex=None, offset=None, intensity=0.5, score=0.0,
                decided_at=moment, look_ahead=8, model="none", reason=None)
            await publisher.take("s", Update(events=(event,)))
            print(run, seq, delivery.lost, flush=True)
            await asyncio.sleep(0.01)
            while Path(folder, "..", "hold").exists():
                await asyncio.sleep(0.02)
                print("queued", delivery.queued, flush=True)
asyncio.run(main())
"""
CONFIG = """listener {port} 127.0.0.1
allow_anonymous true
acl_file {folder}/acl
persistence true
persistence_location {folder}/
max_queued_messages 1000000
autosave_on_changes true
autosave_interval 1
user root
"""
RULES = {True: "topic readwrite #\n", False: "topic read #\ntopic readwrite probe\n"}


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


class FaultTrial:
    """Publisher, proxy, broker and subscriber, and the faults."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self.folder, self.rng = folder, rng
        self.disk = folder / "disk"
        self.disk.mkdir()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.rules(allowed=True)
        (folder / "conf").write_text(CONFIG.format(port=self.port, folder=folder))
        self.small = not subprocess.run(  # noqa: S603
            ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(self.disk)],  # noqa: S607
            check=False,
            capture_output=True,
        ).returncode
        self.proxy = Proxy(self.port)
        self.reported: list[tuple[str, int]] = []
        self.arrived: dict[str, bytes] = {}
        self.step(0)
        self.ways = 0
        self.again = self.forged = self.runs = self.queued = self.lost = 0
        self.robot: Connection | None = None
        self.probed = asyncio.Event()
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

    def step(self, seconds: int) -> None:
        """Set the clock of all runs that much off."""
        (self.folder / "clock.new").write_text(str(seconds))
        (self.folder / "clock.new").replace(self.folder / "clock")

    async def start_publisher(self) -> None:
        """Start a run."""
        self.runs += 1
        run, journal = f"r{self.runs}", self.disk / "journal"
        self.publisher = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", PUBLISHER, run, str(journal), self.url), stdout=subprocess.PIPE
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
                self.lost = max(self.lost, int(words[2]))

    async def caught_up(self) -> None:
        """Wait until the subscriber is there and has all that the broker took before now."""
        self.probed.clear()
        while not self.probed.is_set():
            with contextlib.suppress(Exception):
                async with asyncio.timeout(2.0):
                    if self.robot is not None:
                        await self.robot.publish("probe", b"")
                    await self.probed.wait()

    async def _subscribe(self) -> None:
        dialler = Dialler(Broker.parse(f"mqtt://127.0.0.1:{self.port}"), "robot", persistent=True)
        while True:
            with contextlib.suppress(Exception):
                async with dialler.connect() as connection:
                    await connection.client.subscribe([("streamspot/n/s/event", 1), ("probe", 1)])
                    self.robot = connection
                    async for message in connection.client.messages:
                        if str(message.topic) == "probe":
                            self.probed.set()
                            continue
                        payload = bytes(message.payload)
                        one = json.loads(payload)["id"]
                        self.again += one in self.arrived
                        self.forged += self.arrived.setdefault(one, payload) != payload
            self.robot = None
            await asyncio.sleep(0.1)

    def rules(self, *, allowed: bool) -> None:
        """Write the access rules."""
        (self.folder / "acl.new").write_text(RULES[allowed])
        (self.folder / "acl.new").replace(self.folder / "acl")

    async def wait(self, longest: float) -> None:
        """Let time pass."""
        await asyncio.sleep(self.rng.uniform(0.0, longest))

    async def end_publisher(self, number: signal.Signals) -> None:
        """End the run, and begin another."""
        self.publisher.send_signal(number)
        await self.publisher.wait()
        await self.start_publisher()

    async def drained(self) -> None:
        """Hold the publisher until nothing is queued, then kill it."""
        (self.disk / "hold").touch()
        self.queued = -1
        while self.queued != 0:
            await asyncio.sleep(0.02)
        self.publisher.kill()
        await self.publisher.wait()
        (self.disk / "hold").unlink()

    async def pause(self, process: subprocess.Popen[bytes] | asyncio.subprocess.Process) -> None:
        """Stop a process for a while."""
        process.send_signal(signal.SIGSTOP)
        await self.wait(2.0)
        process.send_signal(signal.SIGCONT)

    async def stop_broker(self, number: signal.Signals) -> None:
        """End the broker and start it again; until the subscriber is back it takes nothing from the publisher."""
        self.proxy.harm = "stall"
        await asyncio.sleep(0.1)
        await self.caught_up()
        self.broker.send_signal(number)
        self.broker.wait()
        await self.wait(0.5)
        self.start_broker()
        await self.caught_up()
        self.proxy.harm = ""

    async def harm(self, kind: str, longest: float) -> None:
        """Let the proxy harm what it passes on."""
        self.proxy.harm = kind
        await self.wait(longest)
        self.proxy.harm = ""
        if kind == "reset":
            self.proxy.reset()

    async def fill(self) -> None:
        """Fill the disk for a while."""
        with contextlib.suppress(OSError), (self.disk / "ballast").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(65536))
        await self.wait(2.0)
        (self.disk / "ballast").unlink(missing_ok=True)
        await asyncio.sleep(0.2)  # what waits in memory for room does not survive a kill

    async def damage(self) -> None:
        """Damage the journal in one of ten ways while nothing is queued."""
        await self.drained()
        path = self.disk / "journal" / "journal.sqlite"
        size = path.stat().st_size
        way, self.ways = self.ways % 10, self.ways + 1
        with path.open("r+b") as file:
            if way < 3:
                file.truncate((0, 50, size // 2 + 77)[way])
            else:
                file.seek((0, 0, 16, 100, size // 2, size - 4096, size)[way - 3])
                file.write((bytes(4096), self.rng.randbytes(4096), b"\xff" * 300_000)[way % 3])
        await self.start_publisher()

    async def delete(self) -> None:
        """Delete the journal that is in use."""
        shutil.rmtree(self.disk / "journal")
        await asyncio.sleep(0.2)  # until the next event, which finds out
        await self.wait(3.0)

    async def clock(self, *, running: bool) -> None:
        """Let the clock jump, as that of a machine without one does: in a run, or between two."""
        if not running:
            self.publisher.kill()
            await self.publisher.wait()
        self.step(self.rng.choice([0, -(2**30), -8 * 86400, 8 * 86400, 2**30]))
        if not running:
            await self.start_publisher()

    async def revoke(self) -> None:
        """Take the rights to publish away for a while."""
        self.rules(allowed=False)
        self.broker.send_signal(signal.SIGHUP)
        await self.wait(1.0)
        self.rules(allowed=True)
        self.broker.send_signal(signal.SIGHUP)

    def faults(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """Return every fault by its name."""
        found: dict[str, Callable[[], Awaitable[None]]] = {
            "publisher SIGKILL": lambda: self.end_publisher(signal.SIGKILL),
            "publisher SIGTERM": lambda: self.end_publisher(signal.SIGTERM),
            "publisher SIGSTOP": lambda: self.pause(self.publisher),
            "broker SIGTERM": lambda: self.stop_broker(signal.SIGTERM),
            "broker SIGKILL": lambda: self.stop_broker(signal.SIGKILL),
            "broker SIGSTOP": lambda: self.pause(self.broker),
            "proxy reset": lambda: self.harm("reset", 0.1),
            "proxy truncate": lambda: self.harm("truncate", 0.5),
            "proxy delay": lambda: self.harm("delay", 2.0),
            "proxy stall": lambda: self.harm("stall", 6.0),
            "journal damaged": self.damage,
            "journal deleted": self.delete,
            "clock steps in a run": lambda: self.clock(running=True),
            "clock steps between runs": lambda: self.clock(running=False),
            "rights revoked": self.revoke,
        }
        if self.small:
            found["disk full"] = self.fill
        return found


async def main() -> None:
    """Run it and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    counts: collections.Counter[str] = collections.Counter()
    history: list[tuple[int, str]] = []  # how many had been reported when each fault began
    with tempfile.TemporaryDirectory() as name:
        trial = FaultTrial(Path(name), random.Random(options.seed))
        try:
            await trial.start()
            kinds = trial.faults()
            for number in range(options.faults):
                kind = list(kinds)[number % len(kinds)]
                history.append((len(trial.reported), kind))
                await kinds[kind]()
                counts[kind] += 1
                await trial.wait(0.3)
            await trial.drained()
            wanted = {f"{run}/s/{seq}" for run, seq in trial.reported}
            deadline = time.monotonic() + 20
            while wanted - set(trial.arrived) and time.monotonic() < deadline:
                await asyncio.sleep(0.1)
        finally:
            trial.broker.kill()
            with contextlib.suppress(ProcessLookupError):
                trial.publisher.kill()
            if trial.small:
                subprocess.run(["umount", "-l", str(trial.disk)], check=False)  # noqa: ASYNC221, S603, S607
    last: dict[str, int] = {}
    disorder = 0
    for one in trial.arrived:
        run, _, seq = one.split("/")
        disorder += int(seq) < last.get(run, -1)
        last[run] = int(seq)
    print(json.dumps(counts, indent=1))
    for place, (run, number) in enumerate(trial.reported):
        if f"{run}/s/{number}" not in trial.arrived:
            print(
                f"lost: {run} {number}, in the fault before",
                [one for one in history if one[0] <= place + 40][-3:],
            )
    figures = {
        "faults": sum(counts.values()),
        "runs": trial.runs,
        "reported": len(wanted),
        "arrived": len(trial.arrived),
        "lost": len(wanted - set(trial.arrived)),
        "out_of_order": disorder,
        "duplicates": trial.again,
        "duplicates_that_differ": trial.forged,
        "dropped_by_the_journal": trial.lost,
    }
    print(json.dumps(figures))
    os._exit(int(any(figures[key] for key in ("lost", "out_of_order", "duplicates_that_differ"))))


if __name__ == "__main__":
    asyncio.run(main())
