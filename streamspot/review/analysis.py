"""What the program sees in an item: analysed once in the background, asked for by stretches of time."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import streamspot
from streamspot.errors import StreamspotError
from streamspot.motion.regions import LAYOUTS
from streamspot.settings import AnalysisSettings
from streamspot.threads import one_thread
from streamspot.types import TICK_RATE, Event, FaceMotion, Update

_LEAK = math.exp(-1 / (3 * TICK_RATE))
"""Share of a region's displacement that is left a tick later: what is held for seconds fades, and drift with it."""


_BLOCK = 4096
"""Rows that are made at a time."""


class _Series:
    """Rows of numbers that grow at the end, NaN where nothing was set."""

    def __init__(self, columns: int, number: type[np.floating[Any]] = np.float32) -> None:
        self._columns, self._number = columns, number
        self._blocks: dict[int, NDArray[Any]] = {}  # those in which anything was set
        self.length = 0

    def __setitem__(self, row: int, values: object) -> None:
        place, within = divmod(row, _BLOCK)
        if place not in self._blocks:
            self._blocks[place] = self._unset(_BLOCK)
        self._blocks[place][within] = values
        self.length = max(self.length, row + 1)

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        """Return a copy of some rows, as far as there are any."""
        first, last, _ = rows.indices(self.length)
        copied = self._unset(max(0, last - first))
        for place in range(first // _BLOCK, -(-last // _BLOCK)):
            if (block := self._blocks.get(place)) is not None:
                start = place * _BLOCK
                low, high = max(first, start), min(last, start + _BLOCK)
                copied[low - first : high - first] = block[low - start : high - start]
        return copied

    def _unset(self, rows: int) -> NDArray[Any]:
        return np.full((rows, self._columns), np.nan, self._number)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an analysis is.

    Attributes:
        seconds: Time on the source's time line up to which it is known.
        frames: Frames seen so far.
        done: Whether it has ended.
        trouble: What ended it early, in a sentence.
        messages: What the user should know of the pictures and faces.
    """

    seconds: float = 0.0
    frames: int = 0
    done: bool = False
    trouble: str = ""
    messages: tuple[str, ...] = ()


class Analysis:
    """The curve, the regions' motion, the events and the frames' times of one item, while they become known.

    Of several faces the curve is the highest, and the motion that of the one that was there first. It works in a
    thread of its own, and only while ``going`` is set.

    Attributes:
        going: Whether it may go on.

    Args:
        source: The item, as ``streamspot.open`` takes it.
        settings: Of the analysis.
    """

    def __init__(self, source: str, settings: AnalysisSettings) -> None:
        self.going = threading.Event()
        self._source, self._settings = source, settings
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._origin = 0.0
        self._frames = _Series(2, np.float64)  # number and time
        self._newest = -1
        self._scores = _Series(3)  # intensity, macro, micro
        self._regions: tuple[str, ...] = ()
        self._motion: _Series | None = None
        self._leader: tuple[int, int] | None = None  # face and tick
        self._ticks: dict[int, int] = {}  # the newest of each face
        self._several: set[int] = set()
        self._events: dict[str, Event] = {}
        self._progress = Progress()
        self._thread = threading.Thread(target=self._work, name="review", daemon=True)
        self._thread.start()

    @property
    def progress(self) -> Progress:
        """How far it is."""
        return self._progress

    @property
    def last(self) -> int | None:
        """Number of the last frame; None until the source was seen to its end."""
        now = self._progress
        return self._newest if now.frames and now.done and not now.trouble else None

    def end(self) -> None:
        """Let it end; what is known stays."""
        self._ended.set()
        self.going.set()

    @property
    def faces(self) -> list[int]:
        """The faces that were in view together with others; empty while there was one at a time."""
        with self._lock:
            return sorted(self._several)

    def events(self) -> list[dict[str, Any]]:
        """Return the finished expressions in order, in frames and seconds of the item."""
        with self._lock:
            found = sorted(self._events.values(), key=lambda event: event.onset.tick)
        return [
            {
                "id": event.expression,
                "kind": event.kind,
                "face": event.face,
                "frames": [moment.frame for moment in _moments(event)],
                "times": [round(moment.pts - self._origin, 4) for moment in _moments(event)],
                "score": round(event.score, 3),
            }
            for event in found
            if event.phase == "offset"
        ]

    def frames(self, first: int) -> bytes:
        """Return number and time in seconds of each frame from the ``first`` known on, as pairs of float64."""
        with self._lock:
            return self._frames[first:].astype("<f8").tobytes()

    def curve(self, start: float, end: float, bins: int) -> dict[str, Any]:
        """Return what is known between two times, its highest values in so many equal stretches.

        Returns:
            ``intensity``, ``macro`` and ``micro`` (lists of ``bins`` numbers of 0 to 1, None where nothing is
            known) and ``regions``: for each region by its name its speed, 0 to 255 for 0.05 inter-ocular distances
            a tick.
        """
        edges = np.floor(np.linspace(start, end, bins + 1) * TICK_RATE + 1e-6).astype(int)
        first, last = max(0, edges[0]), max(0, edges[-1] + 1)
        with self._lock:
            scores = self._scores[first:last]
            motion = None if self._motion is None else self._motion[first:last]
        table = _highest(scores, edges - first)
        speeds = np.zeros((bins, len(self._regions)))
        if motion is not None:
            lengths = np.hypot(motion[:, 0::2], motion[:, 1::2])
            speeds = np.nan_to_num(_highest(lengths, edges - first))
        heat = np.clip(speeds * (255 / 0.05), 0, 255).astype(int)
        listed = [[None if math.isnan(v) else round(v, 3) for v in column] for column in table.T.tolist()]
        return {
            **dict(zip(("intensity", "macro", "micro"), listed, strict=True)),
            "regions": dict(zip(self._regions, heat.T.tolist(), strict=True)),
        }

    def poses(self, start: float, end: float) -> dict[str, Any]:
        """Return where each region is, tick by tick, as far as it moved lately.

        Returns:
            ``tick`` (the first), ``names`` of the regions and ``poses``: for each tick x and y of every region in
            thousandths of the inter-ocular distance, x to the image's right and y down; None without a face.
        """
        first, last = max(0, math.floor(start * TICK_RATE)), max(0, math.ceil(end * TICK_RATE))
        warm = max(0, first - round(10 * TICK_RATE))
        with self._lock:
            moved = np.zeros((0, 0)) if self._motion is None else self._motion[warm:last]
        poses, now = [], np.zeros(moved.shape[1])
        for row in moved:
            now = np.zeros_like(now) if np.isnan(row[0]) else now * _LEAK + row
            poses.append(None if np.isnan(row[0]) else np.rint(now * 1000).astype(int).tolist())
        return {"tick": first, "names": self._regions, "poses": poses[first - warm :]}

    def _work(self) -> None:
        trouble = ""
        try:
            self.going.wait()
            if not self._ended.is_set():
                one_thread()
                with streamspot.open(self._source, **self._settings) as stream:
                    for update in stream:
                        self._take(update)
                        self.going.wait()
                        if self._ended.is_set():
                            return
        except StreamspotError as error:
            trouble = str(error)
        except Exception as error:  # noqa: BLE001 - the page says it, labelling goes on
            trouble = f"unexpected {type(error).__name__}: {error}; labelling goes on without the analysis"
        now = self._progress
        self._progress = Progress(now.seconds, now.frames, done=True, trouble=trouble, messages=now.messages)

    def _take(self, update: Update) -> None:
        with self._lock:
            if update.session is not None:
                self._origin = update.session.origin
                if update.frame > self._newest:
                    self._newest = update.frame
                    self._frames[self._frames.length] = update.frame, update.pts - self._origin
            for one in update.motion:
                if isinstance(one, FaceMotion):
                    self._follow(one)
            for _, score in update.scores:
                known = self._scores[score.tick : score.tick + 1]  # of another face
                if not (known[:, 0] >= score.intensity).any():
                    self._scores[score.tick] = score.intensity, score.macro, score.micro
            for event in update.events:
                self._events[event.expression] = event
        said = (*self._progress.messages, *update.messages)[-8:]
        self._progress = Progress(max(0.0, update.pts - self._origin), self._frames.length, messages=said)

    def _follow(self, one: FaceMotion) -> None:
        tick, moved = one.motion.tick, one.motion.displacement
        if self._motion is None:
            self._motion = _Series(moved.size)
            self._regions = next(
                (layout.names for layout in LAYOUTS.values() if len(layout) == len(moved)),
                tuple(f"region {n + 1}" for n in range(len(moved))),
            )
        self._ticks = {face: newest for face, newest in self._ticks.items() if newest >= tick} | {
            one.face: tick
        }
        if len(self._ticks) > 1:
            self._several.update(self._ticks)
        if self._leader is None or one.face <= self._leader[0] or tick > self._leader[1] + 1:
            self._leader = one.face, tick
            self._motion[tick] = moved.ravel()


def _moments(event: Event) -> list[Any]:
    """Return onset, apex and offset of a finished expression."""
    offset = event.offset or event.onset
    return [event.onset, event.apex or offset, offset]


def _highest(rows: NDArray[Any], edges: NDArray[np.int_]) -> NDArray[np.float64]:
    """Return the highest values between edges; a stretch shorter than a row takes the row that it lies in.

    Shape:
        rows: ``(N, C)``. edges: ``(B + 1,)``, in rows. Returns ``(B, C)``, NaN where there are none.
    """
    bins, known = np.full((len(edges) - 1, rows.shape[1]), np.nan), len(rows)
    starts = edges[:-1]
    inside = np.flatnonzero((starts >= 0) & (starts < known))
    if inside.size:
        there = rows[: min(known, max(edges[-1], starts[inside[-1]] + 1))]
        padded = np.concatenate([there, np.full_like(rows[:1], np.nan)])
        bins[inside] = np.fmax.reduceat(padded, starts[inside], axis=0)
    return bins
