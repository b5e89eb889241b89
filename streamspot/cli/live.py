"""The commands that run a stream or listen to one: run, demo, listen."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streamspot.cli.options import with_settings
from streamspot.console import QuietStderr, can_draw
from streamspot.dashboard import Dashboard, PlainLines, plain
from streamspot.engine import Engine, StreamRun
from streamspot.errors import BrokerError
from streamspot.events import encode
from streamspot.loop import run_to_end
from streamspot.settings import Settings, load_settings
from streamspot.stats import Delivery
from streamspot.threads import one_thread
from streamspot.types import Event

if TYPE_CHECKING:
    from streamspot.mqtt.subscriber import Subscription


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(with_settings(run))
    app.command()(demo)
    app.command()(listen)
    app.command()(resend)


def run(
    *,
    config: Annotated[
        str | None,
        typer.Option(
            help="A YAML file of settings, live or replay; flags and STREAMSPOT_… variables win over it."
        ),
    ] = None,
    ui: Annotated[bool, typer.Option("--ui/--no-ui", help="Dashboard, or plain lines.")] = True,
    **flags: Any,
) -> None:
    """Spot expressions in a camera, a video or a stream, live.

    Ctrl-C ends it in good order (what is open is cancelled, events are delivered, exit code 0), twice at once.

    [dim]Examples:[/]
      streamspot run --source 0
      streamspot run --source clip.mp4 --events - --no-ui
      streamspot run --source rtsp://camera/1 --broker mqtt://localhost --faces 2
    """
    run_to_end(run_stream(load_settings(flags, config), draw=ui))


async def run_stream(settings: Settings, *, draw: bool, delivery: Delivery | None = None) -> None:
    """Run one stream into every output that the settings name, with the dashboard or plain lines.

    Args:
        settings: What to run.
        draw: Whether a dashboard is wanted, where there is a terminal for it.
        delivery: Kept current; a new one if None.

    Raises:
        StreamspotError: Something cannot be used, or events could not be delivered.
    """
    delivery = delivery or Delivery()
    loop = asyncio.get_running_loop()
    loop.set_default_executor(_Impatient())
    async with AsyncExitStack() as stack:
        quiet = None if os.environ.get("STREAMSPOT_DEBUG") else stack.enter_context(QuietStderr())
        run = StreamRun(settings)  # a wrong source is refused before anything is drawn
        screen = _screen(run, delivery, quiet, draw=draw)
        stack.enter_context(screen)
        _on_signals(partial(_leave_now, screen))
        await asyncio.to_thread(_load, run)
        from streamspot.outputs import Outputs  # noqa: PLC0415 - the dashboard stands before this is loaded

        _on_signals(partial(_stop, run, screen))
        outputs = await stack.enter_async_context(Outputs(run, delivery))
        engine = await stack.enter_async_context(Engine([run]))
        async for _, update in engine:
            await outputs.take(update)
            screen.take(update)
    if (complaint := outputs.complaint()) is not None:
        raise complaint


def _load(run: StreamRun) -> None:
    """Load the network; takes seconds."""
    one_thread()
    run.load()


class _Impatient(ThreadPoolExecutor):
    """Threads that nobody waits for: one may hang in a connection to a broker that does not answer."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002
        """End without waiting."""
        super().shutdown(wait=False, cancel_futures=True)


def _screen(
    run: StreamRun, delivery: Delivery, quiet: QuietStderr | None, *, draw: bool
) -> Dashboard | PlainLines:
    """Return the dashboard if there is a terminal to draw on, plain lines otherwise."""
    if quiet is None:
        return PlainLines(run.stats, delivery)
    stdout_taken = run.settings.output.events == "-"
    if draw and not stdout_taken and can_draw(quiet.console):
        return Dashboard(run.stats, delivery, quiet=quiet, on_quit=run.stop)
    return PlainLines(run.stats, delivery, console=quiet.console if stdout_taken else None)


def _on_signals(act: Callable[[], None]) -> None:
    """Do so at Ctrl-C and SIGTERM."""
    with contextlib.suppress(NotImplementedError):  # Windows raises KeyboardInterrupt instead
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, act)


def _stop(run: StreamRun, screen: Dashboard | PlainLines) -> None:
    """End the run in good order, at the next signal at once."""
    run.stop()
    _on_signals(partial(_leave_now, screen))


def _leave_now(screen: Dashboard | PlainLines) -> None:
    """End the process at once, leaving a usable terminal."""
    if isinstance(screen, Dashboard):
        screen.abandon()
    os._exit(130)


def resend(
    journal: Annotated[Path, typer.Argument(help="Folder of the journal.")],
    broker: Annotated[str, typer.Option(help="Address of the broker.")],
    since: Annotated[
        str, typer.Option(help="Only events decided at or after this time (UTC): 2026-11-22T10:30.")
    ] = "",
) -> None:
    """Publish again what a journal holds, delivered or not; consumers drop what they have by its id."""
    from streamspot.mqtt.resend import resend as publish_again  # noqa: PLC0415 - as above

    count = run_to_end(publish_again(broker, journal, since=since))
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
    run_to_end(_demo(speed or ("1" if sys.stderr.isatty() and ui else "max"), weights, draw=ui))


async def _demo(speed: str, weights: str, *, draw: bool) -> None:
    from streamspot.mqtt.embedded import embedded_broker  # noqa: PLC0415 - as above
    from streamspot.mqtt.subscriber import subscribe  # noqa: PLC0415

    received: list[Event] = []
    delivery = Delivery()
    with tempfile.TemporaryDirectory() as folder:
        async with embedded_broker() as url, subscribe(url) as arriving:
            listener = asyncio.create_task(_collect(arriving, received))
            flags = {"source": "synthetic", "speed": speed, "weights": weights, "broker": url}
            settings = load_settings({**flags, "node": "demo", "journal": Path(folder)})
            await run_stream(settings, draw=draw, delivery=delivery)
            await asyncio.sleep(0.2)
            listener.cancel()
    finished = [event for event in received if event.phase == "offset"]
    typer.echo(f"\nReceived over MQTT from {delivery.address}: {len(received)} events")
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
    from streamspot.mqtt.subscriber import subscribe  # noqa: PLC0415 - as above

    async def follow() -> None:
        async with subscribe(broker, node=node, stream=stream) as arriving:
            async for arrived in arriving:
                if arrived.missed:
                    typer.echo(
                        f"! {arrived.missed} events of {arrived.event.stream} are missing here", err=True
                    )
                typer.echo(encode(arrived.event, node=arrived.node) if json else plain(arrived.event))

    with contextlib.suppress(KeyboardInterrupt):
        run_to_end(follow())
