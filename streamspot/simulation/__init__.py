"""Motion of facial regions with known expressions, and everything that is none."""

from streamspot.simulation.scenario import Scenario
from streamspot.simulation.simulate import Instance, Recording, simulate

__all__ = ["Instance", "Recording", "Scenario", "simulate"]
