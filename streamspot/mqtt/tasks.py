"""Run coroutines side by side and cancel them together."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any


async def run_until_first(*parts: Coroutine[Any, Any, object]) -> None:
    """Run parts until the first ends or fails, then cancel the others."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await cancel_all(tasks)


async def cancel_all(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancel tasks again and again until all have ended, even if this is cancelled meanwhile itself.

    Once is not enough: in Python 3.11 ``wait_for`` loses a cancellation that arrives together with its result.
    """
    cancelled = False
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        try:
            await asyncio.wait(pending, timeout=0.1)
        except asyncio.CancelledError:
            cancelled = True
    await asyncio.gather(*tasks, return_exceptions=True)  # else the loop logs errors that nobody has read
    if cancelled:
        raise asyncio.CancelledError
