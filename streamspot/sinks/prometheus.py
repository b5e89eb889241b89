"""Counters and latencies for Prometheus, to be fetched from this machine only."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from streamspot.errors import SettingsError
from streamspot.stats import Delivery, Stats

_HELP = {
    "frames_total": "counter Frames processed.",
    "dropped_frames_total": "counter Frames dropped because a newer one was there.",
    "faceless_frames_total": "counter Frames without a face.",
    "fps": "gauge Frames processed a second.",
    "stage_seconds": "gauge Latency of a stage over its last 512 calls.",
    "broker_online": "gauge 1 while the broker is connected.",
    "events_queued": "gauge Events the broker does not have yet.",
    "events_acknowledged_total": "counter Events the broker has acknowledged.",
}


@contextlib.asynccontextmanager
async def metrics_server(
    measured: Stats, delivery: Delivery, port: int, *, host: str = "127.0.0.1"
) -> AsyncIterator[int]:
    """Serve ``http://127.0.0.1:<port>/metrics`` and yield the port.

    Args:
        measured: What is served of the stream.
        delivery: What is served of the delivery to a broker.
        port: 0 takes a free one.
        host: Where to listen.

    Raises:
        SettingsError: The port is taken.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
            async with asyncio.timeout(5):
                line = await reader.readline()
                while await reader.readline() not in {b"\r\n", b"\n", b""}:
                    pass
                found = line.split(b" ")[:2] == [b"GET", b"/metrics"]
                body = metrics(measured, delivery).encode() if found else b"see /metrics\n"
                writer.write(
                    f"HTTP/1.1 {'200 OK' if found else '404 Not Found'}\r\n"
                    "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
                    f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
                    + body
                )
                await writer.drain()
        writer.close()

    try:
        server = await asyncio.start_server(answer, host, port, limit=8192)
    except OSError as error:
        raise SettingsError(
            f"port {port} for metrics cannot be used ({error.strerror}); choose another"
        ) from None
    async with server:
        yield server.sockets[0].getsockname()[1]


def metrics(measured: Stats, delivery: Delivery) -> str:
    """Return the figures in Prometheus' text format."""
    values: dict[str, list[tuple[str, float]]] = {
        "frames_total": [("", measured.frames)],
        "dropped_frames_total": [("", measured.dropped)],
        "faceless_frames_total": [("", measured.faceless)],
        "fps": [("", measured.fps)],
        "stage_seconds": [
            (f'{{stage="{name}",quantile="{quantile}"}}', value)
            for name, stage in measured.stages.items()
            for quantile, value in zip(("0.5", "0.99"), stage.quantiles(), strict=True)
        ],
        "broker_online": [("", delivery.state == "online")],
        "events_queued": [("", delivery.queued)],
        "events_acknowledged_total": [("", delivery.acknowledged)],
    }
    lines = []
    for name, samples in values.items():
        kind, _, text = _HELP[name].partition(" ")
        lines += [f"# HELP streamspot_{name} {text}", f"# TYPE streamspot_{name} {kind}"]
        lines += [f"streamspot_{name}{labels} {float(value):.9g}" for labels, value in samples]
    return "\n".join(lines) + "\n"
