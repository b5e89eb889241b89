"""A process that publishes events until it is killed: ``python endless.py URL FOLDER FIRST``.

The number of each event stands on standard output once the journal has it, as any other sink would report it.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from brokers import make_event, make_update, publisher_to


async def main(url: str, folder: str, first: int) -> None:
    """Publish."""
    async with publisher_to(url, Path(folder)) as publisher:
        for number in range(first, 10**6):
            await publisher.take("cam", make_update(make_event(number)))
            print(number, flush=True)  # noqa: T201
            await asyncio.sleep(0.002)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
