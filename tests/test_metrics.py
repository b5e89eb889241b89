"""Promises to Prometheus: what it fetches is well formed, complete and free of secrets."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import re
import shutil
import socket
from typing import Any

import pytest
from brokers import make_event, make_update
from running import SHORT

from streamspot.errors import SettingsError
from streamspot.layers import load_settings
from streamspot.outputs import Outputs
from streamspot.run import StreamRun
from streamspot.sinks.prometheus import MetricsServer
from streamspot.stats import Delivery, Stats


def server(measured: Stats | None = None, delivery: Delivery | None = None, **rest: Any) -> MetricsServer:
    """Return the server under test."""
    return MetricsServer([measured or Stats(stream="cam")], delivery or Delivery(), node="lab", **rest)


async def fetch(port: int, path: str = "/metrics", method: str = "GET") -> tuple[int, str, str]:
    """Return status, content type and body."""

    def ask() -> tuple[int, str, str]:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, str(answer.headers["Content-Type"]), answer.read().decode()

    return await asyncio.to_thread(ask)


async def test_prometheus_fetches_every_figure():
    """Counts, events by kind and phase, what was lost and how long each stage took, by node and stream."""
    measured = Stats(stream="cam", frames=7, source="rtsp://user:hunter2@camera", model="m")
    measured.stages["flow"].add(0.004)
    measured.stages["flow"].add(0.002)
    async with server(measured, Delivery(lost=3, acknowledged=5)) as sink:
        await sink.take(make_update(make_event(0, "onset"), make_event(1), make_event(2)))
        status, kind, page = await fetch(sink.port)
    assert (status, kind.split(";")[0]) == (200, "text/plain")
    lines = page.splitlines()
    where = 'node="lab",stream="cam"'
    assert f"streamspot_frames_total{{{where}}} 7.0" in lines
    assert 'streamspot_events_lost_total{node="lab"} 3.0' in lines
    assert f'streamspot_events_total{{kind="macro",{where[:10]},phase="offset",{where[11:]}}} 2.0' in lines
    assert f'streamspot_events_total{{kind="micro",{where[:10]},phase="offset",{where[11:]}}} 0.0' in lines
    assert f'streamspot_stage_seconds_count{{{where[:10]},stage="flow",{where[11:]}}} 2.0' in lines
    assert f'streamspot_stage_seconds_sum{{{where[:10]},stage="flow",{where[11:]}}} 0.006' in lines
    quantiles = [line for line in lines if "quantile=" in line]
    assert len(quantiles) == 2  # of a stage that never ran there are none
    assert all('stage="flow"' in line for line in quantiles)
    of_delivery = ("streamspot_broker_online", "streamspot_events_")
    figures = [line for line in lines if not line.startswith("#")]
    assert all('node="lab"' in line for line in figures)
    assert all(('stream="cam"' in line) or line.startswith(of_delivery) for line in figures)
    assert "hunter2" not in page


async def test_promtool_finds_nothing_to_complain_of():
    """Prometheus' own linter accepts the page."""
    if (promtool := shutil.which("promtool")) is None:
        pytest.skip("promtool is not installed; apt-get install prometheus")
    async with server() as sink:
        _, _, page = await fetch(sink.port)
    pipe = asyncio.subprocess.PIPE
    command = (promtool, "check", "metrics")
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe)
    complaints = await process.communicate(page.encode())
    assert (process.returncode, *complaints) == (0, b"", b"")


async def test_it_answers_as_a_web_server_should():
    """Query strings and HEAD are understood, any other path is none, nonsense and silence do no harm."""
    async with server() as sink:
        assert (await fetch(sink.port, "/metrics?name[]=streamspot_fps"))[0] == 200
        status, _, body = await fetch(sink.port, method="HEAD")
        assert (status, body) == (200, "")
        assert (await fetch(sink.port, "/"))[0] == 404
        assert (await fetch(sink.port, method="DELETE"))[0] == 405
        silent = socket.create_connection(("127.0.0.1", sink.port))
        with socket.create_connection(("127.0.0.1", sink.port)) as noisy:
            noisy.sendall(b"\xff" * 100_000)
        assert (await fetch(sink.port))[0] == 200
        silent.close()


async def test_a_port_that_is_taken_is_one_sentence():
    """The message says how to choose another, port or address."""
    async with server() as sink:
        with pytest.raises(SettingsError, match="choose another"):
            async with server(port=sink.port):
                pass
    with pytest.raises(SettingsError, match="--metrics-host"):
        async with server(host="no-such-host.invalid"):
            pass


async def test_a_run_says_which_free_port_it_took():
    """With ``--metrics 0`` there is no other way to learn it."""
    run = StreamRun(load_settings({"source": SHORT, "metrics": 0}))
    async with Outputs([run]) as outputs:
        (said,) = outputs.delivery.messages
        found = re.search(r"metrics are at port (\d+)", said)
        assert found is not None
        assert (await fetch(int(found[1])))[0] == 200


async def test_it_listens_where_it_is_told():
    """Loopback only, unless another address is named."""
    async with server() as inside, server(host="0.0.0.0") as outside:  # noqa: S104
        assert inside._server.server_address[0] == "127.0.0.1"
        assert outside._server.server_address[0] == "0.0.0.0"  # noqa: S104
        assert (await fetch(outside.port))[0] == 200
