"""A thousand sources on 32 nodes, one of which is lost every minute: the real lease code in virtual time.

    python benchmarks/leases.py [--hours 24] [--seed 1] [--even]

Nodes are lost in three ways: they die, they are cut off (and go on until their term is over), or they stand still
(and come to again long after they were given up). Half a minute later a node is back. A message takes up to a second,
one in a hundred is lost. A source takes 2 to 8 s from its grant to its first result; where the earlier holder stands
still, its successor first waits in vain for its journal. Of every source is watched how long it gives no results
after a loss, and whether two engines ever hold it at once.
"""

from __future__ import annotations

import argparse
import heapq
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

import numpy as np

from streamspot.fleet.lease import Lease, Orders, Question, Tenancy
from streamspot.fleet.leases import Leases
from streamspot.fleet.remains import PATIENCE

_BACK = 30.0
_SETTLED = 20.0
"""Seconds after a node's loss or return from which on the load is looked at."""


@dataclass(slots=True)
class _Node:
    name: str
    capacity: float
    tenancy: Tenancy
    drift: float
    state: str = "up"  # up, cut off, still or dead
    starting: dict[Lease, float] = field(default_factory=dict)


@dataclass
class Outcome:
    """What was seen."""

    losses: int = 0
    lost: list[float] = field(default_factory=list)
    moved: list[float] = field(default_factory=list)
    twice: int = 0
    refused: int = 0
    unheld: int = 0
    silent: int = 0
    imbalances: list[float] = field(default_factory=list)
    grants: int = 0


