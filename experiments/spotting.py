"""What the decoder costs and how it fares on ideal curves: ``python -m experiments.spotting [--casme2 DIR]``.

The ideal curves are not a network's: every annotated expression of CAS(ME)² becomes a bump with noise around it,
which judges the decoder alone. That the decoder is exact is a test's matter (``tests/test_spotting.py``).
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamspot.datasets.recording import Instance, Recording
from streamspot.datasets.store import load
from streamspot.evaluation.matching import match
from streamspot.spotting import SpotSettings, Spotter, decode, scores_of
from streamspot.types import KINDS

Array = NDArray[np.float64]


def bump(length: int, top: float) -> Array:
    """Return a Gaussian rise and fall over ``length`` ticks that has 0.14 of its top at both ends."""
    return np.asarray(top * np.exp(-0.5 * np.linspace(-2, 2, length) ** 2))


def wandering(rng: np.random.Generator, ticks: int) -> tuple[Array, Array, Array]:
    """Return intensity and class probabilities (T,) that wander at random, with a new beginning every 200 ticks."""
    walks = [
        np.clip(rng.uniform(0, 1) + np.cumsum(rng.normal(0, rng.uniform(0.01, 0.2), 200)), 0, 1)
        for _ in range(ticks // 200 + 1)
    ]
    macro: Array = np.repeat(rng.uniform(0, 1, ticks), 7)[:ticks]
    return np.concatenate(walks)[:ticks], macro, 1 - macro


def cost(ticks: int) -> dict[str, float]:
    """Return µs a push: median, p99 and worst, and the medians of the first and last tenth of the stream."""
    rng = np.random.default_rng(0)
    intensity, macro, micro = wandering(rng, ticks)
    spotter, spent = Spotter(), np.zeros(ticks)
    for place, score in enumerate(scores_of(intensity, macro, micro)):
        begin = time.perf_counter_ns()
        spotter.push(score)
        spent[place] = (time.perf_counter_ns() - begin) / 1e3
    tenth = len(spent) // 10
    return {
        "median": float(np.median(spent)),
        "p99": float(np.quantile(spent, 0.99)),
        "worst": float(spent.max()),
        "first tenth": float(np.median(spent[:tenth])),
        "last tenth": float(np.median(spent[-tenth:])),
    }


def longest_close() -> float:
    """Return ms that the push takes which closes a minute-long jittering expression."""
    rng = np.random.default_rng(0)
    curve = np.concatenate([np.clip(rng.normal(0.55, 0.06, 1700), 0.25, 1), np.zeros(20)])
    worst, spotter = 0, Spotter()
    for score in scores_of(curve, np.ones(len(curve)), np.zeros(len(curve))):
        begin = time.perf_counter_ns()
        spotter.push(score)
        worst = max(worst, time.perf_counter_ns() - begin)
    return worst / 1e6


def ideal(
    ticks: int, truths: Sequence[Instance], noise: float, rng: np.random.Generator
) -> tuple[Array, Array, Array]:
    """Return bumps of random height that have 0.14 of it at onset and offset, class probabilities, and noise.

    The noise is half white, half correlated over about five ticks.
    """
    at = np.arange(ticks)
    curve: Array = np.zeros(ticks)
    micro: Array = np.full(ticks, 0.5)
    for truth in truths:
        inside = truth.onset < truth.apex < truth.offset
        apex = truth.apex if inside else (truth.onset + truth.offset) // 2
        side = np.where(at < apex, apex - truth.onset, truth.offset - apex)
        rise = rng.uniform(0.6, 1) * np.exp(-2 * ((at - apex) / side) ** 2)
        sure = np.clip(rng.normal(0.2, 0.15), 0, 1)
        micro = np.where(rise > curve, 1 - sure if truth.kind == "micro" else sure, micro)
        curve = np.maximum(curve, rise)
    white, slow = rng.normal(0, noise, ticks), rng.normal(0, noise, ticks + 4)
    curve = curve + 0.7 * white + 0.7 * np.convolve(slow, np.ones(5) / 5**0.5, "valid")
    return np.clip(curve, 0, 1), 1 - micro, micro


def on_ideal_curves(recordings: Sequence[Recording], noise: float, how: SpotSettings) -> str:
    """Return recall, precision, delays, apex error and early announcements on ideal curves."""
    rng = np.random.default_rng(0)
    counts: dict[str, dict[str, int]] = {kind: defaultdict(int) for kind in KINDS}
    delay: dict[str, list[int]] = {kind: [] for kind in KINDS}
    apex_error: dict[str, list[int]] = {kind: [] for kind in KINDS}
    wait: list[int] = []
    cancelled = onsets = 0
    for recording in recordings:
        truths, spotter = recording.instances, Spotter(how)
        curves = ideal(len(recording.motion), truths, noise, rng)
        phases = [d for s in scores_of(*curves) for d in spotter.push(s)]
        phases += spotter.finish()
        announced = {d.number: d.decided for d in phases if d.phase == "onset"}
        finals = [d for d in phases if d.phase == "offset"]
        onsets += len(announced)
        cancelled += sum(d.phase == "cancelled" for d in phases)
        wait += [d.decided - (d.offset or 0) for d in finals]
        for kind in KINDS:
            counts[kind]["truths"] += sum(t.kind == kind for t in truths)
            counts[kind]["found"] += sum(d.kind == kind for d in finals)
        for d, truth in (pair for kind in KINDS for pair in match(finals, truths, kind)[1]):
            if truth is not None:
                counts[truth.kind]["right"] += 1
                counts[truth.kind]["early"] += announced[d.number] < truth.apex
                delay[truth.kind].append(d.decided - truth.offset)
                apex_error[truth.kind].append(abs((d.apex or 0) - truth.apex))
    lines = [f"noise {noise}: {cancelled} of {onsets} onsets cancelled"]
    lines += [f"  ticks from the detected offset to its event: median {np.median(wait):.0f}, max {max(wait)}"]
    for kind in KINDS:
        n, late, off = counts[kind], delay[kind] or [0], apex_error[kind] or [0]
        recall, precision = n["right"] / n["truths"], n["right"] / max(1, n["found"])
        lines.append(
            f"  {kind}: recall {recall:.3f}, precision {precision:.3f}, apex error {np.mean(off):.1f},"
            f" onset before the apex {n['early'] / max(1, n['right']):.2f}, ticks from the annotated offset"
            f" to its event: median {np.median(late):.0f}, p95 {np.quantile(late, 0.95):.0f}, max {max(late)}"
        )
    return "\n".join(lines)


def troughs(recordings: Sequence[Recording], noise: float, how: SpotSettings) -> dict[str, str]:
    """Return the share of touching pairs that come out as two, by how deep the trough of the clean curve is.

    Two expressions of annotated lengths are overlapped so that the curve between them stays above the floor.
    """
    rng = np.random.default_rng(1)
    lengths = [i.offset - i.onset + 1 for r in recordings for i in r.instances if i.kind == "macro"]
    share: dict[str, list[bool]] = defaultdict(list)
    while sum(map(len, share.values())) < 4000:
        first, second = (bump(int(rng.choice(lengths)), rng.uniform(0.5, 1)) for _ in range(2))
        if min(len(first), len(second)) < 20:
            continue
        at = int(len(first) * rng.uniform(0.4, 1))
        clean = np.zeros(max(at + len(second), len(first)) + 60)
        clean[30 : 30 + len(first)] = first
        clean[30 + at : 30 + at + len(second)] = np.maximum(clean[30 + at : 30 + at + len(second)], second)
        one, two = sorted((30 + int(first.argmax()), 30 + at + int(second.argmax())))
        valley, lower = clean[one : two + 1].min(), min(clean[one], clean[two])
        if valley <= how.levels[0] or valley >= lower:
            continue
        depth = (lower - valley) / lower
        if depth < 0.1:
            continue
        slow = np.convolve(rng.normal(0, noise, len(clean) + 4), np.ones(5) / 5**0.5, "valid")
        curve = np.clip(clean + 0.7 * rng.normal(0, noise, len(clean)) + 0.7 * slow, 0, 1)
        ones = np.full(len(curve), 0.8)
        found = decode(scores_of(curve, ones, 1 - ones), how)
        apexes = [d.apex for d in found]
        hit = len(found) == 2 and all(
            a is not None and abs(a - b) <= 12 for a, b in zip(apexes, (one, two), strict=True)
        )
        for min_depth in (0.1, 0.2, 0.3, 0.4):
            if depth >= min_depth:
                share[f"≥{min_depth}"].append(hit)
    return {name: f"{np.mean(hits):.3f} of {len(hits)}" for name, hits in sorted(share.items())}


def split_smiles(noise: float, how: SpotSettings) -> str:
    """Return how often a smile held on a noisy plateau is not exactly one event, for 2, 10 and 55 seconds."""
    rng = np.random.default_rng(2)
    shares = []
    for held, tries in ((60, 200), (300, 100), (1650, 40)):
        wrong = 0
        for _ in range(tries):
            top = rng.uniform(0.5, 0.95)
            clean = np.concatenate(
                [np.zeros(30), bump(20, top)[:10], np.full(held, top), bump(20, top)[10:], np.zeros(30)]
            )
            slow = np.convolve(rng.normal(0, noise, len(clean) + 4), np.ones(5) / 5**0.5, "valid")
            curve = np.clip(clean + 0.7 * rng.normal(0, noise, len(clean)) + 0.7 * slow, 0, 1)
            ones = np.full(len(curve), 0.8)
            wrong += len(decode(scores_of(curve, ones, 1 - ones), how)) != 1
        shares.append(f"{held / 30:.0f} s: {wrong}/{tries}")
    return ", ".join(shares)


def main() -> None:
    """Print every figure."""
    parser = argparse.ArgumentParser(description="What the decoder costs and how it fares on ideal curves.")
    parser.add_argument("--ticks", type=int, default=200_000)
    parser.add_argument(
        "--casme2", type=Path, help="folder with features.npz and annotations.csv of CAS(ME)²"
    )
    options = parser.parse_args()
    print("µs a push:", ", ".join(f"{name} {value:.1f}" for name, value in cost(options.ticks).items()))
    print(f"closing a minute-long expression: {longest_close():.1f} ms")
    if options.casme2 is None:
        return
    recordings, how = load(options.casme2).recordings, SpotSettings()
    for noise in (0.02, 0.05, 0.08):
        print(on_ideal_curves(recordings, noise, how))
        print("  touching pairs separated, by depth:", troughs(recordings, noise, how))
        print("  held smiles not reported as one:", split_smiles(noise, how))


if __name__ == "__main__":
    main()
