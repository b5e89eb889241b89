"""Every output that the settings of a run name, opened, fed and closed together."""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from functools import partial
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Self

from streamspot.commands import Command, Label, Undo
from streamspot.destinations import check_outputs
from streamspot.errors import BrokerError, SourceError, StreamspotError
from streamspot.mqtt.address import Broker
from streamspot.mqtt.bridges import Bridge
from streamspot.mqtt.channel import Channel
from streamspot.mqtt.embedded import USUAL_PORT, embedded_broker
from streamspot.mqtt.homeassistant import HomeAssistant
from streamspot.mqtt.publisher import Publisher
from streamspot.mqtt.ros import Ros
from streamspot.run import StreamRun
from streamspot.settings import state_folder
from streamspot.sinks import Sink
from streamspot.sinks.columns import EXPRESSIONS, PHASES
from streamspot.sinks.json import JsonLines
from streamspot.sinks.labels import LiveLabels
from streamspot.sinks.lines import LineFile
from streamspot.sinks.lsl import LslOutlet
from streamspot.sinks.motion import MotionRecorder
from streamspot.sinks.osc import OscSink
from streamspot.sinks.prometheus import MetricsServer
from streamspot.sinks.table import EventTable, IntensityCsv
from streamspot.sinks.writer import Host
from streamspot.sources import MotionRecording
from streamspot.sources.base import LONGEST_NAME, slug, stream_name
from streamspot.sources.motion import several_at_once
from streamspot.stats import Delivery
from streamspot.types import Update

_POLL = 0.05
"""Seconds between two looks whether outputs have caught up."""


