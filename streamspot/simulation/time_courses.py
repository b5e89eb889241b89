"""Time courses, in ticks of 1/30 s: how an expression, a blink, a word or a turn of the head unfolds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Rng = np.random.Generator


def ease(steps: int) -> Array:
    """Return a smooth rise from just above 0 to 1 in so many ticks (minimum jerk)."""
    s = np.arange(1, steps + 1, dtype=np.float32) / steps
    return s**3 * (10 - 15 * s + 6 * s * s)


def knots(rng: Rng, ticks: int, every: float, columns: int) -> Array:
    """Return smooth noise (ticks, columns) of unit variance that wanders within about ``every`` ticks."""
    where = np.arange(ticks, dtype=np.float32) / np.float32(every) + np.float32(rng.random())
    if not ticks:
        return np.zeros((0, columns), np.float32)
    left = where.astype(np.int64)
    values = rng.standard_normal((int(left[-1]) + 2, columns), dtype=np.float32)
    s = (where - left)[:, None]
    weight = s * s * (3 - 2 * s)
    mixed = values[left] * (1 - weight) + values[left + 1] * weight
    return np.asarray(mixed / np.sqrt((1 - weight) ** 2 + weight**2), np.float32)


def expression(rng: Rng, rise: int, hold: int, fall: int) -> Array:
    """Return rise, hold and fall of an expression, peak 1; the hold is as uneven as that of real faces."""
    hold_curve = 1 - np.abs(knots(rng, hold, 12, 1)[:, 0]) * np.float32(rng.uniform(0, 0.08))
    if hold:
        hold_curve += np.linspace(0, rng.uniform(-0.3, 0.1), hold, dtype=np.float32)
    end = hold_curve[-1] if hold else np.float32(1)
    curve = np.concatenate((ease(rise), hold_curve, end * (1 - ease(fall))))
    return np.asarray(curve / curve.max(), np.float32)


def blink(rng: Rng) -> Array:
    """Return a blink: lids close fast and open more slowly, within 0.15-0.4 s; one in ten stays closed longer."""
    down, up = int(rng.integers(2, 5)), int(rng.integers(3, 9))
    closed = int(rng.integers(0, 2)) if rng.random() < 0.9 else int(rng.integers(3, 20))
    return np.asarray(np.concatenate((ease(down), np.ones(closed, np.float32), 1 - ease(up))), np.float32)


def speech(rng: Rng, ticks: int) -> Array:
    """Return (ticks, 4): jaw, width, pout and lip activity of a bout of speech.

    The jaw opens with each syllable, 3-7 a second, and does not quite close in between; now and then a vowel is
    drawn out or the speaker pauses. Width, pout and lip activity vary at random.
    """
    rate, drawn_out, pausing = rng.uniform(3, 7), rng.uniform(0, 0.3), rng.uniform(0, 0.15)
    times, values, at = [-2.0], [0.0], 0.0
    while at < ticks:
        length = 30 / rate * float(np.exp(rng.normal(0, 0.3)))
        held = float(rng.uniform(2, 16)) if rng.random() < drawn_out else 0.0
        peak = min(float(np.exp(rng.normal(-0.4, 0.6))), 1.8)
        times += [at + length * 0.45, at + length * 0.55 + held, at + length + held]
        values += [peak, peak * float(rng.uniform(0.6, 1.1)), peak * float(rng.uniform(0, 0.5))]
        at += length + held
        if rng.random() < pausing:
            at += float(rng.uniform(5, 25))
            times += [times[-1] + 3, at]
            values += [0.0, 0.0]
    jaw = np.interp(np.arange(ticks), times, values)
    jaw = np.convolve(jaw, (0.25, 0.5, 0.25), "same") + rng.uniform(0, 0.3) * knots(rng, ticks, 25, 1)[:, 0]
    other = knots(rng, ticks, 30 / rate / 1.6, 3) * 0.7 + knots(rng, ticks, 30 / rate * 2.2, 3) * 0.5
    fade = min(int(rng.integers(2, 8)), ticks // 3)
    envelope = np.ones(ticks)
    if fade:
        envelope[:fade] = ease(fade)
        envelope[-fade:] = 1 - ease(fade)
    return np.asarray(np.column_stack((jaw, other)) * envelope[:, None], np.float32)


def swing(rng: Rng, ticks: int) -> Array:
    """Return one turn of the head, away and back, sometimes past the middle to the other side; peak about 1."""
    where = np.linspace(0, 1, ticks, dtype=np.float32)
    first = ease(max(1, int(ticks * rng.uniform(0.15, 0.5))))
    last = ease(max(1, int(ticks * rng.uniform(0.15, 0.5))))
    curve: Array = np.ones(ticks, np.float32)
    curve[: len(first)] = first
    curve[ticks - len(last) :] *= 1 - last
    if rng.random() < 0.4:
        curve *= np.cos(np.pi * where * rng.uniform(1, 2.2))
    tremor = knots(rng, ticks, 8, 1)[:, 0] * np.float32(0.08) * np.sin(np.pi * where)
    return np.asarray(curve + tremor, np.float32)


def nod(rng: Rng, ticks: int) -> Array:
    """Return a nodding or shaking head: a few periods at 1-2.5 Hz, dying away."""
    t = np.arange(ticks, dtype=np.float32) / 30
    window = np.sin(np.pi * np.arange(ticks, dtype=np.float32) / max(ticks, 1)) ** 2
    return np.asarray(np.sin(2 * np.pi * rng.uniform(1, 2.5) * t + rng.uniform(0, 6)) * window, np.float32)
