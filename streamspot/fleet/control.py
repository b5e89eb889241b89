"""What a user does with a fleet on a Ray cluster: start it or change it, look at it, leave a node, end it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from streamspot.cluster import connect
from streamspot.errors import SettingsError
from streamspot.fleet.plan import Plan


class Fleet:
    """A fleet that runs; made by ``start`` or ``find``."""

    def __init__(self, name: str, address: str) -> None:
        from streamspot.fleet.actors import keeper_name  # noqa: PLC0415 - needs Ray

        self.name = name
        self._ray = connect(address)
        self._keeper = self._ray.get_actor(keeper_name(name))

    @classmethod
    def start(cls, plan: Plan, address: str, options: dict[str, Any]) -> Fleet:
        """Start a fleet, or give the one of that name another plan.

        Args:
            plan: What it is to run.
            address: See ``cluster.connect``.
            options: See ``actors.KeeperActor``; only at the start.

        Raises:
            SettingsError: There is no such cluster.
        """
        connect(address)
        from streamspot.fleet.actors import start  # noqa: PLC0415 - needs Ray

        start(plan, options)
        return cls(plan.name, address)

    @classmethod
    def find(cls, address: str, name: str | None) -> Fleet:
        """Find the fleet of a name, or the only one.

        Raises:
            SettingsError: There is none, or more than one.
        """
        ray = connect(address)
        names = [
            one.removeprefix("keeper-") for one in ray.util.list_named_actors() if one.startswith("keeper-")
        ]
        if name is None and len(names) == 1:
            name = names[0]
        if name not in names:
            there = f"{', '.join(sorted(names))} run" if names else "none runs"
            raise SettingsError(
                f"there is no fleet {name or 'to take'} on {address} ({there}); name one with --fleet"
            )
        return cls(str(name), address)

    def status(self) -> dict[str, Any]:
        """Return engines and sources as the keeper sees them."""
        found: dict[str, Any] = self._ray.get(self._keeper.status.remote())
        return found

    def drain(self, node: str, *, leave: bool = True) -> None:
        """Leave a node, or use it again.

        Raises:
            SettingsError: There is no such node.
        """
        if not self._ray.get(self._keeper.drain.remote(node, leave)):
            nodes = sorted({row["node"] for row in self.status()["engines"].values()})
            raise SettingsError(f"the fleet has no node {node}; it has {', '.join(nodes) or 'none'}")

    def watch(self, period: float = 1.0) -> Iterator[dict[str, Any]]:
        """Yield the status for ever."""
        while True:
            yield self.status()
            time.sleep(period)

    def stop(self, patience: float = 15.0) -> None:
        """End every source in good order, then the engines and the keeper."""
        self._ray.get(
            self._keeper.declare.remote(Plan(self.name, self._ray.get(self._keeper.journals.remote()), {}))
        )
        until = time.monotonic() + patience
        while self.status()["sources"] and time.monotonic() < until:
            time.sleep(0.5)
        self._ray.get(self._keeper.stop.remote())
        self._ray.kill(self._keeper)


def waiting(status: dict[str, Any]) -> list[str]:
    """Return the sources that do not yet give results as they should."""
    return [
        name
        for name, row in status["sources"].items()
        if not row["finished"] and not (row["reporting"] and row["current"])
    ]
