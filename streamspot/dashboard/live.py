"""The dashboard as it runs: its own thread, its own console, and nothing it does can hurt the run."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.control import Control
from rich.segment import Segment, Segments

from streamspot.console import QuietStderr, terminal_size
from streamspot.dashboard.picture import picture, plain
from streamspot.dashboard.snapshot import copied
from streamspot.dashboard.text import Line
from streamspot.telemetry import Telemetry

REPAINT_S = 3.0
"""The whole picture is written this often, in case something else wrote on the screen; else only changes."""


class Dashboard:
    """Draws a running stream in the terminal until the block ends, then leaves the last picture there.

    It draws in a thread of its own at most 8 times a second, on the alternate screen, and writes only the
    lines that changed. Should drawing fail, the run goes on without it. Meanwhile file descriptor 2 leads to
    a log file: to ``quiet`` if that is given, to one of its own if neither ``quiet`` nor ``console`` is.

    Args:
        telemetry: What to show.
        console: Where to draw; None for the terminal of ``quiet``.
        quiet: Already entered; the dashboard keeps its log bounded, tells its path and leaves ending it to
            whoever began it.
        rate: Updates a second, in (0, 8].

    Example:
        >>> with Dashboard(telemetry):  # doctest: +SKIP
        ...     run()
    """

    def __init__(
        self,
        telemetry: Telemetry,
        *,
        console: Console | None = None,
        quiet: QuietStderr | None = None,
        rate: float = 6.0,
    ) -> None:
        self._telemetry = telemetry
        self._given = console
        self._quiet = quiet
        self._own: QuietStderr | None = None
        self._period = 1.0 / min(max(rate, 0.1), 8.0)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="dashboard", daemon=True)
        self._console: Console
        self._before: list[Line] = []
        self._size = (0, 0)
        self._painted = 0.0
        self._started = 0.0
        self._failed = False

    def __enter__(self) -> Self:
        self._started = time.monotonic()
        if self._given is None and self._quiet is None:
            self._own = self._quiet = QuietStderr().__enter__()
        if self._given is not None:
            self._console = self._given
        elif self._quiet is not None:
            self._console = self._quiet.console
        with self._harmless():
            self._console.set_alt_screen(True)
            self._console.show_cursor(False)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=0.5)
        try:
            # A thread that still writes means a terminal that has stopped reading: writing would hang the run.
            if not self._thread.is_alive():
                with self._harmless():
                    self._leave()
        finally:
            if self._own is not None:
                self._own.__exit__(kind, error, trace)

    def _loop(self) -> None:
        while True:
            began = time.monotonic()
            with self._harmless():
                self._draw()
            rest = max(self._period - (time.monotonic() - began), self._period / 2)
            if self._failed or self._stop.wait(rest):
                return

    def _picture(self, width: int, height: int) -> list[Line]:
        elapsed = time.monotonic() - self._started
        log = str(self._quiet.path) if self._quiet is not None and self._quiet.written else ""
        return picture(self._telemetry, width, height, elapsed=elapsed, log=log)

    def _draw(self) -> None:
        if self._quiet is not None:
            self._quiet.trim()
        size = terminal_size(self._console)
        lines = self._picture(*size)
        now = time.monotonic()
        output: list[Segment] = []
        if size != self._size:
            output.append(Control.clear().segment)
        everything = size != self._size or now - self._painted > REPAINT_S
        for row, line in enumerate(lines):
            if everything or line != self._before[row]:
                output += [Control.move_to(0, row).segment, *line]
        if everything:
            self._painted = now
        self._before, self._size = lines, size
        self._console.print(Segments(output), end="", crop=False)

    def _give_up(self, error: Exception) -> None:
        self._failed = True
        traceback.print_exc(file=sys.stderr)
        with contextlib.suppress(OSError, ValueError):
            self._console.set_alt_screen(False)
            self._console.show_cursor(True)
            where = f"; details in {self._quiet.path}" if self._quiet is not None else ""
            text = f"The dashboard stopped ({error!r}), the run goes on{where}."
            self._console.print(text, markup=False, highlight=False)

    @contextlib.contextmanager
    def _harmless(self) -> Iterator[None]:
        """Let nothing that goes wrong while drawing reach the run."""
        try:
            yield
        except Exception as error:  # noqa: BLE001
            self._give_up(error)

    def _leave(self) -> None:
        console = self._console
        console.set_alt_screen(False)
        console.show_cursor(True)
        width, height = terminal_size(console)
        output: list[Segment] = []
        for line in [] if self._failed else self._picture(width, max(min(height - 3, 30), 1)):
            output += [*line, Segment.line()]
        console.print(Segments(output), end="", crop=False)
        console.print(summary(self._telemetry), style="bold", markup=False, highlight=False)
        if self._quiet is not None and self._quiet.written:
            console.print(f"Messages of native libraries: {self._quiet.path}", markup=False, highlight=False)


def summary(telemetry: Telemetry) -> str:
    """Return one sentence on how the run went."""
    events = copied(telemetry.events)
    count = events[-1].seq + 1 if events else 0
    text = f"{telemetry.frames} frames, {telemetry.dropped} dropped, {count} event{'' if count == 1 else 's'}"
    broker = telemetry.broker
    if broker.state != "none":
        text += f", {broker.acknowledged} acknowledged by {broker.address}"
        if broker.queued:
            text += f", {broker.queued} still queued"
    return text + "."


class PlainLines:
    """Prints a line for each event and message until the block ends: the stand-in where no terminal is.

    Args:
        telemetry: What to report.
        console: Where to print; None for stdout.

    Example:
        ``00:12.433  face 1  macro  offset  1.83 s  peak 0.82  decided +0.27 s``
    """

    def __init__(self, telemetry: Telemetry, *, console: Console | None = None) -> None:
        self._telemetry = telemetry
        self._console = Console(highlight=False) if console is None else console
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="plain-lines", daemon=True)
        self._next = 0
        self._messages: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=1.0)

    def _loop(self) -> None:
        while True:
            ending = self._stop.wait(0.1)
            try:
                self._report()
            except (OSError, ValueError):  # whoever read the lines has gone; the run goes on
                return
            if ending:
                return

    def _report(self) -> None:
        messages = copied(self._telemetry.messages)
        lines = [f"! {message}" for message in fresh(self._messages, messages)]
        self._messages = messages
        for event in copied(self._telemetry.events):
            if event.seq > self._next:
                lines.append(f"! {event.seq - self._next} events not shown here: they came too fast")
            if event.seq >= self._next:
                lines.append(plain(event))
                self._next = event.seq + 1
        for line in lines:
            self._console.out(line, highlight=False)


def fresh(before: list[str], now: list[str]) -> list[str]:
    """Return what was appended to a bounded list since ``before``."""
    for start in range(len(before) + 1):
        if before[start:] == now[: len(before) - start]:
            return now[len(before) - start :]
    return now
