"""The commands that run a stream or listen to one: run, demo, listen, resend."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from streamspot.cli.batch import run_files
from streamspot.cli.options import with_settings
from streamspot.cluster import workers
from streamspot.console import QuietStderr, can_draw, debugging
from streamspot.dashboard.lines import PlainLines
from streamspot.dashboard.live import Dashboard
from streamspot.dashboard.text import counted, plain
from streamspot.engine import Engine, open_runs
from streamspot.errors import BrokerError, SettingsError
from streamspot.events import one_line, printable
from streamspot.layers import load_settings, load_streams
from streamspot.loop import on_signals, run_to_end
from streamspot.run import StreamRun
from streamspot.settings import Settings
from streamspot.shipped import DEFAULT_WEIGHTS
from streamspot.stats import Delivery, Stats
from streamspot.threads import one_thread
from streamspot.types import Event, Update

if TYPE_CHECKING:
    from streamspot.commands import Command
    from streamspot.mqtt.subscriber import Subscription
    from streamspot.outputs import Outputs

app = typer.Typer()

_SAME_SIGNAL = 0.5
"""Seconds after a signal in which another one is the same: ``timeout`` sends two."""
_PATIENCE = 4
"""How often the demonstration tries again to reach the broker that it has started itself."""


@app.command()
@with_settings
def run(
    *,
    config: Annotated[
        str | None,
        typer.Option(
            help="A YAML file of settings, or a ready one: live (publishes to a broker here), replay. Flags and "
            "STREAMSPOT_… variables win over it."
        ),
    ] = None,
    ui: Annotated[bool, typer.Option("--ui/--no-ui", help="Dashboard, or plain lines.")] = True,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the results of many files: --source is a folder of videos or a pattern in quotation "
            "marks. Files that are finished there are not analysed again."
        ),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes for --out, one a core if not given.")
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Analyse the files of --out on this Ray cluster instead."),
    ] = None,
    **flags: Any,
) -> None:
    """Spot expressions in a camera, a video or a stream, live.

    Ctrl-C (or q in the dashboard) ends it: what is open is cancelled, events are delivered. The exit code is then 0,
    or 1 if some could not be. Ctrl-C a second time does not wait.

    [dim]Examples:[/]
      streamspot run --source 0
      streamspot run --source clip.mp4 --events - --no-ui
      streamspot run --source rtsp://camera/1 --broker mqtt://localhost --faces 2
      streamspot run --source 0 --source 2 --record {stream}.motion
      streamspot run --source 'videos/*.mp4' --out results
    """
    if ray is not None and out is None:
        raise SettingsError(
            "--ray is for the files of --out; cameras run there as a fleet, see streamspot fleet --help"
        )
    if jobs is not None and out is None:
        raise SettingsError("--jobs is for the files of --out; name a folder with --out, or leave --jobs out")
    if ray is not None:  # every node has to find the files there
        flags["source"] = [str(Path(one).absolute()) for one in flags["source"] or ()]
    streams = load_streams(flags, config)
    if out is None:
        run_to_end(run_streams(streams, Delivery(), draw=ui))
    elif len(streams) == 1:
        run_files(streams[0], out, workers(jobs or os.cpu_count() or 1, ray), draw=ui)
    else:
        raise SettingsError("with --out there is one --source; give a folder or a pattern, 'videos/*.mp4'")


async def run_streams(streams: list[Settings], delivery: Delivery, *, draw: bool) -> bool:
    """Run streams into every output that their settings name; return whether the user ended them.

    ``delivery`` is kept current. With ``draw`` there is a dashboard where a terminal can show one, else plain lines.

    Raises:
        StreamspotError: Something cannot be used, or events could not be delivered.
    """
    asyncio.get_running_loop().set_default_executor(_Impatient())
    async with AsyncExitStack() as stack:
        quiet = stack.enter_context(QuietStderr())
        on_signals(lambda: os._exit(130))  # an address may take long to answer
        runs = await asyncio.to_thread(open_runs, streams)  # a wrong one is refused before anything is drawn
        screen = _screen(runs, delivery, quiet, draw=draw)
        stack.enter_context(screen)

        def leave() -> None:  # at once, with a usable terminal
            if isinstance(screen, Dashboard):
                screen.abandon()
            os._exit(130)

        def stop() -> None:  # in good order within a second; at a signal that comes then at once
            _stop(runs)
            on_signals(lambda: None)
            asyncio.get_running_loop().call_later(_SAME_SIGNAL, on_signals, leave)

        on_signals(leave)
        await asyncio.to_thread(_load, runs)
        from streamspot.outputs import Outputs  # noqa: PLC0415 - the dashboard stands before this is loaded

        on_signals(stop)
        outputs = await stack.enter_async_context(Outputs(runs, delivery))
        if isinstance(screen, Dashboard):
            by_name = {run.name: run for run in runs}
            for run in runs:  # a key may come before the first picture
                screen.take(run.name, Update(controls=run.controls))
            screen.control(_in_loop(outputs), lambda stream, value: by_name[stream].analyser.decoder(value))
        engine = await stack.enter_async_context(Engine(runs))
        async for run, update in engine:
            await outputs.take(run, update)
            screen.take(run.name, update)
        ended = all(run.ending.asked for run in runs)
    if (complaint := outputs.complaint()) is not None:
        raise complaint
    return ended


def _load(runs: list[StreamRun]) -> None:
    """Load the networks; takes seconds."""
    one_thread()
    for run in runs:
        run.load()


def _stop(runs: list[StreamRun]) -> None:
    for run in runs:
        run.stop()


class _Impatient(ThreadPoolExecutor):
    """Threads that nobody waits for: one may hang in a connection to a broker that does not answer."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002
        """End without waiting."""
        super().shutdown(wait=False, cancel_futures=True)


