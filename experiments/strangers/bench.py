"""Recall and false events of weights on rendered strangers, by what moves, how, and beside what.

``python -m experiments.strangers.bench FACE_MODELS --motion FOLDER``: FACE_MODELS is a folder with
``ict_facekit_light.npz`` and ``vertex_indices.json`` of ICT-FaceKit. FOLDER keeps the region motion of every
person, so that other weights can be judged without rendering again. Detector, flow, model and spotter run with
their defaults.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2

from experiments.observing import events_of_recording, record
from experiments.runs import RESULTS
from experiments.shipped.heads import HeadModel
from experiments.shipped.rendered import detections_of
from experiments.strangers.people import FIRST_SEED, Notes, ShownExpression, Stranger
from streamspot.evaluation.matching import Counts, count, match
from streamspot.model import Model


def strata(person: Notes, shown: ShownExpression) -> Iterator[str]:
    """Yield the names of all groups that an expression belongs to."""
    yield "all"
    for group in shown.groups:
        yield f"muscle: {group}"
        if len(shown.groups) == 1:
            yield f"alone: {group}"
    yield f"side: {'one' if shown.side != 'both' else 'both'}"
    yield f"speed: {shown.speed}"
    yield f"size: {shown.size}"
    yield f"while: {person.context}"
    yield from (f"{what}: {how}" for what, how in person.about.items())


def judge(people: list[tuple[Notes, Path]], model: Model) -> dict[str, Any]:
    """Return recall by stratum, strict F1 by kind, and false events an hour by what the people do."""
    found: dict[str, list[bool]] = defaultdict(list)
    false: dict[str, int] = defaultdict(int)
    seconds: dict[str, float] = defaultdict(float)
    kinds = {"macro": Counts(), "micro": Counts()}
    for person, path in people:
        events = detections_of(events_of_recording(path, model)[0])
        instances = [one.instance for one in person.shown]
        for kind, counts in count(events, instances).items():
            kinds[kind] += counts
        alike = (
            [replace(one, kind="macro") for one in events],
            [replace(one, kind="macro") for one in instances],
        )
        hits = {(one.onset, one.offset) for _, one in match(*alike, "macro")[1] if one is not None}
        for shown in person.shown:
            for name in strata(person, shown):
                found[name].append((shown.instance.onset, shown.instance.offset) in hits)
        spans = [(one.onset, one.offset) for one in instances]
        wrong = sum(all(one.onset > b or (one.offset or 0) < a for a, b in spans) for one in events)
        for name in ("all", person.context):
            false[name] += wrong
            seconds[name] += person.seconds
    return {
        "F1": {kind: round(counts.f1, 3) for kind, counts in kinds.items()},
        "recall": {name: [sum(found[name]), len(found[name])] for name in sorted(found)},
        "false an hour": {
            name: [false[name], round(false[name] / seconds[name] * 3600)] for name in sorted(seconds)
        },
    }


def main() -> None:
    """Render who is not there yet, judge and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("face_models", type=Path)
    parser.add_argument("--motion", type=Path, required=True, help="folder of the people's region motion")
    parser.add_argument("--weights", nargs="+", default=["streamspot-base"])
    parser.add_argument("--first", type=int, default=0, help="number of the first person")
    parser.add_argument("--people", type=int, default=200)
    parser.add_argument("--out", type=Path, default=RESULTS / "strangers.json", help="file of the figures")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    options.motion.mkdir(parents=True, exist_ok=True)
    heads = HeadModel.load(options.face_models)
    people = []
    for number in range(options.first, options.first + options.people):
        path = options.motion / f"{number:04}.motion"
        notes = path.with_suffix(".json")
        if not notes.exists():
            person = Stranger(heads, FIRST_SEED + number)
            record(person.frames(), path)
            person.notes().save(notes)
        people.append((Notes.load(notes), path))
    figures = {weights: judge(people, Model.load(weights)) for weights in options.weights}
    options.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
