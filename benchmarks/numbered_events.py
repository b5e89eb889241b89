"""Publishes numbered events to a broker and prints each number once the journal has it.

    python benchmarks/numbered_events.py RUN JOURNAL URL

A process of its own, which ``faults.py`` starts, pauses and kills. Its wall clock is as many seconds off as the file
``clock`` two folders above the journal says. While there is a file ``hold`` beside the journal no event comes, and
how many are queued is printed instead.
"""

from __future__ import annotations

import asyncio
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

RUN, JOURNAL, URL = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
_now = time.time


def seconds_off() -> float:
    """Return by how much the clock is off."""
    return float((JOURNAL.parents[1] / "clock").read_text())


time.time = lambda: _now() + seconds_off()  # before anything that asks for it is imported

from streamspot.mqtt.channel import Channel  # noqa: E402
from streamspot.mqtt.publisher import Publisher  # noqa: E402
from streamspot.stats import Delivery, Stats  # noqa: E402
from streamspot.types import Event, Moment, Update  # noqa: E402


def event(number: int) -> Event:
    """Return an onset of that number, at that tick."""
    stamp = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds_off())
    moment = Moment(tick=number, frame=number, pts=number / 30, time=stamp.isoformat().replace("+00:00", "Z"))
    return Event(
        run=RUN,
        session="x",
        stream="s",
        face=0,
        expression=f"{RUN}/s/0-{number}",
        phase="onset",
        kind="macro",
        seq=number,
        onset=moment,
        apex=None,
        offset=None,
        intensity=0.5,
        score=0.0,
        decided_at=moment,
        look_ahead=8,
        model="none",
        reason=None,
    )


async def main() -> None:
    """Publish for ever."""
    delivery, channels = Delivery(), [Channel("s", Stats())]
    async with Publisher(URL, node="n", channels=channels, journal=JOURNAL, delivery=delivery) as publisher:
        for number in range(10**9):
            await publisher.take("s", Update(events=(event(number),)))
            print(RUN, number, delivery.lost, flush=True)
            await asyncio.sleep(0.01)
            while (JOURNAL.parent / "hold").exists():
                await asyncio.sleep(0.02)
                print("queued", delivery.queued, flush=True)


asyncio.run(main())
