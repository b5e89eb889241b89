"""The decoder again, over whole arrays and by brute force, and the curves for the comparison."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from streamspot.spotting import SpotSettings
from streamspot.spotting.components import TROUGH_MEMORY, TROUGH_WINDOW
from streamspot.spotting.settings import TROUGH_DEPTH
from streamspot.types import Detection, Kind

Array = NDArray[np.float64]
Found = tuple[float, float, Kind, int, int, int]
"""Confidence, score, kind, first, apex, last."""
KINDS: tuple[Kind, Kind] = ("macro", "micro")


def decode_reference(intensity: Array, macro: Array, micro: Array, settings: SpotSettings) -> list[Detection]:
    """Return what ``decode`` must return, apart from ``number`` and ``decided``, which are 0."""
    a, p = levelled(intensity, macro, micro, settings)
    return [
        Detection(0, "offset", kind, onset, apex, offset, float(a[apex]), score, 0)
        for hill in hills(a, p, settings)
        for _, score, kind, onset, apex, offset in detect(a, p, hill, settings)
    ]


def levelled(
    intensity: Array, macro: Array, micro: Array, settings: SpotSettings
) -> tuple[Array, dict[str, Array]]:
    """Return the intensity to its power, the probabilities, and the curve of micro-expressions, rounded."""
    a = np.where(np.isfinite(intensity), intensity, 0.0)
    a = np.round(np.clip(a, 0, 1) * 2**20) / 2**20
    p = {"macro": np.clip(np.nan_to_num(macro), 0, 1), "micro": np.clip(np.nan_to_num(micro), 0, 1)}
    plain, a = a, np.round(np.array([float(x) ** settings.power for x in a]) * 2**20) / 2**20
    powered = (
        a if settings.micro_power is None else np.array([float(x) ** settings.micro_power for x in plain])
    )
    p["brief"] = np.round(powered * p["micro"] * 2**20) / 2**20
    return a, p


def not_neutral(a: Array, p: dict[str, Array], settings: SpotSettings) -> NDArray[np.bool_]:
    """Return which ticks may belong to an expression."""
    return np.asarray(
        (a > thresholds(settings)[0]) | (p["brief"] > np.round(settings.micro_floor * 2**20) / 2**20)
    )


def level(a: Array, p: dict[str, Array], kind: str) -> Array:
    """Return how high each tick is for a kind."""
    return a if kind == "macro" else np.maximum(a, p["brief"])


def thresholds(settings: SpotSettings) -> Array:
    """Return the thresholds, rounded as the intensities are."""
    return np.round(np.array(settings.thresholds) * 2**20) / 2**20


def runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return first and last index of every run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], mask.astype(np.int8), [0]))))
    return [(int(s), int(e) - 1) for s, e in edges.reshape(-1, 2)]


def hills(a: Array, p: dict[str, Array], settings: SpotSettings) -> list[tuple[int, int, int, int, bool]]:
    """Return first and last tick of each hill, the ends of the ticks its margins may use, if a trough is near."""
    smooth = np.array([a[max(0, t + 1 - TROUGH_WINDOW) : t + 1].sum() for t in range(len(a))]) / TROUGH_WINDOW
    components = runs(not_neutral(a, p, settings))
    out = []
    for number, (start, end) in enumerate(components):
        left = components[number - 1][1] + 1 if number else 0
        free_right = components[number + 1][0] - 1 if number + 1 < len(components) else len(a) - 1
        first, begun, before = start, start, "floor"
        while first <= end:
            allowed = [before == "cut" or told_apart(a, p, first, t, settings) for t in range(first, end + 1)]
            stop, why, decided = next_end(a, smooth, (first, begun, end), allowed, settings)
            last = stop - 1 if why == "trough" else stop
            if before != "cut" and last >= first:
                right = free_right if why == "floor" else last
                out.append((first, last, left, right, "trough" in (before, why)))
            before = why
            first = stop + 1
            left, begun = first, decided if why == "trough" else first
    return out


def told_apart(a: Array, p: dict[str, Array], first: int, trough: int, settings: SpotSettings) -> bool:
    """Return whether what lies between ``first`` and a trough is long enough for its likelier kind."""
    if trough == first:
        return False
    apex = first + int(np.argmax(a[first:trough]))
    if p["micro"][apex] > p["macro"][apex]:
        return trough - first >= settings.micro_ticks[0]
    least, greatest = settings.macro_ticks
    return trough - first >= min(greatest, max(least, settings.trough_ticks))


def next_end(
    a: Array, smooth: Array, span: tuple[int, int, int], allowed: list[bool], settings: SpotSettings
) -> tuple[int, str, int]:
    """Return where a hill ends, at a trough's lowest tick, a cut or the floor, and when that is clear.

    ``allowed`` says of each tick from the first on whether a trough there would divide the hill.
    """
    first, begun, end = span
    peak = valley = float(smooth[begun])
    lowest = begun
    for now in range(first, end + 1):
        if now > begun:
            mean = float(smooth[now])
            lower = min(peak, mean)
            if lower - valley >= max(settings.trough_share * lower, TROUGH_DEPTH):
                left = max(first, lowest + 1 - TROUGH_WINDOW)
                trough = left + int(np.argmin(a[left : lowest + 1]))
                if allowed[trough - first]:
                    return trough, "trough", now
                peak = valley = mean
            elif mean > peak:
                peak = valley = mean
            else:
                peak += (mean - peak) * (1 / TROUGH_MEMORY)
                lowest, valley = (
                    (now, mean) if mean < valley else (lowest, valley + (mean - valley) * (1 / TROUGH_MEMORY))
                )
        if now - first + 1 == settings.macro_ticks[1]:
            return now, "cut", now
    return end, "floor", end


def detect(
    a: Array, p: dict[str, Array], hill: tuple[int, int, int, int, bool], settings: SpotSettings
) -> list[Found]:
    """Return the detections of one hill."""
    if settings.usual is not None:
        return select(round_peaks(a, p, hill, settings), settings, beside=hill[4])
    start, end, free_left, free_right, beside = hill
    spans = {
        (start + s, start + e) for level in thresholds(settings) for s, e in runs(a[start : end + 1] > level)
    }
    limits = {"macro": settings.macro_ticks, "micro": settings.micro_ticks}
    least = {"macro": settings.macro_score, "micro": settings.micro_score}
    if beside:
        shortest, longest = settings.macro_ticks
        limits["macro"] = (min(longest, max(shortest, settings.trough_ticks)), longest)
        least = {kind: score - settings.trough_allowance for kind, score in least.items()}
    pool: list[Found] = []
    for s, e in spans:
        length = e - s + 1
        apex = s + int(np.argmax(a[s : e + 1]))
        m = int(min(max(1, np.rint(settings.outer_margin * length)), settings.outer_ticks))
        outer = np.concatenate((a[max(s - m, free_left) : s], a[e + 1 : min(e + m, free_right) + 1]))
        score = float(a[s : e + 1].mean() - (outer.mean() if outer.size else 0.0))
        for kind in KINDS:
            prob = float(p[kind][apex])
            confidence = score + settings.class_weight * prob
            fits = limits[kind][0] <= length <= limits[kind][1]
            if prob > settings.class_floor and fits and confidence >= least[kind]:
                pool.append((confidence, score, kind, s, apex, e))
    return select(pool, settings, beside=beside)


def round_peaks(
    a: Array, p: dict[str, Array], hill: tuple[int, int, int, int, bool], settings: SpotSettings
) -> list[Found]:
    """Return the expressions round the peaks of one hill."""
    start, end, free_left, free_right, beside = hill
    length = end - start + 1
    margin = int(min(max(1, np.rint(settings.outer_margin * length)), settings.outer_ticks))
    leftmost = start - min(start - free_left, settings.outer_ticks) // 2
    rightmost = end + min(free_right - end, margin) // 2
    pool: list[Found] = []
    for kind, (before, after) in zip(KINDS, settings.usual or (), strict=True):
        shortest, longest = settings.lengths(kind, at_trough=beside)
        rough = p["brief"][start : end + 1]
        if kind == "macro":
            rough = np.round(a[start : end + 1] * p[kind][start : end + 1] * 2**20) / 2**20
        padded = np.pad(rough, 4)
        curve = np.array([padded[i : i + 9].sum() for i in range(length)]) / 9
        walled = np.pad(curve, 1, constant_values=-1)
        top = (curve > 0) & (curve >= walled[:-2]) & (curve >= walled[2:])
        while top.any():
            peak = int(np.argmax(np.where(top, curve, -1)))
            first, last = next(run for run in runs(curve > curve[peak] / 2) if peak <= run[1])
            top[first : last + 1] = False
            usual, width = before + after + 1, last - first + 1
            near = level(a, p, kind)[start : end + 1][max(0, peak - 4) : peak + 5]
            apex = max(0, peak - 4) + int(np.argmax(near))
            if width <= 3 * usual:
                middle = ((first + last) / 2 + peak + (after - before) / 2) / 2
                half = (math.sqrt(width * usual) - 1) / 2
                first = min(peak, math.floor(middle - half + 0.5))
                last = max(peak, math.floor(middle + half + 0.5))
            s, e = max(start + min(first, apex), leftmost), min(start + max(last, apex), rightmost)
            score = float(curve[peak])
            least = settings.macro_score if kind == "macro" else settings.micro_score
            enough = score >= least - (settings.trough_allowance if beside else 0.0)
            if shortest <= e - s + 1 <= longest and enough:
                pool.append((score, score, kind, s, start + apex, e))
    return pool


def select(pool: list[Found], settings: SpotSettings, *, beside: bool) -> list[Found]:
    """Return what soft-NMS, the minimum scores and NMS leave of a hill's proposals."""
    allowance = settings.trough_allowance if beside else 0.0
    least = {"macro": settings.macro_score - allowance, "micro": settings.micro_score - allowance}
    pool = sorted(pool, key=rank)[:64]
    decayed: list[Found] = []
    while pool:
        pool.sort(key=rank)
        best = pool.pop(0)
        decayed.append(best)
        pool = [
            (x[0] * math.exp(-(iou(x, best) ** 2) / settings.soft_nms_sigma), *x[1:])
            if x[2] == best[2]
            else x
            for x in pool
        ]
    kept: list[Found] = []
    for x in decayed:
        rivals = [y for y in kept if y[2] == x[2] or not settings.both_kinds]
        if x[0] >= least[x[2]] and max((iou(x, y) for y in rivals), default=0.0) <= settings.overlap:
            kept.append(x)
    return sorted(kept, key=lambda x: (x[3], x[5], x[2]))


