"""The commands that run a stream or listen to one: run, demo, listen."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamspot.console import QuietStderr, can_draw
from streamspot.dashboard import Dashboard, PlainLines
from streamspot.dashboard.picture import plain
from streamspot.errors import BrokerError, StreamspotError
from streamspot.events import encode
from streamspot.interrupts import ending_at_once
from streamspot.mqtt.bridges import Bridge, HomeAssistant, Ros
from streamspot.mqtt.commands import Command
from streamspot.mqtt.connection import Broker
from streamspot.mqtt.embedded import embedded_broker
from streamspot.mqtt.publisher import MqttSink
from streamspot.mqtt.publisher import resend as publish_again
from streamspot.mqtt.subscriber import Subscription, subscribe
from streamspot.settings import RunSettings, load_settings, state_folder
from streamspot.sinks import Sink
from streamspot.sinks.json import IntensityCsv, JsonLines
from streamspot.sinks.osc import OscSink
from streamspot.sinks.prometheus import metrics_server
from streamspot.sinks.table import EventTable
from streamspot.sources.base import slug
from streamspot.telemetry import BrokerView, Telemetry
from streamspot.types import Event

if TYPE_CHECKING:
    from streamspot.engine import Run


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(run)
    app.command()(demo)
    app.command()(listen)
    app.command()(resend)


def run(
    source: Annotated[
        str | None,
        typer.Option(
            help="Camera (0, /dev/video2), file, rtsp:// or http:// address, folder of images, - (standard "
            "input), synthetic, or a recording of region motion. Default: 0."
        ),
    ] = None,
    broker: Annotated[
        str | None,
        typer.Option(help="mqtt:// or mqtts://user@host:port, ws:// or wss://, or embedded. Default: none."),
    ] = None,
    events: Annotated[
        str | None, typer.Option(help="Write events as JSON lines to this file, - for stdout.")
    ] = None,
    intensity: Annotated[
        Path | None, typer.Option(help="Write the curve as CSV: tick, pts, intensity, macro, micro.")
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(help="every: lose no frame; latest: drop old ones. Default: latest for cameras only."),
    ] = None,
    speed: Annotated[str | None, typer.Option(help="Replay pace: max, or 1 for the recording's own.")] = None,
    weights: Annotated[
        str | None, typer.Option(help="Name of shipped weights or a .safetensors file.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda.")] = None,
    faces: Annotated[int | None, typer.Option(help="Most faces to follow. Default: 1.")] = None,
    face_model: Annotated[
        Path | None, typer.Option(help="A face_landmarker.task; takes FaceLandmarker instead of FaceMesh.")
    ] = None,
    flow: Annotated[str | None, typer.Option(help="Optical flow: lk, dis, farneback or tvl1.")] = None,
    sensitivity: Annotated[
        float | None, typer.Option(help="From 0 (only the clearest) to 1 (the faintest). Default: 0.5.")
    ] = None,
    stream: Annotated[
        str | None, typer.Option(help="Name of the stream in topics. Default: from the source.")
    ] = None,
    node: Annotated[
        str | None, typer.Option(help="Name of this machine in topics. Default: its host name.")
    ] = None,
    session: Annotated[
        str | None, typer.Option(help="Name of the session. Default: the same for every run of a recording.")
    ] = None,
    journal: Annotated[Path | None, typer.Option(help="Folder of the delivery journal.")] = None,
    fsync: Annotated[
        float | None, typer.Option(help="Seconds of events a power failure may cost; 0 for none. Default: 1.")
    ] = None,
    ros: Annotated[
        bool | None,
        typer.Option("--ros/--no-ros", help="Also publish what ROS' mqtt_client maps (hri_msgs)."),
    ] = None,
    homeassistant: Annotated[
        bool | None,
        typer.Option("--homeassistant/--no-homeassistant", help="Announce the stream to Home Assistant."),
    ] = None,
    osc: Annotated[
        str | None, typer.Option(help="Drive an avatar: vrchat://host:9000 or vmc://host:39539.")
    ] = None,
    metrics: Annotated[
        int | None, typer.Option(help="Port on this machine at which Prometheus may fetch /metrics.")
    ] = None,
    log: Annotated[
        Path | None, typer.Option(help="Append the events to a table: FILE.csv or FOLDER.parquet.")
    ] = None,
    record: Annotated[
        Path | None, typer.Option(help="Record region motion (no picture) to replay with --source.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML file of settings; flags and STREAMSPOT_… variables win over it.")
    ] = None,
    ui: Annotated[bool, typer.Option("--ui/--no-ui", help="Dashboard, or plain lines.")] = True,
) -> None:
    """Spot expressions in a camera, a video or a stream, live.

    Ctrl-C ends it in good order (what is open is cancelled, events are delivered, exit code 0), twice at once.

    [dim]Examples:[/]
      streamspot run --source 0
      streamspot run --source clip.mp4 --events - --no-ui
      streamspot run --source rtsp://camera/1 --broker mqtt://localhost --faces 2
    """
    flags = {key: value for key, value in locals().items() if key not in ("config", "ui")}
    settings = load_settings(flags, config)
    _prepare()
    asyncio.run(_run(settings, draw=ui))


def _prepare() -> None:
    """Import what takes seconds, while Ctrl-C still ends the process at once."""
    with ending_at_once():
        import cv2  # noqa: PLC0415
        import torch  # noqa: PLC0415

        import streamspot.engine  # noqa: F401, PLC0415

    # pictures of 160 px and one tick at a time: a pool of threads costs more than it saves
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


async def _run(settings: RunSettings, *, draw: bool, telemetry: Telemetry | None = None) -> None:
    """Run one stream into every sink that the settings name."""
    from streamspot.engine import Run  # noqa: PLC0415

    telemetry = telemetry or Telemetry()
    asyncio.get_running_loop().set_default_executor(_Impatient())
    async with AsyncExitStack() as stack:
        screen = _screen(stack, telemetry, draw=draw, stdout_taken=settings.events == "-")
        stack.enter_context(screen)
        run = Run(settings, telemetry)
        _stop_on_signals(run)
        sinks = [await stack.enter_async_context(sink) for sink in await _sinks(settings, run, stack)]
        await stack.enter_async_context(run)
        async for batch in run:
            for sink in sinks:
                for face, score in batch.scores:
                    sink.score(face, score)
                if isinstance(sink, MqttSink):
                    for message in batch.messages:
                        sink.error(message)
            for event in batch.events:
                for sink in sinks:
                    await sink.event(event)
        for sink in sinks:
            if isinstance(sink, MqttSink) and run.stopped:
                sink.drain = 0.5
    _complain(telemetry.broker)


def _complain(broker: BrokerView) -> None:
    """Raise if the broker was there for nothing, or not at all.

    Raises:
        BrokerError: Events are left, or it could not be reached.
    """
    if broker.queued:
        count = f"{broker.queued} event{'s' if broker.queued > 1 else ''}"
        reason = broker.error.partition("; ")[0] or f"{broker.address} does not answer"
        raise BrokerError(
            f"{count} could not be delivered ({reason}); they wait in the journal and go out at the next run with "
            "a broker that is there"
        )
    if broker.error:
        raise BrokerError(broker.error)


class _Impatient(ThreadPoolExecutor):
    """Threads that nobody waits for: one may hang in a connection to a broker that does not answer."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002
        """End without waiting."""
        super().shutdown(wait=False, cancel_futures=True)


