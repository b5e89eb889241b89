"""The journal of a source: one engine at a time holds it, its successor goes on under the next numbers."""

from __future__ import annotations

import asyncio
import contextlib
import random
from pathlib import Path

import pytest

from streamspot.errors import SettingsError
from streamspot.events import decode, encode
from streamspot.fleet.lease import Lease
from streamspot.fleet.remains import LOST, claim, hand_over, journal_of, left, past, past_of, superseded
from streamspot.mqtt.database import DatabaseError
from streamspot.mqtt.journal import Journal
from streamspot.types import Event
from tests.brokers import Mosquitto, make_event, overhear


def _place(root: Path, epoch: int, patience: float = 0.0) -> tuple[Path, str]:
    """Claim an epoch and return the journal to go on in."""
    claim(root, Lease("cam", epoch))
    return journal_of(root, Lease("cam", epoch), patience)


def _write(journal: Journal, *events: Event) -> None:
    for event in events:
        journal.append(encode(event, node="n"))


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


def test_a_successor_goes_on_under_the_next_numbers(tmp_path: Path) -> None:
    """In the same journal and the same run, after the end of what was left under way; an empty journal has no run."""
    place, why = _place(tmp_path, 1)
    assert not why
    with Journal(place) as journal:
        assert past_of(place) == ("", (), 0)
        _write(journal, make_event(0, "onset"), make_event(1, "onset"))
    assert _place(tmp_path, 2) == (place, "")
    run, closings, first = past_of(place)
    assert run == make_event(0).run
    assert [(event.phase, event.seq) for event in closings] == [("cancelled", 2), ("cancelled", 3)]
    assert first == 4
    with Journal(place) as journal:
        _write(journal, *closings, make_event(4, "onset"))
    assert _place(tmp_path, 5) == (place, "")
    assert past_of(place).first == 6


def test_what_is_under_way_ends_under_the_next_numbers() -> None:
    """Only what was announced and not ended is; whoever does it twice does nothing more; a damaged row counts."""
    run = [make_event(0, "onset"), make_event(1, "onset"), make_event(2, "apex")]
    run = [event.model_copy(update={"expression": name}) for event, name in zip(run, "aab", strict=True)]
    run.append(make_event(3, "offset").model_copy(update={"expression": "a"}))
    payloads = [encode(event, node="n") for event in run]
    (ended,) = past(payloads).closings
    assert (ended.phase, ended.expression, ended.seq, ended.reason) == ("cancelled", "b", 4, LOST)
    assert decode(encode(ended, node="n")) == ended
    assert past([*payloads, encode(ended, node="n")]) == (ended.run, (), 5)
    assert past([*payloads[:2], b"damaged"]).closings[0].seq == 3
    assert past([]) == ("", (), 0)


def test_whoever_still_holds_a_journal_keeps_its_numbers(tmp_path: Path) -> None:
    """A holder that was cut off may write late: its successor has begun a run of its own, and says so."""
    place, _ = _place(tmp_path, 1)
    with Journal(place) as late:
        _write(late, make_event(0, "onset"))
        other, why = _place(tmp_path, 2)
        assert other != place
        assert why.startswith("the earlier holder has not let go of its journal: a new run of cam begins")
        assert past_of(place).first == 2
        _write(late, make_event(1, "offset"))
    assert left(Lease("cam", 2), other) == [place]
    assert _place(tmp_path, 3) == (other, "")


def test_a_holder_that_comes_too_late_is_refused_the_journal(tmp_path: Path) -> None:
    """It stood still before it opened it: while a successor has it the lock refuses, afterwards the numbers go on."""
    place, _ = _place(tmp_path, 1)
    assert _place(tmp_path, 2)[0] == place
    with Journal(place) as successor:
        _write(successor, make_event(0, "onset"))
        with pytest.raises(SettingsError, match="is held by another"), Journal(place):
            pass
    with Journal(place):
        assert past_of(place).closings[0].seq == 1
        assert superseded(tmp_path, Lease("cam", 1))


