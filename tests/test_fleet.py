"""A fleet in one process, without Ray: sources are opened, moved, drained and rolled over as the keeper orders."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from streamspot.errors import SettingsError
from streamspot.events import encode
from streamspot.fleet.engine import FleetEngine
from streamspot.fleet.keeper import Keeper
from streamspot.fleet.lease import Lease, Orders, Question
from streamspot.fleet.plan import Plan
from streamspot.fleet.remains import claim, journal_of
from streamspot.layers import load_settings
from streamspot.mqtt.journal import Journal
from streamspot.mqtt.subscriber import Received, subscribe
from streamspot.settings import Settings
from tests.brokers import Mosquitto, make_event, overhear, until
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


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a recording that outlasts every test, at four times its own pace."""
    return write_recording(tmp_path_factory.mktemp("fleet") / "long.motion", ticks=36_000)


def plan_of(place: Path, broker: str, names: str, source: Path, **settings: Any) -> Plan:
    """Return a fleet of sources that are played at four times their own pace."""
    flags: dict[str, Any] = {"source": str(source), "speed": 4, "node": "f", "broker": broker}
    flags |= {"journal": place / "j", **settings}
    return Plan.of([load_settings({**flags, "stream": name}) for name in names.split()])


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
        await until(lambda: len(keeper.status()["engines"]) == len(nodes), 60)
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


@contextlib.asynccontextmanager
async def listening(url: str) -> AsyncIterator[list[Received]]:
    """Collect the events of a broker, each once."""
    heard: list[Received] = []
    async with subscribe(url) as events:

        async def collect() -> None:
            async for received in events:
                heard.append(received)  # noqa: PERF401 - it never ends

        task = asyncio.create_task(collect())
        try:
            yield heard
        finally:
            task.cancel()


def numbered_on(heard: list[Received], *streams: str) -> None:
    """Check that each stream is one run whose numbers all came, in order."""
    assert not any(received.missed for received in heard)
    assert {(received.node, received.event.stream) for received in heard} == {(f"f-{s}", s) for s in streams}
    for stream in streams:
        mine = [received.event for received in heard if received.event.stream == stream]
        assert len({event.run for event in mine}) == 1
        assert [event.seq for event in mine] == list(range(len(mine)))
        finished = [event.expression for event in mine if event.state == "neutral"]
        assert len(set(finished)) == len(finished), "two expressions have one name"


@pytest.mark.slow
async def test_a_drained_node_is_left_without_a_gap_in_the_numbers(
    tmp_path: Path, broker: Mosquitto, recording: Path
) -> None:
    """Its sources go on elsewhere under the next epoch in the same run, and every number arrives once."""
    async with listening(broker.url) as heard, fleet(tmp_path, "n1", "n2") as (keeper, _):
        keeper.declare(plan_of(tmp_path, broker.url, "a b", recording))
        await until(reporting(keeper, "a", "b"), 60)
        assert sorted(_on(keeper).values()) == ["n1", "n2"]
        await until(lambda: len({r.event.stream for r in heard}) == 2, 60)
        assert keeper.drain("n1")
        assert not keeper.drain("nowhere")
        await until(lambda: set(_on(keeper).values()) == {"n2"}, 60)
        await until(reporting(keeper, "a", "b"), 60)
        rows = keeper.status()["sources"]
        (moved,) = (name for name, row in rows.items() if row["epoch"] == 2)
        count = len([r for r in heard if r.event.stream == moved])
        await until(lambda: len([r for r in heard if r.event.stream == moved]) > count + 4, 60)
    numbered_on(heard, "a", "b")


@pytest.mark.slow
async def test_an_engine_that_is_cut_off_ends_within_its_term(
    tmp_path: Path, broker: Mosquitto, recording: Path
) -> None:
    """It stops before the keeper gives its source away; when it is back it is refused, joins anew and numbers on."""
    async with (
        listening(broker.url) as heard,
        fleet(tmp_path, "n1") as (keeper, links),
        overhear(broker.url, "streamspot/f-a/a/status") as status,
    ):
        keeper.declare(plan_of(tmp_path, broker.url, "a", recording))
        await until(reporting(keeper, "a"), 60)
        await until(lambda: bool(heard), 60)
        links["n1"].away = True
        await until(lambda: _stopped(status), 30)
        assert keeper.status()["sources"]["a"]["engine"], "it was given up before it had stopped"
        await until(lambda: not keeper.status()["engines"], 30)
        links["n1"].away = False
        await until(reporting(keeper, "a"), 60)
        assert keeper.status()["sources"]["a"]["epoch"] == 2
        count = len(heard)
        await until(lambda: len(heard) > count + 4, 60)
    numbered_on(heard, "a")


def _stopped(heard: asyncio.Queue[tuple[str, bytes, bool]]) -> bool:
    while not heard.empty():
        if heard.get_nowait()[1] == b"stopped":
            return True
    return False


