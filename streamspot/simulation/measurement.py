"""What a camera and the flow stage make of the true motion: jitter, drift, gross errors, frame rate, lost frames."""

from __future__ import annotations

import numpy as np

from streamspot.simulation import time_courses
from streamspot.simulation.body import starts
from streamspot.simulation.person import Person
from streamspot.simulation.scenario import Scenario
from streamspot.simulation.time_courses import Array, Rng

_JITTER = {"corner": 1.4, "upper": 1.15, "lower": 1.5, "chin": 2.1, "lid": 0.55, "nostril": 0.65}
"""Factor on the jitter of these parts; 1 for all others."""


def measured(rng: Rng, person: Person, scenario: Scenario, position: Array, shake: Array) -> Array:
    """Return the true positions (T, R, 2) as a camera and the flow stage would report them; see ``Body.shake``."""
    ticks, regions, _ = position.shape
    level = person.level
    kinds = np.array([_JITTER.get(part, 1.0) for part in person.parts])
    size = (kinds * np.exp(rng.normal(0, 0.2, regions)))[:, None].astype(np.float32)
    walk = rng.standard_normal((ticks, regions, 2), dtype=np.float32) * (
        size * np.float32(scenario.noise * level)
    )
    walk += rng.standard_normal((ticks, 1, 2), dtype=np.float32) * np.float32(scenario.noise * level * 0.4)
    walk *= shake[:, None, None]
    walk += _glitches(rng, scenario, ticks, regions)
    slow = np.concatenate(
        [
            time_courses.knots(rng, ticks, every, 2 * regions + 4)
            for every in (5.0, float(rng.uniform(20, 60)), 150.0)
        ],
        1,
    ).reshape(ticks, 3, -1)
    slow *= np.array([0.2, 0.6, 0.9], np.float32)[:, None] * np.float32(scenario.wander * level)
    own = slow[:, :, : 2 * regions].sum(1).reshape(ticks, regions, 2) * size
    common = slow[:, :, 2 * regions :].sum(1)
    shared = common[:, None, :2] + common[:, None, 2:] * person.sides[:, None]
    leak = float(np.exp(-1 / rng.uniform(4, 12)))
    noisy = position + _leaky(walk, leak) + 0.6 * own + 0.6 * shared
    if rng.random() < 0.5:  # the first fit to a face settles
        fade = np.exp(-np.arange(ticks) / rng.uniform(3, 25))[:, None, None]
        noisy += fade * rng.standard_normal((1, regions, 2)) * (size * rng.uniform(0, 0.015))
    return _sampled(rng, noisy.astype(np.float32))


def _glitches(rng: Rng, scenario: Scenario, ticks: int, regions: int) -> Array:
    """Return rare gross errors of single regions (T, R, 2); the next tick takes part or all of each back."""
    out = np.zeros((ticks, regions, 2), np.float32)
    for start in np.maximum(starts(rng, ticks - 1, scenario.glitches), 0):
        region = rng.integers(regions)
        jump = (rng.standard_t(2, 2) * 0.01).clip(-0.15, 0.15)
        out[start, region] += jump
        out[start + 1, region] -= jump * rng.uniform(0, 1)
    return out


def _leaky(steps: Array, keep: float) -> Array:
    """Return x[n] = keep · x[n-1] + steps[n] along the first axis, block by block."""
    block = 64
    lag = np.arange(block)[:, None] - np.arange(block)[None]
    kernel = np.where(lag >= 0, keep ** np.maximum(lag, 0), 0).astype(np.float32)
    carry = (keep ** (np.arange(block) + 1)).astype(np.float32)[:, None]
    flat = steps.reshape(len(steps), -1)
    out = np.empty_like(flat)
    last = np.zeros(flat.shape[1], np.float32)
    for start in range(0, len(flat), block):
        part = flat[start : start + block]
        out[start : start + block] = kernel[: len(part), : len(part)] @ part + carry[: len(part)] * last
        last = out[start + len(part) - 1]
    return out.reshape(steps.shape)


def _sampled(rng: Rng, position: Array) -> Array:
    """Return the positions seen through a camera's own frame rate, with lost frames, back on the ticks."""
    ticks = len(position)
    rate = float(rng.choice((10, 12, 15, 20, 24, 25, 25, 30, 30, 30, 60)))
    frames = np.arange(0, ticks - 1, min(1.0, 30 / rate) if rate > 30 else 30 / rate)
    if len(frames) < 2:
        return position
    lost = rng.choice((0, 0, 0.01, 0.05))
    keep = rng.random(len(frames)) >= lost
    keep[0] = keep[-1] = True
    frames = frames[keep]
    left = frames.astype(np.int64)
    part = (frames - left).astype(np.float32)[:, None, None]
    seen = position[left] * (1 - part) + position[left + 1] * part
    if rng.random() < 0.2:  # coarse flow
        step = np.float32(rng.uniform(0.0005, 0.003))
        seen = np.round(seen / step) * step
    now = np.arange(ticks, dtype=np.float32)
    at = np.clip(np.searchsorted(frames, now, side="right") - 1, 0, len(frames) - 2)
    share = np.clip((now - frames[at]) / (frames[at + 1] - frames[at]), 0, 1).astype(np.float32)[
        :, None, None
    ]
    return np.asarray(seen[at] * (1 - share) + seen[at + 1] * share, np.float32)
