"""The engine: any number of streams at once, their updates in the order in which they come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import Self

from streamspot.run import StreamRun
from streamspot.types import Update


class Engine:
    """Any number of streams at once; an asynchronous iterator of what each brings to light.

    Leaving it ends capture and analysis within a second, whatever hangs.

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
        self._loop: asyncio.AbstractEventLoop
        self._updates: asyncio.Queue[tuple[StreamRun, Update | BaseException | None]] = asyncio.Queue()

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
        """Return the next update and its stream; raises the StreamspotError that ended a stream, if one did."""
        while self._going:
            run, item = await self._updates.get()
            if isinstance(item, Update):
                run.taken()
                return run, item
            self._going -= 1
            if item is not None:
                raise item
        raise StopAsyncIteration

    def _give(self, run: StreamRun, item: Update | BaseException | None) -> None:
        try:
            self._loop.call_soon_threadsafe(self._updates.put_nowait, (run, item))
        except RuntimeError:  # the loop has been closed: nobody listens any more
            run.stop()
