"""The dashboard as it runs: its own thread, its own console, and nothing it does can hurt the run."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import Self

from rich.control import Control
from rich.segment import Segment, Segments

from streamspot.commands import Command, Label, Sensitivity, Undo
from streamspot.console import QuietStderr, suspendable, terminal_size, unless_it_hangs
from streamspot.dashboard.curve import TickSpan
from streamspot.dashboard.look import Look, command, done, moved, there
from streamspot.dashboard.picture import picture
from streamspot.dashboard.text import Line, summary
from streamspot.dashboard.view import Shown, Views
from streamspot.errors import SettingsError, StreamspotError
from streamspot.keys import Keys
from streamspot.spotting import SpotSettings
from streamspot.stats import Delivery, Stats
from streamspot.types import Update

_PERIOD_S = 1 / 6
"""A picture is drawn this often."""

_REPAINT_S = 3.0
"""The whole picture is written this often, in case something else wrote on the screen; else only changes."""

_LOOK_S, _SAID_S = 0.04, 5.0
"""Seconds between two looks for keys, and for which what a key did is shown."""

Obey = Callable[[str, Command], None]
"""Takes a command for the stream of a name; a StreamspotError says why it cannot be obeyed."""
DecoderAt = Callable[[str, float], SpotSettings]
"""Returns how the curve of the stream of a name is decoded at a sensitivity."""
Tried = dict[tuple[str, int], tuple[list[TickSpan], int]]
"""Stream and face → what another sensitivity finds in the last minute, and how many the present one does."""


class Dashboard:
    """Draws running streams in the terminal until the block ends, then leaves the last picture there.

    It draws in a thread of its own, on the alternate screen, and writes only the lines that changed. Should drawing
    fail, the run goes on without it. Keys are read where there is a terminal to read them from; none of them is left
    for the shell.

    Args:
        stats: Counts, rates and durations of each stream, which is known by its name there.
        delivery: How the delivery of their events fares; its messages are shown.
        quiet: Already entered: where to draw. The path of its log is told.
        on_quit: Called in the dashboard's thread when ``q`` is pressed.

    Example:
        >>> with QuietStderr() as quiet, Dashboard([run.stats], delivery, quiet, run.stop) as dashboard:
        ...     for update in updates:  # doctest: +SKIP
        ...         dashboard.take(run.name, update)
    """

    def __init__(
        self, stats: list[Stats], delivery: Delivery, quiet: QuietStderr, on_quit: Callable[[], None]
    ) -> None:
        self._delivery, self._quiet, self._on_quit = delivery, quiet, on_quit
        self._views = Views(stats, delivery)
        self._look, self._said_at = Look(), 0.0
        self._obey: Obey | None = None
        self._decoder: DecoderAt | None = None
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
            self._ending = "q quit · ? keys"
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
        if not self._thread.is_alive():  # one that still writes means a terminal that takes nothing
            with self._harmless():
                self._leave()
        self._keys.restore()

    def take(self, stream: str, update: Update) -> None:
        """Show what an update of a stream brought to light."""
        self._views.take(stream, update)

    def show(self, stats: Sequence[Stats]) -> None:
        """Show these streams and no others; one that has other statistics by now begins anew."""
        self._views.show(stats)

    def control(self, obey: Obey, decoder: DecoderAt | None = None) -> None:
        """Let keys command the streams from now on.

        Args:
            obey: Takes a stream's name and a command, in the dashboard's thread; a StreamspotError is shown.
            decoder: Returns, for a stream's name and a sensitivity, how the curve is decoded.
        """
        self._obey, self._decoder = obey, decoder

    def abandon(self) -> None:
        """Give the terminal back as it was, because the process is about to end without leaving the block."""
        self._stop.set()
        self._keys.restore()
        unless_it_hangs(lambda: os.write(self._quiet.console.file.fileno(), b"\x1b[?1049l\x1b[?25h"))

    def _loop(self) -> None:
        due = time.monotonic() + _PERIOD_S
        while not self._failed and not self._stop.wait(_LOOK_S):
            with self._harmless():
                keys = self._keys()
                for key in keys:
                    self._press(key)
                began = time.monotonic()
                if keys or began >= due:
                    self._draw()
                    due = max(began + _PERIOD_S, time.monotonic() + _PERIOD_S / 2)

    def _press(self, key: str) -> None:
        """Do what a key stands for."""
        shown = self._views.shown()
        if key == "q":
            self._ending = "ending"
            self._on_quit()
            return
        self._look = there(self._look, shown)
        only, face = self._look.only or (None, None)
        names = [only] if only is not None else [one.stats.stream for one in shown.streams]
        asked = {name: one for name in names if (one := command(key, shown, name, face)) is not None}
        if not asked:
            self._look = moved(self._look, key, shown)
            return
        try:
            if self._obey is None:
                raise SettingsError("there is no stream yet that this key could command")
            if len(asked) > 1 and any(isinstance(one, Label | Undo) for one in asked.values()):
                raise SettingsError("several streams are on show; show one alone (tab)")
            for name, one in asked.items():
                self._obey(name, one)
                self._views.ask(name, one)
        except StreamspotError as error:
            said, tried = str(error), {}
        else:
            said, tried = done(asked), self._tried(asked, shown)
            if tried:
                found = [
                    sum(len(spans) for spans, _ in tried.values()),
                    sum(before for _, before in tried.values()),
                ]
                said += f" · last minute: {found[0]} found, {found[1]} before"
        marks = {face: spans for face, (spans, _) in tried.items()}
        self._look, self._said_at = replace(self._look, said=said, tried=marks), time.monotonic()

    def _tried(self, asked: Mapping[str, Command], shown: Shown) -> Tried:
        """Return for each face what another sensitivity finds in its last minute, and how many this one does."""
        if self._decoder is None:
            return {}
        tried: Tried = {}
        for one in shown.streams:
            name = one.stats.stream
            if isinstance(wanted := asked.get(name), Sensitivity):
                new, old = (self._decoder(name, value) for value in (wanted.value, one.controls.sensitivity))
                for face in one.faces:
                    tried[name, face.track] = face.respotted(new), len(face.respotted(old))
        return tried

    def _picture(self, width: int, height: int) -> list[Line]:
        now = time.monotonic()
        if self._look.said and now - self._said_at > _SAID_S:
            self._look = replace(self._look, said="", tried={})
        log = str(self._quiet.path) if self._quiet.written else ""
        shown = self._views.shown(elapsed=now - self._started, log=log, ending=self._ending)
        return picture(shown, self._look, width, height)

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
        self._look = replace(self._look, page="graphs")
        width, height = terminal_size(console)
        output: list[Segment] = []
        for line in [] if self._failed else self._picture(width, max(min(height - 3, 30), 1)):
            output += [*line, Segment.line()]
        said = f"{summary(self._views.stats, self._delivery, self._views.expressions)}."

        def write() -> None:
            self._hide()
            console.print(Segments(output), end="", crop=False)
            console.print(said, style="bold")
            if self._quiet.written:
                console.print(f"Messages of native libraries: {self._quiet.path}")

        unless_it_hangs(write)
