"""How many expressions of annotated clips are found: ``python -m experiments.clips FOLDER [--weights W]``.

FOLDER holds clips and an ``annotations.csv`` with the columns clip, onset, apex, offset (frames of the clip). Every
clip in the folder is run; a finished expression counts as found when its intersection over union with an annotated
one is at least 0.5, one to one in order of time. Clips without a row are expression-free.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from experiments.observing import events_of_clip
from streamspot.datasets.recording import Instance
from streamspot.evaluation.matching import match
from streamspot.types import Detection, Event

SUFFIXES = (".mp4", ".mov", ".mpg", ".avi", ".gif", ".mkv", ".webm")


def as_detection(event: Event) -> Detection | None:
    """Return a finished expression in frames of the clip, None for any other event; the kind does not count here."""
    if event.phase != "offset" or event.offset is None:
        return None
    return Detection(
        number=event.seq,
        phase="offset",
        kind="macro",
        onset=event.onset.frame,
        apex=None,
        offset=event.offset.frame,
        intensity=event.intensity,
        score=0.0,
        decided=0,
    )


def truth_of(folder: Path) -> dict[str, list[Instance]]:
    """Return the annotated expressions of a folder's clips by the clip's name, in frames."""
    truth: dict[str, list[Instance]] = defaultdict(list)
    with (folder / "annotations.csv").open(encoding="utf-8") as rows:
        for row in csv.DictReader(rows):
            onset, offset = int(row["onset"]), int(row["offset"])
            truth[row["clip"]].append(Instance("macro", onset, onset, offset))
    return truth


def clips_of(folder: Path) -> list[Path]:
    """Return the clips of a folder."""
    return sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES)


def main() -> None:
    """Print a line a clip and the totals."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights", default="streamspot-base")
    parser.add_argument("--faces", type=int, default=2)
    parser.add_argument("--sensitivity", type=float, default=0.5)
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    truth = truth_of(options.folder)
    result: dict[str, dict[str, Any]] = {}
    for clip in clips_of(options.folder):
        events, seconds = events_of_clip(clip, options.weights, options.faces, options.sensitivity)
        kinds = {d: event.kind for event in events if (d := as_detection(event))}
        counts, pairs = match(list(kinds), truth[clip.name], "macro")
        found = [one for _, one in pairs if one is not None]
        missed = [(one.onset, one.offset) for one in truth[clip.name] if one not in found]
        false = [(d.onset, d.offset, kinds[d]) for d, one in pairs if one is None]
        cancelled = [(e.onset.frame, e.reason) for e in events if e.phase == "cancelled"]
        result[clip.name] = {
            "expressions": len(truth[clip.name]),
            "found": counts.tp,
            "missed": missed,
            "false": false,
            "cancelled": cancelled,
            "seconds": round(seconds, 1),
        }
        print(clip.name, json.dumps(result[clip.name]))
        if options.verbose:
            for event in (event for event in events if as_detection(event)):
                span = f"{event.onset.frame}-{event.offset.frame if event.offset else ''}"
                print(f"    {event.kind} {span} peak {event.intensity} score {event.score}")
    total = {key: sum(row[key] for row in result.values()) for key in ("expressions", "found", "seconds")}
    print("total", json.dumps({**total, "false": sum(len(row["false"]) for row in result.values())}))


if __name__ == "__main__":
    main()
