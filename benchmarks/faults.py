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
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from delivery_chain import DeliveryChain


class DeliveryFaults:
    """Every fault that may happen to a delivery.

    Args:
        chain: What it happens to.
        rng: Decides how long each lasts.
    """

    def __init__(self, chain: DeliveryChain, rng: random.Random) -> None:
        self.chain, self.rng = chain, rng
        self._ways = 0

    async def wait(self, longest: float) -> None:
        """Let time pass."""
        await asyncio.sleep(self.rng.uniform(0.0, longest))

    async def end_publisher(self, number: signal.Signals) -> None:
        """End the run, and begin another."""
        self.chain.publisher.send_signal(number)
        await self.chain.publisher.wait()
        await self.chain.start_publisher()

    async def pause(self, process: subprocess.Popen[bytes] | asyncio.subprocess.Process) -> None:
        """Stop a process for a while."""
        process.send_signal(signal.SIGSTOP)
        await self.wait(2.0)
        process.send_signal(signal.SIGCONT)

    async def stop_broker(self, number: signal.Signals) -> None:
        """End the broker and start it again; until the subscriber is back it takes nothing from the publisher."""
        self.chain.proxy.harm = "stall"
        await asyncio.sleep(0.1)
        await self.chain.caught_up()
        self.chain.broker.send_signal(number)
        self.chain.broker.wait()
        await self.wait(0.5)
        self.chain.start_broker()
        await self.chain.caught_up()
        self.chain.proxy.harm = ""

    async def harm(self, kind: str, longest: float) -> None:
        """Let the proxy harm what it passes on."""
        self.chain.proxy.harm = kind
        await self.wait(longest)
        self.chain.proxy.harm = ""
        if kind == "reset":
            self.chain.proxy.reset()

    async def fill(self) -> None:
        """Fill the disk for a while."""
        with contextlib.suppress(OSError), (self.chain.disk / "ballast").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(65536))
        await self.wait(2.0)
        (self.chain.disk / "ballast").unlink(missing_ok=True)
        await asyncio.sleep(0.2)  # what waits in memory for room does not survive a kill

    async def damage(self) -> None:
        """Damage the journal in one of ten ways while nothing is queued."""
        await self.chain.drained()
        path = self.chain.disk / "journal" / "journal.sqlite"
        size = path.stat().st_size
        way, self._ways = self._ways % 10, self._ways + 1
        with path.open("r+b") as file:
            if way < 3:
                file.truncate((0, 50, size // 2 + 77)[way])
            else:
                file.seek((0, 0, 16, 100, size // 2, size - 4096, size)[way - 3])
                file.write((bytes(4096), self.rng.randbytes(4096), b"\xff" * 300_000)[way % 3])
        await self.chain.start_publisher()

    async def delete(self) -> None:
        """Delete the journal that is in use."""
        shutil.rmtree(self.chain.disk / "journal")
        await asyncio.sleep(0.2)  # until the next event, which finds out
        await self.wait(3.0)

    async def clock(self, *, running: bool) -> None:
        """Let the clock jump, as that of a machine without one does: in a run, or between two."""
        if not running:
            self.chain.publisher.kill()
            await self.chain.publisher.wait()
        self.chain.set_clock(self.rng.choice([0, -(2**30), -8 * 86400, 8 * 86400, 2**30]))
        if not running:
            await self.chain.start_publisher()

    async def revoke(self) -> None:
        """Take the rights to publish away for a while."""
        self.chain.allow_publishing(allowed=False)
        self.chain.broker.send_signal(signal.SIGHUP)
        await self.wait(1.0)
        self.chain.allow_publishing(allowed=True)
        self.chain.broker.send_signal(signal.SIGHUP)

    def by_name(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """Return every fault by its name."""
        found: dict[str, Callable[[], Awaitable[None]]] = {
            "publisher SIGKILL": lambda: self.end_publisher(signal.SIGKILL),
            "publisher SIGTERM": lambda: self.end_publisher(signal.SIGTERM),
            "publisher SIGSTOP": lambda: self.pause(self.chain.publisher),
            "broker SIGTERM": lambda: self.stop_broker(signal.SIGTERM),
            "broker SIGKILL": lambda: self.stop_broker(signal.SIGKILL),
            "broker SIGSTOP": lambda: self.pause(self.chain.broker),
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
        if self.chain.small:
            found["disk full"] = self.fill
        return found


async def inject(chain: DeliveryChain, faults: DeliveryFaults, count: int) -> list[tuple[int, str]]:
    """Let so many faults happen, each kind in turn, then wait until what was reported has arrived.

    Returns:
        Every fault: how many events had been reported when it began, and its kind.
    """
    history: list[tuple[int, str]] = []
    await chain.start()
    kinds = faults.by_name()
    for number in range(count):
        kind = list(kinds)[number % len(kinds)]
        history.append((len(chain.reported), kind))
        await kinds[kind]()
        await faults.wait(0.3)
    await chain.drained()
    deadline = time.monotonic() + 20
    while lost(chain) and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
    return history


def lost(chain: DeliveryChain) -> list[int]:
    """Return the places in ``chain.reported`` of the events that have not arrived."""
    return [n for n, (run, seq) in enumerate(chain.reported) if f"{run}/s/{seq}" not in chain.arrived]


def out_of_order(chain: DeliveryChain) -> int:
    """Return how many events arrived after a later one of their run."""
    last: dict[str, int] = {}
    count = 0
    for one in chain.arrived:
        run, _, seq = one.split("/")
        count += int(seq) < last.get(run, -1)
        last[run] = int(seq)
    return count


async def main() -> None:
    """Run it and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        chain = DeliveryChain(Path(name))
        try:
            history = await inject(chain, DeliveryFaults(chain, random.Random(options.seed)), options.faults)
        finally:
            chain.end()
    print(json.dumps(collections.Counter(kind for _, kind in history), indent=1))
    missing = lost(chain)
    for place in missing:
        before = [one for one in history if one[0] <= place + 40][-3:]
        print(f"lost: {' '.join(map(str, chain.reported[place]))}, in the fault before", before)
    figures = {
        "faults": len(history),
        "runs": chain.runs,
        "reported": len(chain.reported),
        "arrived": len(chain.arrived),
        "lost": len(missing),
        "out_of_order": out_of_order(chain),
        "duplicates": chain.again,
        "duplicates_that_differ": chain.forged,
        "dropped_by_the_journal": chain.dropped,
    }
    print(json.dumps(figures))
    os._exit(int(any(figures[key] for key in ("lost", "out_of_order", "duplicates_that_differ"))))


if __name__ == "__main__":
    asyncio.run(main())
