"""Leases: which engine holds which source, under which epoch. No clock, no network, no Ray.

The keeper grants (``leases.py``); an engine asks for orders about once a second and holds what they name until a term
after it asked. The keeper gives a source to another engine only when the old one has said that it is done, is known
to be dead, or has not been heard of for a term and a margin. Clocks need to run at the same rate, not agree.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

TERM = 5.0
"""Seconds after its last answered question during which an engine holds what it was granted."""
MARGIN = 2.0
"""Seconds that the keeper waits beyond it: a stream takes up to one to end, and clocks differ a little in rate."""


class Lease(NamedTuple):
    """The right to run a source.

    Attributes:
        source: Its name.
        epoch: Grows with every grant of this source; a lower one is void.
        version: Stands for the settings it is to be run with.
    """

    source: str
    epoch: int
    version: str = ""


@dataclass(frozen=True, slots=True)
class LeaseEnding:
    """How a lease ended.

    Attributes:
        failure: One sentence, empty if nothing is wrong.
        finished: Whether the source itself has ended, as a file does.
    """

    failure: str = ""
    finished: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """What an engine says when it asks for orders.

    Attributes:
        engine: Who asks.
        number: Of the question, growing.
        reporting: Leases whose source gives results.
        ended: Leases that are over, and how.
    """

    engine: str
    number: int
    reporting: frozenset[Lease] = frozenset()
    ended: tuple[tuple[Lease, LeaseEnding], ...] = ()


@dataclass(frozen=True, slots=True)
class Orders:
    """The keeper's answer: all that the engine is to run.

    Attributes:
        number: Of the question.
        leases: What to run; whatever else runs is to be ended.
        recalled: What is to be ended and said to be, even if the engine never heard of it.
        known: Whether the engine's leases still stand; if not, it has to end everything and join anew.
    """

    number: int
    leases: tuple[Lease, ...] = ()
    recalled: tuple[Lease, ...] = ()
    known: bool = True


@dataclass(slots=True)
class Tenancy:
    """What one engine holds; all times are of one monotonic clock of its machine, in seconds.

    Attributes:
        engine: The name it has joined under; another one after it was forgotten.
        running: Leases whose source is being opened, runs or is being ended here.
    """

    engine: str
    running: set[Lease] = field(default_factory=set)
    _reporting: set[Lease] = field(default_factory=set)
    _ended: dict[Lease, LeaseEnding] = field(default_factory=dict)
    _told: tuple[Lease, ...] = ()  # endings that the open question tells of
    _wanted: set[Lease] = field(default_factory=set)
    _number: int = 0
    _asked: float = 0.0
    _until: float = float("-inf")
    _void: bool = False

    def ask(self, now: float) -> Question:
        """Return the next question; an answer to an earlier one is no longer taken."""
        self._number += 1
        self._asked = now
        self._told = tuple(self._ended)
        return Question(self.engine, self._number, frozenset(self._reporting), tuple(self._ended.items()))

    def accept(self, orders: Orders) -> None:
        """Take the keeper's answer, if it is the one to the newest question."""
        if orders.number != self._number or self._void:
            return
        if not orders.known:
            self._void, self._wanted, self._until = True, set(), float("-inf")
            return
        for lease in self._told:
            del self._ended[lease]
        self._told = ()
        self._wanted = set(orders.leases) - self._ended.keys()
        self._ended |= {
            lease: LeaseEnding()
            for lease in orders.recalled
            if lease not in self.running | self._ended.keys()
        }
        self._until = self._asked + TERM

    @property
    def void(self) -> bool:
        """Whether the keeper has forgotten this engine: nothing may run, and it has to join under another name."""
        return self._void

    def holds(self, lease: Lease, now: float) -> bool:
        """Whether this engine may work on the source and publish what it finds."""
        return lease in self.running and now < self._until

    def starts(self, now: float) -> Iterator[Lease]:
        """Yield what is to be opened now; call ``begin`` for each."""
        if now < self._until and (idle := self._wanted - self.running):
            busy = {lease.source for lease in self.running}
            yield from sorted(lease for lease in idle if lease.source not in busy)

    def stops(self, now: float) -> Iterator[Lease]:
        """Yield what is to be ended: what is no longer ordered, and everything once the term is over."""
        yield from sorted(self.running if now >= self._until else self.running - self._wanted)

    def begin(self, lease: Lease) -> None:
        """Note that a source is being opened."""
        self.running.add(lease)

    def report(self, lease: Lease) -> None:
        """Note that a source gives results."""
        if lease in self.running:
            self._reporting.add(lease)

    def end(self, lease: Lease, ending: LeaseEnding = LeaseEnding()) -> None:
        """Note that nothing of a lease runs any more."""
        self.running.discard(lease)
        self._reporting.discard(lease)
        self._ended[lease] = ending
        self._wanted.discard(lease)
