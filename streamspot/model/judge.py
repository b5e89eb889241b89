"""All streams of one model, judged together: whoever has a tick takes it along with those of all who wait."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray


class _Wish:
    """Ticks that a thread wants judged, and what came of it."""

    def __init__(self, rows: list[int], motion: NDArray[np.float32]) -> None:
        self.rows, self.motion = rows, motion
        self.outcome: NDArray[np.float32] | Exception | None = None


class Judge:
    """The states of all streams of one model, for any number of threads.

    A tick is judged at once. While a step is under way others wait, and are then taken together in the next; so
    nobody waits for more than the step under way and his own: 0.1 ms for one stream, 3 ms for 256 on a processor.

    Args:
        new_state: Returns the state of so many streams, see ``Model.new_state``.
        step: Takes a tick of some rows of a state, see ``Model.step``.
    """

    def __init__(self, new_state: Callable[[int], Any], step: Callable[..., NDArray[np.float32]]) -> None:
        self._new_state, self._step = new_state, step
        self._state: Any = new_state(1)
        self._free = [0]
        self._wishes: list[_Wish] = []
        self._waiting = threading.Lock()  # guards the wishes
        self._stepping = threading.Lock()  # guards the state

    def open(self) -> int:
        """Return the row of a new stream, which has seen nothing."""
        with self._stepping:
            if not self._free:
                self._grow()
            row = self._free.pop()
            for part in self._state.parts():
                part[row] = 0
            return row

    def close(self, row: int) -> None:
        """Let a stream go; its row is given to another."""
        self._free.append(row)

    def take(self, rows: list[int], motion: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take a tick of the streams in these rows; motion and result as in ``Model.step``."""
        wish = _Wish(rows, motion)
        with self._waiting:
            self._wishes.append(wish)
        with self._stepping:
            if wish.outcome is None:  # nobody has taken it along
                with self._waiting:
                    wishes, self._wishes = self._wishes, []
                self._fulfil(wishes)
        if isinstance(wish.outcome, Exception):
            raise wish.outcome
        assert wish.outcome is not None  # noqa: S101 - for the type checker
        return wish.outcome

    def _fulfil(self, wishes: list[_Wish]) -> None:
        rows = np.array([row for wish in wishes for row in wish.rows])
        try:
            scores = self._step(np.concatenate([wish.motion for wish in wishes]), self._state, rows)
        except Exception as error:  # noqa: BLE001 - each of them is told
            for wish in wishes:
                wish.outcome = error
            return
        for wish in wishes:
            wish.outcome, scores = scores[: len(wish.rows)], scores[len(wish.rows) :]

    def _grow(self) -> None:
        """Double the number of rows."""
        before = self._state.parts()
        count = len(before[0])
        self._state = self._new_state(2 * count)
        for old, new in zip(before, self._state.parts(), strict=True):
            new[:count] = old
        self._free += range(count, 2 * count)
