"""The dashboard as it runs: its own thread, its own console, and nothing it does can hurt the run."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.control import Control
from rich.segment import Segment, Segments

from streamspot.console import QuietStderr, terminal_size
from streamspot.dashboard.picture import picture
from streamspot.dashboard.text import Line, summary
from streamspot.dashboard.view import View
from streamspot.errors import SettingsError
from streamspot.keys import Keys
from streamspot.stats import Delivery, Stats
from streamspot.types import Update

_REPAINT_S = 3.0
"""The whole picture is written this often, in case something else wrote on the screen; else only changes."""


class Dashboard:
    """Draws a running stream in the terminal until the block ends, then leaves the last picture there.

    It draws in a thread of its own at most 8 times a second, on the alternate screen, and writes only the
    lines that changed. Should drawing fail, the run goes on without it. Meanwhile file descriptor 2 leads to
    a log file: to ``quiet`` if that is given, to one of its own if neither ``quiet`` nor ``console`` is.

    Args:
        stats: Counts, rates and durations of the stream.
        delivery: How the delivery of its events fares; its messages are shown.
        quiet: Already entered; the dashboard keeps its log bounded, tells its path and leaves ending it to
            whoever began it.
        console: Where to draw; None for the terminal of ``quiet``.
        rate: Updates a second, in (0, 8].
        on_quit: Called in the dashboard's thread when ``q`` is pressed. With it keys are read and none is left for
            the shell; where there is no terminal to read them from, and without ``on_quit``, they are left alone.

    Example:
        >>> with Dashboard(run.stats, delivery, on_quit=run.stop) as dashboard:  # doctest: +SKIP
        ...     for update in updates:
        ...         dashboard.take(update)
    """

    def __init__(
        self,
        stats: Stats,
        delivery: Delivery,
        *,
        quiet: QuietStderr | None = None,
        console: Console | None = None,
        rate: float = 6.0,
        on_quit: Callable[[], None] | None = None,
    ) -> None:
        self._stats, self._delivery = stats, delivery
        self._view = View(stats, delivery)
        self._given = console
        self._quiet = quiet
        self._own: QuietStderr | None = None
        self._on_quit = on_quit
        self._keys: Keys | None = None
        self._ending = "Ctrl-C ends the run"
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
        self._take_keys()
        with self._harmless():
            self._console.set_alt_screen(True)
            self._console.show_cursor(False)
            self._draw()  # at once: whatever is loaded next leaves little time to a thread
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
            self._give_keys()
            if self._own is not None:
                self._own.__exit__(kind, error, trace)

    def take(self, update: Update) -> None:
        """Show what an update brought to light."""
        self._view.take(update)

    def abandon(self) -> None:
        """Give the terminal back as it was, because the process is about to end without leaving the block."""
        self._stop.set()
        self._give_keys()
        with contextlib.suppress(OSError, ValueError):
            os.write(self._console.file.fileno(), b"\x1b[?1049l\x1b[?25h")

    def _loop(self) -> None:
        rest = self._period
        while not self._failed and not self._stop.wait(rest):
            began = time.monotonic()
            with self._harmless():
                self._look_at_keys()
                self._draw()
            rest = max(self._period - (time.monotonic() - began), self._period / 2)

    def _take_keys(self) -> None:
        """Read keys from now on, where there is a terminal for it."""
        if self._on_quit is not None:
            with contextlib.suppress(SettingsError):
                self._keys = Keys().__enter__()
                self._ending = "q ends the run"

    def _give_keys(self) -> None:
        keys, self._keys = self._keys, None
        if keys is not None:
            keys.restore()

    def _look_at_keys(self) -> None:
        keys = self._keys
        if keys is not None and "q" in keys() and self._on_quit is not None:
            self._ending = "ending"
            self._on_quit()

    def _picture(self, width: int, height: int) -> list[Line]:
        elapsed = time.monotonic() - self._started
        log = str(self._quiet.path) if self._quiet is not None and self._quiet.written else ""
        return picture(self._view.shown(elapsed=elapsed, log=log, ending=self._ending), width, height)

    def _draw(self) -> None:
        if self._quiet is not None:
            self._quiet.trim()
        size = terminal_size(self._console)
        lines = self._picture(*size)
        now = time.monotonic()
        output: list[Segment] = []
        if size != self._size:
            output.append(Control.clear().segment)
        everything = size != self._size or now - self._painted > _REPAINT_S
        for row, line in enumerate(lines):
            if everything or line != self._before[row]:
                output += [Control.move_to(0, row).segment, *line]
        if everything:
            self._painted = now
        self._before, self._size = lines, size
        self._console.print(Segments(output), end="", crop=False)

    def _give_up(self, error: Exception) -> None:
        self._failed = True
        self._give_keys()
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
        text = summary(self._stats, self._delivery, self._view.expressions)
        console.print(f"{text}.", style="bold", markup=False, highlight=False)
        if self._quiet is not None and self._quiet.written:
            console.print(f"Messages of native libraries: {self._quiet.path}", markup=False, highlight=False)
