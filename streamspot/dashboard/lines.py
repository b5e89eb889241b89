"""Plain lines: what a person sees where there is no terminal to draw on."""

from __future__ import annotations

import queue
import threading
from types import TracebackType
from typing import Self

from rich.console import Console

from streamspot.dashboard.text import plain
from streamspot.stats import Delivery
from streamspot.types import Update


class PlainLines:
    """Prints a line for each event and message until the block ends.

    It prints in a thread of its own, so that a reader that is slow or gone does not hold up the run.

    Args:
        delivery: Its messages are printed too.
        console: Where to print; None for stdout.

    Example:
        ``00:12.433  face 1  macro  offset  1.83 s  peak 0.82  decided +0.27 s``
    """

    def __init__(self, delivery: Delivery, *, console: Console | None = None) -> None:
        self._delivery = delivery
        self._console = Console(highlight=False) if console is None else console
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._print, name="plain-lines", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._say_messages(())
        self._lines.put(None)
        self._thread.join(timeout=1.0)

    def take(self, update: Update) -> None:
        """Print what is new."""
        self._say_messages(update.messages)
        for event in update.events:
            self._lines.put(plain(event))

    def _say_messages(self, messages: tuple[str, ...]) -> None:
        delivered = [self._delivery.messages.popleft() for _ in range(len(self._delivery.messages))]
        for message in (*messages, *delivered):
            self._lines.put(f"! {message}")

    def _print(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                self._console.out(line, highlight=False)
            except (OSError, ValueError):  # whoever read the lines has gone; the run goes on
                return
