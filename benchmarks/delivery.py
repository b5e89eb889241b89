"""Measure delivery over a loopback mosquitto: latency from detection to subscriber, throughput, memory.

Protocol: publisher (journal, MQTT at QoS 1, one message in flight) and subscriber (duplicates dropped, decoded)
share one process and one event loop; mosquitto is a process of its own on this machine. Latency runs from just
before the sink is handed the event to the moment the subscriber's iterator yields it. Usage:

    python benchmarks/delivery.py [--seconds 20] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

from streamspot.sinks.mqtt import MqttSink
from streamspot.subscribe import Subscription, subscribe
from streamspot.telemetry import Telemetry
from streamspot.types import Event, Moment


def an_event(seq: int, stream: str) -> Event:
    """Return an offset event as a stream makes it."""
    moment = Moment(seq, seq, seq / 30, "2026-01-01T00:00:00.000000Z")
    name = f"bench/{stream}/0/{seq}"
    return Event(
        "bench", stream, 0, name, "offset", "macro", seq, moment, moment, moment, 0.7, 0.5, moment, 8, "none"
    )


async def paced(
    sink: MqttSink, events: Subscription, stream: str, rate: float, seconds: float
) -> tuple[list[float], float]:
    """Send at a rate; return the latencies in seconds and the rate reached."""
    sent: dict[int, float] = {}
    latencies: list[float] = []
    count = int(rate * seconds)

    async def receive() -> None:
        async for received in events:
            latencies.append(time.perf_counter() - sent.pop(received.event.seq))
            if len(latencies) == count:
                return

    task = asyncio.create_task(receive())
    start = time.perf_counter()
    for number in range(count):
        await asyncio.sleep(max(start + number / rate - time.perf_counter(), 0))
        sent[number] = time.perf_counter()
        await sink.event(an_event(number, stream))
    await task
    return latencies, count / (time.perf_counter() - start)


async def measure(url: str, folder: Path, rate: float, seconds: float, fsync: float) -> dict[str, float]:
    """Run one load; return its figures."""
    stream = f"r{rate:.0f}f{fsync:.0f}"
    process = psutil.Process()
    async with subscribe(url, stream=stream) as events:
        sink = MqttSink(
            url, node="bench", stream=stream, journal=folder / stream, telemetry=Telemetry(), fsync=fsync
        )
        async with sink:
            half = process.memory_info().rss
            latencies, reached = await paced(sink, events, stream, rate, seconds)
            grown = process.memory_info().rss - half
    p50, p99 = (1e3 * float(value) for value in np.quantile(latencies, (0.5, 0.99)))
    return {
        "rate": rate,
        "fsync_s": fsync,
        "reached": round(reached, 1),
        "events": len(latencies),
        "p50_ms": round(p50, 2),
        "p99_ms": round(p99, 2),
        "max_ms": round(1e3 * max(latencies), 2),
        "memory_mb": round(grown / 2**20, 2),
    }


def main() -> None:
    """Start mosquitto, run the loads, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each load")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args()
    binary = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/opt/homebrew/sbin")
    if binary is None:
        raise SystemExit("mosquitto is not installed; apt-get install mosquitto")
    with tempfile.TemporaryDirectory() as name, socket.socket() as probe:
        folder = Path(name)
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        (folder / "conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n")
        with subprocess.Popen([binary, "-c", str(folder / "conf")], stderr=subprocess.DEVNULL) as broker:  # noqa: S603
            try:
                time.sleep(0.5)
                results = [
                    asyncio.run(measure(f"mqtt://127.0.0.1:{port}", folder, rate, options.seconds, fsync))
                    for rate, fsync in ((30, 1.0), (30, 0.0), (300, 1.0), (1000, 1.0))
                ]
            finally:
                broker.terminate()
    columns = list(results[0])
    print("  ".join(f"{column:>9}" for column in columns))
    for result in results:
        print("  ".join(f"{result[column]:>9}" for column in columns))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
