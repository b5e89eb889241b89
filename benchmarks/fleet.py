"""A fleet on a real Ray cluster of this machine loses a node: how long is a source silent, is an event lost or twice?

    python benchmarks/fleet.py [--sources 8] [--losses 1] [--video]

A head and two nodes of a core each, mosquitto, and sources that are played at their own pace (recordings of region
motion; with --video synthetic clips, which are looked at as a camera's pictures are). Once all report, one node is
killed with everything on it. What a subscriber hears is held against what stands in the journals. Needs mosquitto and
the extra ``ray``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

from streamspot.events import decode
from streamspot.fleet.plan import Plan
from streamspot.layers import load_settings
from streamspot.mqtt.address import Broker
from streamspot.mqtt.connection import Dialler
from streamspot.mqtt.journal import Journal
from streamspot.types import Event
from tests.brokers import Mosquitto, free_port
from tests.small_recordings import write_recording


@dataclass
class Heard:
    """What any subscriber hears."""

    events: list[Event] = field(default_factory=list)
    curve: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    leases: dict[str, list[tuple[float, int]]] = field(default_factory=lambda: defaultdict(list))

    async def listen(self, url: str) -> None:
        """Collect for ever."""
        async with Dialler(Broker.parse(url)).connect() as connection:
            await connection.client.subscribe("streamspot/#", qos=1)
            async for message in connection.client.messages:
                topic, payload = str(message.topic), bytes(message.payload)
                if topic.endswith("/event"):
                    self.events.append(decode(payload))
                elif topic.endswith("/intensity"):
                    self.curve[topic.split("/")[2]].append(time.monotonic())
                elif topic.endswith("/lease"):
                    epoch = json.loads(payload)["epoch"]
                    self.leases[topic.split("/")[2]].append((time.monotonic(), epoch))

    def check(self, journals: Path) -> dict[str, int]:
        """Compare what was heard with what stands in the journals, first come by id."""
        first: dict[str, Event] = {}
        clashes = 0
        for event in self.events:
            clashes += first.setdefault(event.id, event) != event
        written: dict[str, Event] = {}
        for place in journals.glob("*/*/journal.sqlite"):
            for payload in Journal.read(place):
                event = decode(payload)
                clashes += written.setdefault(event.id, event) != event
        numbers = defaultdict(list)
        for event in first.values():
            numbers[event.run, event.stream].append(event.seq)
        gaps = sum(sorted(seen) != list(range(len(seen))) for seen in numbers.values())
        open_ones = {event.expression for event in first.values() if event.state != "neutral"}
        open_ones -= {event.expression for event in first.values() if event.state == "neutral"}
        return {
            "events": len(first),
            "repeated": len(self.events) - len(first),
            "written, not heard": len(written.keys() - first.keys()),
            "one id, two contents": clashes,
            "sources": len({stream for _, stream in numbers}),
            "runs beyond one for each source": len(numbers) - len({stream for _, stream in numbers}),
            "runs with a gap in their numbers": gaps,
            "cancelled since the engine was lost": sum(
                e.reason == "the engine was lost" for e in first.values()
            ),
            "under way at the end": len(open_ones),
        }


class TwoNodes:
    """A head without cores, and nodes of one core."""

    def __init__(self, nodes: int = 2) -> None:
        from ray.cluster_utils import Cluster  # noqa: PLC0415 - an extra

        os.environ.setdefault("RAY_agent_register_timeout_ms", "120000")  # this machine may be busy
        self._cluster = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **self._small()}
        )
        self.address = self._cluster.address
        self.nodes: list[Any] = []
        for _ in range(nodes):
            self.add()

    @staticmethod
    def _small() -> dict[str, int]:
        """Return what makes a node small, and its agents' ports, for which it would have to wait."""
        agents = (
            "metrics_agent_port",
            "metrics_export_port",
            "runtime_env_agent_port",
            "dashboard_agent_listen_port",
        )
        return {"object_store_memory": 10**8} | {name: free_port() for name in agents}

    def add(self) -> None:
        """Start a node; in the main thread, as Ray wants it."""
        self.nodes.append(self._cluster.add_node(num_cpus=1, **self._small()))

    def kill(self, node_id: str) -> None:
        """Kill the node whose id begins so, with all its processes, as when its machine loses power."""
        node = next(one for one in self.nodes if one.node_id.startswith(node_id))
        self.nodes.remove(node)
        raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
        for process in (raylet, *raylet.children(recursive=True)):
            process.kill()
        self._cluster.remove_node(node, allow_graceful=False)

    def stop(self) -> None:
        """End everything."""
        import ray  # noqa: PLC0415

        ray.shutdown()
        self._cluster.shutdown()


