"""What a message costs mosquitto in processor time: the figures from which docs/fleet.md sizes a broker.

    python benchmarks/broker_cost.py [--messages 20000] [--subscribers 1]

A curve's message (QoS 0) and an event (QoS 1, one in flight for each of 50 connections), published on loopback and
received by so many subscribers. Processor time is read from /proc, so that a busy machine changes little.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

sys.path.insert(0, str(Path(__file__).parents[1]))
from streamspot.events import encode
from streamspot.mqtt import payloads
from streamspot.types import Score
from tests.brokers import Mosquitto, make_event

CURVE = payloads.intensity(
    [(0, Score(t, t / 30, t, 0.123456, 0.654321, 0.01)) for t in range(100_000, 100_003)]
)
EVENT = encode(make_event(7), node="museum-hall-1")


def client(port: int, name: str) -> mqtt.Client:
    """Return a connected client with a thread of its own."""
    made = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name)
    made.connect("127.0.0.1", port)
    made.loop_start()
    return made


def seconds(pid: int) -> float:
    """Return the processor time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cost(payload: bytes, qos: int, messages: int, subscribers: int) -> tuple[float, float]:
    """Return microseconds of processor time a message, and how many a second there were."""
    with tempfile.TemporaryDirectory() as name, Mosquitto(Path(name)) as broker:
        assert broker.process is not None  # noqa: S101 - it has been started
        arrived, complete = [0], threading.Event()

        def count(*_: object) -> None:
            arrived[0] += 1
            if arrived[0] == messages * subscribers:
                complete.set()

        readers = [client(broker.port, f"reader-{n}") for n in range(subscribers)]
        for reader in readers:
            reader.on_message = count
            reader.subscribe("streamspot/#", qos=qos)
        time.sleep(0.5)
        writers = [client(broker.port, f"writer-{n}") for n in range(50)]
        before, started = seconds(broker.process.pid), time.perf_counter()
        for number in range(messages):
            topic = f"streamspot/museum-hall-{number % 50}/hall-{number % 50}/event"
            sent = writers[number % 50].publish(topic, payload, qos=qos)
            if number % 50 == 49:
                sent.wait_for_publish(10) if qos else time.sleep(0.002)
        complete.wait(60)
        took = seconds(broker.process.pid) - before, time.perf_counter() - started
        for one in (*readers, *writers):
            one.loop_stop()
        return 1e6 * took[0] / messages, messages / took[1]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--subscribers", type=int, default=1)
    given = parser.parse_args()
    for what, payload, qos in (("curve", CURVE, 0), ("event", EVENT, 1)):
        each, rate = cost(payload, qos, given.messages, given.subscribers)
        print(
            f"{what}: {len(payload)} bytes, QoS {qos}, {given.subscribers} subscribers: {each:.1f} µs a message"
        )
        print(f"  one core: {1e6 / each:.0f} a second (here {rate:.0f})")


if __name__ == "__main__":
    main()
