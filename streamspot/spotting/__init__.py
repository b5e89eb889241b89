"""From the intensity curve to expressions, exactly and online; the offline decoder is the loop over it."""

from streamspot.spotting.online import Spotter, decode, scores_of
from streamspot.spotting.settings import SpotSettings

__all__ = ["SpotSettings", "Spotter", "decode", "scores_of"]