def plan(folder: Path, url: str, count: int, *, video: bool) -> Plan:
    """Return a fleet of sources that are played at their own pace."""
    streams = []
    for number in range(count):
        name, source = f"s{number}", f"synthetic:seed={number + 1},seconds=600"
        if not video:
            source = str(write_recording(folder / f"{name}.motion", number + 2, ticks=18_000))
        flags = {"source": source, "stream": name, "speed": 1, "node": "f", "broker": url}
        streams.append(load_settings({**flags, "journal": folder / "journals"}))
    return Plan.of(streams)


class Trial:
    """A fleet that runs, loses nodes and is ended."""

    def __init__(self, nodes: TwoNodes, fleet: Plan) -> None:
        from streamspot.fleet.actors import start  # noqa: PLC0415

        self.heard = Heard()
        self.nodes = nodes
        self.fleet = fleet
        self.began = time.monotonic()
        options = {"cpus": 1, "gpus": 0, "metrics": None, "weights": "streamspot-base"}
        self.keeper = start(fleet, options)

    async def status(self) -> dict[str, Any]:
        """Return what the keeper says."""
        found: dict[str, Any] = await self.keeper.status.remote()
        return found

    async def settled(self, seconds: float = 240.0) -> dict[str, Any]:
        """Wait until every node has an engine and every source reports."""
        async with asyncio.timeout(seconds):
            while True:
                seen = await self.status()
                rows = seen["sources"].values()
                if len(seen["engines"]) >= len(self.nodes.nodes) and all(row["reporting"] for row in rows):
                    return seen
                await asyncio.sleep(0.5)

    async def lose(self) -> list[float]:
        """Kill the node with most sources; return how long each of them gave no curve, seconds."""
        seen = await self.status()
        engine, row = max(seen["engines"].items(), key=lambda one: one[1]["sources"])
        gone = {name: one["epoch"] for name, one in seen["sources"].items() if one["engine"] == engine}
        lost = time.monotonic()
        await asyncio.to_thread(self.nodes.kill, row["node"])
        given = None
        silences: dict[str, float] = {}
        while len(silences) < len(gone):
            await asyncio.sleep(0.1)
            if given is None and engine not in (await self.status())["engines"]:
                given = time.monotonic() - lost
                print(f"  the keeper gives its sources away after {given:.1f} s")
            for source in gone.keys() - silences.keys():
                taken = [when for when, epoch in self.heard.leases[source] if epoch > gone[source]]
                later = [when for when in self.heard.curve[source] if taken and when > taken[0]]
                if later:
                    print(
                        f"  {source}: taken after {taken[0] - lost:.1f} s, first curve after {later[0] - lost:.1f}"
                    )
                    silences[source] = later[0] - max(w for w in self.heard.curve[source] if w < taken[0])
        return sorted(silences.values())

    async def end(self) -> None:
        """Let every source end in good order."""
        import ray  # noqa: PLC0415 - an extra

        await self.keeper.declare.remote(Plan(self.fleet.name, self.fleet.journals, {}))
        while (await self.status())["sources"]:
            await asyncio.sleep(0.5)
        await asyncio.sleep(2.0)
        await self.keeper.stop.remote()
        ray.kill(self.keeper)


async def trial(nodes: TwoNodes, fleet: Plan, url: str, losses: int) -> None:
    """Run it and print what was seen."""
    one = Trial(nodes, fleet)
    listening = asyncio.create_task(one.heard.listen(url))
    seen = await one.settled()
    print(f"all report after {time.monotonic() - one.began:.1f} s")
    for engine, row in seen["engines"].items():
        print(f"  {engine}: {row['sources']} sources, can carry {row['capacity']} cameras")
    for _ in range(losses):
        await asyncio.sleep(20.0)
        silences = await one.lose()
        print(f"a node is killed; its sources are silent for, s: {[round(s, 1) for s in silences]}")
        nodes.add()
        await one.settled()
    await asyncio.sleep(20.0)
    await one.end()
    for what, count in one.heard.check(fleet.journals).items():
        print(f"{what:40} {count}")
    listening.cancel()


def main() -> None:
    """Prepare broker and cluster in the main thread, as Ray wants it, and run the trial."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", type=int, default=8)
    parser.add_argument("--losses", type=int, default=1)
    parser.add_argument("--video", action="store_true")
    given = parser.parse_args()
    from streamspot.cluster import connect  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as name, Mosquitto(Path(name)) as broker:
        nodes = TwoNodes()
        try:
            connect(nodes.address)
            fleet = plan(Path(name), broker.url, given.sources, video=given.video)
            asyncio.run(trial(nodes, fleet, broker.url, given.losses))
        finally:
            nodes.stop()


if __name__ == "__main__":
    main()
