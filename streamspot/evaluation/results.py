"""Counts per subject → the tables of ``results.json``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from streamspot.datasets.recording import Recording
from streamspot.evaluation.matching import CLASSES, Counts, Protocol, count
from streamspot.types import KINDS, TICK_RATE, Detection, Kind

SubjectCounts = dict[str, dict[Kind, Counts]]
"""For each subject and class the counts over all its recordings."""


def count_subjects(
    recordings: Iterable[Recording],
    detections: Mapping[str, Sequence[Detection]],
    protocol: Protocol = "strict",
) -> SubjectCounts:
    """Count hits and misses of every subject.

    ``strict`` counts every false positive. ``paper`` drops those of a class that the subject never shows and
    measures overlap as the paper's code does (see ``matching.overlap``). All recordings count, also those without an
    expression; detections are finished ones, by name of the recording.
    """
    counts: SubjectCounts = {}
    shown: dict[str, set[Kind]] = {}
    for recording in recordings:
        mine = counts.setdefault(recording.subject, dict.fromkeys(KINDS, Counts()))
        shown.setdefault(recording.subject, set()).update(i.kind for i in recording.instances)
        for kind, found in count(detections.get(recording.name, ()), recording.instances, protocol).items():
            mine[kind] += found
    if protocol == "paper":
        for subject, mine in counts.items():
            for kind in KINDS:
                if kind not in shown[subject]:
                    mine[kind] = Counts()
    return counts


def summarise(counts: SubjectCounts) -> dict[str, dict[str, Any]]:
    """Return for macro, micro and overall: tp, fp, fn, precision, recall, f1, its 95 % interval, apex error.

    The interval is the bootstrap's over subjects, 2,000 resamples, fixed seed, None of fewer than two subjects; the
    apex error is the mean absolute one of the true positives in ticks.
    """
    subjects = sorted(counts)
    table: dict[str, dict[str, Any]] = {}
    for name, kinds in CLASSES.items():
        each = [sum((counts[s][k] for k in kinds), Counts()) for s in subjects]
        whole = sum(each, Counts())
        table[name] = {
            "tp": whole.tp,
            "fp": whole.fp,
            "fn": whole.fn,
            "precision": round(whole.precision, 4),
            "recall": round(whole.recall, 4),
            "f1": round(whole.f1, 4),
            "f1_interval": _interval(each),
            "apex_error": round(whole.apex_error / whole.tp, 2) if whole.tp else None,
        }
    return table


def _interval(each: Sequence[Counts]) -> list[float] | None:
    """Return the 95 % interval of F1 over resampled subjects; None of fewer than two, which do not vary."""
    if len(each) < 2:
        return None
    numbers = np.array([(2 * c.tp, 2 * c.tp + c.fp + c.fn) for c in each], float)  # (S, 2)
    drawn = np.random.default_rng(0).integers(0, len(each), (2000, len(each)))
    hits, all_ = numbers[drawn].sum(1).T
    return [round(float(end), 4) for end in np.quantile(hits / np.maximum(all_, 1), (0.025, 0.975))]


RESULT_HEADS = ("", "TP", "FP", "FN", "precision", "recall", "F1", "95 %", "apex error")


def results_table(rows: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Return the table of ``summarise`` as rows of text under ``RESULT_HEADS``."""
    return [
        (
            kind,
            *(str(row[key]) for key in ("tp", "fp", "fn")),
            *(f"{row[key]:.3f}" for key in ("precision", "recall", "f1")),
            "-" if row["f1_interval"] is None else "{:.2f}-{:.2f}".format(*row["f1_interval"]),
            "-" if row["apex_error"] is None else f"{row['apex_error']:.1f}",
        )
        for kind, row in rows.items()
    ]


def hours(recordings: Iterable[Recording]) -> float:
    """Return the total length of the recordings in hours."""
    return sum(len(r.motion) for r in recordings) / TICK_RATE / 3600


def protocols(
    recordings: Sequence[Recording],
    detections: Mapping[str, Sequence[Detection]],
    best_epochs: SubjectCounts | None = None,
) -> dict[str, Any]:
    """Return the table of the strict protocol and of the paper's, and false alarms an hour.

    ``points`` says how many expressions are points alone, each of which a detection finds that it lies within.

    The paper's protocol takes ``best_epochs``, the counts of each subject's best epoch, if they are known.
    """
    strict = summarise(count_subjects(recordings, detections))
    laxer = count_subjects(recordings, detections, "paper") if best_epochs is None else best_epochs
    return {
        "strict": strict,
        "paper": summarise(laxer),
        "points": sum(not i.bounded for r in recordings for i in r.instances),
        "false_alarms_per_hour": round(strict["overall"]["fp"] / max(1e-9, hours(recordings)), 2),
    }