class FleetSimulation:
    """Virtual time; what happens is a queue of moments and what is to be done then."""

    def __init__(self, sources: int, nodes: int, seed: int, *, even: bool = False) -> None:
        self.random = random.Random(seed)
        self.now = 0.0
        self.outcome = Outcome()
        self.leases = Leases()
        self.leases.declare({f"s{n}": (1.0, "v1") for n in range(sources)})
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._names = count()
        self._holder: dict[str, tuple[_Node, Lease]] = {}
        self._epochs: dict[str, int] = {}
        self._silent: dict[str, tuple[float, list[float]]] = {}
        sizes = (1.0,) if even else (1.0, 1.5, 2.0)
        shares = [sizes[n % len(sizes)] for n in range(nodes)]
        room = sources * 1.4 / sum(shares)
        self._nodes = [self._node(f"n{n}", share * room) for n, share in enumerate(shares)]
        self._calm = 60.0
        for node in self._nodes:
            self.at(self.random.random(), lambda node=node: self._join(node))  # type: ignore[misc]
        self.at(0.5, self._tick)

    def at(self, when: float, what: Callable[[], None]) -> None:
        """Do something at a time."""
        heapq.heappush(self._queue, (when, next(self._order), what))

    def run(self, seconds: float) -> None:
        """Let time pass, with a node lost every minute."""
        minute = 120.0
        while minute < seconds:
            self.at(minute, self._lose)
            minute += 60.0
        while self._queue and self._queue[0][0] < seconds:
            self.now, _, what = heapq.heappop(self._queue)
            what()
        self.outcome.silent = sum(self.now - since > 60.0 for since, _ in self._silent.values())

    def _node(self, name: str, capacity: float) -> _Node:
        drift = 1.0 + self.random.uniform(-1e-4, 1e-4)
        return _Node(name, capacity, Tenancy(f"{name}#{next(self._names)}"), drift)

    def _clock(self, node: _Node) -> float:
        return self.now * node.drift

    def _join(self, node: _Node) -> None:
        node.tenancy = Tenancy(f"{node.name}#{next(self._names)}")
        self.leases.join(node.tenancy.engine, node.name, node.capacity, self.now)
        self._ask(node, node.tenancy)

    def _ask(self, node: _Node, tenancy: Tenancy) -> None:
        """Ask once a second; an answer that has not come by then is not waited for."""
        if node.tenancy is not tenancy or node.state == "dead":
            return
        if node.state != "still":
            self._work(node)
            if tenancy.void:
                self._join(node)
                return
            if node.state == "up" and self.random.random() > 0.01:
                question = tenancy.ask(self._clock(node))
                self.at(self.now + self._delay(), lambda: self._hear(node, tenancy, question))
        self.at(self.now + 1.0, lambda: self._ask(node, tenancy))

    def _delay(self) -> float:
        return min(0.5, self.random.expovariate(50.0))

    def _hear(self, node: _Node, tenancy: Tenancy, question: Question) -> None:
        orders = self.leases.answer(question, self.now)
        if self.random.random() > 0.01:
            self.at(self.now + self._delay(), lambda: self._obey(node, tenancy, orders))

    def _obey(self, node: _Node, tenancy: Tenancy, orders: Orders) -> None:
        if node.state == "up" and node.tenancy is tenancy:
            tenancy.accept(orders)
            self._work(node)

    def _work(self, node: _Node) -> None:
        """Do what an engine does each second: end, open, and note which sources give results."""
        tenancy, clock = node.tenancy, self._clock(node)
        for lease in tenancy.stops(clock):
            node.starting.pop(lease, None)
            tenancy.end(lease)
            if self._holder.get(lease.source) == (node, lease):
                del self._holder[lease.source]
                self._silent.setdefault(lease.source, (self.now, self.outcome.moved))
        for lease in tenancy.starts(clock):
            tenancy.begin(lease)
            locked = PATIENCE if self._locked(lease) else 0.0
            self._take(node, lease)
            node.starting[lease] = self.now + locked + self.random.uniform(2.0, 8.0)
        for lease in [one for one, due in node.starting.items() if due <= self.now]:
            del node.starting[lease]
            if tenancy.holds(lease, clock):
                tenancy.report(lease)
                if (silence := self._silent.pop(lease.source, None)) is not None:
                    silence[1].append(self.now - silence[0])

    def _locked(self, lease: Lease) -> bool:
        """Tell whether the earlier holder stands still, and with it the lock on its journal."""
        before = self._holder.get(lease.source)
        return before is not None and before[0].state == "still"

    def _take(self, node: _Node, lease: Lease) -> None:
        """Check that nobody else holds the source when it is opened, and that its epoch is higher than any before."""
        before = self._holder.get(lease.source)
        if before is not None:
            other, old = before
            self.outcome.twice += other.state != "dead" and other.tenancy.holds(old, self._clock(other))
        self.outcome.twice += lease.epoch <= self._epochs.get(lease.source, 0)
        self._epochs[lease.source] = lease.epoch
        self._holder[lease.source] = node, lease
        self.outcome.grants += 1

    def _lose(self) -> None:
        node = self.random.choice([one for one in self._nodes if one.state == "up"])
        node.state = self.random.choice(["dead", "cut off", "still"])
        self.outcome.losses += 1
        self._calm = self.now + _SETTLED
        for source, (holder, _) in self._holder.items():
            if holder is node:
                self._silent.setdefault(source, (self.now, self.outcome.lost))
        self.at(self.now + _BACK, lambda: self._return(node))

    def _return(self, node: _Node) -> None:
        """Bring a node back: a dead one as a new engine, the others as what they were, until they are refused."""
        self._calm = self.now + _SETTLED
        dead, node.state = node.state == "dead", "up"
        if dead:
            node.starting.clear()
            self._join(node)
            return
        clock = self._clock(node)
        for lease in list(node.tenancy.running):  # what it would do before it looks at the clock is refused
            self.outcome.refused += not node.tenancy.holds(lease, clock)

    def _tick(self) -> None:
        self.leases.tick(self.now)
        if self.now >= self._calm:
            engines = self.leases.engines.values()
            even = sum(len(row.held) for row in engines) / sum(row.capacity for row in engines)
            self.outcome.imbalances.append(
                max(abs(len(row.held) / row.capacity / even - 1) for row in engines)
            )
            self.outcome.unheld += sum(not row.engine for row in self.leases.sources.values())
        self.at(self.now + 1.0, self._tick)


def main() -> None:
    """Run it and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--sources", type=int, default=1000)
    parser.add_argument("--nodes", type=int, default=32)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--even", action="store_true", help="Nodes of one size; else 1 : 1.5 : 2.")
    given = parser.parse_args()
    started = time.perf_counter()
    simulation = FleetSimulation(given.sources, given.nodes, given.seed, even=given.even)
    simulation.run(given.hours * 3600)
    seen = simulation.outcome
    print(f"{given.sources} sources, {given.nodes} nodes, {given.hours:g} h, seed {given.seed}")
    print(f"nodes lost                       {seen.losses}")
    print(f"grants                           {seen.grants}")
    for what, silences in (("loss", seen.lost), ("move", seen.moved)):
        p50, p99, most = np.quantile(silences, (0.5, 0.99, 1.0))
        print(
            f"silence of a source after a {what}  p50 {p50:.1f} s, p99 {p99:.1f}, max {most:.1f} ({len(silences)})"
        )
    print(f"silent at the end for a minute   {seen.silent}")
    print(f"held twice, or epoch not grown   {seen.twice}")
    print(f"refused to those that came back  {seen.refused}")
    print(f"not held in settled seconds      {seen.unheld}")
    worst = np.array(seen.imbalances)
    off = f"mean {worst.mean():.1%}, p99 {np.quantile(worst, 0.99):.1%}, max {worst.max():.1%}"
    print(f"load off even, settled seconds   {off}")
    print(f"took                             {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
