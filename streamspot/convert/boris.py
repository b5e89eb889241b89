"""A project of BORIS, which codes behaviour: streams are observations, faces subjects, kinds behaviours."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta

from streamspot.convert.expressions import Expression
from streamspot.types import Moment


def boris(expressions: Sequence[Expression], name: str) -> str:
    """Return a BORIS project: each stream an observation, each face a subject, apices as points.

    Kinds are state events, so that BORIS gives their durations; the comment of the apex says what moved.
    """
    behaviours = [("State event", "macro"), ("State event", "micro"), ("Point event", "apex")]
    subjects = sorted({one.tier for one in expressions})
    streams = sorted({one.event.stream for one in expressions})
    project = {
        "time_format": "hh:mm:ss",
        "project_date": min((_began(one.event.onset) for one in expressions), default=""),
        "project_name": name,
        "project_description": "Facial movement found by streamspot",
        "project_format_version": "7.0",
        "subjects_conf": {
            str(n): {"key": "", "name": one, "description": ""} for n, one in enumerate(subjects)
        },
        "behaviors_conf": {
            str(n): {
                "type": kind,
                "key": code[0] if code != "micro" else "u",
                "code": code,
                "description": "",
                "color": "",
                "category": "",
                "modifiers": {},
                "excluded": "",
                "coding map": "",
            }
            for n, (kind, code) in enumerate(behaviours)
        },
        "observations": {stream: _observation(expressions, stream) for stream in streams},
        "behavioral_categories": [],
        "independent_variables": {},
        "coding_map": {},
        "behaviors_coding_map": [],
        "converters": {},
    }
    return json.dumps(project, indent=1) + "\n"


def _observation(expressions: Sequence[Expression], stream: str) -> dict[str, object]:
    mine = [one for one in expressions if one.event.stream == stream]
    events = [
        [round(time, 3), one.tier, code, "", comment]
        for one in mine
        for time, code, comment in (
            (one.start, one.event.kind, ""),
            (one.apex, "apex", one.text),
            (one.end, one.event.kind, ""),
        )
    ]
    return {
        "file": [],
        "type": "LIVE",
        "date": _began(mine[0].event.onset),
        "description": f"run {mine[0].event.run}, model {mine[0].event.model}",
        "time offset": 0,
        "events": sorted(events, key=lambda event: event[0]),  # type: ignore[arg-type, return-value]
        "observation time interval": [0, 0],
        "independent_variables": {},
        "visualize_waveform": False,
        "visualize_spectrogram": False,
        "close_behaviors_between_videos": False,
        "scan_sampling_time": 0,
        "start_from_current_time": False,
        "start_from_current_epoch_time": False,
    }


def _began(moment: Moment) -> str:
    """Return when time 0 was, from which BORIS counts, to the nearest second."""
    try:
        began = datetime.fromisoformat(moment.time) + timedelta(seconds=0.5 - moment.pts)
    except (ValueError, OverflowError):  # a clock of one's own that counts from before all dates
        return moment.time[:19]
    return began.isoformat()[:19]
