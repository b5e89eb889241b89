"""From the intensity curve to expressions: exact online spotting, and the offline decoder that loops over it."""

from streamspot.spotting.online import Spotter, decode, scores_of
from streamspot.spotting.settings import SpotSettings

__all__ = ["SpotSettings", "Spotter", "decode", "scores_of"]
