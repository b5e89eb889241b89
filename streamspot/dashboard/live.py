"""The dashboard as it runs: its own thread, its own console, and nothing it does can hurt the run."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from itertools import zip_longest
from typing import Self

from rich.control import Control
from rich.segment import Segment, Segments

from streamspot.console import QuietStderr, suspendable, terminal_size
from streamspot.dashboard.picture import picture
from streamspot.dashboard.text import Line, summary
from streamspot.dashboard.view import View
from streamspot.errors import SettingsError
from streamspot.keys import Keys
from streamspot.stats import Delivery, Stats
from streamspot.types import Update

_PERIOD_S = 1 / 6
"""A picture is drawn this often."""

_REPAINT_S = 3.0
"""The whole picture is written this often, in case something else wrote on the screen; else only changes."""


class Dashboard:
    """Draws a running stream in the terminal until the block ends, then leaves the last picture there.

    It draws in a thread of its own, on the alternate screen, and writes only the lines that changed. Should drawing
    fail, the run goes on without it.

    Args:
        stats: Counts, rates and durations of the stream.
        delivery: How the delivery of its events fares; its messages are shown.
        quiet: Already entered: where to draw. The dashboard keeps its log bounded and tells its path.
        on_quit: Called in the dashboard's thread when ``q`` is pressed, where there is a terminal to read keys from.
            None of them is left for the shell.

    Example:
        >>> with QuietStderr() as quiet, Dashboard(run.stats, delivery, quiet, run.stop) as dashboard:
        ...     for update in updates:  # doctest: +SKIP
        ...         dashboard.take(update)
    """

    def __init__(
        self, stats: Stats, delivery: Delivery, quiet: QuietStderr, on_quit: Callable[[], None]
    ) -> None:
        self._stats, self._delivery, self._quiet, self._on_quit = stats, delivery, quiet, on_quit
        self._view = View(stats, delivery)
        self._keys = Keys()
        self._ending = "Ctrl-C ends the run"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="dashboard", daemon=True)
        self._before: list[Line] = []
        self._size = (0, 0)
        self._painted = 0.0
        self._started = time.monotonic()
        self._failed = False

    def __enter__(self) -> Self:
        with contextlib.suppress(SettingsError):  # no terminal to read keys from
            self._keys.__enter__()
            self._ending = "q ends the run"
        self._stopping = suspendable(self._hide, self._show)
        self._stopping.__enter__()
        with self._harmless():
            self._show()
            self._draw()  # at once: whatever is loaded next leaves little time to a thread
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._stopping.__exit__(None, None, None)
        self._thread.join(timeout=0.5)
        # A thread that still writes means a terminal that has stopped reading: writing would hang the run.
        if not self._thread.is_alive():
            with self._harmless():
                self._leave()
        self._keys.restore()

    def take(self, update: Update) -> None:
        """Show what an update brought to light."""
        self._view.take(update)

    def abandon(self) -> None:
        """Give the terminal back as it was, because the process is about to end without leaving the block."""
        self._stop.set()
        self._keys.restore()
        with contextlib.suppress(OSError, ValueError):
            os.write(self._quiet.console.file.fileno(), b"\x1b[?1049l\x1b[?25h")

    def _loop(self) -> None:
        rest = _PERIOD_S
        while not self._failed and not self._stop.wait(rest):
            began = time.monotonic()
            with self._harmless():
                if "q" in self._keys():
                    self._ending = "ending"
                    self._on_quit()
                self._draw()
            rest = max(_PERIOD_S - (time.monotonic() - began), _PERIOD_S / 2)

    def _picture(self, width: int, height: int) -> list[Line]:
        elapsed = time.monotonic() - self._started
        log = str(self._quiet.path) if self._quiet.written else ""
        return picture(self._view.shown(elapsed=elapsed, log=log, ending=self._ending), width, height)

    def _show(self) -> None:
        """Take the terminal; all of it is drawn next."""
        self._quiet.console.set_alt_screen(True)
        self._quiet.console.show_cursor(False)
        self._size = (0, 0)

    def _hide(self) -> None:
        """Give the terminal back."""
        self._quiet.console.set_alt_screen(False)
        self._quiet.console.show_cursor(True)

    def _draw(self) -> None:
        self._quiet.trim()
        size, now = terminal_size(self._quiet.console), time.monotonic()
        output = [Control.clear().segment] if size != self._size else []
        if output or now - self._painted > _REPAINT_S:
            self._before, self._painted = [], now
        lines = self._picture(*size)
        for row, (line, before) in enumerate(zip_longest(lines, self._before)):
            if line != before:
                output += [Control.move_to(0, row).segment, *line]
        self._before, self._size = lines, size
        self._quiet.console.print(Segments(output), end="", crop=False)

    @contextlib.contextmanager
    def _harmless(self) -> Iterator[None]:
        """Let nothing that goes wrong while drawing reach the run."""
        try:
            yield
        except Exception as error:  # noqa: BLE001
            self._failed = True
            self._keys.restore()
            traceback.print_exc(file=sys.stderr)
            with contextlib.suppress(OSError, ValueError):
                self._hide()
                text = f"The dashboard stopped ({error!r}), the run goes on; details in {self._quiet.path}."
                self._quiet.console.print(text)

    def _leave(self) -> None:
        console = self._quiet.console
        self._hide()
        width, height = terminal_size(console)
        output: list[Segment] = []
        for line in [] if self._failed else self._picture(width, max(min(height - 3, 30), 1)):
            output += [*line, Segment.line()]
        console.print(Segments(output), end="", crop=False)
        text = summary(self._stats, self._delivery, self._view.expressions)
        console.print(f"{text}.", style="bold")
        if self._quiet.written:
            console.print(f"Messages of native libraries: {self._quiet.path}")
