"""Promises of the command line about delivery."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from pathlib import Path

import pytest
from brokers import Mosquitto, free_port, make_event, overhear
from typer.testing import CliRunner

from streamspot.cli import app
from streamspot.cli.live import _patiently
from streamspot.errors import BrokerError
from streamspot.events import encode
from streamspot.mqtt.address import Broker
from streamspot.mqtt.connection import Dialler
from streamspot.mqtt.journal import Journal
from streamspot.mqtt.subscriber import subscribe


async def call(*arguments: str) -> tuple[int, str]:
    """Run the command line in a thread; return its exit code and what it printed or why it failed."""
    result = await asyncio.to_thread(CliRunner().invoke, app, arguments)
    return result.exit_code, result.output or str(result.exception)


async def test_resend_repeats_a_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """``streamspot resend`` sends all, or what is since a time, and says how much."""
    with Journal(tmp_path / "j") as journal:
        for number in range(3):
            event = make_event(number)
            decided = datetime.fromisoformat(event.decided_at.time).timestamp()
            journal.append(encode(event, node="n"), decided)
    with Mosquitto(tmp_path) as broker:
        async with subscribe(broker.url) as events:
            assert await call("resend", str(tmp_path / "j"), "--broker", broker.url) == (0, "3 events sent\n")
            async with asyncio.timeout(5):
                assert [(await anext(events)).event.seq for _ in range(3)] == [0, 1, 2]
        monkeypatch.setenv("TZ", "<+05>-5")  # five hours east of Greenwich
        time.tzset()
        for since, answer in TIMES.items():
            code, output = await call("resend", str(tmp_path / "j"), "--since", since, "--broker", broker.url)
            assert (code, output) == (0, f"{answer} sent\n")
        monkeypatch.undo()
        time.tzset()


TIMES = {
    "2026-11-22T10:00:00.5Z": "2 events since 2026-11-22T15:00:00.500000+05:00",
    "2026-11-22T12:00:00.5+02:00": "2 events since 2026-11-22T15:00:00.500000+05:00",
    "2026-11-22T15:00:00.7": "1 event since 2026-11-22T15:00:00.700000+05:00",
    "2026-11-23": "0 events since 2026-11-23T00:00:00+05:00",
}
"""Times as users write them; without an offset they are local, and the answer says which was understood."""


@pytest.mark.parametrize("since", ["yesterday", "14:30", "", "2026", "2026-13-01", "9" * 400])
async def test_what_is_no_time_is_refused_with_what_is(tmp_path: Path, since: str):
    """Nothing is sent, and the sentence shows how to write it."""
    journal = ("resend", str(tmp_path), "--broker", f"mqtt://127.0.0.1:{free_port()}")
    code, output = await call(*journal, "--since", since)
    assert code == 1
    assert "2026-11-22T14:30 (local time)" in output


async def test_resend_without_a_broker_is_one_sentence(tmp_path: Path):
    """The broker's address and what to do, exit code not 0, no traceback."""
    with Journal(tmp_path / "j"):
        pass
    code, output = await call("resend", str(tmp_path / "j"), "--broker", f"mqtt://127.0.0.1:{free_port()}")
    assert code == 1
    assert "is not there" in output


async def test_listen_prints_what_a_newer_publisher_adds(tmp_path: Path):
    """``--json`` gives the message as it came, on one line and without what a terminal would obey."""
    payload = encode(make_event(0), node="n").replace(b'"1.0",', b'"1.0",\n"traceparent":"00-a\x7f",')
    with Mosquitto(tmp_path) as broker:
        async with Dialler(Broker.parse(broker.url)).connect() as connection:
            await connection.publish("streamspot/n/cam/event", payload, retain=True)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "streamspot", "listen", "--json", "--broker", broker.url),
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        try:
            async with asyncio.timeout(30):
                line = await process.stdout.readline()
        finally:
            process.kill()
            await process.wait()
    assert line == payload.replace(b"\n", b" ").replace(b"\x7f", rb"\u007f") + b"\n"


@pytest.mark.slow
async def test_a_run_speaks_to_everyone_at_once(tmp_path: Path):
    """One run feeds the broker, the log, the table, ROS, Home Assistant, an avatar and Prometheus."""
    with Mosquitto(tmp_path) as broker:
        async with overhear(
            broker.url, "homeassistant/#", "streamspot/+/+/ros/#", "streamspot/+/+/event"
        ) as messages:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "streamspot"),
                *("run", "--source", "synthetic", "--no-ui", "--broker", broker.url, "--node", "n"),
                *("--journal", str(tmp_path / "j"), "--log", str(tmp_path / "events.csv"), "--fsync", "0"),
                *("--expressions", str(tmp_path / "expressions.csv")),
                *("--ros", "--homeassistant", "--osc", f"vrchat://127.0.0.1:{free_port()}", "--metrics", "0"),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            output, _ = await process.communicate()
            assert process.returncode == 0, output.decode()
            topics = set()
            async with asyncio.timeout(10):
                while len(topics) < 4:
                    topics.add((await messages.get())[0].rsplit("/", 1)[-1])
    assert topics == {"event", "tracked", "expression", "config"}
    assert len((tmp_path / "expressions.csv").read_text().splitlines()) > 1
    rows = (tmp_path / "events.csv").read_text().splitlines()
    assert len(rows) - 1 == len(list(Journal.read(tmp_path / "j"))) > 0


async def test_the_demonstration_waits_for_the_broker_that_it_has_started():
    """On a slow disk the first start keeps a connection waiting for longer than one may."""
    tries = 0

    @asynccontextmanager
    async def slow() -> AsyncIterator[str]:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise BrokerError("the broker is not there; start it")
        yield "events"

    async with AsyncExitStack() as stack:
        assert await _patiently(stack, slow) == "events"
    assert tries == 3
