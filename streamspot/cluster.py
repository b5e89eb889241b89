"""A Ray cluster: reached by its address, and as workers for long work (extra ``ray``)."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from streamspot import __version__
from streamspot.errors import SettingsError, StreamspotError, needs
from streamspot.processes import Advance, Processes, Result, Shared, Task, Workers

_RETRIES = 5
"""Nodes that a task may lose one after the other."""
_LOOK = 1.0
"""Seconds between two looks at the progress."""


def connect(address: str) -> Any:
    """Connect this process to a cluster, once; return the module ``ray``.

    Args:
        address: ``host:6379`` as ``ray start --head`` prints it, or ``auto`` on a machine of the cluster.

    Raises:
        SettingsError: Ray is not installed, or there is no cluster.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
    try:
        import ray  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise SettingsError(needs("--ray", "ray", "ray", error)) from None
    if ray.is_initialized():
        return ray
    try:
        ray.init(address=address, namespace="streamspot", log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        why = str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
        raise SettingsError(
            f"there is no Ray cluster at {address} ({why}); start one with ray start --head and name the address "
            "it prints, or auto"
        ) from None
    return ray


class Cluster:
    """Tasks of a Ray cluster, a core each; one whose node is lost is begun again on another.

    Inputs that are files have to be found under the same path on every node; results come back by the cluster and are
    written here. Every node needs this version of streamspot.

    Args:
        address: See `connect`.
        gpus: Of a GPU, how much a task takes.
    """

    def __init__(self, address: str, *, gpus: float = 0.0) -> None:
        self._ray = connect(address)
        self._gpus = gpus

    def __call__(
        self,
        work: Callable[[Shared, Task, Advance], Result],
        shared: Shared,
        tasks: Sequence[Task],
        advance: Advance,
    ) -> Iterator[tuple[Task, Result]]:
        """Do the tasks; see ``processes.Workers``.

        Raises:
            StreamspotError: A task failed, or lost too many nodes.
        """
        ray = self._ray
        here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=True
        )
        counts = ray.remote(_Counts).options(num_cpus=0, scheduling_strategy=here).remote()
        remote = ray.remote(_do).options(
            num_cpus=1, num_gpus=self._gpus, max_retries=_RETRIES, scheduling_strategy="SPREAD"
        )
        kept = ray.put((__version__, work, shared))
        running = {remote.remote(kept, number, task, counts): task for number, task in enumerate(tasks)}
        told = 0.0
        try:
            while running:
                done, _ = ray.wait(list(running), timeout=_LOOK)
                with contextlib.suppress(ray.exceptions.RayError):  # only the bar stands still
                    total = ray.get(counts.total.remote(), timeout=_LOOK)
                    advance(total - told)
                    told = total
                for one in done:
                    yield running.pop(one), self._result(one)
        finally:
            for one in running:
                ray.cancel(one, force=True)
            ray.kill(counts)

    def _result(self, reference: Any) -> Any:
        ray = self._ray
        try:
            return ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None
        except ray.exceptions.RayError as error:
            raise StreamspotError(
                f"the cluster lost a task more than {_RETRIES} times ({type(error).__name__}), perhaps for memory; "
                "run the same command again, what is finished is kept"
            ) from None


def workers(jobs: int, ray: str | None = None, *, gpus: float = 0.0) -> Workers:
    """Return the workers that a user asks for: this computer's, or those of the Ray cluster at an address.

    Raises:
        SettingsError: There are none.
    """
    return Processes(jobs) if ray is None else Cluster(ray, gpus=gpus)


class _Counts:
    """How much each task has done; one that is begun again begins at nothing."""

    def __init__(self) -> None:
        self._done: dict[int, float] = {}

    def begin(self, number: int) -> None:
        self._done[number] = 0.0

    def add(self, number: int, count: float) -> None:
        self._done[number] += count

    def total(self) -> float:
        return sum(self._done.values())


def _do(kept: tuple[str, Any, Any], number: int, task: Any, counts: Any) -> Any:
    """Do one task on a node."""
    version, work, shared = kept
    if version != __version__:
        raise StreamspotError(
            f"a node of the cluster has streamspot {__version__}, this is {version}; install one version everywhere"
        )
    counts.begin.remote(number)
    return work(shared, task, lambda count: counts.add.remote(number, count))
