"""Promises of the filter that fuses flow and landmarks: noise is held down, and what moves is not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamspot.motion.position import Positions

REGIONS = 17
STILL = np.zeros((REGIONS, 2), np.float32)
FRAME, LOOK = 1 / 30, 3
"""Seconds between two frames, and frames between two looks."""


def _follow(truth: np.ndarray, flow: np.ndarray, noise: float, spread: float, seed: int = 0) -> np.ndarray:
    """Return the positions (T, R, 2) that are made of flow and of noisy landmarks in every third frame."""
    rng = np.random.default_rng(seed)
    positions = Positions(REGIONS)
    out = []
    for frame, (true, own) in enumerate(zip(truth, flow, strict=True)):
        positions.carry(
            own + rng.normal(0, spread, STILL.shape).astype(np.float32), STILL, spread, fresh=True
        )
        if frame % LOOK == 0:
            seen = true + rng.normal(0, noise, STILL.shape).astype(np.float32)
            positions.see(seen.astype(np.float32), LOOK * FRAME)
        positions.correct(FRAME, 1.0)
        out.append(positions.at)
    return np.array(out)


@pytest.mark.parametrize("noise", [0.005, 0.01, 0.02])
def test_a_still_face_in_a_grainy_picture_moves_by_less_than_its_landmarks(noise: float):
    """Grain makes landmarks jitter; the regions of a face at rest move by less than half as far within 0.2 s."""
    still = np.zeros((300, REGIONS, 2), np.float32)
    found = _follow(still, still, noise, spread=0.001)[60:]
    assert (found[6:] - found[:-6]).std() < 0.5 * np.sqrt(2) * noise


def test_flow_that_drifts_is_held_by_landmarks():
    """Flow that errs the same way in every frame carries a region nowhere."""
    still = np.zeros((600, REGIONS, 2), np.float32)
    found = _follow(still, still + np.float32(0.001), noise=0.005, spread=0.001)
    assert np.abs(found[60:].mean(0)).max() < 0.02


@given(size=st.floats(0.08, 0.4), region=st.integers(0, REGIONS - 1), noise=st.floats(0.0, 0.005))
def test_what_flow_does_not_see_landmarks_show(size: float, region: int, noise: float):
    """A mouth that opens too fast for flow is nine tenths open within a third of a second, and no other region is."""
    truth = np.zeros((90, REGIONS, 2), np.float32)
    truth[60:, region, 1] = size
    found = _follow(truth, np.zeros_like(truth), noise, spread=0.0005)
    assert found[70, region, 1] > 0.9 * size - 3 * noise
    assert np.abs(np.delete(found[60:], region, 1)).max() < 0.4 * size


def test_what_flow_sees_is_not_held_back_by_landmarks_that_lag():
    """What flow sees a region do is there in the same frame, however noisy landmarks are."""
    truth = np.zeros((90, REGIONS, 2), np.float32)
    truth[60:, 4, 0] = 0.1
    flow = np.diff(truth, axis=0, prepend=truth[:1])
    found = _follow(truth, flow, noise=0.01, spread=0.001)
    assert found[60:64, 4, 0].min() > 0.07


def test_flow_from_one_template_errs_no_more_after_a_second_than_after_a_frame():
    """Errors do not add up while points are looked for as they were: such a flow keeps out what landmarks jitter."""
    rng = np.random.default_rng(3)
    positions, before, out = Positions(REGIONS), STILL, []
    for frame in range(300):
        read = rng.normal(0, 0.002, STILL.shape).astype(np.float32)
        positions.carry(read - before, STILL, 0.002, fresh=frame == 0)
        before = read
        if frame % LOOK == 0:
            positions.see(rng.normal(0, 0.02, STILL.shape).astype(np.float32), LOOK * FRAME)
        positions.correct(FRAME, 1.0)
        out.append(positions.at)
    found = np.array(out)[60:]
    assert (found[30:] - found[:-30]).std() < 0.25 * np.sqrt(2) * 0.02
