"""What an engine leaves behind when it vanishes is delivered by its successor, and what was under way is ended."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from streamspot.errors import SettingsError
from streamspot.events import decode, encode
from streamspot.fleet.lease import Lease
from streamspot.fleet.remains import LOST, claim, closings, hand_over, superseded
from streamspot.mqtt.journal import Journal
from tests.brokers import Mosquitto, make_event, overhear


def test_an_epoch_is_claimed_once_and_never_after_a_later_one(tmp_path: Path) -> None:
    """The store refuses an old holder, and a second one of the same epoch."""
    claim(tmp_path, Lease("cam", 1))
    claim(tmp_path, Lease("cam", 3))
    for epoch in (1, 2, 3):
        with pytest.raises(SettingsError, match="has gone on to another engine"):
            claim(tmp_path, Lease("cam", epoch))
    assert superseded(tmp_path, Lease("cam", 2))
    assert not superseded(tmp_path, Lease("cam", 3))
    claim(tmp_path, Lease("other", 1))


def test_open_expressions_are_cancelled_under_the_next_numbers() -> None:
    """Only what was announced and not ended is; whoever does it twice does nothing more."""
    run = [make_event(0, "onset"), make_event(1, "onset"), make_event(2, "apex")]
    run = [event.model_copy(update={"expression": name}) for event, name in zip(run, "aab", strict=True)]
    run.append(make_event(3, "offset").model_copy(update={"expression": "a"}))
    payloads = [encode(event, node="n") for event in run]
    (ended,) = closings(payloads)
    assert (ended.phase, ended.expression, ended.seq, ended.reason) == ("cancelled", "b", 4, LOST)
    assert decode(encode(ended, node="n")) == ended
    assert closings([*payloads, encode(ended, node="n")]) == []
    assert closings([]) == []


async def test_a_successor_delivers_what_was_left(tmp_path: Path) -> None:
    """In order and once, the end of open expressions included; a journal that is still held waits for its holder."""
    with Mosquitto(tmp_path) as broker:
        async with overhear(broker.url, "streamspot/#") as heard:
            with Journal(claim(tmp_path / "j", Lease("cam", 1))) as first:
                for event in (make_event(0, "onset"), make_event(1, "onset")):
                    first.append(encode(event, node="n"))
                first.ack(first.peek() or b"")
            claim(tmp_path / "j", Lease("cam", 2))  # it got no further
            with Journal(claim(tmp_path / "j", Lease("cam", 3))):
                assert not await hand_over(tmp_path / "j", Lease("cam", 4), broker.url, "n", "e4")
            assert await hand_over(tmp_path / "j", Lease("cam", 4), broker.url, "n", "e4")
            assert await hand_over(tmp_path / "j", Lease("cam", 4), broker.url, "n", "e4")
            await asyncio.sleep(0.3)
            messages = [heard.get_nowait() for _ in range(heard.qsize())]
    events = [decode(payload) for topic, payload, _ in messages if topic == "streamspot/n/cam/event"]
    assert [(event.seq, event.phase) for event in events] == [
        (1, "onset"),
        (2, "cancelled"),
        (3, "cancelled"),
    ]
    leases = [payload for topic, payload, _ in messages if topic == "streamspot/n/cam/lease"]
    assert len(leases) == 3
    assert b'"epoch":4,"engine":"e4"' in leases[0]
    kept = sorted(path.name for path in (tmp_path / "j" / "cam").iterdir())
    assert kept == ["00000001.delivered", "00000003.delivered"]