def _screen(
    stack: AsyncExitStack, telemetry: Telemetry, *, draw: bool, stdout_taken: bool
) -> Dashboard | PlainLines:
    """Return the dashboard if there is a terminal to draw on, plain lines otherwise."""
    if os.environ.get("STREAMSPOT_DEBUG"):
        return PlainLines(telemetry)
    quiet = stack.enter_context(QuietStderr())
    if draw and not stdout_taken and can_draw(quiet.console):
        return Dashboard(telemetry, quiet=quiet)
    return PlainLines(telemetry, console=quiet.console if stdout_taken else None)


def _stop_on_signals(run: Run) -> None:
    """End the run in an orderly way at the first Ctrl-C, at once at the second."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        run.stop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, _leave_now)

    with contextlib.suppress(NotImplementedError):  # Windows raises KeyboardInterrupt instead
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop)


def _leave_now() -> None:
    """End the process at once, leaving a usable terminal."""
    for screen in (1, 2):
        if os.isatty(screen):
            os.write(screen, b"\x1b[?1049l\x1b[?25h")
    os._exit(130)


async def _sinks(settings: RunSettings, run: Run, stack: AsyncExitStack) -> list[Sink]:
    node = settings.node or slug(socket.gethostname(), "node")
    sinks: list[Sink] = []
    if settings.broker is not None:  # the first: what any other sink has been told is in the journal
        url = settings.broker
        journal = settings.journal
        if url == "embedded":  # it forgets everything at the end, so nothing is owed to it
            url = await stack.enter_async_context(embedded_broker())
            journal = journal or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        where = slug(Broker.parse(url).address, "broker")
        journal = journal or state_folder() / "journal" / where / node / run.stream
        bridges: list[Bridge] = []
        if settings.ros:
            bridges.append(Ros(node, run.stream))
        if settings.homeassistant:
            bridges.append(HomeAssistant(node, run.stream))
        sink = MqttSink(
            url,
            node=node,
            stream=run.stream,
            journal=journal,
            telemetry=run.telemetry,
            on_command=lambda command: _obey(run, sink, command),
            bridges=bridges,
            fsync=settings.fsync,
        )
        sink.control(paused=False, sensitivity=settings.sensitivity)
        sinks.append(sink)
    if settings.events is not None:
        sinks.append(JsonLines(settings.events, node=node))
    if settings.intensity is not None:
        sinks.append(IntensityCsv(settings.intensity, faces=settings.faces > 1))
    if settings.log is not None:
        sinks.append(EventTable(settings.log))
    if settings.osc is not None:
        sinks.append(OscSink(settings.osc))
    if settings.metrics is not None:
        await stack.enter_async_context(metrics_server(run.telemetry, settings.metrics))
    return sinks


def _obey(run: Run, sink: MqttSink, command: Command) -> None:
    """Do what a subscriber asked for, and tell everybody what holds now."""
    try:
        run.obey(command)
    except StreamspotError as error:
        sink.error(str(error))
    sink.control(paused=run.paused, sensitivity=run.sensitivity)


def resend(
    journal: Annotated[Path, typer.Argument(help="Folder of the journal.")],
    broker: Annotated[str, typer.Option(help="Address of the broker.")],
    since: Annotated[
        str, typer.Option(help="Only events decided at or after this time (UTC): 2026-11-22T10:30.")
    ] = "",
) -> None:
    """Publish again what a journal holds, delivered or not; consumers drop what they have by its id."""
    count = asyncio.run(publish_again(broker, journal, since=since))
    typer.echo(f"{count} event{'s' * (count != 1)} sent")


def demo(
    speed: Annotated[
        str | None, typer.Option(help="1 for the clip's own pace, max. Default: 1 on a terminal.")
    ] = None,
    weights: Annotated[str, typer.Option(help="Weights to run.")] = "streamspot-base",
    ui: Annotated[bool, typer.Option("--ui/--no-ui", help="Dashboard, or plain lines.")] = True,
) -> None:
    """Show everything at once, with nothing set up: a clip made on the spot, a broker, the dashboard, a subscriber.

    Ends by itself; the exit code is 0 only if the events arrived over MQTT.
    """
    _prepare()
    asyncio.run(_demo(speed or ("1" if sys.stderr.isatty() and ui else "max"), weights, draw=ui))


async def _demo(speed: str, weights: str, *, draw: bool) -> None:
    received: list[Event] = []
    telemetry = Telemetry()
    with tempfile.TemporaryDirectory() as folder:
        async with embedded_broker() as url, subscribe(url) as arriving:
            listener = asyncio.create_task(_collect(arriving, received))
            flags = {"source": "synthetic", "speed": speed, "weights": weights, "broker": url}
            settings = load_settings({**flags, "node": "demo", "journal": Path(folder)})
            await _run(settings, draw=draw, telemetry=telemetry)
            await asyncio.sleep(0.2)
            listener.cancel()
    finished = [event for event in received if event.phase == "offset"]
    typer.echo(f"\nReceived over MQTT from {telemetry.broker.address}: {len(received)} events")
    for event in finished:
        typer.echo(f"  {plain(event)}")
    if not finished:
        raise BrokerError("no finished expression arrived over MQTT; run streamspot doctor")


async def _collect(arriving: Subscription, received: list[Event]) -> None:
    async for arrived in arriving:
        received.append(arrived.event)  # noqa: PERF401 - it never ends


def listen(
    broker: Annotated[
        str, typer.Option(help="mqtt:// or mqtts://user@host:port, ws:// or wss://")
    ] = "mqtt://127.0.0.1:1883",
    node: Annotated[str, typer.Option(help="Only this node; + for all.")] = "+",
    stream: Annotated[str, typer.Option(help="Only this stream; + for all.")] = "+",
    json: Annotated[bool, typer.Option("--json", help="Print the CloudEvents as they came.")] = False,
) -> None:
    """Print the events that arrive at a broker; duplicates are dropped, gaps are named."""

    async def follow() -> None:
        async with subscribe(broker, node=node, stream=stream) as arriving:
            async for arrived in arriving:
                if arrived.missed:
                    typer.echo(
                        f"! {arrived.missed} events of {arrived.event.stream} are missing here", err=True
                    )
                typer.echo(encode(arrived.event, node=arrived.node) if json else plain(arrived.event))

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(follow())
