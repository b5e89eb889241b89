"""Publish again what a journal holds."""

from __future__ import annotations

import re
from datetime import datetime
from itertools import chain
from pathlib import Path

from streamspot.errors import SettingsError
from streamspot.events import CONTENT_TYPE
from streamspot.mqtt.address import Broker
from streamspot.mqtt.connection import Dialler
from streamspot.mqtt.journal import Journal
from streamspot.mqtt.paho import quiet_loop

_SOURCE = re.compile(rb'\{"specversion":"1\.0","id":"[^"\\]*","source":"(streamspot/[\w.-]+/[\w.-]+)"')
"""How an event begins; every one is written by ``events.encode``."""


async def resend(url: str, journal: Path, *, since: datetime | None = None) -> int:
    """Publish again what a journal holds, beside a running stream, and return how many events that were.

    Args:
        url: Address of the broker.
        journal: Folder of the journal, or its file; one that was set aside because of damage too.
        since: Events decided earlier are left out.

    Raises:
        BrokerError: The broker cannot be reached or went away.
        SettingsError: There is no such journal, or it cannot be read.
    """
    broker, count = Broker.parse(url), 0
    payloads = Journal.read(journal) if since is None else Journal.read(journal, since.timestamp())
    first = next(payloads, None)  # a journal that cannot be read is said before a broker is looked for
    with quiet_loop():
        async with Dialler(broker).connect() as connection:
            for payload in () if first is None else chain([first], payloads):
                if topic := event_topic(payload):
                    await connection.publish(topic, payload, kind=CONTENT_TYPE)
                    count += 1
    return count


def parse_time(text: str) -> datetime:
    """Return the time that a user writes; local time where it names no offset.

    Raises:
        SettingsError: It is none.
    """
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError, OSError):
        raise SettingsError(
            f"{text[:80]!r} is no time; write the day and, if you like, the time and its offset from UTC: "
            "2026-11-22T14:30 (local time), 2026-11-22T14:30+02:00 or 2026-11-22T12:30Z"
        ) from None


def event_topic(payload: bytes) -> str:
    """Return the topic a journalled event belongs to; nothing if the payload is damaged."""
    found = _SOURCE.match(payload)
    return f"{found[1].decode()}/event" if found and payload.endswith(b"}") else ""
