"""Counters and latencies for Prometheus, at ``/metrics`` of a small web server of the stream's own."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from socketserver import TCPServer, ThreadingMixIn
from threading import Thread
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, get_args
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from streamspot import __version__
from streamspot.errors import SettingsError
from streamspot.stats import Delivery, Stats
from streamspot.types import KINDS, Kind, Phase, Update

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

_Sample = tuple[str, dict[str, str], float]
"""Suffix of the name, labels beside the node, value."""
_TIMEOUT = 5  # s after which a connection that says nothing is closed


class MetricsServer:
    """Serves ``http://<host>:<port>/metrics`` while the stream runs.

    Attributes:
        port: The port, once it is open.

    Args:
        measured: What is served of each stream; its name is a label.
        delivery: What is served of the delivery to a broker.
        node: Label of every figure.
        host: Address to listen at.
        port: 0 takes a free one.

    Raises:
        SettingsError: Address or port cannot be used (on entering).
    """

    def __init__(
        self,
        measured: Sequence[Stats],
        delivery: Delivery,
        *,
        node: str,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.port = port
        self._host = host
        self._figures = _Figures(measured, delivery, node)
        self._server: _Server

    async def __aenter__(self) -> Self:
        registry = CollectorRegistry()
        registry.register(self._figures)
        try:
            self._server = _Server((self._host, self.port), _Handler)
        except OSError as error:
            raise SettingsError(
                f"{self._host} port {self.port} for metrics cannot be used ({error.strerror}); choose another with "
                "--metrics and --metrics-host"
            ) from None
        self._server.set_app(_Metrics(registry))
        self.port = self._server.server_port
        Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._server.shutdown)
        self._server.server_close()

    async def take(self, update: Update) -> None:
        """Count the events."""
        self._figures.events.update((event.stream, event.phase, event.kind) for event in update.events)


class _Figures(Collector):
    """The figures as they are at the moment they are asked for."""

    def __init__(self, measured: Sequence[Stats], delivery: Delivery, node: str) -> None:
        self.events: Counter[tuple[str, Phase, Kind]] = Counter()
        self._streams = measured
        self._delivery = delivery
        self._node = node

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        delivery = self._delivery
        yield self._counter("frames", "Frames processed.", self._each("frames"))
        text = "Frames dropped because a newer one was there."
        yield self._counter("dropped_frames", text, self._each("dropped"))
        yield self._counter("faceless_frames", "Frames without a face.", self._each("faceless"))
        yield self._gauge("fps", "Frames processed a second.", self._each("fps"))
        yield self._stages()
        yield self._events()
        online = float(delivery.state == "online")
        yield self._gauge("broker_online", "1 while the broker is connected.", [("", {}, online)])
        text = "Events that the broker does not have yet."
        yield self._gauge("events_queued", text, [("", {}, delivery.queued)])
        text = "Events that the broker has acknowledged."
        yield self._counter("events_acknowledged", text, [("", {}, delivery.acknowledged)])
        text = "Events dropped undelivered, by a bound of the journal."
        yield self._counter("events_lost", text, [("", {}, delivery.lost)])
        about: list[_Sample] = [
            ("", {"stream": one.stream, "version": __version__, "model": one.model}, 1)
            for one in self._streams
        ]
        yield self._metric("build_info", "gauge", "1; its labels say what runs.", about)

    def _stages(self) -> Metric:
        samples: list[_Sample] = []
        for one in self._streams:
            for stage, latency in one.stages.items():
                labels = {"stream": one.stream, "stage": stage}
                if latency.count:
                    p50, p99 = latency.quantiles()
                    samples.append(("", {**labels, "quantile": "0.5"}, p50))
                    samples.append(("", {**labels, "quantile": "0.99"}, p99))
                samples += [("_sum", labels, latency.total), ("_count", labels, latency.count)]
        text = "Latency of a stage; quantiles over its last 512 calls."
        return self._metric("stage_seconds", "summary", text, samples)

    def _events(self) -> Metric:
        samples: list[_Sample] = [
            ("", {"stream": one.stream, "phase": phase, "kind": kind}, self.events[one.stream, phase, kind])
            for one in self._streams
            for phase in get_args(Phase)
            for kind in KINDS
        ]
        return self._counter("events", "Events reported.", samples)

    def _each(self, name: str) -> list[_Sample]:
        return [("", {"stream": one.stream}, getattr(one, name)) for one in self._streams]

    def _counter(self, name: str, text: str, samples: list[_Sample]) -> Metric:
        return self._metric(
            name, "counter", text, [("_total", labels, value) for _, labels, value in samples]
        )

    def _gauge(self, name: str, text: str, samples: list[_Sample]) -> Metric:
        return self._metric(name, "gauge", text, samples)

    def _metric(self, name: str, kind: str, text: str, samples: list[_Sample]) -> Metric:
        metric = Metric(f"streamspot_{name}", text, kind)
        for suffix, labels, value in samples:
            metric.add_sample(metric.name + suffix, {"node": self._node, **labels}, value)
        return metric


class _Metrics:
    """Answers GET and HEAD of ``/metrics``; prometheus_client's application knows no HEAD and answers every path."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._answer = make_wsgi_app(registry)

    def __call__(self, request: WSGIEnvironment, respond: StartResponse) -> list[bytes]:
        if request["PATH_INFO"] != "/metrics":
            respond("404 Not Found", [("Content-Type", "text/plain")])
            return [b"see /metrics\n"]
        if request["REQUEST_METHOD"] != "HEAD":
            return list(self._answer(request, respond))
        heads: list[tuple[str, list[tuple[str, str]]]] = []
        (body,) = self._answer({**request, "REQUEST_METHOD": "GET"}, lambda *head: heads.append(head))
        status, headers = heads[0]
        respond(status, [*headers, ("Content-Length", str(len(body)))])
        return []


class _Server(ThreadingMixIn, WSGIServer):
    """A thread for each connection, so that one that says nothing holds up none."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[WSGIRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """Bind without asking the name service for our own name, which takes seconds where there is none."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: whoever asked went away, or sent nonsense."""


class _Handler(WSGIRequestHandler):
    timeout = _TIMEOUT

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing."""
