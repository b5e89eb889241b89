"""The network, encoder and heads: the module that is trained is the one that runs live."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from streamspot.errors import ModelError
from streamspot.model.causal import CausalEncoder
from streamspot.model.config import ModelConfig
from streamspot.model.transformer import WindowTransformer


@dataclass(frozen=True, slots=True)
class Output:
    """What the network says of every tick.

    Attributes:
        intensity: (B, T) in [0, 1].
        classes: (B, T, 2) in [0, 1]: macro, micro.
        features: (B, T, D), F of the paper, for the contrastive loss (Eq. 6-8).
        intermediate: (B, T, D), X of the paper, for the Gaussians (Eq. 2-3).
    """

    intensity: Tensor
    classes: Tensor
    features: Tensor
    intermediate: Tensor

    @property
    def scores(self) -> Tensor:
        """Intensity, macro and micro side by side, (…, 3)."""
        return torch.cat((self.intensity[..., None], self.classes), -1)


class Network(nn.Module):
    """Displacements in, intensity and class probabilities out; trainable.

    Heads as in the paper's code: X = LeakyReLU(W F), intensity = sigmoid(w X), classes = sigmoid(V F), all
    point-wise in time. Dropout acts on the features before the last maps, not on the logits.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder: CausalEncoder | WindowTransformer = (
            CausalEncoder(config) if config.encoder == "causal" else WindowTransformer(config)
        )
        self.intermediate = nn.Linear(config.width, config.width)
        self.intensity = nn.Linear(config.width, 1)
        self.classes = nn.Linear(config.width, 2)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, motion: Tensor) -> Output:
        """Judge every tick of whole recordings.

        The last ``look_ahead`` scores are obtained by feeding as many ticks of no motion, as a stream does
        when it ends. Values that are not finite count as no motion.

        Args:
            motion: (B, T, R, 2), displacement since the last tick in the configuration's unit.

        Raises:
            ModelError: The shape does not fit the configuration.
        """
        regions, ahead = self.config.regions, self.config.look_ahead
        if motion.ndim != 4 or motion.shape[2:] != (regions, 2):
            raise ModelError(
                f"motion of shape {tuple(motion.shape)} does not fit {self.config.name}, which wants "
                f"(batch, ticks, {regions}, 2) in the layout {self.config.layout}"
            )
        x = self.prepare(motion).flatten(2)  # (B, T, 2R)
        features = self.encoder(functional.pad(x, (0, 0, 0, ahead)))[:, ahead:]
        return self.judge(features)

    def prepare(self, motion: Tensor) -> Tensor:
        """Bring displacements to the network's scale; what is not finite becomes 0."""
        return torch.nan_to_num(motion, nan=0.0, posinf=0.0, neginf=0.0) * self.config.input_scale

    def judge(self, features: Tensor) -> Output:
        """Map features (…, D) to the output."""
        intermediate = functional.leaky_relu(self.intermediate(features), 0.2)
        return Output(
            torch.sigmoid(self.intensity(self.dropout(intermediate))).squeeze(-1),
            torch.sigmoid(self.classes(self.dropout(features))),
            features,
            intermediate,
        )
