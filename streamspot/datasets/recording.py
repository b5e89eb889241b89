"""What a data set holds: recordings of region motion and the expressions annotated in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from streamspot.types import TICK_RATE, Kind


@dataclass(frozen=True, slots=True)
class Instance:
    """One annotated expression, in frames of its file or, inside a ``Recording``, in ticks.

    Attributes:
        kind: Macro or micro.
        onset: First frame.
        apex: Frame of highest intensity, between onset and offset.
        offset: Last frame (inclusive).
        point: The single time stamp a point-supervised training may see; None where there is none.
        bounded: Whether onset and offset are annotated; otherwise they are a guess round the point, which no result
            is measured by.
        assumed: Which of ``apex`` and ``offset`` the annotation leaves open, so that no delay or error is measured
            from them.
    """

    kind: Kind
    onset: int
    apex: int
    offset: int
    point: int | None = None
    bounded: bool = True
    assumed: tuple[str, ...] = field(default=(), compare=False, repr=False)

    @property
    def stamp(self) -> int:
        """The time stamp that training takes: the point, or the apex where there is none."""
        return self.apex if self.point is None else self.point

    def at(self, tick: Callable[[int], int]) -> Instance:
        """Return the instance with every frame replaced by its tick."""
        onset, apex, offset = map(tick, (self.onset, self.apex, self.offset))
        point = None if self.point is None else tick(self.point)
        return replace(self, onset=onset, apex=apex, offset=offset, point=point)


@dataclass(frozen=True, slots=True)
class Recording:
    """Region motion of one video on the 30 Hz grid.

    Attributes:
        name: Name of the video.
        subject: Whose face it is; leave-one-subject-out leaves all videos of one subject out.
        motion: ``(T, R, 2)`` float32, displacement since the last tick; the first is 0.
        instances: Expressions, in ticks.
    """

    name: str
    subject: str
    motion: NDArray[np.float32]
    instances: tuple[Instance, ...] = ()


@dataclass(frozen=True, slots=True)
class Dataset:
    """A set of recordings with one region layout.

    Attributes:
        name: Name of the folder.
        layout: Name of the region layout.
        recordings: In order of name.
        notes: What was assumed where the annotation is incomplete, in plain words.
    """

    name: str
    layout: str
    recordings: tuple[Recording, ...]
    notes: tuple[str, ...] = ()

    @property
    def subjects(self) -> tuple[str, ...]:
        """The subjects in order of name."""
        return tuple(sorted({r.subject for r in self.recordings}))

    @property
    def regions(self) -> int:
        """The number of regions R."""
        return int(self.recordings[0].motion.shape[1])

    def of(self, subjects: Sequence[str]) -> tuple[Recording, ...]:
        """Return the recordings of these subjects."""
        wanted = set(subjects)
        return tuple(r for r in self.recordings if r.subject in wanted)


def to_ticks(displacement: NDArray[np.float32], fps: float) -> NDArray[np.float32]:
    """Resample flow between consecutive frames to displacement since the last tick.

    Displacements add up, so the cumulative displacement is a curve that can be sampled anywhere.

    Row i of ``displacement`` (N, R, 2) is the motion from frame i to frame i + 1, row n of the result (T, R, 2) that
    from tick n - 1 to tick n, and row 0 is 0.
    """
    frames = len(displacement)
    flat = displacement.reshape(frames, -1).astype(np.float64)
    curve = np.concatenate((np.zeros((1, flat.shape[1])), np.cumsum(flat, 0)))[:frames]
    if fps != TICK_RATE:
        ticks = int(np.floor((frames - 1) * TICK_RATE / fps + 1e-9)) + 1
        at = np.arange(ticks) * fps / TICK_RATE
        low = np.minimum(at.astype(int), frames - 1)
        high = np.minimum(low + 1, frames - 1)
        curve = curve[low] + (at - low)[:, None] * (curve[high] - curve[low])
    moved = np.diff(curve, axis=0, prepend=curve[:1])
    return moved.reshape(-1, *displacement.shape[1:]).astype(np.float32)


def to_tick(frame: int, fps: float) -> int:
    """Return the tick nearest to a frame."""
    return frame if fps == TICK_RATE else int(np.floor(frame * TICK_RATE / fps + 0.5))


def sample_point(instance: Instance, rng: np.random.Generator) -> int:
    """Draw the single time stamp an annotator would have given, between onset and offset.

    The point is drawn from a normal distribution round the apex ("Gaussian distribution centered on the ground-truth
    apex", section 4.1 of the GIM paper). Its deviation is half the shorter of the two sides of the apex; a point
    farther away than that side is drawn again, and decimals are cut off. This rule fits the 742 published points with
    an apex best.
    """
    side = min(instance.apex - instance.onset, instance.offset - instance.apex)
    if side <= 0:
        return instance.apex
    while True:
        point = rng.normal(instance.apex, 0.5 * side)
        if abs(point - instance.apex) <= side:
            return max(instance.onset, int(point))
