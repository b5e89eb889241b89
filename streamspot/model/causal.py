"""The causal encoder that ships: window of cumulative displacement, leaky integrals, dilated convolutions.

Everything is per tick and past-only, so a recording (``forward``) and a stream (``CausalStep``) compute the
same numbers. No sum grows with the length of the stream: the window is re-anchored at its first tick, the
integrals leak.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from streamspot.model.config import WINDOW, ModelConfig
from streamspot.types import TICK_RATE

ACTIVITY_SECONDS = 4.0
"""Decay time of the mean absolute displacement, from which the network knows how noisy this face is."""

_CHUNK = 64


def leaky_integral(inputs: Tensor, decay: Tensor) -> Tensor:
    """Return m[n] = decay · m[n-1] + inputs[n] with m[-1] = 0, exactly, without a loop over ticks.

    Inputs and result are (B, T, M, V), the decay is (M,), in (0, 1).
    """
    batch, ticks, kinds, values = inputs.shape
    steps = torch.arange(_CHUNK, device=inputs.device, dtype=inputs.dtype)
    lag = steps[:, None] - steps[None, :]
    kernel = torch.where(lag >= 0, decay[:, None, None] ** lag.clamp(min=0), torch.zeros_like(lag))
    carry = decay[:, None] ** (steps + 1)  # (M, c)
    padded = functional.pad(inputs, (0, 0, 0, 0, 0, -ticks % _CHUNK))
    blocks = padded.view(batch, -1, _CHUNK, kinds, values)
    local = torch.einsum("mij,bnjmv->bnimv", kernel, blocks)
    last = torch.zeros(batch, kinds, values, device=inputs.device, dtype=inputs.dtype)
    out = []
    for block in local.unbind(1):
        whole = block + carry.T[None, :, :, None] * last[:, None]
        last = whole[:, -1]
        out.append(whole)
    return torch.cat(out, 1)[:, :ticks]


class CausalEncoder(nn.Module):
    """Features of each tick from the past alone.

    ``window``: one linear map of C[n-16..n] - C[n-16]; ``integrals``: one of the leaky integrals; both are
    added and pass an inverse hyperbolic sine, linear for a micro-expression and logarithmic for a head turn.
    Then residual causal convolutions of three taps each, which see 16 + 2 · sum(dilations) ticks.
    """

    decay: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        inputs, width, layers = 2 * config.regions, config.width, len(config.dilations)
        self.taps = WINDOW - 1
        constants = (*config.time_constants, ACTIVITY_SECONDS)
        self.window = nn.Parameter(torch.randn(self.taps, inputs, width) / math.sqrt(self.taps * inputs))
        self.integrals = nn.Parameter(
            torch.randn(len(constants) * inputs, width) / math.sqrt(len(constants) * inputs)
        )
        self.offset = nn.Parameter(torch.zeros(width))
        scale = 1 / math.sqrt(3 * width)
        self.now = nn.Parameter(torch.randn(layers, width, width) * scale)
        self.past = nn.Parameter(torch.randn(layers, 2 * width, width) * scale)  # taps n-2d, n-d
        self.bias = nn.Parameter(torch.zeros(layers, width))
        self.mix = nn.Parameter(torch.randn(layers, width, width) / math.sqrt(width * layers))
        decay = torch.tensor([math.exp(-1 / (s * TICK_RATE)) for s in constants])
        self.register_buffer("decay", decay, persistent=False)

    def window_kernel(self) -> Tensor:
        """Return the map of displacements that equals ``window`` applied to C[n-15..n] - C[n-16]."""
        return self.window.flip(0).cumsum(0).flip(0).reshape(-1, self.config.width)

    def forward(self, motion: Tensor) -> Tensor:
        """Encode whole recordings: scaled displacement (B, T, 2R) to features (B, T, D)."""
        batch, ticks, _ = motion.shape
        padded = functional.pad(motion, (0, 0, self.taps - 1, 0))
        windows = padded.unfold(1, self.taps, 1).transpose(2, 3).reshape(batch, ticks, -1)  # (B, T, 16 · 2R)
        integrated = motion[:, :, None].expand(-1, -1, len(self.config.time_constants), -1)
        memory = leaky_integral(torch.cat((integrated, motion.abs()[:, :, None]), 2), self.decay)
        hidden = torch.asinh(
            windows @ self.window_kernel() + memory.reshape(batch, ticks, -1) @ self.integrals + self.offset
        )
        width = self.config.width
        for layer, dilation in enumerate(self.config.dilations):
            past = self.past[layer].view(2, width, width)
            far, near, now = (hidden @ torch.cat((past[0], past[1], self.now[layer]), 1)).chunk(3, -1)
            near = functional.pad(near, (0, 0, dilation, 0))[:, :ticks]
            far = functional.pad(far, (0, 0, 2 * dilation, 0))[:, :ticks]
            hidden = hidden + functional.silu(now + near + far + self.bias[layer]) @ self.mix[layer]
        return hidden
