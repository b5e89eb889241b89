"""The forms that are a few lines of text: WebVTT, SRT, Praat's TextGrid, BIDS, CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from streamspot.convert.expressions import Expression
from streamspot.sinks.columns import EXPRESSIONS


def vtt(expressions: Sequence[Expression]) -> str:
    """Return WebVTT: subtitles that any player shows over the video."""
    cues = (f"{a} --> {b}\n{text}\n" for a, b, text in _cues(expressions, "."))
    return "\n".join(("WEBVTT\n", *cues))


def srt(expressions: Sequence[Expression]) -> str:
    """Return SubRip subtitles."""
    cues = enumerate(_cues(expressions, ","), 1)
    return "\n".join(f"{number}\n{a} --> {b}\n{text}\n" for number, (a, b, text) in cues)


def _cues(expressions: Sequence[Expression], point: str) -> Iterator[tuple[str, str, str]]:
    """Yield beginning, end and text of every subtitle."""
    several = len({one.tier for one in expressions}) > 1
    for one in expressions:
        text = f"{one.tier}: {one.text}" if several else one.text
        yield _clock(one.start, point), _clock(one.end, point), text


def _clock(seconds: float, point: str) -> str:
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}{point}{milliseconds:03d}"


def textgrid(expressions: Sequence[Expression]) -> str:
    """Return a TextGrid: for each face a tier of intervals, and one of points for the apices."""
    last = max((one.end for one in expressions), default=1.0)
    tiers = []
    for tier, ones in groupby(sorted(expressions, key=lambda one: one.tier), key=lambda one: one.tier):
        spans: list[tuple[float, float, str]] = []
        points: list[tuple[float, str]] = []
        reached = 0.0
        for one in ones:
            if one.start > reached:
                spans.append((reached, one.start, ""))
            spans.append((one.start, one.end, one.event.kind))
            points.append((one.apex, one.text))
            reached = one.end
        if reached < last:
            spans.append((reached, last, ""))
        tiers += [
            _tier("IntervalTier", tier, last, "intervals", [_interval(*span) for span in spans]),
            _tier(
                "TextTier",
                f"{tier} apex",
                last,
                "points",
                [f'number = {t:.6f}\nmark = "{m}"' for t, m in points],
            ),
        ]
    head = f'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\nxmax = {last:.6f}\n'
    items = (f"    item [{number}]:\n{_indented(tier, 8)}" for number, tier in enumerate(tiers, 1))
    return "\n".join((f"{head}tiers? <exists>\nsize = {len(tiers)}\nitem []:", *items)) + "\n"


def _interval(start: float, end: float, text: str) -> str:
    return f'xmin = {start:.6f}\nxmax = {end:.6f}\ntext = "{text}"'


def _tier(kind: str, name: str, last: float, what: str, entries: Sequence[str]) -> str:
    head = f'class = "{kind}"\nname = "{name}"\nxmin = 0\nxmax = {last:.6f}\n{what}: size = {len(entries)}'
    listed = (f"{what} [{number}]:\n{_indented(entry, 4)}" for number, entry in enumerate(entries, 1))
    return "\n".join((head, *listed))


def _indented(text: str, spaces: int) -> str:
    return "\n".join(" " * spaces + line for line in text.splitlines())


_BIDS = {
    "onset": ("Onset of the expression", "s"),
    "duration": ("From onset to offset", "s"),
    "trial_type": ("Kind of the expression", ""),
    "stream": ("Name of the source", ""),
    "face": ("Number of the face", ""),
    "apex": ("When the expression was strongest", "s"),
    "intensity": ("Peak of the intensity, from 0 to 1", ""),
    "score": (
        "How far it stands out, from -1 to 1: contrast with what is around it, or height of its peak",
        "",
    ),
    "moved": ("Regions that moved most from onset to apex, with their share of the movement", ""),
}
"""The columns of ``events.tsv``: what each is, and its unit."""


def bids(expressions: Sequence[Expression]) -> str:
    """Return a BIDS ``events.tsv``; times count from the beginning of the source."""
    rows = [tuple(_BIDS)]
    for one in expressions:
        event = one.event
        moved = ";".join(f"{each.region}={each.share:g}" for each in event.moved) or "n/a"
        times = f"{one.start:.6f}", f"{one.end - one.start:.6f}", event.kind, event.stream, str(event.face)
        rows.append((*times, f"{one.apex:.6f}", f"{event.intensity:g}", f"{event.score:g}", moved))
    return "".join("\t".join(row) + "\n" for row in rows)


def bids_sidecar() -> str:
    """Return the JSON that describes the columns of ``events.tsv``."""
    about: dict[str, dict[str, object]] = {
        name: {"Description": text, **({"Units": unit} if unit else {})}
        for name, (text, unit) in _BIDS.items()
    }
    about["trial_type"]["Levels"] = {
        "macro": "A plain expression, mostly of half a second and more",
        "micro": "A short and faint expression",
    }
    return json.dumps(about, indent=2) + "\n"


def table(expressions: Sequence[Expression]) -> str:
    """Return CSV, the columns of ``--expressions``."""
    text = io.StringIO()
    writer = csv.DictWriter(text, EXPRESSIONS.columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(row for one in expressions if (row := EXPRESSIONS.row(one.event)))
    return text.getvalue()


FORMS: dict[str, Callable[[Sequence[Expression]], str]] = {
    "vtt": vtt,
    "srt": srt,
    "textgrid": textgrid,
    "bids": bids,
    "csv": table,
}
"""Name of a form → what makes its text."""
