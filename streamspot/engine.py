"""The engine: any number of streams at once, their updates in the order in which they come."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Self

from streamspot.errors import SettingsError
from streamspot.run import StreamRun
from streamspot.settings import Settings, placed
from streamspot.sinks.osc import target
from streamspot.sources import open_source
from streamspot.sources.stdin import StandardInput
from streamspot.types import Update


def open_runs(streams: Sequence[Settings]) -> list[StreamRun]:
    """Open the sources of a run; a name that two of them have is numbered.

    Raises:
        StreamspotError: A source cannot be used, two were given one name, or would write into one file.
    """
    runs: dict[str, StreamRun] = {}
    taken: dict[object, str] = {}
    for settings in streams:
        source = open_source(settings.source)
        if isinstance(source, StandardInput) and any(
            isinstance(one.source, StandardInput) for one in runs.values()
        ):
            raise SettingsError(
                "standard input is one source, and two were to be read from it; leave one - out"
            )
        given, name = settings.name.stream, settings.name.stream or source.stream
        if name in runs:
            if given is not None:
                raise SettingsError(f"two sources are to be the stream {name}; give each a name of its own")
            name = next(
                other for n in range(2, len(streams) + 2) if (other := f"{name[:36]}-{n}") not in runs
            )
        runs[name] = StreamRun(placed(settings, name), source)
        output = runs[name].settings.output
        for flag, place in (("record", output.record), ("intensity", output.intensity), ("osc", output.osc)):
            if place is None:
                continue
            at = os.path.realpath(place) if isinstance(place, Path) else target(place)
            if taken.setdefault(at, name) != name:
                raise SettingsError(
                    f"--{flag} {place} would take what {taken[at]} and {name} give; "
                    + ("set it for one source" if flag == "osc" else "write {stream} in its name")
                )
    return list(runs.values())


class Engine:
    """Any number of streams at once; an asynchronous iterator of what each brings to light.

    A stream that fails says why and leaves the others alone. Several tasks may iterate: each update goes to one of
    them, and the end to all. Leaving the engine ends capture and analysis within a second, whatever hangs.

    Args:
        runs: The streams, each of which is to be started here.

    Example:
        >>> async with Engine([StreamRun(settings)]) as engine:  # doctest: +SKIP
        ...     async for run, update in engine:
        ...         print(run.name, update.events)
    """

    def __init__(self, runs: Sequence[StreamRun]) -> None:
        self._runs = list(runs)
        self._going = len(self._runs)
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop
        self._updates: asyncio.Queue[tuple[StreamRun, Update | BaseException | None]] = asyncio.Queue()
        self._turn = asyncio.Lock()  # of the one task that waits for the queue, which gives the end only once

    async def __aenter__(self) -> Self:
        """Start every stream."""
        self._loop = asyncio.get_running_loop()
        for run in self._runs:
            run.start(partial(self._give, run))
        return self

    async def __aexit__(self, *_: object) -> None:
        """End every stream."""
        for run in self._runs:
            run.abandon()
        until = time.monotonic() + max((run.patience for run in self._runs), default=0.0)
        while any(run.running for run in self._runs) and time.monotonic() < until:  # noqa: ASYNC110
            await asyncio.sleep(0.005)

    def __aiter__(self) -> Self:
        """Iterate over the updates."""
        return self

    async def __anext__(self) -> tuple[StreamRun, Update]:
        """Return the next update and its stream; at the end raises the StreamspotError that ended one, if any did."""
        async with self._turn:
            while self._going:
                run, item = await self._updates.get()
                if isinstance(item, Update):
                    run.taken()
                    return run, item
                self._going -= 1
                self._failure = self._failure or item
                if self._going:
                    return run, run.last(item)
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        raise StopAsyncIteration

    def _give(self, run: StreamRun, item: Update | BaseException | None) -> None:
        try:
            self._loop.call_soon_threadsafe(self._updates.put_nowait, (run, item))
        except RuntimeError:  # the loop has been closed: nobody listens any more
            run.stop()
