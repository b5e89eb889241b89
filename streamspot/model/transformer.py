"""The paper's encoder: a spatio-temporal transformer over one window of 17 ticks (SpotFormer).

Every tick is judged from its own window; nothing else is remembered. With a look-ahead of 8 ticks the window
is centred on the tick, as in the paper.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from streamspot.model.config import WINDOW, ModelConfig

_WINDOWS_AT_ONCE = 2048
"""Windows that are judged together when nothing is learned."""

_KEPT = 4096
"""Windows of a step whose activations a GPU keeps (14 GB at 256 channels); those of more are computed again."""


class _Norm(nn.BatchNorm1d):
    """Batch normalisation of the last axis."""

    def forward(self, x: Tensor) -> Tensor:
        flat: Tensor = super().forward(x.reshape(-1, x.shape[-1]))
        return flat.view(x.shape)


class _Attention(nn.Module):
    """Pre-normalised multi-head self-attention over the last axis but one, with its residual."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = _Norm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        q, k, v = self.qkv(self.norm(x)).view(batch, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        # plain products: PyTorch's own attention refuses more than 65,535 windows x heads on a GPU, and saves nothing
        # with 17 tokens
        weights = (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).softmax(-1)  # (B, heads, tokens, tokens)
        mixed = weights @ v  # (B, heads, tokens, width / heads)
        residual: Tensor = self.out(mixed.transpose(1, 2).reshape(batch, tokens, width))
        return x + residual


class _FeedForward(nn.Module):
    """Pre-normalised two-layer perceptron with its residual."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = _Norm(width)
        self.up = nn.Linear(width, width)
        self.down = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        residual: Tensor = self.down(functional.gelu(self.up(self.norm(x))))
        return x + residual


class _Halve(nn.Module):
    """Normalise and convolve over time with kernel 3 and stride 2, (B, T, N, D) to (B, T / 2, N, D)."""

    def __init__(self, width: int, padding: int) -> None:
        super().__init__()
        self.padding = padding
        self.norm = _Norm(width)
        self.map = nn.Linear(3 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.pad(self.norm(x), (0, 0, 0, 0, self.padding, self.padding))
        halved: Tensor = self.map(x.unfold(1, 3, 2).transpose(3, 4).flatten(3))
        return halved


def _run(layers: nn.Sequential, x: Tensor, windows: int) -> Tensor:
    """Run layers; in training on a GPU, which the activations of many windows would fill, by ``again``."""
    filling = layers.training and x.is_cuda and windows > _KEPT
    done: Tensor = again(layers, x) if filling else layers(x)
    return done


def again(layers: nn.Sequential, x: Tensor) -> Tensor:
    """Run layers whose activations are computed again on the way back, not kept."""

    def run(layer: nn.Module, x: Tensor) -> Tensor:
        norms = [one for one in layer.modules() if isinstance(one, _Norm)]
        for norm in norms:  # the second time their running statistics stay
            norm.track_running_stats = not torch.is_grad_enabled()
        done: Tensor = layer(x)
        for norm in norms:
            norm.track_running_stats = True
        return done

    for layer in layers:
        x = checkpoint(run, layer, x, use_reentrant=True)
    return x


class _Stage(nn.Module):
    """Attention over regions (where there are several) and over time."""

    def __init__(self, width: int, heads: int, *, spatial: bool) -> None:
        super().__init__()
        self.spatial = nn.Sequential(_Attention(width, heads), _FeedForward(width)) if spatial else None
        self.temporal = nn.Sequential(_Attention(width, heads), _FeedForward(width))

    def forward(self, x: Tensor) -> Tensor:
        batch, ticks, nodes, width = x.shape
        if self.spatial is not None:
            x = _run(self.spatial, x.reshape(-1, nodes, width), batch).view(batch, ticks, nodes, width)
        x = x.transpose(1, 2).reshape(-1, ticks, width)
        mixed: Tensor = _run(self.temporal, x, batch)
        return mixed.view(batch, nodes, ticks, width).transpose(1, 2)


class WindowTransformer(nn.Module):
    """Features of each tick from its window C[n-16..n] - C[n-16]; temporal lengths 17, 9, 5, 3, 1."""

    regions: Tensor
    groups: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.taps = WINDOW - 1
        width, heads = config.width, config.heads
        self.embed = nn.Linear(2, width)
        self.embed_norm = _Norm(width)
        self.when = nn.Parameter(torch.randn(WINDOW, 1, width))
        self.where = nn.Parameter(torch.randn(len(config.groups), width))
        used = [(region, i) for i, group in enumerate(config.groups) for region in group]
        for name, numbers in zip(("regions", "groups"), zip(*used, strict=True), strict=True):
            self.register_buffer(name, torch.tensor(numbers), persistent=False)
        self.drop = nn.Dropout(0.1)
        self.stages = nn.ModuleList(_Stage(width, heads, spatial=i < 2) for i in range(4))
        self.pool_norm = _Norm(width)
        self.halves = nn.ModuleList(_Halve(width, padding) for padding in (1, 1, 1, 0))

    def encode(self, pieces: Tensor) -> Tensor:
        """Map the last 16 displacements (N, 16, 2R), oldest first, to features (N, D)."""
        windows = functional.pad(pieces.cumsum(1), (0, 0, 1, 0))
        x = self.embed_norm(self.embed(windows.reshape(len(pieces), WINDOW, -1, 2)))
        # in the precision of training: what follows is added to it
        used = x[:, :, self.regions] + self.where.to(x.dtype)[self.groups]
        x = self.stages[0](self.drop(used + self.when.to(x.dtype)))
        parts = torch.split(self.pool_norm(x), [len(group) for group in self.config.groups], 2)
        x = torch.stack([part.amax(2) for part in parts], 2)  # (N, 17, groups, D)
        x = self.stages[1](self.halves[0](x)).amax(2, keepdim=True)
        x = self.stages[2](self.halves[1](x))
        x = self.stages[3](self.halves[2](x))
        features: Tensor = self.halves[3](x)[:, 0, 0]
        return features

    def forward(self, motion: Tensor) -> Tensor:
        """Encode whole recordings: scaled displacement (B, T, 2R) to features (B, T, D)."""
        batch, ticks, _ = motion.shape
        pieces = self.pieces(motion).reshape(batch * ticks, self.taps, -1)
        # in training the batch statistics must see all windows at once
        size = len(pieces) if self.training else _WINDOWS_AT_ONCE
        encoded = [self.encode(part) for part in torch.split(pieces, max(size, 1))]
        return torch.cat(encoded).view(batch, ticks, -1)

    def pieces(self, motion: Tensor) -> Tensor:
        """Return the last 16 displacements of every tick, (B, T, 16, 2R)."""
        return functional.pad(motion, (0, 0, self.taps - 1, 0)).unfold(1, self.taps, 1).transpose(2, 3)