def _screen(
    runs: list[StreamRun], delivery: Delivery, quiet: QuietStderr, *, draw: bool
) -> Dashboard | PlainLines:
    output, stats = runs[0].settings.output, [run.stats for run in runs]
    stdout_taken = "-" in {output.events, str(output.intensity)}
    if draw and not stdout_taken and not debugging() and can_draw(quiet.console):
        return Dashboard(stats, delivery, quiet, on_quit=lambda: _stop(runs))
    return PlainLines(stats, delivery, quiet.console if stdout_taken else Console())


def _in_loop(outputs: Outputs) -> Callable[[str, Command], None]:
    """Return what obeys a command of another thread in the event loop's."""
    loop = asyncio.get_running_loop()

    async def obey(stream: str, asked: Command) -> None:
        outputs.obey(stream, asked)

    return lambda stream, asked: _answer(asyncio.run_coroutine_threadsafe(obey(stream, asked), loop), 1.0)


def _answer(asked: Future[None], seconds: float) -> None:
    """Wait until a command of another thread was obeyed.

    Raises:
        SettingsError: It has not been in so many seconds.
    """
    try:
        asked.result(timeout=seconds)
    except TimeoutError:
        raise SettingsError("there is no answer yet; what was asked is done as soon as it can be") from None


@app.command()
def demo(
    speed: Annotated[
        str | None, typer.Option(help="1 for the clip's own pace, max. Default: 1 on a terminal.")
    ] = None,
    weights: Annotated[str, typer.Option(help="Weights to run.")] = DEFAULT_WEIGHTS,
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
        async with embedded_broker() as url, AsyncExitStack() as stack:
            arriving = await _patiently(stack, lambda: subscribe(url))

            async def collect() -> None:
                async for arrived in arriving:
                    received.append(arrived.event)  # noqa: PERF401 - it never ends

            listener = asyncio.create_task(collect())
            flags = {"source": "synthetic", "speed": speed, "weights": weights, "broker": url}
            settings = load_settings({**flags, "node": "demo", "journal": Path(folder)})
            ended = await run_streams([settings], delivery, draw=draw)
            await asyncio.sleep(0.2)
            listener.cancel()
    finished = [event for event in received if event.phase == "offset"]
    early = "; the demonstration was ended early" if ended else ", of which these end an expression"
    typer.echo(f"\nReceived over MQTT from {delivery.address}: {len(received)} events{early}")
    for event in finished:
        typer.echo(f"  {plain(event)}")
    if not finished and not ended:
        raise BrokerError("no finished expression arrived over MQTT; run streamspot doctor")


async def _patiently(stack: AsyncExitStack, subscribe: Callable[[], Subscription]) -> Subscription:
    """Subscribe to a broker that is there for sure, though a first start from a slow disk may keep it waiting."""
    for _ in range(_PATIENCE):
        with contextlib.suppress(BrokerError):
            return await stack.enter_async_context(subscribe())
    return await stack.enter_async_context(subscribe())


@app.command()
def listen(
    broker: Annotated[
        str, typer.Option(help="mqtt:// or mqtts://user@host:port, ws:// or wss://")
    ] = "mqtt://127.0.0.1:1883",
    node: Annotated[str, typer.Option(help="Only this node; + for all.")] = "+",
    stream: Annotated[str, typer.Option(help="Only this stream; + for all.")] = "+",
    json: Annotated[bool, typer.Option("--json", help="Print the CloudEvents as they came.")] = False,
    dashboard: Annotated[
        bool,
        typer.Option("--dashboard", help="Draw the streams as their own dashboards do; keys command them."),
    ] = False,
) -> None:
    """Print the events that arrive at a broker; duplicates are dropped, gaps are named. Ctrl-C ends it.

    [dim]Examples:[/]
      streamspot listen --broker mqtt://robot.local
      streamspot listen --stream webcam --dashboard
    """
    following = _watch(broker, node, stream) if dashboard else _print(broker, node, stream, json=json)
    with contextlib.suppress(KeyboardInterrupt):
        run_to_end(following)


async def _print(broker: str, node: str, stream: str, *, json: bool) -> None:
    from streamspot.mqtt.subscriber import subscribe  # noqa: PLC0415 - as above

    async with subscribe(broker, node=node, stream=stream) as arriving:
        async for arrived in arriving:
            whose = printable(f"{arrived.node}/{arrived.event.stream}")
            if arrived.missed:
                typer.echo(f"! {arrived.missed} events of {whose} are missing here", err=True)
            text = f"{whose}  {plain(arrived.event)}" if "+" in {node, stream} else plain(arrived.event)
            line = one_line(arrived.payload) if json else text.encode()
            typer.echo(line)  # bytes: a terminal without the letters of a foreign message ends nothing


async def _watch(broker: str, node: str, stream: str) -> None:
    from streamspot.mqtt.watch import Watch  # noqa: PLC0415 - as above

    loop, me = asyncio.get_running_loop(), asyncio.current_task()
    assert me is not None  # noqa: S101 - this is a coroutine

    def send(name: str, command: Command) -> None:
        _answer(asyncio.run_coroutine_threadsafe(watch.send(name, command), loop), 5.0)

    def leave() -> None:
        loop.call_soon_threadsafe(me.cancel)

    with QuietStderr() as quiet, contextlib.suppress(asyncio.CancelledError):
        if not can_draw(quiet.console):
            raise SettingsError("this terminal cannot show a dashboard; leave --dashboard out")
        async with Watch(broker, node=node, stream=stream) as watch:
            waiting = Stats(f"a stream at {watch.delivery.address}", live=True, model="any")
            with Dashboard([waiting], watch.delivery, quiet, on_quit=leave) as screen:
                screen.control(send)
                async for followed in watch:
                    screen.show(watch.stats)
                    screen.take(followed.stats.stream, followed.update)


@app.command()
def resend(
    journal: Annotated[Path, typer.Argument(help="Folder of the journal, or its file.")],
    broker: Annotated[str, typer.Option(help="Address of the broker.")],
    since: Annotated[
        str | None,
        typer.Option(
            help="Only events decided at or after this time: 2026-11-22T14:30 (local time), 2026-11-22T14:30+02:00."
        ),
    ] = None,
) -> None:
    """Publish again what a journal holds, delivered or not; consumers drop what they have by its id.

    [dim]Examples:[/]
      streamspot resend journal --broker mqtt://localhost --since 2026-11-22T14:30
    """
    from streamspot.mqtt import resend as again  # noqa: PLC0415 - as above

    earliest = None if since is None else again.parse_time(since)
    count = run_to_end(again.resend(broker, journal, since=earliest))
    meant = "" if earliest is None else f" since {earliest.isoformat()}"
    typer.echo(f"{counted(count, 'event')}{meant} sent")
