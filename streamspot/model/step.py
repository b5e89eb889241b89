"""One tick of any number of streams, written once: NumPy on a processor, PyTorch on a GPU.

Between two frames the face mesh has pushed PyTorch's code out of the processor's caches, and a step of 0.1 ms takes
0.8; so a processor steps in NumPy. There each stream's products are taken by themselves, whose bytes then do not
depend on how many streams take the tick together.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from streamspot.model.causal import CausalEncoder
from streamspot.model.network import Network
from streamspot.model.transformer import WindowTransformer

Array = Any
"""An array of NumPy or a tensor of PyTorch: what a step computes with."""


class StepState(Protocol):
    """What a step remembers of S streams; its size never changes."""

    def parts(self) -> list[Array]:
        """Return its arrays, whose first axis are the streams: steps taken, last displacements, others."""


class Step(Protocol):
    """Takes one tick of some streams; holds weights, no state."""

    def new_state(self, streams: int) -> Any:
        """Return the state of so many streams that have seen nothing."""

    def __call__(self, motion: Array, rows: Array, state: Any) -> Array:
        """Take a tick of the streams in these rows of the state.

        Motion is (S, 2R), finite and on the network's scale, the rows are (S,). The state changes in place. Returned
        are (S, 3): intensity, macro, micro of the tick ``look_ahead`` ticks ago.
        """


class _NumPy:
    """What NumPy does otherwise than PyTorch."""

    library: ModuleType = np

    @staticmethod
    def array(tensor: Tensor) -> Array:
        return np.ascontiguousarray(tensor.cpu().numpy())

    @staticmethod
    def zeros(*shape: int) -> Array:
        return np.zeros(shape, np.float32)

    @staticmethod
    def take(rows: Array, index: Array) -> Array:
        return rows.take(index, axis=0)

    @staticmethod
    def product(rows: Array, weights: Array, plus: Array) -> Array:
        """Return (…, S, K) times (…, K, N) plus a sum, each row by itself: larger products round by their size."""
        if rows.shape[-2] == 1:
            out = np.matmul(rows, weights)
        else:
            out = np.matmul(rows[..., None, :], weights[..., None, :, :])[..., 0, :]
        out += plus
        return out

    @staticmethod
    def silu(values: Array) -> Array:
        values *= np.float32(0.5)
        out = np.tanh(values)  # an exponential would overflow
        out *= values
        out += values
        return out


class _Torch:
    """What PyTorch does otherwise than NumPy."""

    library: ModuleType = torch

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def array(self, tensor: Tensor) -> Array:
        return tensor.to(self._device).contiguous()

    def zeros(self, *shape: int) -> Array:
        return torch.zeros(shape, device=self._device)

    @staticmethod
    def take(rows: Array, index: Array) -> Array:
        return rows[index]

    @staticmethod
    def product(rows: Array, weights: Array, plus: Array) -> Array:
        return torch.baddbmm(plus, rows, weights) if rows.ndim == 3 else rows @ weights + plus

    @staticmethod
    def silu(values: Array) -> Array:
        return functional.silu(values)


@dataclass(slots=True)
class CausalState:
    """What the step of a causal network remembers of S streams; its size never changes.

    Attributes:
        ticks: (S,) int64, steps taken.
        recent: (S, 16 + M, 2R), ring of the last displacements, then the leaky integrals.
        history: (S, H, D), rings of all convolutions' past inputs, one after the other.
    """

    ticks: Array
    recent: Array
    history: Array

    def parts(self) -> list[Array]:
        """Return its arrays, whose first axis are the streams."""
        return [self.ticks, self.recent, self.history]


class CausalStep:
    """One tick of a network with a ``CausalEncoder``: what its ``forward`` computes for whole recordings.

    A convolution of dilation d keeps its last 2d inputs in a ring. What it takes of them and of the present tick lies
    in one row, so that a layer is two products. Where several networks are joined side by side (``join``), the
    weights from one to another are 0, and the step leaves them out.

    Args:
        network: The weights, which have to stay as they are.
        device: Where to compute: None for NumPy.
    """

    def __init__(self, network: Network, device: torch.device | None = None) -> None:
        encoder, config = network.encoder, network.config
        assert isinstance(encoder, CausalEncoder)  # noqa: S101 - for the type checker
        self._how = how = _NumPy() if device is None else _Torch(device)
        self._inputs, self._width, self._layers = 2 * config.regions, config.width, len(config.dilations)
        far, near = encoder.past.chunk(2, 1)
        between = network.intermediate.weight.T[None]
        matrices = [part.detach().cpu() for part in (encoder.now, encoder.mix, far, near, between)]
        self._members = count = max(n for n in (1, 2, 3, 4) if all(_apart(part, n) for part in matrices))
        now, mix, far, near, between = (_blocks(part, count) for part in matrices)
        self._taken = how.array(torch.cat((far, near, now), 2))  # (L, members, 3d, d)
        self._mix = how.array(mix)  # (L, members, d, d)
        self._bias = how.array(encoder.bias.detach().view(self._layers, count, 1, -1))
        # in memory each column of these two is one piece: BLAS takes long sums, and few of them, faster so
        self._seen = how.array(torch.cat((encoder.window_kernel(), encoder.integrals)).detach().T).T
        self._offset = how.array(encoder.offset.detach())
        self._decay = how.array(encoder.decay[:, None])
        self._intermediate = how.array(between[0])  # (members, d, d)
        self._intermediate_bias = how.array(network.intermediate.bias.detach().view(count, 1, -1))
        # of the features and of what is between: intensity, macro, micro
        heads = torch.zeros(2 * self._width, 3)
        heads[self._width :, 0], heads[: self._width, 1:] = (
            network.intensity.weight[0],
            network.classes.weight.T,
        )
        self._heads = how.array(heads.detach().T).T
        self._heads_bias = how.array(torch.cat((network.intensity.bias, network.classes.bias)).detach())

        sizes = torch.tensor([2 * d for d in config.dilations])
        starts = sizes.cumsum(0) - sizes
        self._taps, self._rows = encoder.taps, int(sizes.sum())
        self._period = max(self._taps, int(sizes.max()))
        position = torch.arange(self._period)[:, None]
        oldest = starts + position % sizes
        middle = starts + (position + sizes // 2) % sizes
        reads = torch.stack((oldest, middle, middle), -1).permute(1, 0, 2)[:, None]  # (L, 1, period, 3)
        reads = reads * count + torch.arange(count)[:, None, None]  # rows of d, (L, members, period, 3)
        self._reads = how.array(reads)
        latest = (position + 1 + torch.arange(self._taps)) % self._taps
        integrals = torch.arange(self._taps, self._taps + len(encoder.decay)).expand(self._period, -1)
        self._recent = how.array(torch.cat((latest, integrals), 1))  # (period, 16 + M)

    def new_state(self, streams: int) -> CausalState:
        """Return the state of so many streams that have seen nothing."""
        zeros = self._how.zeros
        return CausalState(
            self._how.array(torch.zeros(streams, dtype=torch.int64)),
            zeros(streams, self._taps + len(self._decay), self._inputs),
            zeros(streams, self._rows, self._width),
        )

    def __call__(self, motion: Array, rows: Array, state: CausalState) -> Array:
        """Take a tick, see ``Step``."""
        how, xp = self._how, self._how.library
        hidden = self.features(motion, rows, state)
        apart = hidden.reshape(len(rows), self._members, -1).swapaxes(0, 1)
        between = how.product(apart, self._intermediate, self._intermediate_bias)
        between = xp.maximum(between, 0.2 * between).swapaxes(0, 1).reshape(len(rows), -1)
        logits = how.product(xp.concatenate((hidden, between), 1), self._heads, self._heads_bias)
        return 0.5 * xp.tanh(0.5 * logits) + 0.5

    def features(self, motion: Array, rows: Array, state: CausalState) -> Array:
        """Remember a tick and return its features (S, D)."""
        how, xp = self._how, self._how.library
        count, members, layers = len(rows), self._members, self._layers
        ticks = state.ticks[rows]
        position = ticks % self._period
        recent = state.recent.reshape(-1, self._inputs)
        places = how.take(self._recent, position) + (rows * self._recent.shape[1])[:, None]  # (S, 16 + M)
        integrals = places[:, self._taps :]
        memory = how.take(recent, integrals) * self._decay
        memory[:, :-1] += motion[:, None]
        memory[:, -1] += abs(motion)
        recent[integrals] = memory
        recent[places[:, self._taps - 1]] = motion
        seen = how.take(recent, places).reshape(count, -1)
        hidden = xp.arcsinh(how.product(seen, self._seen, self._offset))
        hidden = hidden.reshape(count, members, -1).swapaxes(0, 1)  # (members, S, d)

        history = state.history.reshape(-1, self._width // members)
        index = self._reads[:, :, position] + (rows * (self._rows * members))[:, None]  # (L, members, S, 3)
        taps = how.take(history, index)  # (L, members, S, 3, d): two of the past, the third is now
        now, flat = taps[..., 2, :], taps.reshape(layers, members, count, -1)
        for layer, (taken, bias, mix) in enumerate(zip(self._taken, self._bias, self._mix, strict=True)):
            now[layer] = hidden
            hidden = how.product(how.silu(how.product(flat[layer], taken, bias)), mix, hidden)
        history[index[..., 0]] = now
        state.ticks[rows] = ticks + 1
        return hidden.swapaxes(0, 1).reshape(count, -1)


class WindowStep:
    """One tick of a network with a ``WindowTransformer``, in PyTorch."""

    def __init__(self, network: Network) -> None:
        assert isinstance(network.encoder, WindowTransformer)  # noqa: S101 - for the type checker
        self._network, self._encoder = network, network.encoder

    def new_state(self, streams: int) -> WindowState:
        """Return the state of so many streams that have seen nothing."""
        device = self._network.intensity.weight.device
        motion = torch.zeros(streams, self._encoder.taps, 2 * self._network.config.regions, device=device)
        return WindowState(torch.zeros(streams, dtype=torch.int64, device=device), motion)

    def __call__(self, motion: Array, rows: Array, state: WindowState) -> Array:
        """Take a tick, see ``Step``."""
        pieces = torch.cat((state.motion[rows, 1:], motion[:, None]), 1)
        state.motion[rows] = pieces
        state.ticks[rows] += 1
        # on a processor each by itself, as larger products would round by their size
        parts = torch.split(pieces, 1 if pieces.device.type == "cpu" else len(pieces))
        return torch.cat([self._network.judge(self._encoder.encode(part)).scores for part in parts])


@dataclass(slots=True)
class WindowState:
    """What the step of a transformer remembers of S streams; its size never changes.

    Attributes:
        ticks: (S,) int64, steps taken.
        motion: (S, 16, 2R), the last displacements, oldest first.
    """

    ticks: Tensor
    motion: Tensor

    def parts(self) -> list[Array]:
        """Return its tensors, whose first axis are the streams."""
        return [self.ticks, self.motion]


def _blocks(matrices: Tensor, count: int) -> Tensor:
    """Return the blocks (L, M, D/M, D/M) on the diagonal of matrices (L, D, D)."""
    size = matrices.shape[1] // count
    places = [slice(n * size, (n + 1) * size) for n in range(count)]
    return torch.stack([matrices[:, place, place] for place in places], 1)


def _apart(matrices: Tensor, count: int) -> bool:
    """Return whether matrices (L, D, D) are 0 outside of so many blocks on the diagonal."""
    if matrices.shape[1] % count:
        return False
    return bool(torch.count_nonzero(matrices) == torch.count_nonzero(_blocks(matrices, count)))
