"""The causal step on a GPU as two kernels instead of the eighty that PyTorch launches.

The first remembers what moved, the second takes a block of streams through all layers without leaving the chip.
``CausalStep`` is what it must equal.
"""

# Triton types the arguments of a kernel itself
# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"
# ruff: noqa: ANN001, ANN202, PLR0917
from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from streamspot.model.network import Network
from streamspot.model.step import CausalState, CausalStep

_BLOCK = 16
"""Streams that are taken through the layers together: the fewest that a product takes."""
_ENTRIES = 32
"""Entries of the window and the integrals that a product takes."""
_WIDEST = 64
"""Channels of a member whose hidden values a block holds on the chip; with 128 it would spill them."""


@triton.jit
def _remember(
    motion, rows, ticks, recent, decay, period, inputs,
    taps: tl.constexpr, kept: tl.constexpr, pad: tl.constexpr,
):  # fmt: skip
    """Write the displacements of one stream into its ring and its integrals, and count the tick."""
    stream = tl.program_id(0)
    row = tl.load(rows + stream)
    tick = tl.load(ticks + row)
    column = tl.arange(0, pad)
    inside = column < inputs
    moved = tl.load(motion + stream * inputs + column, mask=inside, other=0.0)
    mine = recent + row * kept * inputs + column
    tl.store(mine + tick % period % taps * inputs, moved, mask=inside)
    for place in range(taps, kept):
        before = tl.load(mine + place * inputs, mask=inside, other=0.0)
        added = tl.where(place == kept - 1, tl.abs(moved), moved)
        tl.store(mine + place * inputs, before * tl.load(decay + place - taps) + added, mask=inside)
    tl.store(ticks + row, tick + 1)


@triton.jit
def _encode(
    rows, ticks, recent, history, seen, offset, taken, bias, mix, reads, features,
    streams, period, depth, inputs, by_entry, by_channel,
    taps: tl.constexpr, kept: tl.constexpr, layers: tl.constexpr, members: tl.constexpr, width: tl.constexpr,
    pad: tl.constexpr, block: tl.constexpr, entries: tl.constexpr,
):  # fmt: skip
    """Take a block of streams through one member's layers; their tick has been counted."""
    stream = tl.program_id(0) * block + tl.arange(0, block)
    there = stream < streams
    row = tl.load(rows + stream, mask=there, other=0)
    position = (tl.load(ticks + row) - 1) % period
    member = tl.program_id(1)
    column = tl.arange(0, pad)
    inside = column < width
    channel = member * width + column
    both = there[:, None] & inside[None, :]

    hidden = tl.zeros((block, pad), tl.float32) + tl.load(offset + channel, mask=inside, other=0.0)[None, :]
    for first in range(0, kept * inputs, entries):
        entry = first + tl.arange(0, entries)
        known = entry < kept * inputs
        tap = (entry // inputs)[None, :]
        place = tl.where(tap < taps, (position[:, None] + 1 + tap) % taps, tap)
        where = (row[:, None] * kept + place) * inputs + (entry % inputs)[None, :]
        values = tl.load(recent + where, mask=there[:, None] & known[None, :], other=0.0)
        where = entry[:, None] * by_entry + channel[None, :] * by_channel
        weights = tl.load(seen + where, mask=known[:, None] & inside[None, :], other=0.0)
        hidden = tl.dot(values, weights, hidden, input_precision="ieee")
    size = tl.abs(hidden)
    size = tl.log(size + tl.sqrt(size * size + 1))
    hidden = tl.where(hidden < 0, -size, size)  # the inverse hyperbolic sine

    square = column[:, None] * width + column[None, :]
    filled = inside[:, None] & inside[None, :]
    for layer in range(layers):
        number = layer * members + member
        read = reads + (number * period + position) * 3
        start = row * depth * members
        oldest = history + (start + tl.load(read))[:, None] * width + column[None, :]
        middle = history + (start + tl.load(read + 1))[:, None] * width + column[None, :]
        matrix = taken + number * 3 * width * width + square
        before = tl.zeros((block, pad), tl.float32)
        before += tl.load(bias + number * width + column, mask=inside, other=0.0)[None, :]
        weights = tl.load(matrix, mask=filled, other=0.0)
        before = tl.dot(tl.load(oldest, mask=both, other=0.0), weights, before, input_precision="ieee")
        weights = tl.load(matrix + width * width, mask=filled, other=0.0)
        before = tl.dot(tl.load(middle, mask=both, other=0.0), weights, before, input_precision="ieee")
        weights = tl.load(matrix + 2 * width * width, mask=filled, other=0.0)
        before = tl.dot(hidden, weights, before, input_precision="ieee")
        tl.debug_barrier()  # all have read the oldest
        tl.store(oldest, hidden, mask=both)
        weights = tl.load(mix + number * width * width + square, mask=filled, other=0.0)
        hidden = tl.dot(before * tl.sigmoid(before), weights, hidden, input_precision="ieee")
    tl.store(features + stream[:, None] * (members * width) + channel[None, :], hidden, mask=both)


class FusedStep(CausalStep):
    """The step of a causal network on a GPU; see ``CausalStep``.

    Raises:
        NotImplementedError: A member has more channels than a block holds.
    """

    def __init__(self, network: Network, device: torch.device) -> None:
        super().__init__(network, device)
        self._kept, self._size = self._taps + len(self._decay), self._width // self._members
        self._pad = max(16, triton.next_power_of_2(self._size))
        if self._pad > _WIDEST:
            raise NotImplementedError(f"a member has {self._size} channels, of which a block holds {_WIDEST}")

    def features(self, motion: Tensor, rows: Tensor, state: CausalState) -> Tensor:
        """Remember a tick and return its features (S, D)."""
        count = len(rows)
        features = torch.empty(count, self._width, device=motion.device)
        sizes = self._taps, self._kept
        known = rows, state.ticks, state.recent
        wide = triton.next_power_of_2(self._inputs)
        _remember[(count,)](motion, *known, self._decay, self._period, self._inputs, *sizes, wide)
        _encode[(triton.cdiv(count, _BLOCK), self._members)](
            *known, state.history, self._seen, self._offset, self._taken, self._bias, self._mix, self._reads,
            features, count, self._period, self._rows, self._inputs, *self._seen.stride(),
            *sizes, self._layers, self._members, self._size, self._pad, _BLOCK, _ENTRIES,
        )  # fmt: skip
        return features
