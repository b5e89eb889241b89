"""What a live user notices: how soon each phase is announced, and how many announcements are taken back.

Every figure comes from the phases of the online spotter. A phase is known to the user ``look_ahead`` ticks after the
tick of the score that decided it, or with the recording's last tick, whichever is earlier.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from streamspot.datasets.recording import Instance, Recording
from streamspot.evaluation.matching import CLASSES, match
from streamspot.evaluation.results import hours
from streamspot.evaluation.search import Scores
from streamspot.spotting.online import Spotter, scores_of
from streamspot.spotting.settings import SpotSettings
from streamspot.types import KINDS, TICK_RATE, Detection


@dataclass(frozen=True, slots=True)
class Announcement:
    """One announced expression.

    Attributes:
        final: Its last phase, ``offset`` or ``cancelled``.
        onset_known: Tick at which the user knew of the onset.
        final_known: Tick at which the user knew of the last phase.
        early: Whether the onset was decided before the last phase, while the expression was under way.
        truth: The annotated expression that it found, None for a cancelled or a false one.
    """

    final: Detection
    onset_known: int
    final_known: int
    early: bool
    truth: Instance | None = None


def follow(scores: Scores, settings: SpotSettings) -> list[Detection]:
    """Return every phase of one recording as the online spotter gives them."""
    spotter = Spotter(settings)
    phases = [d for score in scores_of(*scores.T) for d in spotter.push(score)]
    return [*phases, *spotter.finish()]


def announcements(
    phases: Sequence[Detection], instances: Sequence[Instance], *, look_ahead: int, ticks: int
) -> list[Announcement]:
    """Return the expressions announced in one recording of that many ticks, matched under the strict protocol."""
    finals = [d for d in phases if d.phase == "offset"]
    truths = {d.number: truth for kind in KINDS for d, truth in match(finals, instances, kind)[1]}
    onsets = {d.number: d for d in phases if d.phase == "onset"}
    ended = [(d, onsets[d.number]) for d in phases if d.phase in ("offset", "cancelled")]

    def known(detection: Detection) -> int:
        return min(detection.decided + look_ahead, ticks - 1)

    return [
        Announcement(d, known(onset), known(d), onset.decided < d.decided, truths.get(d.number))
        for d, onset in ended
    ]


def live_figures(
    recordings: Sequence[Recording], phases: Mapping[str, Sequence[Detection]], look_ahead: int
) -> dict[str, Any]:
    """Return delays, early announcements and false alarms, for macro, micro and overall.

    Delays are in seconds, over the expressions found under the strict protocol: from the annotated onset to the tick
    at which the onset was known, and from the annotated offset to the tick at which the final event was known. A
    negative delay says that the event was known before the annotated moment. An announcement counts as before the
    apex if it was known at an earlier tick. A cancelled expression counts for the kind that was guessed last.
    Medians, quantiles and shares of nothing are None. Expressions of which only a point is known have no part in
    delays, errors and what was announced before the apex, and an apex or offset that was assumed has none either.

    All recordings count, also those without an expression; ``phases`` are those of ``follow``, by name.
    """
    made = [
        announcement
        for r in recordings
        for announcement in announcements(
            phases.get(r.name, ()), r.instances, look_ahead=look_ahead, ticks=len(r.motion)
        )
    ]
    length = hours(recordings)
    rows = {
        name: _row(
            [a for a in made if a.final.kind in kinds],
            [i for r in recordings for i in r.instances if i.kind in kinds],
            length,
        )
        for name, kinds in CLASSES.items()
    }
    return {"look_ahead": look_ahead, "hours": round(length, 3), **rows}


def _row(made: Sequence[Announcement], annotated: Sequence[Instance], length: float) -> dict[str, Any]:
    hits = [(a, a.truth) for a in made if a.truth is not None]
    timed = [(a, truth) for a, truth in hits if truth.bounded]
    ended = [(a, truth) for a, truth in timed if "offset" not in truth.assumed]
    peaked = [(a, truth) for a, truth in timed if "apex" not in truth.assumed]
    before = sum(a.onset_known < truth.apex for a, truth in peaked)
    early = sum(a.early for a in made)
    cancelled = sum(a.final.phase == "cancelled" for a in made)
    false = sum(a.final.phase == "offset" and a.truth is None for a in made)
    return {
        "annotated": len(annotated),
        "found": len(hits),
        "announced_before_apex": before,
        "share_of_found": _share(before, len(peaked)),
        "share_of_annotated": _share(
            before, sum(one.bounded and "apex" not in one.assumed for one in annotated)
        ),
        "onset_delay_s": _spread([(a.onset_known - truth.onset) / TICK_RATE for a, truth in timed]),
        "offset_delay_s": _spread([(a.final_known - truth.offset) / TICK_RATE for a, truth in ended]),
        "apex_error_s": _spread([abs((a.final.apex or 0) - truth.apex) / TICK_RATE for a, truth in peaked]),
        "early": early,
        "cancelled": cancelled,
        "cancelled_share": _share(cancelled, early),
        "cancelled_per_hour": round(cancelled / max(1e-9, length), 2),
        "false_alarms_per_hour": round(false / max(1e-9, length), 2),
    }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _spread(values: Sequence[float]) -> dict[str, float] | None:
    """Return median and 95 % quantile, None of nothing."""
    if not values:
        return None
    median, high = np.quantile(values, (0.5, 0.95))
    return {"median": round(float(median), 3), "p95": round(float(high), 3)}


HEADS = ("", "found", "before apex", "onset delay", "offset delay", "apex error", "cancelled early", "false")


def hourly(rate: float) -> str:
    """Return a rate an hour in words; few are said with two digits, or 3 in 8 hours would be 0."""
    return f"{rate:.2g}" if rate < 10 else f"{rate:.0f}"


def live_table(figures: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return the block of ``live_figures`` as rows of text under ``HEADS``, for terminal, report and documents."""

    def spread(value: Mapping[str, float] | None) -> str:
        return "-" if value is None else f"{value['median']:.2f} s ({value['p95']:.2f})"

    def share(value: float | None) -> str:
        return "-" if value is None else f"{value:.0%}"

    return [
        (
            kind,
            f"{row['found']} of {row['annotated']}",
            share(row["share_of_found"]),
            spread(row["onset_delay_s"]),
            spread(row["offset_delay_s"]),
            spread(row["apex_error_s"]),
            f"{share(row['cancelled_share'])}, {hourly(row['cancelled_per_hour'])} / h",
            f"{hourly(row['false_alarms_per_hour'])} / h",
        )
        for kind, row in ((name, figures[name]) for name in CLASSES)
    ]
