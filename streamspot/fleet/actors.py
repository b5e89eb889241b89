"""The keeper and the engines as actors of a Ray cluster: named, detached, begun again whenever they die."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from streamspot.errors import SettingsError, StreamspotError
from streamspot.fleet.capacity import cameras
from streamspot.fleet.engine import FleetEngine
from streamspot.fleet.keeper import Keeper
from streamspot.fleet.lease import Lease, Orders, Question
from streamspot.fleet.plan import Plan
from streamspot.loop import run_to_end
from streamspot.shipped import DEFAULT_WEIGHTS
from streamspot.sinks.prometheus import MetricsServer
from streamspot.stats import Delivery, Stats
from streamspot.threads import one_thread

_SHORT = 8
"""Letters of a node's id that are shown and that drain takes."""


def keeper_name(fleet: str) -> str:
    """Return the name of a fleet's keeper in the cluster."""
    return f"keeper-{fleet}"


class KeeperActor:
    """The keeper, with an engine for each node of the cluster.

    Args:
        fleet: Name of the fleet.
        folder: Of the journals, which takes its table, too.
        options: What an engine takes of its node: ``cpus`` and ``gpus``, None for all; ``metrics``, the port at which
            Prometheus may fetch (0 takes a free one), None for none; ``weights``, to measure with.
    """

    def __init__(self, fleet: str, folder: Path, options: dict[str, Any]) -> None:
        self._fleet = fleet
        self._folder = folder
        self._options = options
        self._keeper = Keeper(folder)
        self._engines: dict[str, Any] = {}
        threading.Thread(target=self._watch, name="keeper", daemon=True).start()

    def declare(self, plan: Plan) -> None:
        """See ``Keeper``, as for all that follow."""
        self._keeper.declare(plan)

    def join(self, engine: str, node: str, capacity: float, about: dict[str, Any]) -> None:
        """Admit an engine."""
        self._keeper.join(engine, node, capacity, about)

    def answer(self, question: Question) -> Orders:
        """Return an engine's orders."""
        return self._keeper.answer(question)

    def plan_of(self, lease: Lease) -> Plan | None:
        """Return the plan of a lease."""
        return self._keeper.plan_of(lease)

    def drain(self, node: str, leave: bool) -> bool:
        """Leave a node, or use it again."""
        return self._keeper.drain(node, leave=leave)

    def status(self) -> dict[str, Any]:
        """Return engines and sources."""
        return self._keeper.status()

    def journals(self) -> Path:
        """Return the folder of the journals."""
        return self._folder

    def stop(self) -> None:
        """End all engines; their sources are cut off, what is in their journals goes out at the next start."""
        for engine in self._engines.values():
            ray.kill(engine)

    def _watch(self) -> None:
        last = 0.0
        while True:
            with contextlib.suppress(OSError):  # the disk is full: engines go on with what they have
                self._keeper.tick()
            if time.monotonic() - last > 2.0:
                last = time.monotonic()
                with contextlib.suppress(ray.exceptions.RayError, ValueError):
                    self._populate()
            time.sleep(0.5)

    def _populate(self) -> None:
        """Start an engine on every node that has none."""
        for node in ray.nodes():
            key, resources = node["NodeID"], node["Resources"]
            cpus = resources.get("CPU", 0.0) if self._options["cpus"] is None else self._options["cpus"]
            if not node["Alive"] or key in self._engines or not 0 < cpus <= resources.get("CPU", 0.0):
                continue
            gpus = resources.get("GPU", 0.0) if self._options["gpus"] is None else self._options["gpus"]
            actor = ray.remote(EngineActor).options(
                name=f"engine-{self._fleet}-{key[:_SHORT]}",
                get_if_exists=True,
                lifetime="detached",
                max_restarts=-1,
                num_cpus=cpus,
                num_gpus=gpus,
                scheduling_strategy=NodeAffinitySchedulingStrategy(key, soft=False),
            )
            self._engines[key] = actor.remote(self._fleet, key[:_SHORT], cpus, self._options)


class EngineActor:
    """The engine of one node, in a loop of its own.

    Args:
        fleet: Name of the fleet.
        node: Name of the node.
        cpus: Cores that are meant for it.
        options: See `KeeperActor`.
    """

    def __init__(self, fleet: str, node: str, cpus: float, options: dict[str, Any]) -> None:
        self._node = node
        self._link = _RayLink(fleet)
        self._cpus = cpus
        self._options = options
        threading.Thread(target=lambda: run_to_end(self._live()), name="engine", daemon=True).start()

    async def _live(self) -> None:
        one_thread()
        try:
            capacity = await asyncio.to_thread(cameras, self._options["weights"], self._cpus)
        except StreamspotError:  # each source says so itself
            capacity = await asyncio.to_thread(cameras, DEFAULT_WEIGHTS, self._cpus)
        measured: list[Stats] = []
        delivery = Delivery()
        self._link.about["address"] = ray.util.get_node_ip_address()
        async with contextlib.AsyncExitStack() as stack:
            take = None
            if (port := self._options["metrics"]) is not None:
                host = "0.0.0.0"  # noqa: S104 - Prometheus comes from another machine
                server = MetricsServer(measured, delivery, node=self._node, host=host, port=port)
                try:
                    await stack.enter_async_context(server)
                    self._link.about["metrics"], take = server.port, server.take
                except SettingsError as error:  # two engines of one machine, say
                    self._link.about["metrics"] = str(error)
            engine = FleetEngine(
                self._link, self._node, capacity, measured=measured, delivery=delivery, take=take
            )
            await engine.live()


class _RayLink:
    """The keeper over Ray; it is looked up anew after it could not be reached."""

    def __init__(self, fleet: str) -> None:
        self.about: dict[str, Any] = {}
        self._name = keeper_name(fleet)
        self._keeper: Any = None

    async def join(self, engine: str, node: str, capacity: float) -> None:
        """Admit an engine."""
        await self._call(lambda keeper: keeper.join.remote(engine, node, capacity, self.about))

    async def answer(self, question: Question) -> Orders:
        """Return an engine's orders."""
        return await self._call(lambda keeper: keeper.answer.remote(question))  # type: ignore[no-any-return]

    async def plan_of(self, lease: Lease) -> Plan | None:
        """Return the plan of a lease."""
        return await self._call(lambda keeper: keeper.plan_of.remote(lease))  # type: ignore[no-any-return]

    async def _call(self, call: Callable[[Any], Awaitable[Any]]) -> Any:
        try:
            if self._keeper is None:
                self._keeper = await asyncio.to_thread(ray.get_actor, self._name)
            return await call(self._keeper)
        except (ray.exceptions.RayError, ValueError) as error:
            self._keeper = None
            raise ConnectionError(str(error)) from None


def start(plan: Plan, options: dict[str, Any]) -> Any:
    """Start a fleet's keeper, or find the one there is, and give it the plan; return it."""
    keeper = ray.remote(KeeperActor).options(
        name=keeper_name(plan.name),
        get_if_exists=True,
        lifetime="detached",
        max_restarts=-1,
        num_cpus=0,
        max_concurrency=16,
        resources={"node:__internal_head__": 0.001},  # on the node whose loss ends the cluster anyway
    )
    actor = keeper.remote(plan.name, plan.journals, options)
    ray.get(actor.declare.remote(plan))
    return actor