def test_a_run_that_cannot_go_on_is_followed_by_another(tmp_path: Path) -> None:
    """The journal lies elsewhere, or was damaged so that nobody knows its last number."""
    place, why = _place(tmp_path / "elsewhere", 7)
    assert why.startswith("no journal of an earlier holder is in")
    with Journal(place) as journal:
        _write(journal, make_event(0, "onset"))
    (place / "journal.sqlite").write_bytes(b"no database" * 1000)
    other, why = _place(tmp_path / "elsewhere", 8)
    assert other != place
    assert why.startswith("the journal of the earlier holder was damaged: a new run")


def test_a_durable_journal_delivers_nothing_that_is_not_written(tmp_path: Path) -> None:
    """Or the next holder, which counts what is written, would give a number again."""
    with Journal(tmp_path / "j", fsync=0.0) as journal:
        (tmp_path / "j").rename(tmp_path / "away")
        (tmp_path / "j").write_bytes(b"")
        journal.append(b"one")
        assert journal.peek() is None
        assert journal.queued == 1


@pytest.mark.parametrize("seed", range(8))
def test_no_number_is_given_twice_whoever_stands_still(tmp_path: Path, seed: int) -> None:
    """Holders come, stand still, go on, write late and vanish at random: an id has one content, a run no gap."""
    chance, count = random.Random(seed), 0
    written: dict[str, bytes] = {}
    chosen: list[Path] = []  # by holders that have not opened it yet
    holding: list[tuple[Journal, Path, str, int]] = []
    for epoch in range(1, 60):
        if chance.random() < 0.5:
            chosen.append(_place(tmp_path, epoch)[0])
        if chosen and chance.random() < 0.6:
            place = chosen.pop(chance.randrange(len(chosen)))
            journal = Journal(place, fsync=0.0)
            with contextlib.suppress(SettingsError):
                journal.__enter__()
                before = past_of(place)
                holding.append((journal, place, before.run or f"run{epoch}", before.first))
        if holding and chance.random() < 0.3:
            holding.pop(chance.randrange(len(holding)))[0].__exit__(None, None, None)
        for number, (journal, place, run, first) in enumerate(holding):
            event = make_event(first, "offset").model_copy(update={"run": run, "expression": f"e{count}"})
            count += 1
            payload = encode(event, node="n")
            assert written.setdefault(event.id, payload) == payload
            journal.append(payload)
            holding[number] = journal, place, run, first + 1
    for journal, *_ in holding:
        journal.__exit__(None, None, None)
    numbers: dict[str, list[int]] = {}
    for payload in written.values():
        numbers.setdefault(decode(payload).run, []).append(decode(payload).seq)
    assert all(sorted(seen) == list(range(len(seen))) for seen in numbers.values())
    assert max(map(len, numbers.values())) > 10


async def test_a_successor_delivers_what_was_left(tmp_path: Path) -> None:
    """In order and once, the end of open expressions included; a journal that is still held waits for its holder."""
    root, lease = tmp_path / "j", Lease("cam", 3)
    with Mosquitto(tmp_path) as broker:
        async with overhear(broker.url, "streamspot/#") as heard:
            with Journal(_place(root, 1)[0]) as first:
                _write(first, make_event(0, "onset"), make_event(1, "onset"))
                first.ack(first.peek() or b"")
                place, _ = _place(root, 3)
                assert not await hand_over(lease, place, broker.url, "n", "e3")
            assert await hand_over(lease, place, broker.url, "n", "e3")
            assert await hand_over(lease, place, broker.url, "n", "e3")
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
    assert b'"epoch":3,"engine":"e3"' in leases[0]
    kept = sorted(path.name for path in (root / "cam").iterdir())
    assert kept == ["00000001.delivered", "00000003", "00000003.claim"]


async def test_a_journal_that_a_full_disk_keeps_closed_is_left_for_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not taken for one that was delivered."""
    with Mosquitto(tmp_path) as broker:
        root, lease = tmp_path / "root", Lease("cam", 3)
        with Journal(_place(root, 1)[0]) as first:
            _write(first, make_event(0, "onset"))
            place, _ = _place(root, 3)

        def full(_: Journal) -> None:
            raise DatabaseError(OSError(28, "No space left on device"))

        with monkeypatch.context() as patch:
            patch.setattr(Journal, "_open", full)
            assert not await hand_over(lease, place, broker.url, "n", "e3")
        assert [folder.name for folder in left(lease, place)] == ["00000001"]
        assert await hand_over(lease, place, broker.url, "n", "e3")