def rank(x: Found) -> tuple[float, int, int, str]:
    """Order by confidence, then the earlier, the longer, the macro-expression."""
    return -x[0], x[3], -x[5], x[2]


def iou(x: Found, y: Found) -> float:
    """Return intersection over union of two closed intervals of ticks."""
    one, two = set(range(x[3], x[5] + 1)), set(range(y[3], y[5] + 1))
    return len(one & two) / len(one | two)


def bump(length: int, top: float) -> Array:
    """Return a Gaussian rise and fall over ``length`` ticks that has 0.14 of its top at both ends."""
    return top * np.exp(-0.5 * np.linspace(-2, 2, length) ** 2)


def _walk(rng: np.random.Generator, ticks: int) -> Array:
    return np.clip(rng.uniform(0, 1) + np.cumsum(rng.normal(0, rng.uniform(0.01, 0.2), ticks)), 0, 1)


def _smooth(rng: np.random.Generator, ticks: int) -> Array:
    width = int(rng.integers(2, 20))
    noise = np.convolve(rng.normal(0, 1, ticks + width), np.ones(width) / np.sqrt(width), "valid")[:ticks]
    return np.clip(rng.uniform(0, 0.7) + rng.uniform(0.1, 0.5) * noise, 0, 1)


def _steps(rng: np.random.Generator, ticks: int) -> Array:
    """Only tenths: every threshold is hit exactly, every plateau is a tie."""
    return np.repeat(rng.integers(0, 11, ticks), rng.integers(1, 12, ticks))[:ticks] / 10


