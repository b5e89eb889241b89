"""A real mosquitto for the tests, stopped in every way a broker can stop; a publisher, events and an eavesdropper."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from streamspot.commands import Command
from streamspot.mqtt.address import Broker
from streamspot.mqtt.bridges import Bridge
from streamspot.mqtt.channel import Channel
from streamspot.mqtt.connection import Dialler
from streamspot.mqtt.publisher import Publisher
from streamspot.state import fold
from streamspot.stats import Delivery, Stats
from streamspot.types import Controls, Event, Moment, Phase, Score, Update

LOSSLESS = "autosave_on_changes true\nautosave_interval 1\n"
"""What docs/mqtt.md tells the administrator of a lossless consumer to write."""


def free_port() -> int:
    """Return a TCP port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Mosquitto:
    """Context manager of a mosquitto process; skips the test where there is none."""

    def __init__(
        self, folder: Path, *, settings: str = "", listener: str = "", anonymous: bool = True
    ) -> None:
        self.binary = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
        if self.binary is None:
            pytest.skip("mosquitto is not installed; apt-get install mosquitto")
        self.port = free_port()
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self.log = folder / "mosquitto.log"
        self._config = folder / "mosquitto.conf"
        self._config.write_text(
            f"listener {self.port} 127.0.0.1\n{listener}"
            f"allow_anonymous {str(anonymous).lower()}\n"
            f"persistence true\npersistence_location {folder}/\nmax_queued_messages 100000\n"
            f"user root\n{settings}"
        )
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(signal.SIGKILL)

    def start(self) -> None:
        """Start it and wait until it listens."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(self.binary), "-c", str(self._config)], stdout=log, stderr=log
            )
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        pytest.fail(f"mosquitto does not listen: {self.log.read_text()[-500:]}")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it and wait until it is gone."""
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(how)
            self.process.wait(10)
            self.process = None

    def signal(self, which: signal.Signals) -> None:
        """Send a signal, SIGSTOP for instance."""
        assert self.process is not None
        self.process.send_signal(which)


def make_event(seq: int, phase: Phase = "offset", *, stream: str = "cam", run: str = "r1") -> Event:
    """Return an event as a stream makes it, three phases to an expression."""

    def moment(tick: int) -> Moment:
        time = datetime(2026, 11, 22, 10, tzinfo=UTC) + timedelta(seconds=tick / 30)
        stamp = time.isoformat(timespec="microseconds").replace("+00:00", "Z")
        return Moment(tick=tick, frame=tick, pts=tick / 30, time=stamp)

    onset, later = moment(10 * seq), moment(10 * seq + 9)
    return Event(
        run=run,
        session="s1",
        stream=stream,
        face=0,
        expression=f"{run}/{stream}/0-{seq}",
        phase=phase,
        kind="macro",
        seq=seq,
        onset=onset,
        apex=later,
        offset=later if phase == "offset" else None,
        intensity=0.75,
        score=0.5,
        decided_at=later,
        look_ahead=8,
        model="test",
        reason="it came to nothing" if phase == "cancelled" else None,
    )


def make_update(
    *events: Event,
    scores: Sequence[tuple[int, Score]] = (),
    messages: Sequence[str] = (),
    controls: Controls = Controls(),  # noqa: B008
) -> Update:
    """Return what a step of a stream brings to light, the faces folded as the pipeline does."""
    return Update(
        scores=tuple(scores),
        events=events,
        faces=fold({}, (), scores, events),
        messages=tuple(messages),
        controls=controls,
    )


def publisher_to(
    url: str,
    folder: Path,
    delivery: Delivery | None = None,
    *,
    stream: str = "cam",
    measured: Stats | None = None,
    controls: Controls = Controls(),  # noqa: B008
    on_command: Callable[[Command], None] | None = None,
    bridges: Sequence[Bridge] = (),
    **rest: Any,
) -> Publisher:
    """Return the publisher under test, of one stream."""
    channel = Channel(stream, measured or Stats(), controls=controls, on_command=on_command, bridges=bridges)
    delivery = delivery or Delivery()
    return Publisher(url, node="n", channels=[channel], journal=folder / "j", delivery=delivery, **rest)


async def printed_by(program: str, url: str, folder: Path, phase: Phase = "offset") -> bytes:
    """Return the first line that a Python program prints while a stream publishes events of a phase."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-uc", program, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30), publisher_to(url, folder) as publisher:
            line, number = asyncio.create_task(process.stdout.readline()), 0
            while not line.done():
                await publisher.take("cam", make_update(make_event(number, phase)))
                number += 1
                await asyncio.wait([line], timeout=0.1)
        return await line
    finally:
        process.kill()
        await process.wait()


@contextlib.asynccontextmanager
async def overhear(url: str, *topics: str) -> AsyncIterator[asyncio.Queue[tuple[str, bytes, bool]]]:
    """Collect (topic, payload, retained) of every message, as any MQTT client would."""
    queue: asyncio.Queue[tuple[str, bytes, bool]] = asyncio.Queue()
    async with Dialler(Broker.parse(url)).connect() as connection:
        for topic in topics:
            await connection.client.subscribe(topic, qos=1)

        async def collect() -> None:
            async for message in connection.client.messages:
                assert isinstance(message.payload, bytes)
                queue.put_nowait((str(message.topic), message.payload, bool(message.retain)))

        task = asyncio.create_task(collect())
        try:
            yield queue
        finally:
            task.cancel()


async def until(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    """Wait for something that has to happen."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
