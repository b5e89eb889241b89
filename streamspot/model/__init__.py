"""The causal network: weights shared by all streams, a small state for each."""

from streamspot.model.config import ModelConfig
from streamspot.model.network import Network, Output
from streamspot.model.stream import ModelStream
from streamspot.model.weights import Model

__all__ = ["Model", "ModelConfig", "ModelStream", "Network", "Output"]
