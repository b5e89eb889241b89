"""The journal of a source: held by one engine at a time; the next one goes on in it, under the next numbers.

It lies at ``<source>/<epoch>/journal.sqlite`` below one folder, best on storage that outlives a machine. Whoever has
SQLite's lock on it reads the last number there and counts on, so no number is given twice. While an earlier holder
still has the lock (it stands still, or its storage does not know yet that its machine is dead), its successor begins
another journal and with it a new run, and delivers the old one once it is let go of. Expressions that were announced
and never ended are cancelled, so that a consumer sees where the watching broke off.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from streamspot.errors import SettingsError, StreamspotError
from streamspot.events import CONTENT_TYPE, decode, encode
from streamspot.fleet.lease import Lease
from streamspot.mqtt.address import Broker
from streamspot.mqtt.connection import Connection, Dialler
from streamspot.mqtt.journal import Journal
from streamspot.mqtt.paho import quiet_loop
from streamspot.mqtt.payloads import LeasePayload
from streamspot.mqtt.resend import event_topic
from streamspot.types import Event

_KEPT = 8
"""Delivered journals of a source that are kept for ``resend``, the newest, beside the one in use."""
_DONE = ".delivered"
_CLAIM = ".claim"
PATIENCE = 3.0
"""Seconds to wait until an earlier holder has let go of its journal; by its own clock it should have."""
_POLL = 0.2
_RECENT = 2000
"""Events at the end of a journal among which those under way are looked for; by default none lasts over a minute."""
LOST = "the engine was lost"
"""Why expressions are cancelled that were under way when an engine vanished."""


class Past(NamedTuple):
    """What a journal tells of a run that is to go on.

    Attributes:
        run: Its id, empty where there is none yet.
        closings: What ends the expressions that were left under way.
        first: The number after those.
    """

    run: str
    closings: tuple[Event, ...]
    first: int


def claim(root: Path, lease: Lease) -> None:
    """Note in the store that an epoch is held; only one holder ever can, and none after a later one.

    Raises:
        SettingsError: The epoch was taken before, or a later one was, or the folder cannot be written.
    """
    mark = root / lease.source / f"{lease.epoch:08d}{_CLAIM}"
    with _writing(root):
        mark.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            mark.touch(0o600, exist_ok=False)
        except FileExistsError:
            raise gone_on(lease) from None
    if superseded(root, lease):
        mark.unlink(missing_ok=True)
        raise gone_on(lease)
    for epoch, earlier in _claims(root / lease.source):
        if epoch < lease.epoch:
            earlier.unlink(missing_ok=True)


def superseded(root: Path, lease: Lease) -> bool:
    """Tell whether a later holder has claimed the source."""
    return any(epoch > lease.epoch for epoch, _ in _claims(root / lease.source))


def gone_on(lease: Lease) -> SettingsError:
    """Return the error of a holder that comes too late."""
    return SettingsError(f"the lease of {lease.source} has gone on to another engine; nothing is to be done")


def journal_of(root: Path, lease: Lease, patience: float = PATIENCE) -> tuple[Path, str]:
    """Return the folder of the journal in which a holder goes on, and why it is a new one if the run cannot go on.

    Args:
        root: Folder of all journals.
        lease: What is held and claimed.
        patience: Seconds to wait for an earlier holder to let go of its journal.

    Raises:
        SettingsError: The folder cannot be written.
    """
    there = [folder for epoch, folder in _journals(root / lease.source) if epoch < lease.epoch]
    why = "" if there or lease.epoch == 1 else f"no journal of an earlier holder is in {root}"
    if there:
        until = time.monotonic() + patience
        while held := not _let_go(there[-1]):
            if time.monotonic() > until:
                break
            time.sleep(_POLL)
        if held:
            why = "the earlier holder has not let go of its journal"
        elif any(there[-1].glob("*.damaged-*")):
            why = "the journal of the earlier holder was damaged"
        else:
            return there[-1], ""
    new = root / lease.source / f"{lease.epoch:08d}"
    with _writing(root):
        new.mkdir(mode=0o700, parents=True, exist_ok=True)
    return new, why and f"{why}: a new run of {lease.source} begins, its events are numbered from 0"


def past(payloads: Iterable[bytes]) -> Past:
    """Return what the payloads of a journal, or the newest of them, tell of the run that they are of."""
    run, number = "", -1
    under_way: dict[str, Event] = {}
    last: Event | None = None
    for payload in payloads:
        number += 1
        try:
            last = decode(payload)
        except StreamspotError:  # a row that is damaged has a number, too
            continue
        run, number = last.run, last.seq
        if last.state == "neutral":
            under_way.pop(last.expression, None)
        else:
            under_way[last.expression] = last
    if last is None:
        return Past("", (), 0)
    change = {"phase": "cancelled", "decided_at": last.decided_at, "reason": LOST}
    closings = tuple(
        event.model_copy(update=change | {"seq": number + place})
        for place, event in enumerate(under_way.values(), 1)
    )
    return Past(run, closings, number + len(closings) + 1)


def past_of(folder: Path) -> Past:
    """Return what the journal of a folder tells of its run."""
    return past(Journal.read(folder, newest=_RECENT))


def left(lease: Lease, place: Path) -> list[Path]:
    """Return the journals that earlier holders left beside the one in use."""
    journals = _journals(place.parent)
    return [folder for epoch, folder in journals if epoch < lease.epoch and folder != place]


async def hand_over(lease: Lease, place: Path, url: str, node: str, engine: str) -> bool:
    """Say who holds a source now, and deliver journals that are not gone on in; return whether none is left.

    Args:
        lease: What is held.
        place: The journal in use.
        url: The broker.
        node: Of the source, in topics.
        engine: Who holds it.

    Raises:
        BrokerError: The broker cannot be reached or went away; call it again.
    """
    rest = False
    with quiet_loop():
        async with Dialler(Broker.parse(url)).connect() as connection:
            about = LeasePayload(epoch=lease.epoch, engine=engine).encode()
            topic = f"streamspot/{node}/{lease.source}/lease"
            await connection.publish(topic, about, retain=True, kind="application/json")
            for folder in left(lease, place):
                rest = not await _deliver(folder, node, connection) or rest
    _tidy(place.parent)
    return not rest


async def _deliver(folder: Path, node: str, connection: Connection) -> bool:
    """Deliver a journal to its end and mark its folder; return False where its holder has not let go of it."""
    if _never_begun(folder):
        return True
    try:
        with Journal(folder, fsync=0.0) as journal:
            for event in (await asyncio.to_thread(past_of, folder)).closings:
                decided = datetime.fromisoformat(event.decided_at.time).timestamp()
                journal.append(encode(event, node=node), decided)
            while (payload := journal.peek()) is not None:
                if topic := event_topic(payload):
                    await connection.publish(topic, payload, kind=CONTENT_TYPE)
                journal.ack(payload)
            if journal.queued or journal.error:  # the disk is full: nothing could be read or added
                return False
    except SettingsError:
        return False
    _mark(folder)
    return True


def _never_begun(folder: Path) -> bool:
    """Remove the folder of a holder that never got so far as to write."""
    with contextlib.suppress(OSError):  # it is not empty, or no longer there
        folder.rmdir()
    return not folder.exists()


def _mark(folder: Path) -> None:
    folder.rename(folder.with_name(folder.name + _DONE))


@contextlib.contextmanager
def _writing(root: Path) -> Iterator[None]:
    """Say in one sentence that the folder of all journals cannot be written."""
    try:
        yield
    except OSError as error:
        raise SettingsError(
            f"the journals' folder {root} cannot be written ({error.strerror}); name another with --journal"
        ) from None


def _let_go(folder: Path) -> bool:
    """Tell whether nobody holds a journal; one that is not there yet is made."""
    try:
        with Journal(folder, fsync=0.0):
            return True
    except SettingsError:
        return False


def _journals(folder: Path) -> list[tuple[int, Path]]:
    """Return the journals that may still hold something undelivered, by the epoch in which they were begun."""
    return sorted((int(path.name), path) for path in folder.glob("[0-9]*") if path.name.isdigit())


def _claims(folder: Path) -> list[tuple[int, Path]]:
    return [(int(path.stem), path) for path in folder.glob(f"[0-9]*{_CLAIM}")]


def _tidy(folder: Path) -> None:
    for old in sorted(folder.glob(f"*{_DONE}"))[:-_KEPT]:
        for file in old.iterdir():
            file.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            old.rmdir()
