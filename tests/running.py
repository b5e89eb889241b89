"""Running a source to its end in a test, with the outputs that the settings name."""

from __future__ import annotations

import asyncio
import json
from functools import cache
from pathlib import Path

from streamspot.engine import Engine
from streamspot.events import encode
from streamspot.layers import load_settings
from streamspot.outputs import Outputs
from streamspot.run import StreamRun
from streamspot.sources.pushed import Pictures, PushedFrames
from streamspot.spotting.overlap import iou
from streamspot.types import Event, Score, Update

CLIP = "synthetic:seconds=10,expressions=2,noise=0"
"""A clip in which two expressions are found."""
SHORT = "synthetic:seconds=1,expressions=0,noise=0"


class PushedLive(PushedFrames):
    """One's own pictures, with their times, that count as a live source."""

    def __init__(self, pictures: Pictures = ()) -> None:
        super().__init__(pictures)
        self.live = True


async def updates_of(source: object, **settings: object) -> list[Update]:
    """Return every update of a source."""
    run = StreamRun(load_settings({"source": str(source), **settings}))
    run.load()
    async with Outputs([run]) as outputs, Engine([run]) as engine:
        updates = []
        async for run, update in engine:
            await outputs.take(run, update)
            updates.append(update)
        return updates


def collect(source: object, **settings: object) -> tuple[list[tuple[int, Score]], list[Event]]:
    """Run a source to its end and return its scores and events."""
    updates = asyncio.run(updates_of(source, **settings))
    return [one for update in updates for one in update.scores], [
        event for update in updates for event in update.events
    ]


@cache
def finished_in(clip: Path) -> tuple[Event, ...]:
    """Return the final events of a real clip, which several tests look at."""
    return tuple(event for event in collect(clip)[1] if event.phase == "offset")


def overlap(event: Event, onset: int, offset: int) -> float:
    """Return the intersection over union of a finished expression with inclusive frames."""
    assert event.offset is not None
    return iou((event.onset.frame, event.offset.frame + 1), (onset, offset + 1))


def delivered(event: Event, *without: str) -> object:
    """Return the delivered form of an event, without the run's id and the fields named."""

    def strip(value: object) -> object:
        if isinstance(value, dict):
            return {key: strip(inner) for key, inner in value.items() if key not in without}
        return value.replace(event.run, "RUN") if isinstance(value, str) else value

    return strip(json.loads(encode(event, node="test")))
