"""What moves a face without being an expression: blinks, gaze, speech, chewing, turns of the head, hands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamspot.simulation import time_courses, units
from streamspot.simulation.person import Person
from streamspot.simulation.scenario import Scenario
from streamspot.simulation.time_courses import Array, Rng


def _add(total: Array, start: int, part: NDArray[np.floating[Any]]) -> None:
    """Add what begins at a tick, perhaps before tick 0, to what there is (T, ...), as far as that reaches."""
    part, start = part[max(0, -start) :], max(0, start)
    end = max(start, min(len(total), start + len(part)))
    total[start:end] += part[: end - start].astype(np.float32)


def _times(course: Array, pattern: Array) -> Array:
    """Return a pattern (R, 2) at every tick of a time course (T,), (T, R, 2)."""
    return course[:, None, None] * pattern


def starts(rng: Rng, ticks: int, rate: float) -> NDArray[np.int64]:
    """Draw the start ticks of an event that happens ``rate`` times a minute.

    A start may be up to 60 ticks before tick 0: the event is then under way when the recording begins.
    """
    return rng.integers(-60, max(ticks, 1), rng.poisson(rate * (ticks + 60) / 1800))


@dataclass(frozen=True, slots=True)
class Body:
    """What a face does beside its expressions.

    Attributes:
        position: (T, R, 2) displacement of each region from rest.
        mouth: (T,) bool, true where the mouth speaks or chews, and shortly before and after.
        shake: (T,) factor on the noise of the flow; 1 for a still head.
    """

    position: Array
    mouth: NDArray[np.bool_]
    shake: Array


def body(rng: Rng, person: Person, scenario: Scenario, ticks: int) -> Body:
    """Draw what lids, gaze, speech, chewing, head and hands do in so many ticks."""
    position = np.zeros((ticks, len(person.layout), 2), np.float32)
    _eyes(rng, person, scenario, position)
    mouth = _mouth(rng, person, scenario, position)
    shake = _head(rng, person, scenario, position)
    _hands(rng, person, scenario, position)
    return Body(position, mouth, shake)


def _eyes(rng: Rng, person: Person, scenario: Scenario, position: Array) -> None:
    depth = float(np.exp(rng.uniform(np.log(0.004), np.log(0.05))))
    for start in starts(rng, len(position), scenario.blinks * rng.uniform(0.3, 2)):
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
        course = time_courses.blink(rng)
        # the correction by landmarks lets part of the way back come late
        late = rng.uniform(0, 0.6) * np.exp(-np.arange(30) / rng.uniform(3, 12))
        tail = np.concatenate((course, np.zeros(30, np.float32)))
        tail[len(course) - 1 : len(course) + 29] += late.astype(np.float32)
        _add(position, int(start), _times(tail, lids))
    for start in starts(rng, len(position), scenario.gazes * rng.uniform(0, 2)):
        rise, stay = int(rng.integers(1, 5)), int(rng.integers(5, 90))
        course = np.concatenate((time_courses.ease(rise), np.ones(stay), 1 - time_courses.ease(rise))).astype(
            np.float32
        )
        eyes = person.part("lid", 0, rng.normal(0, 0.01))
        eyes[:, 0] += np.where(np.abs(eyes[:, 1]) > 0, rng.normal(0, 0.005), 0)
        for part in ("outer", "mid", "inner"):
            eyes += person.part(part, 0, rng.normal(0, 0.003))
        _add(position, int(start), _times(course, eyes))


def _mouth(rng: Rng, person: Person, scenario: Scenario, position: Array) -> NDArray[np.bool_]:
    """Add speech and chewing; return (T,), true during them and a third of a second before and after."""
    layout, length = person.layout, len(position)
    busy = np.zeros(length, bool)
    patterns = np.stack([units.pattern(unit, layout) for unit in (26, 20, 18, 24)])
    loud = float(np.clip(np.exp(rng.normal(0.1, 0.45)), 0.15, 1.8))
    bouts = starts(rng, length, scenario.speech * (6 if rng.random() < 0.3 else 0.5))
    if scenario.speech and rng.random() < 0.15:  # people often talk when the camera begins
        bouts = np.append(bouts, rng.integers(-30, min(30, length)))
    silent = -60
    for start in np.sort(bouts):
        ticks = int(rng.integers(12, 240))
        if start < silent:
            continue
        silent = start + ticks
        said = time_courses.speech(rng, ticks)
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
            way[:first], way[first : first + steps, 0, 0] = 0, time_courses.ease(steps)
            moves = np.concatenate((moves + way * where, rest + where))
        _add(position, int(start), person.shape(moves.astype(np.float32)))
        busy[max(0, start - 10) : max(0, start + ticks + 10)] = True
        if rng.random() < 0.5:  # brows and head accompany speech a little
            beat = time_courses.knots(rng, ticks, 15, 1)[:, 0] * np.float32(rng.uniform(0, 0.012))
            _add(position, int(start), _times(beat * np.hanning(ticks).astype(np.float32), person.pitch))
    for start in starts(rng, length, scenario.chewing):
        ticks = int(rng.integers(60, 400))
        t = np.arange(ticks) / 30
        course = np.sin(np.pi * rng.uniform(0.9, 1.8) * t) ** 2 * np.minimum(1, np.hanning(ticks) * 4)
        jaw = person.shape(patterns[0] * rng.uniform(0.05, 0.3))
        _add(position, int(start), _times(course.astype(np.float32), jaw))
        busy[max(0, start - 10) : max(0, start + ticks + 10)] = True
    return busy


def _head(rng: Rng, person: Person, scenario: Scenario, position: Array) -> Array:
    """Add what the head model does not explain of turns and nods; return (T,), the factor on the flow's noise."""
    size = min(float(np.exp(rng.normal(np.log(0.03), 0.6))), 0.08)
    poor = rng.uniform(0, 40)
    shake = np.zeros(len(position), np.float32)
    for start in starts(rng, len(position), scenario.turns * rng.uniform(0, 2.5)):
        nodding = rng.random() < 0.35
        ticks = int(rng.integers(20, 90) if nodding else rng.integers(10, 200))
        make = time_courses.nod if nodding else time_courses.swing
        small = 0.4 if nodding else 1.0
        for residual in (person.yaw, person.pitch):
            course = make(rng, ticks)
            _add(position, int(start), _times(course * np.float32(rng.normal(0, size * small)), residual))
            _add(shake, int(start), np.abs(np.diff(course, prepend=course[:1])) * np.float32(poor))
    slow = time_courses.knots(rng, len(position), rng.uniform(60, 200), 2) * np.float32(rng.uniform(0, 0.012))
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
    for start in starts(rng, len(position), scenario.hands):
        parts = groups[rng.integers(len(groups))]
        side = rng.choice((-1, 0, 1))
        here = [side == 0 or s in (0, side) for s in person.sides]
        hit = np.isin(person.parts, parts) & here
        ticks = int(rng.integers(20, 150))
        jumps = rng.standard_normal((ticks, 1, 2)) * (rng.random((ticks, 1, 1)) < rng.uniform(0.03, 0.2))
        own = rng.standard_normal((ticks, len(hit), 2)) * (rng.random((ticks, 1, 1)) < 0.1) * 0.3
        fade = np.exp(-np.arange(60) / rng.uniform(3, 12))
        course = np.stack([np.convolve(c, fade) for c in (jumps + own).reshape(ticks, -1).T], 1)
        course = course.reshape(-1, len(hit), 2) * rng.uniform(0.02, 0.12) * hit[:, None]
        _add(position, int(start), course)
