"""Measure delivery over a loopback mosquitto: latency from detection to subscriber, throughput, memory.

Protocol: publisher (journal, MQTT at QoS 1, one message in flight), mosquitto and subscriber (duplicates dropped,
decoded) are three processes of one machine. Latency runs, on the machine's monotonic clock, from just before the
publisher is handed the event to the moment the subscriber's iterator yields it. Memory is what the publisher's
resident set grew between the first fifth and the end of a load; CPU is the publisher's, per event. Usage:

    python benchmarks/delivery.py [--seconds 20] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

from streamspot.mqtt.channel import Channel
from streamspot.mqtt.publisher import Publisher
from streamspot.mqtt.subscriber import subscribe
from streamspot.stats import Delivery, Stats
from streamspot.types import Event, Moment, Update


def an_event(seq: int, stream: str) -> Event:
    """Return an offset event as a stream makes it."""
    moment = Moment(tick=seq, frame=seq, pts=seq / 30, time="2026-01-01T00:00:00.000000Z")
    return Event(
        run="bench",
        session="bench",
        stream=stream,
        face=0,
        expression=f"bench/{stream}/0-{seq}",
        phase="offset",
        kind="macro",
        seq=seq,
        onset=moment,
        apex=moment,
        offset=moment,
        intensity=0.7,
        score=0.5,
        decided_at=moment,
        look_ahead=8,
        model="none",
        reason=None,
    )


async def receive(url: str, stream: str, count: int) -> None:
    """Print the arrival times of that many events, as a process of its own."""
    times = np.zeros(count)
    async with subscribe(url, stream=stream) as events:
        print("ready", flush=True)
        async for received in events:
            times[received.event.seq] = time.monotonic()
            if received.event.seq == count - 1:
                break
    print(json.dumps(times.tolist()))


async def measure(url: str, folder: Path, rate: float, seconds: float, fsync: float) -> dict[str, float]:
    """Run one load; return its figures."""
    stream, count = f"r{rate:.0f}f{fsync:.0f}", int(rate * seconds)
    command = [sys.executable, __file__, "--receive", url, stream, str(count)]
    robot = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, limit=2**26)
    assert robot.stdout is not None  # noqa: S101
    await robot.stdout.readline()
    process, delivery, sent = psutil.Process(), Delivery(), np.zeros(count)
    folder = folder / stream
    publisher = Publisher(
        url, node="bench", channels=[Channel(stream, Stats())], journal=folder, delivery=delivery, fsync=fsync
    )
    async with publisher:
        while delivery.state != "online":
            await asyncio.sleep(0.01)
        start, cpu, memory = time.monotonic(), time.process_time(), 0
        for number in range(count):
            await asyncio.sleep(max(start + number / rate - time.monotonic(), 0))
            sent[number] = time.monotonic()
            await publisher.take(stream, Update(events=(an_event(number, stream),)))
            if number == count // 5:
                memory = process.memory_info().rss
        arrived = np.array(json.loads(await robot.stdout.readline()))
        cpu, memory = time.process_time() - cpu, process.memory_info().rss - memory
    await robot.wait()
    latency = 1e3 * (arrived - sent)
    return {
        "rate": rate,
        "fsync_s": fsync,
        "reached": round(count / (arrived.max() - start), 1),
        "events": count,
        "p50_ms": round(float(np.quantile(latency, 0.5)), 2),
        "p99_ms": round(float(np.quantile(latency, 0.99)), 2),
        "max_ms": round(float(latency.max()), 2),
        "cpu_ms": round(1e3 * cpu / count, 3),
        "memory_mb": round(memory / 2**20, 2),
    }


def main() -> None:
    """Start mosquitto, run the loads, print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each load")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--receive", nargs=3, metavar=("URL", "STREAM", "COUNT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.receive:
        url, stream, count = options.receive
        asyncio.run(receive(url, stream, int(count)))
        return
    binary = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/opt/homebrew/sbin")
    if binary is None:
        raise SystemExit("mosquitto is not installed; apt-get install mosquitto")
    with tempfile.TemporaryDirectory() as name, socket.socket() as probe:
        folder = Path(name)
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        (folder / "conf").write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n"
        )
        with subprocess.Popen([binary, "-c", str(folder / "conf")], stderr=subprocess.DEVNULL) as broker:  # noqa: S603
            try:
                time.sleep(0.5)
                results = [
                    asyncio.run(measure(f"mqtt://127.0.0.1:{port}", folder, rate, options.seconds, fsync))
                    for rate, fsync in ((30, 1.0), (30, 0.0), (300, 1.0), (1000, 1.0))
                ]
            finally:
                broker.terminate()
    load = ", ".join(f"{value:.1f}" for value in psutil.getloadavg())
    print(f"{psutil.cpu_count()} cores, load averages {load}")
    columns = list(results[0])
    print("  ".join(f"{column:>9}" for column in columns))
    for result in results:
        print("  ".join(f"{result[column]:>9}" for column in columns))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
