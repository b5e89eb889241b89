"""Journals for the tests: filled, drained and harmed."""

from __future__ import annotations

from pathlib import Path

from streamspot.mqtt.journal import Journal


def drain(journal: Journal, count: int = -1) -> list[bytes]:
    """Deliver that many payloads, or all."""
    out = []
    while len(out) != count and (payload := journal.peek()) is not None:
        out.append(payload)
        journal.ack(payload)
    return out


def a_journal(folder: Path, count: int = 200, delivered: int = 50) -> Path:
    """Return the file of a journal with undelivered payloads."""
    with Journal(folder) as journal:
        for number in range(count):
            journal.append(b"%0499d" % number)
        drain(journal, delivered)
    return folder / "journal.sqlite"


def overwrite(path: Path, offset: int, data: bytes) -> None:
    """Damage a file in place."""
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)
