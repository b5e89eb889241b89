"""The causal network: weights shared by all streams, a small state for each."""

from streamspot.model.config import ModelConfig
from streamspot.model.model import DEFAULT, Model, shipped_models
from streamspot.model.network import Network, Output
from streamspot.model.stream import ModelStream

__all__ = ["DEFAULT", "Model", "ModelConfig", "ModelStream", "Network", "Output", "shipped_models"]
