"""Everything that moves a face without being an expression, and everything that a camera adds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamspot.simulation import courses, units
from streamspot.simulation.courses import Rng
from streamspot.simulation.person import Person
from streamspot.simulation.scenario import Scenario

Array = NDArray[np.float32]


def _add(position: Array, start: int, course: Array, pattern: Array) -> None:
    """Add a pattern (R, 2) times its course to the positions (T, R, 2) from a tick on, maybe before 0."""
    course, start = course[max(0, -start) :], max(0, start)
    end = min(len(position), start + len(course))
    if end > start:
        position[start:end] += course[: end - start, None, None] * pattern


def _starts(rng: Rng, ticks: int, rate: float) -> NDArray[np.int64]:
    """Return at which ticks something begins that happens so often a minute; it may be under way at 0."""
    return rng.integers(-60, max(ticks, 1), rng.poisson(rate * (ticks + 60) / 1800))


@dataclass(frozen=True, slots=True)
class Body:
    """What a face does beside its expressions.

    Attributes:
        position: (T, R, 2).
        mouth: (T,) bool, where the mouth speaks or chews, and shortly before and after.
        shake: (T,), how much noisier the flow is than that of a still head.
    """

    position: Array
    mouth: NDArray[np.bool_]
    shake: Array


def body(rng: Rng, person: Person, scenario: Scenario, ticks: int) -> Body:
    """Return what lids, gaze, speech, chewing, head and hands do."""
    position = np.zeros((ticks, len(person.layout), 2), np.float32)
    _eyes(rng, person, scenario, position)
    mouth = _mouth(rng, person, scenario, position)
    shake = _head(rng, person, scenario, position)
    _hands(rng, person, scenario, position)
    return Body(position, mouth, shake)


def _eyes(rng: Rng, person: Person, scenario: Scenario, position: Array) -> None:
    depth = float(np.exp(rng.uniform(np.log(0.004), np.log(0.05))))
    for start in _starts(rng, len(position), scenario.blinks * rng.uniform(0.3, 2)):
        lids = person.part("lid", 0, depth * rng.uniform(0.7, 1.2))
        for part in ("outer", "mid", "inner"):
            lids += person.part(part, 0, depth * rng.uniform(-0.05, 0.2))
        lids += person.part("cheek", 0, -depth * rng.uniform(0, 0.15))
        # some meshes shrink round closing lids: what lies below is lifted, the brows a little
        if rng.random() < 0.4:
            lift = depth * rng.uniform(0, 0.9)
            for part in ("cheek", "nostril", "corner", "upper", "lower", "chin"):
                lids += person.part(part, lift * rng.uniform(-0.1, 0.2), -lift * rng.uniform(0.6, 1.3))
            for part in ("outer", "mid", "inner"):
                lids += person.part(part, lift * rng.uniform(-0.1, 0.4), -lift * rng.uniform(0.1, 0.5))
        course = courses.blink(rng)
        # the correction by landmarks lets part of the way back come late
        late = rng.uniform(0, 0.6) * np.exp(-np.arange(30) / rng.uniform(3, 12))
        tail = np.concatenate((course, np.zeros(30, np.float32)))
        tail[len(course) - 1 : len(course) + 29] += late.astype(np.float32)
        _add(position, int(start), tail, lids)
    for start in _starts(rng, len(position), scenario.gazes * rng.uniform(0, 2)):
        rise, stay = int(rng.integers(1, 5)), int(rng.integers(5, 90))
        course = np.concatenate((courses.ease(rise), np.ones(stay), 1 - courses.ease(rise))).astype(
            np.float32
        )
        eyes = person.part("lid", 0, rng.normal(0, 0.01))
        eyes[:, 0] += np.where(np.abs(eyes[:, 1]) > 0, rng.normal(0, 0.005), 0)
        for part in ("outer", "mid", "inner"):
            eyes += person.part(part, 0, rng.normal(0, 0.003))
        _add(position, int(start), course, eyes)


def _mouth(rng: Rng, person: Person, scenario: Scenario, position: Array) -> NDArray[np.bool_]:
    """Add speech and chewing; return (T,) where they are, a third of a second more on either side."""
    layout, length = person.layout, len(position)
    busy = np.zeros(length, bool)
    patterns = np.stack([units.pattern(unit, layout) for unit in (26, 20, 18, 24)])
    loud = float(np.clip(np.exp(rng.normal(0.1, 0.45)), 0.15, 1.8))
    starts = _starts(rng, length, scenario.speech * (6 if rng.random() < 0.3 else 0.5))
    if scenario.speech and rng.random() < 0.15:  # people often talk when the camera begins
        starts = np.append(starts, rng.integers(-30, min(30, length)))
    silent = -60
    for start in np.sort(starts):
        ticks = int(rng.integers(12, 240))
        if start < silent:
            continue
        silent = start + ticks
        said = courses.speech(rng, ticks)
        sizes = loud * np.array(
            [rng.uniform(0.6, 1.1), rng.uniform(0.05, 0.4), rng.uniform(0.05, 0.4), rng.uniform(0.1, 0.7)]
        )
        moves = np.einsum("tk,k,krc->trc", said, sizes, patterns)
        if rng.random() < 0.5:  # the lips rest elsewhere than before
            rest = np.zeros((max(0, length - int(start) - ticks), *moves.shape[1:]))
            where = patterns[0] * rng.normal(0, 0.3) + patterns[3] * rng.normal(0, 0.5)
            steps = min(ticks, int(rng.integers(4, 40)))
            way = np.ones((ticks, 1, 1))
            first = 0 if rng.random() < 0.3 else ticks - steps
            way[:first], way[first : first + steps, 0, 0] = 0, courses.ease(steps)
            moves = np.concatenate((moves + way * where, rest + where))
        shown = person.shape(moves.astype(np.float32))[max(0, -start) :]
        end = min(length, max(0, int(start)) + len(shown))
        position[max(0, start) : end] += shown[: end - max(0, start)]
        busy[max(0, start - 10) : max(0, start + ticks + 10)] = True
        if rng.random() < 0.5:  # brows and head accompany speech a little
            beat = courses.knots(rng, ticks, 15, 1)[:, 0] * np.float32(rng.uniform(0, 0.012))
            _add(position, int(start), beat * np.hanning(ticks).astype(np.float32), person.pitch)
    for start in _starts(rng, length, scenario.chewing):
        ticks = int(rng.integers(60, 400))
        t = np.arange(ticks) / 30
        course = np.sin(np.pi * rng.uniform(0.9, 1.8) * t) ** 2 * np.minimum(1, np.hanning(ticks) * 4)
        _add(
            position,
            int(start),
            course.astype(np.float32),
            person.shape(patterns[0] * rng.uniform(0.05, 0.3)),
        )
        busy[max(0, start - 10) : max(0, start + ticks + 10)] = True
    return busy


def _head(rng: Rng, person: Person, scenario: Scenario, position: Array) -> Array:
    """Add what turns and nods leave; return (T,), how much noisier they make the flow."""
    size = min(float(np.exp(rng.normal(np.log(0.03), 0.6))), 0.08)
    poor = rng.uniform(0, 40)
    shake = np.zeros(len(position), np.float32)
    for start in _starts(rng, len(position), scenario.turns * rng.uniform(0, 2.5)):
        nodding = rng.random() < 0.35
        ticks = int(rng.integers(20, 90) if nodding else rng.integers(10, 200))
        make = courses.nod if nodding else courses.swing
        small = 0.4 if nodding else 1.0
        for residual in (person.yaw, person.pitch):
            course = make(rng, ticks)
            _add(position, int(start), course * np.float32(rng.normal(0, size * small)), residual)
            speed = np.abs(np.diff(course, prepend=course[:1]))[max(0, -start) :] * np.float32(poor)
            shake[max(0, start) : max(0, start) + len(speed)] += speed[
                : max(0, len(position) - max(0, start))
            ]
    slow = courses.knots(rng, len(position), rng.uniform(60, 200), 2) * np.float32(rng.uniform(0, 0.012))
    position += slow[:, :1, None] * person.yaw + slow[:, 1:, None] * person.pitch
    return np.asarray(1 + shake.clip(0, 4), np.float32)


def _hands(rng: Rng, person: Person, scenario: Scenario, position: Array) -> None:
    groups = (
        ("outer", "mid", "inner"),
        ("lid", "cheek"),
        ("corner", "lower", "chin"),
        ("chin",),
        ("nostril", "upper"),
    )
    for start in _starts(rng, len(position), scenario.hands):
        parts = groups[rng.integers(len(groups))]
        side = rng.choice((-1, 0, 1))
        hit = np.array(
            [
                p in parts and (s in (0, side) or side == 0)
                for p, s in zip(person.parts, person.sides, strict=True)
            ]
        )
        ticks = int(rng.integers(20, 150))
        jumps = rng.standard_normal((ticks, 1, 2)) * (rng.random((ticks, 1, 1)) < rng.uniform(0.03, 0.2))
        own = rng.standard_normal((ticks, len(hit), 2)) * (rng.random((ticks, 1, 1)) < 0.1) * 0.3
        fade = np.exp(-np.arange(60) / rng.uniform(3, 12))
        course = np.stack([np.convolve(c, fade) for c in (jumps + own).reshape(ticks, -1).T], 1)
        course = course.reshape(-1, len(hit), 2) * rng.uniform(0.02, 0.12) * hit[:, None]
        course, first = course[max(0, -start) :], max(0, int(start))
        end = min(len(position), first + len(course))
        position[first:end] += course[: end - first].astype(np.float32)


_JITTER = {"corner": 1.4, "upper": 1.15, "lower": 1.5, "chin": 2.1, "lid": 0.55, "nostril": 0.65}
"""How much more or less than the others these parts jitter."""


def measured(rng: Rng, person: Person, scenario: Scenario, position: Array, shake: Array) -> Array:
    """Return the positions as a camera and the flow stage would report them, noise and all, (T, R, 2)."""
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
            courses.knots(rng, ticks, every, 2 * regions + 4)
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
    """Return rare gross errors of single regions (T, R, 2); the one after takes most of it back."""
    out = np.zeros((ticks, regions, 2), np.float32)
    for start in np.maximum(_starts(rng, ticks - 1, scenario.glitches), 0):
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
