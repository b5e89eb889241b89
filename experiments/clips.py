"""How many expressions of annotated clips are found: ``python benchmarks/clips.py FOLDER [--weights W]``.

FOLDER holds clips and an ``annotations.csv`` with the columns clip, onset, apex, offset (frames of the clip). Every
clip in the folder is run; a finished expression counts as found when its intersection over union with an annotated
one is at least 0.5, one to one in order of time. Clips without a row are expression-free.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
from collections import defaultdict
from pathlib import Path

from streamspot.engine import Run
from streamspot.settings import load_settings
from streamspot.types import Event

SUFFIXES = (".mp4", ".mov", ".mpg", ".avi", ".gif", ".mkv", ".webm")


async def events_of(clip: Path, weights: str, faces: int, sensitivity: float) -> tuple[list[Event], float]:
    """Return all events of a clip and its length in seconds."""
    flags = {"source": str(clip), "weights": weights, "faces": faces, "sensitivity": sensitivity}
    async with Run(load_settings(flags)) as run:
        events = [event async for batch in run for event in batch.events]
        return events, run.telemetry.pts


def iou(a: tuple[int, int], b: tuple[int, int]) -> float:
    """Return the intersection over union of two inclusive intervals."""
    overlap = min(a[1], b[1]) - max(a[0], b[0]) + 1
    return max(0, overlap) / (max(a[1], b[1]) - min(a[0], b[0]) + 1)


def main() -> None:
    """Print a line a clip and the totals."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights", default="streamspot-base")
    parser.add_argument("--faces", type=int, default=2)
    parser.add_argument("--sensitivity", type=float, default=0.5)
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    truth: dict[str, list[tuple[int, int]]] = defaultdict(list)
    with (options.folder / "annotations.csv").open(encoding="utf-8") as rows:
        for row in csv.DictReader(rows):
            truth[row["clip"]].append((int(row["onset"]), int(row["offset"])))
    result = {}
    for clip in sorted(path for path in options.folder.iterdir() if path.suffix in SUFFIXES):
        events, seconds = asyncio.run(events_of(clip, options.weights, options.faces, options.sensitivity))
        seen = [(e.onset.frame, e.offset.frame, e) for e in events if e.phase == "offset" and e.offset]
        left, false = list(truth[clip.name]), []
        for onset, offset, event in seen:
            match = max(left, key=lambda t: iou(t, (onset, offset)), default=None)
            if match is not None and iou(match, (onset, offset)) >= 0.5:
                left.remove(match)
            else:
                false.append((onset, offset, event.kind))
        cancelled = [(e.onset.frame, e.reason) for e in events if e.phase == "cancelled"]
        result[clip.name] = {
            "expressions": len(truth[clip.name]),
            "found": len(truth[clip.name]) - len(left),
            "missed": left,
            "false": false,
            "cancelled": cancelled,
            "seconds": round(seconds, 1),
        }
        print(clip.name, json.dumps(result[clip.name]))
        if options.verbose:
            for onset, offset, event in seen:
                print(f"    {event.kind} {onset}-{offset} peak {event.intensity} score {event.score}")
    total = {key: sum(row[key] for row in result.values()) for key in ("expressions", "found", "seconds")}
    print("total", json.dumps({**total, "false": sum(len(row["false"]) for row in result.values())}))


if __name__ == "__main__":
    main()