class Outputs:
    """The sinks of a run of one or several streams.

    They share events, tables, metrics and the connection to a broker; each has its own curve, recording and OSC.

    Attributes:
        delivery: How the delivery to the broker fares.

    Args:
        runs: The streams; the settings of the first name what they share.
        delivery: Kept current; a new one if None.

    Raises:
        StreamspotError: One of them cannot be opened (on entering).

    Example:
        >>> async with Outputs([run]) as outputs, Engine([run]) as engine:  # doctest: +SKIP
        ...     async for run, update in engine:
        ...         await outputs.take(run, update)
    """

    def __init__(self, runs: Sequence[StreamRun], delivery: Delivery | None = None) -> None:
        self.delivery = delivery or Delivery()
        self._runs = {run.name: run for run in runs}
        self._settings = runs[0].settings
        self._host = Host(self._tell, self._left)
        self._labels = {name: LiveLabels(run) for name, run in self._runs.items()}
        self._shared: list[Sink] = []
        self._own: dict[str, list[Sink]] = {name: [] for name in self._runs}
        self._publisher: Publisher | None = None
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for run in self._runs.values():
                self._check(run)
            node = self._settings.name.node or slug(socket.gethostname(), "node")
            # all are made before one is opened
            shared = list(self._files(node))
            own = {name: [one async for one in self._files_of(run, node)] for name, run in self._runs.items()}
            # the first: what other sinks are told is in the journal
            if self._settings.mqtt.broker is not None:
                self._publisher = await self._publish(self._settings.mqtt.broker, node, stack)
            # files come last: one that an earlier run wrote is emptied once all else is open
            for sink in sorted(chain(shared, *own.values()), key=_is_file):
                await stack.enter_async_context(sink)
                if isinstance(sink, MetricsServer) and not self._settings.output.metrics:
                    self.delivery.messages.append(f"metrics are at port {sink.port}, which was free")
            self._shared, self._own = shared, own
            self._open = stack.pop_all()
        return self

    def _check(self, run: StreamRun) -> None:
        """Refuse outputs of a stream that would destroy something, or cannot be written."""
        output = run.settings.output
        check_outputs(
            {
                "record": output.record,
                "events": None if output.events is None else Path(output.events),
                "intensity": output.intensity,
                "log": output.log,
                "expressions": output.expressions,
            },
            [
                *(one.source.name for one in self._runs.values()),
                run.settings.model.weights,
                run.settings.face.face_model,
            ],
            streams=self._runs.keys(),
            once=any(one.source.once for one in self._runs.values()),
            force=output.force,
        )

    def _left(self) -> float:
        """Return the seconds until the run has to be over: that of the stream which may last longest."""
        return max(run.ending.left for run in self._runs.values())

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

    async def take(self, run: StreamRun, update: Update) -> None:
        """Hand a stream's update to every sink; its events are in the journal before any other sink has them.

        Files and standard output are written in the background. A camera never waits for them; recordings do, as long
        as nobody asks for the end, where a reader is slower by megabytes.

        Raises:
            StreamspotError: Nobody reads standard output any more.
        """
        if self._publisher is not None:
            await self._publisher.take(run.name, update)
        for sink in (*self._own[run.name], *self._shared):
            await sink.take(update)
        if any(one.stats.live for one in self._runs.values()):
            return
        while math.isinf(self._left()) and self._behind():  # noqa: ASYNC110
            await asyncio.sleep(_POLL)

    def _behind(self) -> bool:
        return any(writer.behind for writer in self._host.writers)

    def _tell(self, message: str) -> None:
        """Tell the user, and whoever subscribes; in any thread."""
        self.delivery.messages.append(message)
        if self._publisher is not None:
            self._publisher.complain(message)

    def obey(self, stream: str, command: Command) -> None:
        """Do with a stream what a subscriber or a key asks for.

        Raises:
            StreamspotError: It cannot be done; the message says why.
        """
        if isinstance(command, Label):
            self._labels[stream].add(command.value, command.face)
        elif isinstance(command, Undo):
            self._labels[stream].undo()
        else:
            self._runs[stream].obey(command)

    def complaint(self) -> StreamspotError | None:
        """Return what is to be said at the end if something could not be written or delivered, a line for each."""
        lacking = [writer.complaint for writer in self._host.writers if writer.complaint]
        undelivered = self._undelivered()
        if not lacking:
            return BrokerError(undelivered) if undelivered else None
        return StreamspotError("\n".join(filter(None, [*lacking, undelivered])))

    def _undelivered(self) -> str:
        """Return what is to be said of events that the broker has not got, or of its last error."""
        delivery = self.delivery
        if delivery.queued:
            count = f"{delivery.queued} event{'s' if delivery.queued > 1 else ''}"
            late = f"{delivery.address} had not acknowledged {'them' if delivery.queued > 1 else 'it'} at the end"
            reason = delivery.error.partition("; ")[0] or late
            same = "this stream" if len(self._runs) == 1 else "these streams"
            return (
                f"{count} could not be delivered ({reason}); they wait in the journal and go out at the next run "
                f"of {same} to a broker that is there"
            )
        return delivery.error

    async def _publish(self, url: str, node: str, stack: AsyncExitStack) -> Publisher:
        settings = self._settings.mqtt
        journal = settings.journal
        if url == "embedded":  # it forgets everything at the end, so nothing is owed to it
            url = await stack.enter_async_context(embedded_broker(port=None))
            taken = "" if url.endswith(f":{USUAL_PORT}") else f"port {USUAL_PORT} is taken, so "
            self._tell(f"{taken}the embedded broker is {url}, for subscribers on this machine")
            journal = journal or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        address = Broker.parse(url).address
        # the name of a long address is cut, and another broker's may begin like it
        where = slug(address) if len(address) <= LONGEST_NAME else stream_name(address, address)
        first, *others = self._runs
        name = f"{first}+{len(others)}" if others else first
        publisher = Publisher(
            url,
            node=node,
            channels=[self._channel(node, run) for run in self._runs.values()],
            journal=journal or state_folder() / "journal" / where / node / name,
            delivery=self.delivery,
            fsync=settings.fsync,
            left=self._left,
            client_id=settings.client_id,
        )
        return await stack.enter_async_context(publisher)

    def _channel(self, node: str, run: StreamRun) -> Channel:
        settings, name = self._settings.mqtt, run.name
        bridges: list[Bridge] = []
        if settings.ros:
            bridges.append(Ros(node, name))
        if settings.homeassistant:
            bridges.append(HomeAssistant(node, name, commands=settings.commands))
        on_command = partial(self.obey, name) if settings.commands else None
        return Channel(name, run.stats, controls=run.controls, on_command=on_command, bridges=bridges)

    async def _files_of(self, run: StreamRun, node: str) -> AsyncIterator[Sink]:
        """Yield the sinks of one stream alone."""
        output = run.settings.output
        if output.record is not None:
            yield MotionRecorder(output.record, run, self._host)
        yield self._labels[run.name]
        if output.intensity is not None:
            faces = await asyncio.to_thread(_several_faces, run)  # a recording of a day takes a minute
            yield IntensityCsv(output.intensity, faces=faces, host=self._host)
        if output.osc is not None:
            yield OscSink(output.osc, output.osc_map, faces=run.settings.face.faces, tell=self._tell)
        if output.lsl:
            yield LslOutlet(run, node)

    def _files(self, node: str) -> Iterator[Sink]:
        """Yield the sinks that all streams share."""
        output = self._settings.output
        if output.log is not None:
            yield EventTable(output.log, PHASES, self._host)
        if output.expressions is not None:
            yield EventTable(output.expressions, EXPRESSIONS, self._host)
        if output.events is not None:
            yield JsonLines(output.events, node=node, host=self._host)
        if output.metrics is not None:
            measured = [run.stats for run in self._runs.values()]
            host, port = output.metrics_host, output.metrics
            yield MetricsServer(measured, self.delivery, node=node, host=host, port=port)


def _is_file(sink: Sink) -> bool:
    return isinstance(sink, EventTable | LineFile)


def _several_faces(run: StreamRun) -> bool:
    """Return whether more than one face may be in view at once; of a recording, whether more are."""
    if not isinstance(run.source, MotionRecording):
        return run.settings.face.faces > 1
    with contextlib.suppress(SourceError):  # which the run will tell
        return several_at_once(Path(run.source.name), lambda: run.ending.asked)
    return False