def _white(rng: np.random.Generator, ticks: int) -> Array:
    return rng.uniform(0, 1, ticks)


def _spikes(rng: np.random.Generator, ticks: int) -> Array:
    return np.where(rng.uniform(0, 1, ticks) < 0.05, rng.uniform(0.1, 1, ticks), 0.0)


def _constant(rng: np.random.Generator, ticks: int) -> Array:
    return np.full(ticks, rng.choice([0.0, 0.2, 0.3, 0.45, 0.8, 1.0]))


def _bumps(rng: np.random.Generator, ticks: int) -> Array:
    curve = np.zeros(ticks + 200)
    at = int(rng.integers(0, 30))
    while at < ticks:
        length = int(rng.integers(5, 80))
        curve[at : at + length] = np.maximum(curve[at : at + length], bump(length, rng.uniform(0.2, 1)))
        at += int(length * rng.uniform(0.4, 1.5)) + 1
    return np.clip(curve[:ticks] + rng.normal(0, rng.choice([0, 0.02, 0.1]), ticks), 0, 1)


def _broken(rng: np.random.Generator, ticks: int) -> Array:
    curve = _bumps(rng, ticks)
    wrong = rng.choice([np.nan, np.inf, -np.inf, -3.0, 7.0, 5e-324], ticks)
    return np.where(rng.uniform(0, 1, ticks) < 0.02, wrong, curve)


