"""Every output that the settings of a run name, opened, fed and closed together."""

from __future__ import annotations

import asyncio
import math
import socket
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from streamspot.commands import Command, Label, Undo
from streamspot.destinations import check_outputs
from streamspot.errors import BrokerError, StreamspotError
from streamspot.mqtt.address import Broker
from streamspot.mqtt.bridges import Bridge
from streamspot.mqtt.embedded import embedded_broker
from streamspot.mqtt.homeassistant import HomeAssistant
from streamspot.mqtt.publisher import Publisher
from streamspot.mqtt.ros import Ros
from streamspot.run import StreamRun
from streamspot.settings import state_folder
from streamspot.sinks import Sink
from streamspot.sinks.columns import EXPRESSIONS, PHASES
from streamspot.sinks.json import JsonLines
from streamspot.sinks.labels import LiveLabels
from streamspot.sinks.motion import MotionRecorder
from streamspot.sinks.osc import OscSink
from streamspot.sinks.prometheus import MetricsServer
from streamspot.sinks.table import EventTable, IntensityCsv
from streamspot.sinks.writer import Host
from streamspot.sources.base import slug
from streamspot.stats import Delivery
from streamspot.types import Update

_POLL = 0.05
"""Seconds between two looks whether outputs have caught up."""


class Outputs:
    """The sinks of one stream.

    Attributes:
        delivery: How the delivery to the broker fares.

    Args:
        run: The stream; its settings name the sinks.
        delivery: Kept current; a new one if None.

    Raises:
        StreamspotError: One of them cannot be opened (on entering).

    Example:
        >>> async with Outputs(run) as outputs, Engine([run]) as engine:  # doctest: +SKIP
        ...     async for _, update in engine:
        ...         await outputs.take(update)
    """

    def __init__(self, run: StreamRun, delivery: Delivery | None = None) -> None:
        self.delivery = delivery or Delivery()
        self._run = run
        self._host = Host(self._tell, lambda: run.ending.left)
        self._labels = LiveLabels(run)
        self._sinks: list[Sink] = []
        self._publisher: Publisher | None = None
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            settings, output = self._run.settings, self._run.settings.output
            check_outputs(
                {
                    "record": output.record,
                    "events": None if output.events in {None, "-"} else Path(str(output.events)),
                    "intensity": output.intensity,
                    "log": output.log,
                    "expressions": output.expressions,
                },
                [self._run.source.name, settings.model.weights, settings.face.face_model],
                force=output.force,
            )
            node = settings.name.node or slug(socket.gethostname(), "node")
            files = list(
                self._files(node)
            )  # all are made before one is opened, which empties what an earlier run wrote
            if settings.mqtt.broker is not None:  # the first: what any other sink is told is in the journal
                self._publisher = await self._publish(settings.mqtt.broker, node, stack)
                self._sinks.append(self._publisher)
            for sink in files:
                self._sinks.append(await stack.enter_async_context(sink))
            self._open = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

    async def take(self, update: Update) -> None:
        """Hand an update to every sink; its events are in the journal before any other sink has them.

        Files and standard output are written in the background. A camera never waits for them; a recording does, as
        long as nobody asks for the end, where a reader is slower by megabytes.

        Raises:
            StreamspotError: Nobody reads standard output any more.
        """
        for sink in self._sinks:
            await sink.take(update)
        while not self._run.stats.live and math.isinf(self._run.ending.left) and self._behind():  # noqa: ASYNC110
            await asyncio.sleep(_POLL)

    def _behind(self) -> bool:
        return any(writer.behind for writer in self._host.writers)

    def _tell(self, message: str) -> None:
        """Tell the user, and whoever subscribes; in any thread."""
        self.delivery.messages.append(message)
        if self._publisher is not None:
            self._publisher.complain(message)

    def obey(self, command: Command) -> None:
        """Do what a subscriber or a key asks for.

        Raises:
            StreamspotError: It cannot be done; the message says why.
        """
        if isinstance(command, Label):
            self._labels.add(command.value)
        elif isinstance(command, Undo):
            self._labels.undo()
        else:
            self._run.obey(command)

    def complaint(self) -> StreamspotError | None:
        """Return what is to be said at the end if something could not be written or delivered."""
        delivery = self.delivery
        for writer in self._host.writers:
            if writer.complaint:
                return StreamspotError(writer.complaint)
        if delivery.queued:
            count = f"{delivery.queued} event{'s' if delivery.queued > 1 else ''}"
            reason = delivery.error.partition("; ")[0] or f"{delivery.address} does not answer"
            return BrokerError(
                f"{count} could not be delivered ({reason}); they wait in the journal and go out at the next run "
                "of this stream to a broker that is there"
            )
        return BrokerError(delivery.error) if delivery.error else None

    async def _publish(self, url: str, node: str, stack: AsyncExitStack) -> Publisher:
        settings, name = self._run.settings.mqtt, self._run.name
        journal = settings.journal
        if url == "embedded":  # it forgets everything at the end, so nothing is owed to it
            url = await stack.enter_async_context(embedded_broker())
            journal = journal or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        where = slug(Broker.parse(url).address, "broker")
        bridges: list[Bridge] = []
        if settings.ros:
            bridges.append(Ros(node, name))
        if settings.homeassistant:
            bridges.append(HomeAssistant(node, name))
        publisher = Publisher(
            url,
            node=node,
            stream=name,
            journal=journal or state_folder() / "journal" / where / node / name,
            measured=self._run.stats,
            delivery=self.delivery,
            controls=self._run.controls,
            on_command=self.obey if settings.commands else None,
            bridges=bridges,
            fsync=settings.fsync,
            left=lambda: self._run.ending.left,
            client_id=settings.client_id,
        )
        return await stack.enter_async_context(publisher)

    def _files(self, node: str) -> Iterator[Sink]:
        settings = self._run.settings
        output = settings.output
        if output.record is not None:
            yield MotionRecorder(output.record, self._run, self._host)
        yield self._labels
        if output.events is not None:
            yield JsonLines(output.events, node=node, host=self._host)
        if output.intensity is not None:
            yield IntensityCsv(output.intensity, faces=settings.face.faces > 1, host=self._host)
        if output.log is not None:
            yield EventTable(output.log, PHASES, self._host)
        if output.expressions is not None:
            yield EventTable(output.expressions, EXPRESSIONS, self._host)
        if output.osc is not None:
            yield OscSink(output.osc, output.osc_map)
        if output.metrics is not None:
            yield MetricsServer(
                self._run.stats,
                self.delivery,
                node=node,
                stream=self._run.name,
                host=output.metrics_host,
                port=output.metrics,
            )
