"""Processes that publish events until they are killed.

``python endless.py URL FOLDER FIRST`` is one. The number of each event stands on standard output once the journal has
it, as any other sink would report it.

``python endless.py URL FOLDER`` imports once and begins another for every FIRST on standard input. Its process id
stands before its numbers, ``killed`` behind them.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from brokers import make_event, make_update, publisher_to


def say(what: object) -> None:
    """Print a line in one piece, however standard output is buffered: a kill does not tear it."""
    os.write(sys.stdout.fileno(), f"{what}\n".encode())


async def publish(url: str, folder: str, first: int) -> None:
    """Publish for ever."""
    async with publisher_to(url, Path(folder)) as publisher:
        for number in range(first, 10**6):
            await publisher.take("cam", make_update(make_event(number)))
            say(number)
            await asyncio.sleep(0.002)


def begin_again_and_again(url: str, folder: str) -> None:
    """Publish in a process of its own from each number that is asked for."""
    for line in sys.stdin:
        if not os.fork():
            say(os.getpid())
            asyncio.run(publish(url, folder, int(line)))
        os.wait()
        say("killed")


if __name__ == "__main__":
    if sys.argv[3:]:
        asyncio.run(publish(sys.argv[1], sys.argv[2], int(sys.argv[3])))
    else:
        begin_again_and_again(sys.argv[1], sys.argv[2])
