"""Strict F1 of the whole pipeline on rendered heads.

``python -m experiments.shipped.rendered FACE_MODELS --motion FOLDER``: FACE_MODELS is a folder with
``ict_facekit_light.npz`` and ``vertex_indices.json`` of ICT-FaceKit. Every clip shows another person, light and pose,
by its seed; the actors of ``perform.py``, which are trained on, have other seeds. Detector, flow, model and spotter
run with their default settings. FOLDER keeps the region motion of every clip, so that other weights can be judged
without rendering again.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from experiments.observing import events_of_recording, record
from experiments.runs import RESULTS
from experiments.shipped.heads import HeadModel, RenderedPerson
from streamspot.evaluation.matching import Counts, count
from streamspot.model import Model
from streamspot.types import KINDS, Detection, Event

FIRST_SEED = 51_100
"""People before this one were looked at while earlier weights were made."""
FIRST_UNSEEN = 51_500
"""Clips before this one were looked at while the shipped weights were made."""


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
        groups["seen in development" if row["seed"] < FIRST_UNSEEN else "not seen"].append(row)
        groups["with speech" if row["talking"] else "without speech"].append(row)
    return {"all": figures(rows), **{name: figures(groups[name]) for name in sorted(groups)}}


def compared(clip: RenderedPerson, found: Sequence[Detection]) -> dict[str, Any]:
    """Return what a clip shows, what was found in it, how many of both agree, and what overlaps no expression."""
    counts = count(found, clip.instances)
    spans = [(i.onset, i.offset) for i in clip.instances]
    false = [
        (d.kind, d.onset, d.offset)
        for d in found
        if d.offset is not None and not any(d.onset <= end and d.offset >= begin for begin, end in spans)
    ]
    return {
        "truth": [(i.kind, i.onset, i.apex, i.offset) for i in clip.instances],
        "shown": clip.shown,
        "found": [(d.kind, d.onset, d.apex, d.offset, round(d.score, 3)) for d in found],
        "counts": {kind: (c.tp, c.fp, c.fn) for kind, c in counts.items()},
        "false": false,
    }


def main() -> None:
    """Run the clips and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("face_models", type=Path)
    parser.add_argument("--weights", default="streamspot-base")
    parser.add_argument("--clips", type=int, default=800)
    parser.add_argument("--first", type=int, default=FIRST_SEED, help="seed of the first clip")
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--motion", type=Path, required=True, help="folder of the clips' region motion")
    parser.add_argument("--out", type=Path, default=RESULTS / "rendered.json", help="file of the figures")
    parser.add_argument("--rows", type=Path, help="file of every clip's truth and events")
    options = parser.parse_args()
    options.motion.mkdir(parents=True, exist_ok=True)
    heads = HeadModel.load(options.face_models)
    model = Model.load(options.weights)
    rows: list[dict[str, Any]] = []
    for number in range(options.clips):
        clip = RenderedPerson(heads, options.first + number, options.seconds)
        path = options.motion / f"{number:03}.motion"
        if not path.exists():
            record(clip.frames(), path)
            print(path, flush=True)
        events, measured = events_of_recording(path, model)
        row = {"seed": options.first + number, **asdict(clip.conditions), "measured": measured}
        rows.append(row | compared(clip, detections_of(events)))
    report = {
        "weights": model.config.name,
        "protocol": "strict: IoU >= 0.5 with both ends inclusive, one to one, kind must agree",
        "seconds a clip": options.seconds,
        "figures": summary(rows, options.seconds),
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if options.rows is not None:
        options.rows.write_text(json.dumps(rows, separators=(",", ":")) + "\n", encoding="utf-8")
    print(json.dumps(report["figures"], indent=1))


if __name__ == "__main__":
    main()
