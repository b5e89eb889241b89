"""Recordings of region motion made from nothing, in which the shipped weights find expressions."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from streamspot.simulation import Scenario, simulate
from streamspot.sources.motion import MotionWriter
from streamspot.types import FaceMotion, RegionMotion, Session

LAYOUT = "face17"


def write_recording(path: Path, *seeds: int, ticks: int = 180) -> Path:
    """Write the simulated motion of a face for each seed; return the path.

    Without one it is seed 1: an expression from 1.6 to 4 s, one from 4.6 to 5.3 s.
    """
    scenario = Scenario(idle=0.1, expressions=12)
    made = [simulate(seed, ticks, layout=LAYOUT, scenario=scenario).motion for seed in seeds or (1,)]
    session = Session("", "simulated", "simulated", 0.0, datetime(2026, 11, 22, 10, tzinfo=UTC))
    with MotionWriter(path) as writer:
        writer.begin(session, LAYOUT, "simulation")
        for tick, faces in enumerate(zip(*made, strict=True)):
            motion = [RegionMotion(tick, tick / 30, tick, displacement) for displacement in faces]
            writer.extend([FaceMotion(face, one) for face, one in enumerate(motion)], session)
        writer.end((ticks - 1) / 30, ticks - 1)
    return path
