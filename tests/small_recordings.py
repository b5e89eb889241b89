"""Recordings of region motion made from nothing, in which the shipped weights find expressions."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from streamspot.simulation import Scenario, simulate
from streamspot.sources.motion import MotionWriter
from streamspot.types import FaceMotion, RegionMotion, Session

LAYOUT = "face17"


def write_recording(path: Path, *, seed: int = 1, ticks: int = 180) -> Path:
    """Write the simulated motion of one face; return the path. Seed 1: one from 1.6 to 4 s, one from 4.6 to 5.3 s."""
    made = simulate(seed, ticks, layout=LAYOUT, scenario=Scenario(idle=0.1, expressions=12))
    session = Session("", "simulated", "simulated", 0.0, datetime(2026, 11, 22, 10, tzinfo=UTC))
    with MotionWriter(path) as writer:
        writer.begin(session, LAYOUT, "simulation")
        for tick, displacement in enumerate(made.motion):
            motion = RegionMotion(tick, tick / 30, tick, displacement)
            writer.extend([FaceMotion(0, motion)], session)
    return path
