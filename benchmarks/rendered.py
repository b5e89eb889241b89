"""Strict F1 of the whole pipeline on rendered heads: ``python benchmarks/rendered.py FACE_MODELS [--weights W]``.

FACE_MODELS is a folder with ``ict_facekit_light.npz`` and ``vertex_indices.json`` of ICT-FaceKit. Every clip shows
another person, light and pose, by its seed; none was trained on: training sees no pictures. Detector, flow, model
and spotter run with their default settings. Results are written after every clip.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from heads import Clip, HeadModel

from streamspot.config import load_settings
from streamspot.datasets.recording import KINDS
from streamspot.evaluation.matching import Counts, count
from streamspot.face.detectors import make_detector
from streamspot.face.tracker import FaceTracker
from streamspot.flow.regions import layout
from streamspot.interpreter import Interpreter, Session
from streamspot.model import Model
from streamspot.observer import Observer
from streamspot.spotting import SpotSettings
from streamspot.telemetry import Telemetry
from streamspot.types import Detection, Event

FIRST_SEED = 50_000


def events_of(clip: Clip, model: Model) -> tuple[list[Event], int]:
    """Return the events of a clip with the default settings, and in how many frames a face was measured."""
    settings = load_settings({"source": "0"})
    telemetry = Telemetry()
    tracker = FaceTracker(make_detector(settings.faces, settings.face_model), settings.faces)
    observer = Observer(tracker, layout(model.config.layout), telemetry, flow=settings.flow)
    spotting = SpotSettings.from_sensitivity(settings.sensitivity)
    session = Session("rendered", "rendered", 0.0, datetime.fromtimestamp(0, UTC))
    interpreter = Interpreter(model, session, telemetry, spotting)
    events: list[Event] = []
    measured = 0
    try:
        for frame in clip.frames():
            for sighting in observer.push(frame):
                measured += sighting.motion is not None
                events += interpreter.push(sighting)[1]
        for sighting in observer.finish():
            events += interpreter.push(sighting)[1]
    finally:
        observer.close()
    return events, measured


def detections_of(events: Iterable[Event]) -> list[Detection]:
    """Return the finished expressions, in frames (a tick is a frame at 30 a second)."""
    return [
        Detection(
            phase="offset",
            kind=e.kind,
            onset=e.onset.tick,
            apex=e.apex.tick if e.apex else None,
            offset=e.offset.tick,
            intensity=e.intensity,
            score=e.score,
            number=number,
            decided=e.decided_at.tick,
        )
        for number, e in enumerate(events)
        if e.phase == "offset" and e.offset
    ]


def summary(rows: list[dict[str, Any]], seconds: float) -> dict[str, Any]:
    """Return counts and strict F1 of both kinds, overall and per condition."""

    def figures(chosen: list[dict[str, Any]]) -> dict[str, Any]:
        result: dict[str, Any] = {"clips": len(chosen)}
        total = Counts()
        for kind in KINDS:
            counts = sum((Counts(*row["counts"][kind]) for row in chosen), Counts())
            total += counts
            result[kind] = {"f1": round(counts.f1, 3), "tp": counts.tp, "fp": counts.fp, "fn": counts.fn}
        result["overall"] = {"f1": round(total.f1, 3)}
        wrong = sum(len(row["false"]) for row in chosen)
        result["false alarms an hour"] = round(wrong / (len(chosen) * seconds) * 3600, 1)
        return result

    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[f"skin {row['skin']}"].append(row)
        groups[f"light {row['light']}"].append(row)
        groups["yaw above 10 degrees" if abs(row["yaw"]) > 10 else "yaw to 10 degrees"].append(row)
        groups["with speech" if row["talking"] else "without speech"].append(row)
    return {"all": figures(rows), **{name: figures(groups[name]) for name in sorted(groups)}}


def main() -> None:
    """Run the clips and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("face_models", type=Path)
    parser.add_argument("--weights", default="streamspot-base")
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, help="number of the first clip")
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/runs/rendered.json"))
    parser.add_argument("--join", type=Path, nargs="*", default=[], help="results of other clips to include")
    options = parser.parse_args()
    heads = HeadModel.load(options.face_models)
    model = Model.load(options.weights)
    rows: list[dict[str, Any]] = []
    for path in options.join:
        rows += json.loads(path.read_text(encoding="utf-8"))["rows"]
    for number in range(options.first, options.first + options.clips):
        started = time.perf_counter()
        clip = Clip(heads, FIRST_SEED + number, options.seconds)
        events, measured = events_of(clip, model)
        found = detections_of(events)
        counts = count(found, clip.instances)
        spans = [(i.onset, i.offset) for i in clip.instances]
        false = [
            (d.kind, d.onset, d.offset)
            for d in found
            if d.offset is not None and not any(d.onset <= end and d.offset >= begin for begin, end in spans)
        ]
        rows.append(
            {
                "seed": FIRST_SEED + number,
                **asdict(clip.conditions),
                "measured": measured,
                "truth": [(i.kind, i.onset, i.apex, i.offset) for i in clip.instances],
                "shown": clip.shown,
                "found": [(d.kind, d.onset, d.apex, d.offset, round(d.score, 3)) for d in found],
                "counts": {kind: (c.tp, c.fp, c.fn) for kind, c in counts.items()},
                "false": false,
            }
        )
        report = {
            "weights": model.config.name,
            "protocol": "strict: IoU >= 0.5 with both ends inclusive, one to one, kind must agree",
            "seconds a clip": options.seconds,
            "figures": summary(rows, options.seconds),
            "rows": rows,
        }
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(report, separators=(",", ":")) + "\n", encoding="utf-8")
        print(
            f"{number} {time.perf_counter() - started:.1f} s",
            json.dumps(report["figures"]["all"]),
            flush=True,
        )  # type: ignore[index]


if __name__ == "__main__":
    main()
