"""Plain lines: what a person sees where there is no terminal to draw on."""

from __future__ import annotations

import queue
import threading
from collections import Counter
from collections.abc import Sequence
from typing import Self

from rich.console import Console

from streamspot.dashboard.text import counted, counted_of, plain, summary
from streamspot.events import printable
from streamspot.stats import Delivery, Stats
from streamspot.types import Update

_WAITING = 10_000
"""Lines that wait for a reader at most; those that come then are left out until half of them have been read."""


class PlainLines:
    """Prints a line for each event and message until the block ends, then one that says how the run went.

    It prints in a thread of its own, so that a reader that is slow or gone does not hold up the run. What is left out
    because nobody reads is counted. The messages of the delivery are printed too. Of several streams each line begins
    with the name of its own.

    Example:
        ``00:12.433  face 1  macro  offset  1.83 s  peak 0.82  decided +0.27 s``
    """

    def __init__(self, stats: Sequence[Stats], delivery: Delivery, console: Console) -> None:
        self._stats, self._delivery, self._console = stats, delivery, console
        self._width = max(len(one.stream) for one in stats) if len(stats) > 1 else 0
        self._found: Counter[str] = Counter()
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._left_out = 0
        self._thread = threading.Thread(target=self._print, name="plain-lines", daemon=True)

    def __enter__(self) -> Self:
        for one in self._stats:
            if one.stream:
                self._lines.put(f"{one.source} is the stream {one.stream}")
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._tell_left_out()
        if kind is None:
            if len(self._stats) > 1:
                for one in self._stats:
                    self._lines.put(f"{one.stream}: {counted_of(one, self._found[one.stream])}")
            self._lines.put(f"done: {summary(self._stats, self._delivery, self._found.total())}")
        self._lines.put(None)
        self._thread.join(timeout=0.5)

    def take(self, stream: str, update: Update) -> None:
        """Print what is new."""
        if not self._thread.is_alive():  # whoever read the lines has gone
            return
        whose = f"{stream:<{self._width}}  " if self._width else ""
        for message in update.messages:
            self._say(f"! {whose}{message}")
        for event in update.events:
            self._found[stream] += event.phase == "offset"
            self._say(whose + plain(event))

    def _say(self, line: str) -> None:
        if self._lines.qsize() >= (_WAITING // 2 if self._left_out else _WAITING):
            self._left_out += 1
        else:
            self._tell_left_out()
            self._lines.put(line)

    def _tell_left_out(self) -> None:
        if self._left_out:
            self._lines.put(f"! {counted(self._left_out, 'line')} left out here: nobody read them in time")
            self._left_out = 0

    def _print(self) -> None:
        messages = self._delivery.messages
        line: str | None = ""
        while line is not None:
            try:
                line = self._lines.get(timeout=0.2)
            except queue.Empty:
                line = ""
            told = [f"! {messages.popleft()}" for _ in range(len(messages))]
            try:
                for text in filter(None, [*told, line]):
                    self._console.out(printable(text), highlight=False)
            except (OSError, ValueError):  # whoever read the lines has gone; the run goes on
                return
