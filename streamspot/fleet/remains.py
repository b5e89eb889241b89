"""The journals of a source, one for each epoch: held by one engine only, delivered to the end by whoever comes after.

They lie below one folder, ``<source>/<epoch>/journal.sqlite``, best on storage that outlives a machine. A journal is
taken up by a later holder once the earlier one has let go of it, which SQLite's lock tells; expressions that were
announced in it and never ended are then cancelled, so that a consumer sees where the watching broke off.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from streamspot.errors import SettingsError, StreamspotError
from streamspot.events import CONTENT_TYPE, decode, encode
from streamspot.fleet.lease import Lease
from streamspot.mqtt.address import Broker
from streamspot.mqtt.connection import Connection, Dialler, quiet_loop
from streamspot.mqtt.journal import Journal
from streamspot.mqtt.payloads import Payload
from streamspot.mqtt.resend import event_topic
from streamspot.types import Event

_KEPT = 8
"""Delivered journals of a source that are kept for ``resend``, the newest."""
_DONE = ".delivered"
LOST = "the engine was lost"
"""Why expressions are cancelled that were under way when an engine vanished."""


class LeasePayload(Payload):
    """Who runs a source, on the retained topic ``…/lease``."""

    epoch: int
    engine: str


def claim(root: Path, lease: Lease) -> Path:
    """Make the folder of an epoch's journal and return it; only one holder ever can.

    Raises:
        SettingsError: The epoch was taken before, or a later one was, or the folder cannot be written.
    """
    folder = root / lease.source / f"{lease.epoch:08d}"
    refusal = SettingsError(
        f"the lease of {lease.source} has gone on to another engine; nothing is to be done"
    )
    try:
        folder.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        raise refusal from None
    except OSError as error:
        raise SettingsError(
            f"the journals' folder {root} cannot be written ({error.strerror}); name another with --journal"
        ) from None
    if superseded(root, lease):
        folder.rmdir()
        raise refusal
    return folder


def superseded(root: Path, lease: Lease) -> bool:
    """Tell whether a later holder has claimed the source."""
    return any(epoch > lease.epoch for epoch, _ in _epochs(root / lease.source))


def left(root: Path, lease: Lease) -> bool:
    """Tell whether earlier holders left anything."""
    return any(epoch < lease.epoch for epoch, _ in _epochs(root / lease.source))


def closings(payloads: Iterable[bytes]) -> list[Event]:
    """Return what ends the expressions that a journal leaves open; their numbers follow its last."""
    last: Event | None = None
    under_way: dict[str, Event] = {}
    for payload in payloads:
        try:
            last = decode(payload)
        except StreamspotError:  # a row that is damaged
            continue
        if last.state == "neutral":
            under_way.pop(last.expression, None)
        else:
            under_way[last.expression] = last
    if last is None:
        return []
    change = {"phase": "cancelled", "decided_at": last.decided_at, "reason": LOST}
    return [
        event.model_copy(update=change | {"seq": last.seq + number})
        for number, event in enumerate(under_way.values(), 1)
    ]


async def hand_over(root: Path, lease: Lease, url: str, node: str, engine: str) -> bool:
    """Say who holds a source now, and deliver what earlier holders left; return whether nothing of theirs is left.

    Args:
        root: Folder of all journals.
        lease: What is held.
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
            for epoch, folder in _epochs(root / lease.source):
                if epoch < lease.epoch:
                    rest = not await _deliver(folder, node, connection) or rest
    _tidy(root / lease.source)
    return not rest


async def _deliver(folder: Path, node: str, connection: Connection) -> bool:
    """Deliver a journal to its end and mark its folder; return False where its holder has not let go of it."""
    if _never_begun(folder):
        return True
    try:
        with Journal(folder, fsync=0.0) as journal:
            for event in await asyncio.to_thread(lambda: closings(Journal.read(folder))):
                decided = datetime.fromisoformat(event.decided_at.time).timestamp()
                journal.append(encode(event, node=node), decided)
            while (payload := journal.peek()) is not None:
                if topic := event_topic(payload):
                    await connection.publish(topic, payload, kind=CONTENT_TYPE)
                journal.ack(payload)
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


def _epochs(folder: Path) -> list[tuple[int, Path]]:
    """Return the journals that are not delivered to the end, by epoch."""
    return sorted((int(path.name), path) for path in folder.glob("[0-9]*") if path.name.isdigit())


def _tidy(folder: Path) -> None:
    for old in sorted(folder.glob(f"*{_DONE}"))[:-_KEPT]:
        for file in old.iterdir():
            file.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            old.rmdir()
