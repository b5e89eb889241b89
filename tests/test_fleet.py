"""A fleet in one process, without Ray: sources are opened, moved, drained and rolled over as the keeper orders."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from streamspot.errors import SettingsError
from streamspot.fleet.engine import FleetEngine
from streamspot.fleet.keeper import Keeper
from streamspot.fleet.lease import Lease, Orders, Question
from streamspot.fleet.plan import Plan
from streamspot.mqtt.subscriber import Received, subscribe
from streamspot.settings import Settings, load_settings
from tests.brokers import Mosquitto, overhear, until
from tests.small_recordings import write_recording


class Direct:
    """The keeper in the same process; ``away`` cuts the line."""

    def __init__(self, keeper: Keeper) -> None:
        self.keeper = keeper
        self.away = False

    def _reach(self) -> Keeper:
        if self.away:
            raise ConnectionError
        return self.keeper

    async def join(self, engine: str, node: str, capacity: float) -> None:
        self._reach().join(engine, node, capacity, {})

    async def answer(self, question: Question) -> Orders:
        return self._reach().answer(question)

    async def plan_of(self, lease: Lease) -> Plan | None:
        return self._reach().plan_of(lease)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """Return a running mosquitto."""
    with Mosquitto(tmp_path) as found:
        yield found


def plan_of(tmp_path: Path, broker: str, names: str, **settings: Any) -> Plan:
    """Return a fleet of recordings that are played at their own pace."""
    streams = []
    for name in names.split():
        path = tmp_path / f"{name}.motion"
        if not path.exists() and name != "gone":
            write_recording(path, seed=1, ticks=1800)
        flags: dict[str, Any] = {
            "source": str(path),
            "stream": name,
            "speed": 1,
            "node": "f",
            "broker": broker,
        }
        streams.append(load_settings({**flags, "journal": tmp_path / "j", **settings}))
    return Plan.of(streams)


@contextlib.asynccontextmanager
async def fleet(tmp_path: Path, *nodes: str) -> AsyncIterator[tuple[Keeper, dict[str, Direct]]]:
    """Run a keeper and an engine for each node."""
    keeper = Keeper(tmp_path / "j")
    links = {node: Direct(keeper) for node in nodes}

    async def tick() -> None:
        while True:
            keeper.tick()
            await asyncio.sleep(0.2)

    tasks = [asyncio.create_task(FleetEngine(link, node, 10.0).live()) for node, link in links.items()]
    tasks.append(asyncio.create_task(tick()))
    try:
        await until(lambda: len(keeper.status()["engines"]) == len(nodes), 30)
        yield keeper, links
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def reporting(keeper: Keeper, *names: str) -> Callable[[], bool]:
    """Return what tells whether all these sources give results with the settings in force."""

    def all_do() -> bool:
        sources = keeper.status()["sources"]
        return all(sources[name]["reporting"] and sources[name]["current"] for name in names)

    return all_do


def _on(keeper: Keeper) -> dict[str, str]:
    """Return which node each source is on."""
    status = keeper.status()
    return {
        n: status["engines"][row["engine"]]["node"] for n, row in status["sources"].items() if row["engine"]
    }


@pytest.mark.slow
async def test_a_drained_node_is_left_without_a_gap_in_the_numbers(tmp_path: Path, broker: Mosquitto) -> None:
    """Its sources go on elsewhere under the next epoch, and every number arrives once."""
    heard: list[Received] = []
    async with subscribe(broker.url) as events, fleet(tmp_path, "n1", "n2") as (keeper, _):

        async def collect() -> None:
            async for received in events:
                heard.append(received)  # noqa: PERF401 - it never ends

        listening = asyncio.create_task(collect())
        keeper.declare(plan_of(tmp_path, broker.url, "a b"))
        await until(reporting(keeper, "a", "b"), 60)
        assert sorted(_on(keeper).values()) == ["n1", "n2"]
        await until(lambda: len({r.event.stream for r in heard}) == 2, 60)
        assert keeper.drain("n1")
        assert not keeper.drain("nowhere")
        await until(lambda: set(_on(keeper).values()) == {"n2"}, 30)
        await until(reporting(keeper, "a", "b"), 30)
        moved = max(keeper.status()["sources"].values(), key=lambda row: row["epoch"])
        assert moved["epoch"] == 2
        count = len(heard)
        await until(lambda: len(heard) > count + 4, 30)
        listening.cancel()
    assert not any(received.missed for received in heard)
    for run in {received.event.run for received in heard}:
        mine = [received.event for received in heard if received.event.run == run]
        assert [event.seq for event in mine] == list(range(len(mine)))
    assert {received.node for received in heard} == {"f-a", "f-b"}


@pytest.mark.slow
async def test_an_engine_that_is_cut_off_ends_within_its_term(tmp_path: Path, broker: Mosquitto) -> None:
    """It stops before the keeper gives its source away, and when it is back it is refused and joins anew."""
    async with fleet(tmp_path, "n1") as (keeper, links), overhear(broker.url, "streamspot/f-a/a/#") as heard:
        keeper.declare(plan_of(tmp_path, broker.url, "a"))
        await until(reporting(keeper, "a"), 60)
        links["n1"].away = True
        started = time.monotonic()
        await until(lambda: _stopped(heard), 10)
        assert time.monotonic() - started < 7.0
        await until(lambda: not keeper.status()["engines"], 10)
        links["n1"].away = False
        await until(reporting(keeper, "a"), 30)
        assert keeper.status()["sources"]["a"]["epoch"] == 2


def _stopped(heard: asyncio.Queue[tuple[str, bytes, bool]]) -> bool:
    while not heard.empty():
        topic, payload, _ = heard.get_nowait()
        if topic.endswith("a/status") and payload == b"stopped":
            return True
    return False


@pytest.mark.slow
async def test_other_settings_are_rolled_out_one_by_one(tmp_path: Path, broker: Mosquitto) -> None:
    """Settings that cannot be run stop the rollout at the first source; right ones then reach all."""
    async with fleet(tmp_path, "n1", "n2") as (keeper, _):
        keeper.declare(plan_of(tmp_path, broker.url, "a b c"))
        await until(reporting(keeper, "a", "b", "c"), 60)
        keeper.declare(plan_of(tmp_path, broker.url, "a b c", weights="none-such"))
        await until(lambda: any(row["failures"] for row in keeper.status()["sources"].values()), 30)
        await asyncio.sleep(3.0)  # time enough to go on to the others, if it did
        await until(lambda: sum(row["reporting"] for row in keeper.status()["sources"].values()) == 2, 30)
        rows = keeper.status()["sources"].values()
        assert sum(row["failures"] > 0 for row in rows) == 1
        assert next(row["note"] for row in rows if row["failures"]).startswith("there are no weights")
        keeper.declare(plan_of(tmp_path, broker.url, "a b c", sensitivity=0.6))
        await until(reporting(keeper, "a", "b", "c"), 60)


@pytest.mark.slow
async def test_a_source_that_is_gone_costs_no_other_and_a_finished_one_rests(
    tmp_path: Path, broker: Mosquitto
) -> None:
    """The table says why; a recording that has ended is not played again."""
    async with fleet(tmp_path, "n1") as (keeper, _):
        plan = plan_of(tmp_path, broker.url, "a gone")
        write_recording(tmp_path / "short.motion", ticks=30)
        short = plan_of(tmp_path, broker.url, "short")
        keeper.declare(Plan("f", plan.journals, {**plan.sources, **short.sources}))
        await until(lambda: keeper.status()["sources"]["short"]["finished"], 60)
        await until(reporting(keeper, "a"), 60)
        rows = keeper.status()["sources"]
        assert rows["gone"]["failures"] >= 1
        assert "gone.motion" in rows["gone"]["note"]
        assert rows["short"]["note"] == "has ended"


def test_another_keeper_takes_over_the_table(tmp_path: Path) -> None:
    """Plan, epochs and holders are read from the file; epochs go on."""
    plan = plan_of(tmp_path, "mqtt://127.0.0.1", "a")
    place = tmp_path / "j"
    first = Keeper(place)
    first.declare(plan)
    first.join("n1-1", "n1", 4.0, {})
    first.tick()
    lease = Lease("a", 1, plan.wanted()["a"][1])
    assert first.answer(Question("n1-1", 1)).leases == (lease,)
    second = Keeper(place)
    assert second.answer(Question("n1-1", 2)).leases == (lease,)
    assert second.plan_of(lease) == plan
    second.join("n1-2", "n1", 4.0, {})
    second.tick()
    assert second.answer(Question("n1-2", 1)).leases == (lease._replace(epoch=2),)
    assert not second.answer(Question("n1-1", 3)).known
    assert json.loads((place / "leases.json").read_text())["sources"]["a"]["epoch"] == 2


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ({"node": None}, "a fleet needs a name"),
        ({"broker": None}, "a fleet needs a broker"),
        ({"journal": None}, "a fleet needs a folder for its journals"),
        ({"stream": None}, "needs a stream name of its own"),
        ({"stream": "x" * 40}, "is too long for a topic"),
        ({"record": "r.motion"}, "record is not possible in a fleet"),
    ],
)
def test_what_a_fleet_lacks_is_said(flags: dict[str, Any], sentence: str) -> None:
    """One sentence with the line to write."""
    whole = {"source": "0", "stream": "a", "node": "f", "broker": "mqtt://h", "journal": "/j"}
    settings: Settings = load_settings({**whole, **flags})
    with pytest.raises(SettingsError, match=sentence):
        Plan.of([settings])
