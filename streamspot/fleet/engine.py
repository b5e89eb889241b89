"""An engine of a fleet: opens, runs and ends the sources that the keeper orders, and nothing for a moment longer."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from streamspot.engine import Engine
from streamspot.errors import StreamspotError
from streamspot.fleet.lease import Lease, LeaseEnding, Orders, Question, Tenancy
from streamspot.fleet.plan import Plan
from streamspot.fleet.remains import claim, gone_on, hand_over, journal_of, left, past_of, superseded
from streamspot.mqtt.tasks import cancel_all
from streamspot.outputs import Outputs
from streamspot.run import StreamRun
from streamspot.stats import Delivery, Stats
from streamspot.types import Update

_PERIOD = 1.0
"""Seconds from one question to the next."""
_PATIENCE = 2.5
"""Seconds to wait for an answer."""
_WATCH = 0.2
"""Seconds between two looks at the clock."""
_REMAINS = 5.0
"""Seconds between two looks whether an earlier holder has left something."""


class KeeperLink(Protocol):
    """The keeper, as an engine reaches it; every method may raise ConnectionError."""

    async def join(self, engine: str, node: str, capacity: float) -> None:
        """See ``Keeper.join``."""

    async def answer(self, question: Question) -> Orders:
        """See ``Keeper.answer``."""

    async def plan_of(self, lease: Lease) -> Plan | None:
        """See ``Keeper.plan_of``."""


@dataclass(slots=True)
class _Held:
    """A source that is being opened, runs, or is being ended."""

    task: asyncio.Task[None] | None = None
    run: StreamRun | None = None
    asked: float | None = None  # when it was asked to end


class FleetEngine:
    """The sources of one node; ``live`` runs until it is cancelled.

    Args:
        keeper: Who grants leases.
        node: The name that the node is drained under.
        capacity: How many cameras of 30 frames a second it can carry.
        measured: Kept current: of each source that runs.
        delivery: Kept current: of all of them together.
        take: Told every update.
    """

    def __init__(
        self,
        keeper: KeeperLink,
        node: str,
        capacity: float,
        *,
        measured: list[Stats] | None = None,
        delivery: Delivery | None = None,
        take: Callable[[Update], Awaitable[None]] | None = None,
    ) -> None:
        self._measured = [] if measured is None else measured
        self._delivery = delivery or Delivery()
        self._past = Delivery()  # what leases that are over have delivered
        self._deliveries: dict[Lease, Delivery] = {}
        self._take = take
        self._keeper = keeper
        self._node = node
        self._capacity = capacity
        self._tenancy = Tenancy("")
        self._held: dict[Lease, _Held] = {}

    async def live(self) -> None:
        """Join, ask for orders and obey them; once the keeper has forgotten this engine, end all and join anew."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch())
            while True:
                await self._end_everything()
                self._tenancy = Tenancy(f"{self._node}-{secrets.token_hex(3)}")
                joined = self._keeper.join(self._tenancy.engine, self._node, self._capacity)
                if await _answered(joined, 4 * _PATIENCE) is not None:
                    continue
                while not self._tenancy.void:
                    await self._ask()

    async def _ask(self) -> None:
        started = time.monotonic()
        question = self._tenancy.ask(started)

        async def accept() -> None:
            self._tenancy.accept(await self._keeper.answer(question))

        await _answered(accept(), _PATIENCE)
        self._obey()
        await asyncio.sleep(max(0.0, started + _PERIOD - time.monotonic()))

    async def _watch(self) -> None:
        """Look at the clock, also while an answer does not come."""
        while True:
            self._obey()
            self._sum()
            await asyncio.sleep(_WATCH)

    def _sum(self) -> None:
        """Keep ``delivery`` current."""
        total, each = self._delivery, [self._past, *self._deliveries.values()]
        total.queued = sum(one.queued for one in each)
        total.lost = sum(one.lost for one in each)
        total.acknowledged = sum(one.acknowledged for one in each)
        online = all(one.state == "online" for one in self._deliveries.values())
        total.state = "online" if online else "retrying"

    def _obey(self) -> None:
        now = time.monotonic()
        for lease in self._tenancy.stops(now):
            self._stop(self._held[lease], now)
        for lease in self._tenancy.starts(now):
            self._tenancy.begin(lease)
            held = self._held[lease] = _Held()
            held.task = asyncio.create_task(self._hold(self._tenancy, lease, held), name=lease.source)

    def _stop(self, held: _Held, now: float) -> None:
        """Ask a source to end in good order; what has not ended after two seconds is cut off."""
        if held.asked is None:
            held.asked = now
            if held.run is not None:
                held.run.stop()
        if held.task is not None and (held.run is None or now - held.asked > 2.0):
            held.task.cancel()

    async def _end_everything(self) -> None:
        for held in self._held.values():
            self._stop(held, time.monotonic())
        while self._held:  # noqa: ASYNC110
            await asyncio.sleep(_WATCH)

    async def _hold(self, tenancy: Tenancy, lease: Lease, held: _Held) -> None:
        """Run a source under a lease, to its end or until it is asked to end."""
        ending = LeaseEnding()
        try:
            plan = await self._keeper.plan_of(lease)
            if plan is not None:
                await self._run(tenancy, lease, held, plan)
            ending = LeaseEnding(finished=held.asked is None and plan is not None)
        except (StreamspotError, ConnectionError) as error:
            ending = LeaseEnding(str(error))
        except asyncio.CancelledError:
            if held.asked is None:
                raise
        except Exception as error:  # noqa: BLE001 - one source's fault must not end the others
            ending = LeaseEnding(f"unexpected {type(error).__name__}: {error}")
        finally:
            if (delivery := self._deliveries.pop(lease, None)) is not None:
                self._past.acknowledged += delivery.acknowledged
                self._past.lost += delivery.lost
            if held.run is not None:
                held.run.abandon()
                self._measured[:] = [one for one in self._measured if one is not held.run.stats]
            del self._held[lease]
            tenancy.end(lease, ending)

    async def _run(self, tenancy: Tenancy, lease: Lease, held: _Held, plan: Plan) -> None:
        root = plan.journals
        await asyncio.to_thread(claim, root, lease)
        place, why = await asyncio.to_thread(journal_of, root, lease)
        settings = plan.leased(lease, place)
        remains = asyncio.create_task(self._take_over(lease, plan, place))
        try:
            run = await asyncio.to_thread(StreamRun, settings)
            self._measured.append(run.stats)
            held.run = run
            if held.asked is not None:
                return
            await asyncio.to_thread(run.load)
            delivery = self._deliveries[lease] = Delivery()
            async with Outputs([run], delivery) as outputs:  # from here on nobody else holds the journal
                past = await asyncio.to_thread(past_of, place)
                if superseded(root, lease):
                    raise gone_on(lease)
                if past.run:
                    run.analyser.go_on(past.run, past.first)
                if past.closings or why:
                    told = (why,) if why else ()
                    await outputs.take(
                        run, Update(events=past.closings, messages=told, controls=run.controls)
                    )
                async with Engine([run]) as engine:
                    async for _, update in engine:
                        if update.events and superseded(root, lease):
                            raise gone_on(lease)
                        await outputs.take(run, update)
                        if self._take is not None:
                            await self._take(update)
                        if update.session is not None:
                            tenancy.report(lease)
        finally:
            await cancel_all([remains])

    async def _take_over(self, lease: Lease, plan: Plan, place: Path) -> None:
        """Say who holds the source, and deliver what earlier holders left, as soon as they have let go of it."""
        broker = plan.sources[lease.source].mqtt.broker or ""
        said = False
        while True:
            if not said or left(lease, place):
                with contextlib.suppress(StreamspotError):
                    node = plan.node(lease.source)
                    said = await hand_over(lease, place, broker, node, self._tenancy.engine)
            await asyncio.sleep(_REMAINS if said else 1.0)


async def _answered(call: Coroutine[Any, Any, None], seconds: float) -> Exception | None:
    """Wait for the keeper; return why it has not answered."""
    try:
        async with asyncio.timeout(seconds):
            await call
    except (TimeoutError, ConnectionError) as error:
        await asyncio.sleep(_WATCH)
        return error
    return None
