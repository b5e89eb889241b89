"""The keeper: the table of leases and the plan, kept in files, so that another one can take over."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from streamspot.files import write_atomically
from streamspot.fleet.lease import Lease, Orders, Question
from streamspot.fleet.leases import Leases
from streamspot.fleet.plan import Plan, version


class Keeper:
    """Answers engines and the user, from any thread; ``tick`` has to be called about once a second.

    Args:
        folder: Takes ``leases.json`` and ``plans.json``; on storage that outlives a machine.
    """

    def __init__(self, folder: Path) -> None:
        self._table, self._plan_file = folder / "leases.json", folder / "plans.json"
        self._lock = threading.RLock()
        self._leases = Leases()
        self._plans: dict[str, Plan] = {}  # those that a lease needs and, last, the one in force
        self._about: dict[str, dict[str, Any]] = {}  # what engines say of themselves
        self._written: set[tuple[str, int]] = set()  # sources and epochs of the table as it is on disk
        self._stale = False  # the table could not be written
        if self._table.exists():
            kept = json.loads(self._plan_file.read_text(encoding="utf-8"))
            self._plans = {name: Plan.load(plan) for name, plan in kept.items()}
            self._leases.restore(json.loads(self._table.read_text(encoding="utf-8")), time.monotonic())
            self._written = self._epochs()

    def declare(self, plan: Plan) -> None:
        """Take a plan; what runs with other settings is moved over to the new ones little by little."""
        with self._lock:
            held = {(name, row.granted) for name, row in self._leases.sources.items() if row.engine}
            self._plans = {
                name: old
                for name, old in self._plans.items()
                if any((one, version(settings)) in held for one, settings in old.sources.items())
            }
            self._plans.pop(name := _digest(plan), None)
            self._plans[name] = plan  # the last one is in force
            self._save(self._plan_file, {one: plan.dump() for one, plan in self._plans.items()})
            self._leases.declare(plan.wanted())
            self._write()

    def join(self, engine: str, node: str, capacity: float, about: dict[str, Any]) -> None:
        """Admit an engine; an earlier one of its node has ended, since a node has one process for it."""
        with self._lock:
            now = time.monotonic()
            for name in [n for n, row in self._leases.engines.items() if row.node == node]:
                self._leases.bury(name, now)
            self._leases.join(engine, node, capacity, now)
            there = self._leases.engines  # others have been buried, here or as their time was over
            self._about = {name: said for name, said in self._about.items() if name in there} | {
                engine: about
            }
            self._write()

    def answer(self, question: Question) -> Orders:
        """Return an engine's orders."""
        with self._lock:
            orders = self._leases.answer(question, time.monotonic())
            if question.ended:
                self._stale = True  # or what has ended is played again after a restart
            written = tuple(one for one in orders.leases if (one.source, one.epoch) in self._written)
            return replace(orders, leases=written)

    def plan_of(self, lease: Lease) -> Plan | None:
        """Return the plan that a lease was granted under, None if it is none any more."""
        with self._lock:
            for plan in reversed(self._plans.values()):
                settings = plan.sources.get(lease.source)
                if settings is not None and version(settings) == lease.version:
                    return plan
            return None

    def drain(self, node: str, *, leave: bool = True) -> bool:
        """Leave a node, or use it again; return whether there is one of that name."""
        with self._lock:
            names = {row.node for row in self._leases.engines.values()}
            if node not in names | self._leases.draining:
                return False
            (self._leases.draining.add if leave else self._leases.draining.discard)(node)
            self._write()
            return True

    def tick(self) -> None:
        """Do what is due.

        Raises:
            OSError: The table cannot be written. Nobody is told of a new lease until a later call has written it.
        """
        with self._lock:
            if self._leases.tick(time.monotonic()) or self._stale:
                self._write()

    def status(self) -> dict[str, Any]:
        """Return engines and sources as JSON takes them."""
        with self._lock:
            now, leases = time.monotonic(), self._leases
            engines = {
                name: {
                    "node": row.node,
                    "capacity": round(row.capacity, 1),
                    "load": round(leases.load(name), 1),
                    "sources": len(row.held),
                    "silent_s": round(now - row.seen, 1),
                    "draining": row.node in leases.draining,
                    **self._about.get(name, {}),
                }
                for name, row in leases.engines.items()
            }
            shown = ("engine", "epoch", "reporting", "recalled", "failures", "finished", "note")
            sources = {
                name: {key: value for key, value in asdict(row).items() if key in shown}
                | {"current": row.granted == row.version}
                for name, row in leases.sources.items()
                if row.wanted or row.engine
            }
            return {"engines": engines, "sources": sources}

    def _write(self) -> None:
        """Write the table, before anybody is told of what is in it."""
        self._stale = True
        self._save(self._table, self._leases.snapshot())
        self._written, self._stale = self._epochs(), False

    def _epochs(self) -> set[tuple[str, int]]:
        return {(name, row.epoch) for name, row in self._leases.sources.items()}

    @staticmethod
    def _save(file: Path, content: object) -> None:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with write_atomically(file) as part:
            part.write_text(json.dumps(content), encoding="utf-8")


def _digest(plan: Plan) -> str:
    """Return what stands for a plan."""
    return hashlib.sha256(json.dumps(plan.dump(), sort_keys=True).encode()).hexdigest()[:12]
