"""The keeper's table: engines, sources and who holds what; it places, balances, drains and rolls out. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from streamspot.fleet.lease import MARGIN, TERM, Lease, LeaseEnding, Orders, Question

_SLOW = 60.0
"""Seconds after which a source that has been granted and gives no results holds up nothing else any more."""
_RETRY = 5.0, 300.0
"""Seconds before a source that failed is tried again: after the first failure, and at most; each one doubles it."""
_UNEVEN = 0.03
"""Share of the even load that an engine may be above or below it before a source is moved for that."""
_NO_ROOM = "waits for capacity"


@dataclass(slots=True)
class EngineRow:
    """An engine as the keeper sees it.

    Attributes:
        node: The machine, by the name that users drain it under.
        capacity: How much it can carry, in units of ``SourceRow.cost``, as it measured itself.
        seen: When it last asked.
        held: Sources that it holds.
    """

    node: str
    capacity: float
    seen: float
    held: set[str] = field(default_factory=set)


@dataclass(slots=True)
class SourceRow:
    """A source as the keeper sees it.

    Attributes:
        cost: What it takes; 1 is a camera of 30 frames a second.
        version: Stands for its settings.
        wanted: Whether the fleet's file names it.
        epoch: Of the newest grant; never falls.
        engine: Who holds it, empty for nobody.
        granted: Version that it was granted with.
        since: When it was granted.
        recalled: Whether the holder is to end it.
        reporting: Whether it gives results.
        proven: Version that it gave results with last and has not failed with since.
        failures: In a row.
        retry: Not granted before this time.
        waiting: It was due and fitted nowhere.
        finished: The source itself has ended and is not granted again.
        note: What is wrong, or why nobody holds it.
    """

    cost: float = 1.0
    version: str = ""
    wanted: bool = False
    epoch: int = 0
    engine: str = ""
    granted: str = ""
    since: float = 0.0
    recalled: bool = False
    reporting: bool = False
    proven: str = ""
    failures: int = 0
    retry: float = float("-inf")
    waiting: bool = False
    finished: bool = False
    note: str = ""


class Leases:
    """Who holds what. Every method is told the time, in seconds of one monotonic clock.

    A source has one holder at most, its epoch grows with every grant, and as long as there is room every source that
    is wanted is granted.

    Attributes:
        engines: By name.
        sources: By name; one that is not wanted any more keeps its epoch.
        draining: Nodes that are to be left.
    """

    def __init__(self) -> None:
        self.engines: dict[str, EngineRow] = {}
        self.sources: dict[str, SourceRow] = {}
        self.draining: set[str] = set()

    def declare(self, wanted: Mapping[str, tuple[float, str]]) -> None:
        """Say which sources there are: name → cost and version of the settings. Others are ended."""
        for name, row in self.sources.items():
            if name not in wanted:
                row.wanted, row.proven = False, ""
        for name, (cost, version) in wanted.items():
            row = self.sources.setdefault(name, SourceRow())
            if not row.wanted or row.version != version:  # that deserves another try
                row.finished, row.failures, row.retry, row.note = False, 0, float("-inf"), ""
            row.cost, row.version, row.wanted = cost, version, True

    def join(self, engine: str, node: str, capacity: float, now: float) -> None:
        """Admit an engine under a name that none had before."""
        self.engines[engine] = EngineRow(node, capacity, now)

    def answer(self, question: Question, now: float) -> Orders:
        """Take an engine's question and return its orders."""
        engine = self.engines.get(question.engine)
        if engine is None:
            return Orders(question.number, known=False)
        engine.seen = now
        for lease, ending in question.ended:
            if (row := self._row(question.engine, lease)) is not None:
                self._end(lease.source, row, ending, now)
        for lease in question.reporting:
            row = self._row(question.engine, lease)
            if row is not None and not row.reporting:
                row.reporting, row.proven, row.failures, row.note = True, row.granted, 0, ""
        rows = [(name, self.sources[name]) for name in engine.held]
        held = [(row, Lease(name, row.epoch, row.granted)) for name, row in rows]
        kept = tuple(lease for row, lease in held if not row.recalled)
        return Orders(question.number, kept, tuple(lease for row, lease in held if row.recalled))

    def bury(self, engine: str, now: float) -> None:
        """Forget an engine that is certainly dead, or whose term is over; what it held is free."""
        if engine not in self.engines:
            return
        for name in sorted(self.engines[engine].held):
            row = self.sources[name]
            if not row.reporting:  # perhaps this source killed it; the first time it is not held against it
                self._fail(row, now, "its engine was lost before it gave results", spared=1)
            self._free(name, row)
        del self.engines[engine]

    def tick(self, now: float) -> bool:
        """Do what is due: call it about once a second. Return whether a source was granted."""
        for name in [n for n, row in self.engines.items() if now - row.seen > TERM + MARGIN]:
            self.bury(name, now)
        granted = self._place(now)
        self._recall(now)
        return granted

    def snapshot(self) -> dict[str, Any]:
        """Return, as JSON takes it, all that has to outlive the keeper; write it down before a grant is told."""
        untimed = {"since": 0.0, "retry": 0.0}
        return {
            "engines": {name: [row.node, row.capacity] for name, row in self.engines.items()},
            "sources": {name: asdict(row) | untimed for name, row in self.sources.items()},
            "draining": sorted(self.draining),
        }

    def restore(self, kept: Mapping[str, Any], now: float) -> None:
        """Take up a snapshot: its engines get a whole term to ask, since they may hold what they held."""
        self.engines = {
            name: EngineRow(node, capacity, now) for name, (node, capacity) in kept["engines"].items()
        }
        self.sources = {
            n: SourceRow(**(row | {"since": now, "retry": now})) for n, row in kept["sources"].items()
        }
        for name, row in self.sources.items():
            if row.engine:
                self.engines[row.engine].held.add(name)
        self.draining = set(kept["draining"])

    def load(self, engine: str) -> float:
        """Return the cost of what an engine holds and is to keep."""
        return sum(
            row.cost for row in map(self.sources.__getitem__, self.engines[engine].held) if not row.recalled
        )

    def _row(self, engine: str, lease: Lease) -> SourceRow | None:
        """Return the row of a lease that an engine speaks of, None if it is not its lease any more."""
        row = self.sources.get(lease.source)
        return row if row is not None and (row.engine, row.epoch) == (engine, lease.epoch) else None

    def _end(self, name: str, row: SourceRow, ending: LeaseEnding, now: float) -> None:
        if ending.failure:
            self._fail(row, now, ending.failure)
        elif ending.finished and row.granted == row.version:
            row.finished, row.note = True, "has ended"
        self._free(name, row)

    @staticmethod
    def _fail(row: SourceRow, now: float, why: str, *, spared: int = 0) -> None:
        row.failures += 1
        row.note = why
        if row.proven == row.granted:  # it would fail with any settings
            row.proven = ""
        first, most = _RETRY
        if row.failures > spared:
            row.retry = now + min(most, first * 2.0 ** min(row.failures - spared - 1, 10))

    def _free(self, name: str, row: SourceRow) -> None:
        self.engines[row.engine].held.discard(name)
        row.engine, row.recalled, row.reporting = "", False, False

    def _room(self) -> dict[str, float]:
        """Return the load, recalled sources included, of the engines that may be given more."""
        return {
            name: sum(self.sources[one].cost for one in row.held)
            for name, row in self.engines.items()
            if row.node not in self.draining
        }

    def _place(self, now: float) -> bool:
        """Grant what nobody holds to the engine that is least loaded for its capacity.

        What waits for capacity comes after what is on its way from one engine to another, whose room that was.
        """
        free = [row for row in self.sources.items() if self._due(row[1], now)]
        if not free:
            return False
        loads, granted = self._room(), False
        for name, row in sorted(free, key=lambda one: (one[1].waiting, -one[1].cost)):
            engine = self._coldest(loads, row.cost)
            row.waiting = engine is None
            if engine is None:
                row.note = row.note or _NO_ROOM
                continue
            row.note = "" if row.note == _NO_ROOM else row.note
            row.epoch += 1
            row.engine, row.granted, row.since = engine, row.version, now
            self.engines[engine].held.add(name)
            loads[engine] += row.cost
            granted = True
        return granted

    @staticmethod
    def _due(row: SourceRow, now: float) -> bool:
        return row.wanted and not row.engine and not row.finished and now >= row.retry

    def _coldest(self, loads: Mapping[str, float], cost: float) -> str | None:
        """Return where a source would leave the lowest load for the capacity, None where it fits nowhere."""
        after = {name: (load + cost) / self.engines[name].capacity for name, load in loads.items()}
        best = min(after, key=after.__getitem__, default=None)
        return best if best is not None and after[best] <= 1.0 else None

    def _recall(self, now: float) -> None:
        """Ask back what is not wanted any more, stands on a draining node, has old settings or lies unevenly.

        Whatever is moved rests for some seconds, so only one source in twenty is on its way at a time. What nobody
        holds by now waits for capacity, or to be tried again, and keeps nothing from being moved.
        """
        moving, settled = 0, {}
        there = sum(row.wanted or bool(row.engine) for row in self.sources.values())
        for name, row in self.sources.items():
            row.recalled = row.recalled or (bool(row.engine) and not row.wanted)
            starting = bool(row.engine) and not row.reporting and now - row.since < _SLOW
            if row.recalled or starting:
                moving += 1
            elif row.engine:
                settled[name] = row
        room = max(1, there // 20) - moving
        if room > 0:
            room = self._leave(settled.values(), room)
        if room > 0:
            room = self._roll(settled.values(), room)
        if room > 0:
            self._even(settled, room)

    def _leave(self, settled: Collection[SourceRow], room: int) -> int:
        """Recall from draining nodes what fits elsewhere."""
        leaving = [row for row in settled if self.engines[row.engine].node in self.draining]
        loads = self._room() if leaving else {}
        for row in leaving:
            target = self._coldest(loads, row.cost)
            if room and target is not None:
                row.recalled = True
                loads[target] += row.cost
                room -= 1
        return room

    def _roll(self, settled: Collection[SourceRow], room: int) -> int:
        """Recall what runs with old settings, unless a source that ran with others has failed with the new ones."""
        if any(row.failures and row.proven and row.granted == row.version for row in self.sources.values()):
            return room
        for row in settled:
            if room and row.granted != row.version and not row.recalled:
                row.recalled = True
                room -= 1
        return room

    def _even(self, settled: Mapping[str, SourceRow], room: int) -> None:
        """Recall from the engine with most load for its capacity what the one with least can take."""
        loads = {name: self.load(name) for name in self._room()}
        full = {name: self.engines[name].capacity for name in loads}
        while room > 0 and len(loads) > 1:
            even = sum(loads.values()) / sum(full.values())
            hot = max(loads, key=lambda name: loads[name] / full[name])
            cold = min(loads, key=lambda name: loads[name] / full[name])
            high, low = loads[hot] / full[hot], loads[cold] / full[cold]
            if high <= even * (1 + _UNEVEN) and low >= even * (1 - _UNEVEN):
                return
            rows = [settled[name] for name in self.engines[hot].held if name in settled]
            light = min((row for row in rows if not row.recalled), key=lambda row: row.cost, default=None)
            if light is None or (loads[cold] + light.cost) / full[cold] >= high:
                return
            light.recalled = True
            loads[hot] -= light.cost
            loads[cold] += light.cost
            room -= 1