@pytest.mark.slow
async def test_a_journal_that_is_not_let_go_of_is_not_gone_on_in(
    tmp_path: Path, broker: Mosquitto, recording: Path
) -> None:
    """A holder stands still: its successor says that another run begins, and delivers the old one when it can."""
    claim(tmp_path / "j", Lease("a", 1))
    place, _ = journal_of(tmp_path / "j", Lease("a", 1))
    async with listening(broker.url) as heard, overhear(broker.url, "streamspot/f-a/a/error") as errors:
        with Journal(place) as still:
            still.append(encode(make_event(0, "onset", stream="a", run="old"), node="f-a"))
            async with fleet(tmp_path, "n1") as (keeper, _):
                keeper.declare(plan_of(tmp_path, broker.url, "a", recording))
                said = (await asyncio.wait_for(errors.get(), 60))[1]
                assert b"has not let go of its journal: a new run of a begins" in said
                await until(lambda: len(heard) > 4, 60)
                still.append(encode(make_event(1, "onset", stream="a", run="old"), node="f-a"))  # late
                still.__exit__(None, None, None)
                await until(lambda: len([r for r in heard if r.event.run == "old"]) == 4, 60)
    late = [r.event for r in heard if r.event.run == "old"]
    assert [(event.phase, event.seq) for event in late] == [
        ("onset", 0),
        ("onset", 1),
        ("cancelled", 2),
        ("cancelled", 3),
    ]
    numbered_on([r for r in heard if r.event.run != "old"], "a")


@pytest.mark.slow
async def test_other_settings_are_rolled_out_one_by_one(
    tmp_path: Path, broker: Mosquitto, recording: Path
) -> None:
    """Settings that cannot be run stop the rollout at the first source; right ones then reach all."""
    async with fleet(tmp_path, "n1", "n2") as (keeper, _):
        keeper.declare(plan_of(tmp_path, broker.url, "a b c", recording))
        await until(reporting(keeper, "a", "b", "c"), 60)
        keeper.declare(plan_of(tmp_path, broker.url, "a b c", recording, weights="none-such"))
        # a second failure of the first source: time enough to go on to the others, if it did
        await until(lambda: any(row["failures"] > 1 for row in keeper.status()["sources"].values()), 60)
        rows = keeper.status()["sources"].values()
        assert sum(row["failures"] > 0 for row in rows) == 1
        assert sum(row["reporting"] and not row["current"] for row in rows) == 2
        assert next(row["note"] for row in rows if row["failures"]).startswith("there are no weights")
        keeper.declare(plan_of(tmp_path, broker.url, "a b c", recording, sensitivity=0.6))
        await until(reporting(keeper, "a", "b", "c"), 60)


@pytest.mark.slow
async def test_a_source_that_is_gone_costs_no_other_and_a_finished_one_rests(
    tmp_path: Path, broker: Mosquitto, recording: Path
) -> None:
    """The table says why; a recording that has ended is not played again."""
    short = write_recording(tmp_path / "short.motion", ticks=30)
    sources = {"a": recording, "gone": tmp_path / "gone.motion", "short": short}
    plans = [plan_of(tmp_path, broker.url, name, source) for name, source in sources.items()]
    async with fleet(tmp_path, "n1") as (keeper, _):
        keeper.declare(Plan("f", tmp_path / "j", {n: s for plan in plans for n, s in plan.sources.items()}))
        await until(lambda: keeper.status()["sources"]["short"]["finished"], 60)
        await until(lambda: keeper.status()["sources"]["gone"]["failures"] > 0, 60)
        await until(reporting(keeper, "a"), 60)
        rows = keeper.status()["sources"]
        assert "gone.motion" in rows["gone"]["note"]
        assert rows["short"]["note"] == "has ended"


def test_another_keeper_takes_over_the_table(tmp_path: Path) -> None:
    """Plan, epochs and holders are read from the file; epochs go on."""
    plan = plan_of(tmp_path, "mqtt://127.0.0.1", "a", tmp_path / "a.motion")
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
        ({"broker": None, "journal": None}, "a fleet needs a broker"),
        ({"journal": None}, "a fleet needs a folder for its journals"),
        ({"stream": None}, "needs a stream name of its own"),
        ({"stream": "x" * 40}, "is too long for a topic"),
        ({"record": "r.motion"}, "record is not possible in a fleet"),
        ({"metrics": 9464, "metrics_host": "127.0.0.1"}, "--metrics PORT instead"),
    ],
)
def test_what_a_fleet_lacks_is_said(flags: dict[str, Any], sentence: str) -> None:
    """One sentence with the line to write."""
    whole = {"source": "0", "stream": "a", "node": "f", "broker": "mqtt://h", "journal": "/j"}
    settings: Settings = load_settings({**whole, **flags})
    with pytest.raises(SettingsError, match=sentence):
        Plan.of([settings])
