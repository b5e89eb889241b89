"""Simulated motion of facial regions: expressions that are exactly known, and everything that is none."""

from streamspot.simulation.scenario import Scenario
from streamspot.simulation.simulate import Simulation, simulate

__all__ = ["Scenario", "Simulation", "simulate"]
