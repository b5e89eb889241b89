"""The evaluator: recordings, the network's scores and decoder settings in, the tables of ``results.json`` out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from streamspot.datasets.recording import Recording
from streamspot.evaluation.live import follow, live_figures
from streamspot.evaluation.results import SubjectCounts, protocols
from streamspot.evaluation.search import Scores
from streamspot.spotting.settings import SpotSettings


def evaluate(
    recordings: Sequence[Recording],
    scores: Mapping[str, Scores],
    settings: SpotSettings | Mapping[str, SpotSettings],
    *,
    look_ahead: int | None,
    best_epochs: SubjectCounts | None = None,
) -> dict[str, Any]:
    """Decode the scores of every recording, given by name, and compare the result with the annotation.

    Args:
        recordings: All recordings, also those without an expression.
        scores: By name of the recording.
        settings: How to decode; one for all recordings, or one for each subject by name.
        look_ahead: Ticks the network waits before it judges one; None for a method that no stream can run.
        best_epochs: See ``protocols``.

    Returns:
        The tables of ``protocols`` and, under ``live``, those of ``live_figures`` (None without a look-ahead).
    """
    phases = {
        r.name: follow(scores[r.name], settings[r.subject] if isinstance(settings, Mapping) else settings)
        for r in recordings
    }
    found = {name: [d for d in seen if d.phase == "offset"] for name, seen in phases.items()}
    live = None if look_ahead is None else live_figures(recordings, phases, look_ahead)
    return {**protocols(recordings, found, best_epochs), "live": live}
