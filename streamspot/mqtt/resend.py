"""Publish again what a journal holds."""

from __future__ import annotations

import json
import re
from pathlib import Path

from streamspot.errors import SettingsError
from streamspot.events import CONTENT_TYPE
from streamspot.mqtt.address import Broker
from streamspot.mqtt.connection import Dialler, quiet_loop
from streamspot.mqtt.journal import Journal


async def resend(url: str, journal: Path, *, since: str = "") -> int:
    """Publish again what a journal holds, beside a running stream, and return how many events that were.

    Args:
        url: Address of the broker.
        journal: Folder of the journal.
        since: RFC 3339 time in UTC; earlier events are left out.

    Raises:
        BrokerError: The broker cannot be reached or went away.
        SettingsError: There is no such journal.
    """
    if not journal.is_dir():  # noqa: ASYNC240
        raise SettingsError(f"there is no journal {journal}; name the folder that the stream was run with")
    count = 0
    with quiet_loop():
        async with Dialler(Broker.parse(url)).connect() as connection:
            for payload in Journal.read(journal, since):
                if topic := event_topic(payload):
                    await connection.publish(topic, payload, kind=CONTENT_TYPE)
                    count += 1
    return count


def event_topic(payload: bytes) -> str:
    """Return the topic a journalled event belongs to; nothing if the payload is damaged."""
    try:
        source = str(json.loads(payload)["source"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return f"{source}/event" if re.fullmatch(r"streamspot/[^/+#]+/[^/+#]+", source) else ""
