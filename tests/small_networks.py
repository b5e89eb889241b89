"""Small untrained networks of each kind, motion of no meaning, and points to learn from."""

from __future__ import annotations

import numpy as np
import torch

from streamspot.model import Model, ModelConfig, Network
from streamspot.training.batches import PointLabels

CONFIGS = {
    "causal": ModelConfig(width=24, dilations=(1, 2, 4, 8, 16)),
    "causal-no-look-ahead": ModelConfig(layout="paper10", width=16, look_ahead=0, dilations=(1, 4)),
    "causal-data-set": ModelConfig(layout="casme2", regions=12, width=16, look_ahead=16, dilations=(2, 1)),
    "transformer": ModelConfig(encoder="transformer", layout="paper10", width=16, heads=2),
}


def make(config: ModelConfig, seed: int = 0) -> Model:
    """Build an untrained model whose weights are large enough to respond."""
    torch.manual_seed(seed)
    network = Network(config)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
        for buffer in network.buffers():
            if buffer.dtype == torch.float32 and buffer.ndim == 1 and buffer.shape[0] == config.width:
                buffer.uniform_(0.5, 1.5)
    return Model(network, {"seed": seed}, spotting={"trough_share": 0.5})


def noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Make motion of no meaning."""
    return np.random.default_rng(seed).normal(0, 0.02, shape).astype(np.float32)


def whole(model: Model, motion: np.ndarray) -> np.ndarray:
    """(B, T, R, 2) → (B, T, 3) at once."""
    return model.forward(motion).scores.numpy()


def point_labels(*points: tuple[int, int, int]) -> PointLabels:
    """Return points given as (crop, tick, kind), each in an expression from 10 ticks before it to 12 after."""
    table = torch.tensor([(crop, tick, kind, tick - 10, tick + 12) for crop, tick, kind in points]).view(
        -1, 5
    )
    return PointLabels(*table.unbind(1))
