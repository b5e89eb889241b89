"""The results of all cross-validations in one small file, ``experiments/results/runs.jsonl``: one line a run.

A line keeps of ``results.json`` what the tables show: counts and F1 of each protocol and kind, the settings that
differ from the defaults of its commit, seed, commit and time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from streamspot.training.settings import TrainSettings

RESULTS = Path(__file__).parent / "results"
FILE = RESULTS / "runs.jsonl"
LIVE = ("look-ahead-0", "look-ahead-4", "casme2", "look-ahead-16")
"""Configurations whose figures of a live user are kept."""

_SHOWN = ("tp", "fp", "fn", "f1", "f1_interval", "apex_error")
_KEPT = ("seed", "commit", "compute_s", "false_alarms_per_hour", "dataset", "subjects", "recordings")
Key = tuple[str, str, bool, int]
"""Configuration, data set, whether quick, seed."""


def run_name(config: str, dataset: str, seed: int, *, quick: bool) -> str:
    """Return the name of a run's folder."""
    return f"{'quick-' if quick else ''}{config}-{dataset}-seed{seed}"


def read(path: Path | None = None) -> dict[Key, dict[str, Any]]:
    """Return all lines of a file, ``FILE`` if none is given, by configuration, data set, quickness and seed."""
    path = path or FILE
    if not path.exists():
        return {}
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {(line["config"], line["dataset"], line["quick"], line["seed"]): line for line in lines}


def add(folders: Iterable[Path], path: Path | None = None) -> int:
    """Add the finished runs among these folders to a file, ``FILE`` if none is given, and return how many they are.

    A line takes the place of an earlier one of the same configuration, data set, quickness and seed.
    """
    path = path or FILE
    known, found = read(path), 0
    for folder in folders:
        if not (folder / "results.json").exists():
            continue
        results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
        line = _line(folder.name, results)
        known[line["config"], line["dataset"], line["quick"], line["seed"]] = line
        found += 1
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(known[key], separators=(",", ":")) for key in sorted(known)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return found


def _line(name: str, results: dict[str, Any]) -> dict[str, Any]:
    """Return the line of a run, whose folder has the name that ``run_name`` gives."""
    config = name.removeprefix("quick-").removesuffix(f"-{results['dataset']}-seed{results['seed']}")
    settings = _difference(results["configuration"], TrainSettings().model_dump(mode="json"))
    settings.pop("seed", None)
    line = {"config": config, "quick": name.startswith("quick-"), **{key: results[key] for key in _KEPT}}
    line["method"] = results.get("method", {"name": settings.get("method", "network")})
    line["settings"] = settings
    for protocol in ("strict", "paper"):
        rows = results[protocol]
        line[protocol] = {kind: {key: row[key] for key in _SHOWN} for kind, row in rows.items()}
    if config in LIVE:
        line["live"] = results["live"]
    return line


def _difference(values: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """Return the values that are not the default, section by section."""
    out: dict[str, Any] = {}
    for key, value in values.items():
        default = defaults.get(key)
        if isinstance(value, dict) and isinstance(default, dict):
            if inner := _difference(value, default):
                out[key] = inner
        elif key not in defaults or value != default:
            out[key] = value
    return out