SHAPES = (_walk, _smooth, _steps, _white, _spikes, _constant, _bumps, _broken)

SETTINGS = (
    SpotSettings(),
    SpotSettings(macro_ticks=(10, 60)),
    SpotSettings.from_sensitivity(1, class_floor=0.2),
    SpotSettings(overlap=0.5, macro_score=0.1, micro_score=0.1, class_floor=0, micro_ticks=(1, 20)),
    SpotSettings(macro_ticks=(5, 40), trough_ticks=50, trough_allowance=0.3),
    SpotSettings(trough_ticks=1, trough_allowance=0),
    SpotSettings(usual=((18, 22), (6, 6)), macro_score=0.2, micro_score=0.1),
    SpotSettings(
        usual=((9, 3), (2, 5)), thresholds=(0.05,), trough_share=1.0, outer_ticks=16, macro_score=0.05
    ),
    SpotSettings(
        usual=((18, 22), (8, 6)),
        thresholds=(0.1,),
        power=3.0,
        macro_score=0.2,
        micro_score=0.1,
        micro_power=0.5,
        micro_floor=0.05,
        both_kinds=True,
        trough_share=1.0,
        outer_ticks=16,
    ),
)


def random_curves(seed: int) -> tuple[Array, Array, Array]:
    """Return intensity and class probabilities, ``(T,)`` each; the seed decides shape and length."""
    rng = np.random.default_rng(seed)
    ticks = int(rng.integers(1, 400))
    intensity = SHAPES[seed % len(SHAPES)](rng, ticks)
    macro = np.clip(np.repeat(rng.uniform(-0.2, 1.2, ticks), 7)[:ticks], 0, 1)
    micro = 1 - macro if rng.uniform() < 0.5 else np.clip(rng.uniform(-0.2, 1.2, ticks), 0, 1)
    if rng.uniform() < 0.1:
        macro = np.where(rng.uniform(0, 1, ticks) < 0.1, np.nan, macro)
    return intensity, macro, micro
