"""The report of a run: what was found, how often, how late, and how well faces could be seen."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np

from streamspot.advice import TROUBLES
from streamspot.dashboard.text import clock, counted
from streamspot.evaluation.live import hourly
from streamspot.evaluation.matching import Counts
from streamspot.motion.moved import in_words
from streamspot.report.account import Account
from streamspot.report.comparison import Comparison, span_of
from streamspot.report.figures import Panel, curves
from streamspot.report.page import drawn, heading, links, note, table, write_page
from streamspot.report.words import WORDS
from streamspot.types import KINDS, TICK_RATE, Event

_UNKNOWN = "–"

_WORDS = {"macro": "macro-expression", "micro": "micro-expression", "labelled": "label", "other": "other run"}

_HOUR = 3600.0


def write_report(
    path: Path, accounts: Sequence[Account], comparisons: Sequence[Comparison | None], title: str
) -> None:
    """Write the report of one or several runs, each perhaps compared with something; terms are explained once.

    Raises:
        SettingsError: plotly is missing, or the file cannot be written.
    """
    parts = [heading(f"Facial movement: {title}", 1)]
    if len(accounts) > 1:
        parts += _overview(accounts, [one for one in comparisons if one is not None])
    for n, (account, comparison) in enumerate(zip(accounts, comparisons, strict=True)):
        section = _account(account, comparison, alone=len(accounts) == 1)
        parts += section if n == 0 else (part for part in section if not part.startswith('<p class="term'))
    parts.append(note(WORDS["end"]))
    write_page(path, f"streamspot: {title}", parts)


def _overview(accounts: Sequence[Account], comparisons: Sequence[Comparison]) -> Iterator[str]:
    seconds = _length(accounts)
    total = sum(len(account.final) for account in accounts)
    lead = f"{counted(total, 'expression')} in {counted(len(accounts), 'recording')}"
    yield note(f"{lead} of {_long(seconds)} in all." if seconds is not None else f"{lead}.", "lead")
    yield note(WORDS["overview"])
    heads = ("recording", "length", "macro", "micro", "per hour", "lasted (median)", "could be judged")
    rows = [_row(account.name, [account]) for account in accounts]
    yield table(heads, [*rows, _row("all", accounts)])
    if comparisons:
        many = counted(len(comparisons), "recording")
        yield heading(f"{many} compared with {_other(comparisons[0])}", 3)
        yield _agreement(comparisons)
    yield links((_anchor(account), account.name) for account in accounts)


def _row(name: str, accounts: Sequence[Account]) -> tuple[object, ...]:
    """Return the row of one or several recordings; a rate needs the length of each."""
    final = [event for account in accounts for event in account.final]
    seconds = _length(accounts)
    counts = Counter(event.kind for event in final)
    return (
        name,
        _UNKNOWN if seconds is None else clock(seconds, 0),
        *(counts[kind] for kind in KINDS),
        _rate(len(final), seconds),
        _lasted(final),
        _seen(accounts),
    )


def _length(accounts: Sequence[Account]) -> float | None:
    """Return the seconds of all together, None if that of one is not known."""
    known = [account.seconds for account in accounts if account.seconds is not None]
    return sum(known) if len(known) == len(accounts) else None


def _anchor(account: Account) -> str:
    return f"run-{account.name}"


def _account(account: Account, comparison: Comparison | None, *, alone: bool) -> Iterator[str]:
    if not alone:
        yield heading(account.name, 2, _anchor(account))
    yield note(_lead(account), "lead")
    level = 2 if alone else 3
    if account.curves or account.final:
        yield from _found(account, comparison, level)
    else:
        yield note(WORDS["nothing"])
    if account.about:
        yield heading("How this was made", level)
        yield note(WORDS["made"], "term")
        yield table(("", ""), account.about.items(), text=(1,))


def _found(account: Account, comparison: Comparison | None, level: int) -> Iterator[str]:
    """Yield what is said of a run in which a face was judged."""
    yield heading("The curve", level)
    about = WORDS["curve" if account.curves else "no curve"]
    if comparison is not None:
        about += f" The lowest row is {comparison.what}."
    yield note(about, "term")
    yield note(WORDS["zoom"], "term screen")
    yield drawn(curves(_panels(account, comparison), _WORDS))
    if comparison is not None:
        yield from _comparison(comparison, level)
    yield heading("How often and how long", level)
    yield note(WORDS["frequencies"], "term")
    if len(account.faces) > 1:
        yield note(WORDS["faces"])
    yield table(
        ("", "macro", "micro", "per hour", "lasted (median)", "shortest", "longest", "share of the time"),
        _frequencies(account),
    )
    yield from _expressions(account, comparison, level)
    yield from _delays(account, level)
    yield from _sight(account, level)


def _lead(account: Account) -> str:
    counts = Counter(event.kind for event in account.final)
    found = " and ".join(counted(counts[kind], f"{kind}-expression") for kind in KINDS if counts[kind])
    span = "" if account.seconds is None else f" in {_long(account.seconds)}"
    faces = f", of {counted(len(account.faces), 'face')}" if len(account.faces) > 1 else ""
    taken_back = sum(event.phase == "cancelled" for event in account.events)
    back = f" {counted(taken_back, 'announcement')} came to nothing." if taken_back else ""
    return f"Found{span}{faces}: {found or 'no expression'}.{back}"


def _long(seconds: float) -> str:
    """Return a length of time in the unit that suits it."""
    minutes = seconds / 60
    return (
        f"{seconds:.0f} s"
        if minutes < 2
        else f"{minutes:.0f} min"
        if minutes < 120
        else f"{minutes / 60:.1f} h"
    )


def _panels(account: Account, comparison: Comparison | None) -> list[Panel]:
    """Return a panel for each face; what a run is compared with has no faces and stands below the last."""
    faces = account.faces or [0]
    panels = []
    for face in faces:
        rows = [[span_of(event, event.kind) for event in account.final if event.face == face]]
        if comparison is not None and face == faces[-1]:
            rows.append(list(comparison.spans))
        title = f"face {face}" if len(faces) > 1 else ""
        panels.append(Panel(title, account.curves.get(face), rows, {}))
    return panels


def _frequencies(account: Account) -> Iterator[tuple[object, ...]]:
    """Yield a row for all, for each face where there are several, and for each hour where there is more than one."""
    final, seconds = account.final, account.seconds or 0.0
    several = len(account.faces) > 1
    in_view = {face: _in_view(account, face) for face in account.faces}
    everyone = sum(in_view.values())
    yield _frequency("all faces" if several else "all", final, account.seconds, _busy(final), everyone)
    if several:
        for face in account.faces:
            mine = [event for event in final if event.face == face]
            there = in_view[face]
            yield _frequency(f"face {face}", mine, there, _busy(mine), there)
    first = min((event.onset.pts - event.onset.tick / TICK_RATE for event in final), default=0.0)
    for hour in range(math.ceil(seconds / _HOUR) if seconds > _HOUR else 0):
        mine = [event for event in final if int((event.onset.pts - first) / _HOUR) == hour]
        times = [(curve[:, 0] - first) // _HOUR for curve in account.curves.values()]
        there = sum(np.count_nonzero(hours == hour) for hours in times) / TICK_RATE
        begin = first + hour * _HOUR
        busy = _busy(final, begin, begin + _HOUR)
        yield _frequency(f"hour {hour + 1}", mine, min(_HOUR, seconds - hour * _HOUR), busy, there)


def _in_view(account: Account, face: int) -> float:
    """Return the seconds for which a face was in view, 0 if that is not known."""
    curve, sight = account.curves.get(face), account.sight.get(face)
    ticks = len(curve) if curve is not None else 0 if sight is None else sight.ticks
    return ticks / TICK_RATE


def _frequency(
    name: str, final: Sequence[Event], seconds: float | None, busy: float, in_view: float
) -> tuple[object, ...]:
    counts = Counter(event.kind for event in final)
    lasted = [_duration(event) for event in final]
    share = f"{busy / in_view:.1%}".replace("%", " %") if in_view else _UNKNOWN
    ends = (f"{min(lasted):.2f} s", f"{max(lasted):.2f} s") if lasted else (_UNKNOWN, _UNKNOWN)
    return (name, *(counts[kind] for kind in KINDS), _rate(len(final), seconds), _lasted(final), *ends, share)


def _busy(final: Sequence[Event], begin: float = -math.inf, end: float = math.inf) -> float:
    """Return the seconds from begin to end in which an expression was going on, each face by itself.

    The events are in order of onset.
    """
    total, until = 0.0, dict.fromkeys((event.face for event in final), begin)
    for event in final:
        offset = min(end, event.onset.pts + _duration(event))
        total += max(0.0, offset - max(event.onset.pts, until[event.face]))
        until[event.face] = max(until[event.face], offset)
    return total


def _duration(event: Event) -> float:
    return 0.0 if event.offset is None else event.offset.pts - event.onset.pts


def _lasted(final: Sequence[Event]) -> str:
    return f"{statistics.median(map(_duration, final)):.2f} s" if final else _UNKNOWN


def _rate(count: int, seconds: float | None) -> str:
    """Return how many there would be in an hour."""
    return hourly(count / seconds * _HOUR) if seconds else _UNKNOWN


def _seen(accounts: Sequence[Account]) -> str:
    """Return for which share of the time a face could be judged, in those of which that is known."""
    known = [(account.judged, account.seconds or 0.0) for account in accounts if account.judged is not None]
    whole = sum(seconds for _, seconds in known) * TICK_RATE
    return _share(sum(judged for judged, _ in known), whole) if whole else _UNKNOWN


def _expressions(account: Account, comparison: Comparison | None, level: int) -> Iterator[str]:
    yield heading("Every expression", level)
    final = account.final
    if not final:
        yield note("None was found.")
        return
    yield note(WORDS["expressions"], "term")
    several = len(account.faces) > 1
    heads = ["", "kind", "onset", "apex", "offset", "lasted", "peak", "moved most"]
    heads += ["face"] if several else []
    heads += [comparison.short] if comparison is not None else []
    rows = []
    for number, event in enumerate(final, 1):
        apex = _UNKNOWN if event.apex is None else clock(event.apex.pts, 2)
        end = _UNKNOWN if event.offset is None else clock(event.offset.pts, 2)
        row = [number, event.kind, clock(event.onset.pts, 2), apex, end, f"{_duration(event):.2f} s"]
        row += [f"{event.intensity:.2f}", in_words(event.moved) or _UNKNOWN]
        row += [event.face] if several else []
        row += ["yes" if event.id in comparison.hits else "no"] if comparison is not None else []
        rows.append(row)
    yield table(heads, rows, text=(1, 7, 8, 9))


def _delays(account: Account, level: int) -> Iterator[str]:
    final = {event.expression: event for event in account.final}
    last = [e.decided_at.pts - e.offset.pts for e in final.values() if e.offset is not None]
    onsets = {e.expression: e for e in account.events if e.phase == "onset" and e.expression in final}
    first = [e.decided_at.pts - final[name].onset.pts for name, e in onsets.items()]
    if not first and not last:
        return
    yield heading("How soon it was known", level)
    yield note(WORDS["delays"], "term")
    rows = ((name, *_spread(values)) for name, values in (("onset", first), ("offset", last)) if values)
    yield table(("from the moment to its announcement", "median", "95 %"), rows)


def _spread(values: Collection[float]) -> tuple[str, str]:
    ordered = sorted(values)
    high = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return f"{statistics.median(ordered):.2f} s", f"{high:.2f} s"


def _sight(account: Account, level: int) -> Iterator[str]:
    if not account.sight:
        return
    yield heading("How well the face could be seen", level)
    yield note(WORDS["sight"], "term")
    rows = []
    whole = max(1.0, (account.seconds or 0.0) * TICK_RATE)
    for face, sight in sorted(account.sight.items()):
        who = f"face {face}" if len(account.faces) > 1 else "the face"
        rows.append((f"{who} was in view", _share(sight.ticks, whole), ""))
        rows.append((f"{who} could be judged", _share(sight.judged, whole), ""))
        for trouble, ticks in sight.troubles.most_common():
            what, _, remedy = TROUBLES[trouble].partition(": ")
            rows.append((f"{who} was {what}", _share(ticks, whole), remedy))
    helps = any(remedy for *_, remedy in rows)
    yield table(("", "of the time", "what helps" if helps else ""), rows, text=(2,))


def _share(ticks: int, whole: float) -> str:
    return f"{min(1.0, ticks / whole):.0%}".replace("%", " %")


def _comparison(comparison: Comparison, level: int) -> Iterator[str]:
    yield heading(f"Compared with {comparison.what}", level)
    lines = [WORDS["both"]]
    if comparison.by_point:
        lines.append(f"{comparison.by_point} of {len(comparison.spans)} {WORDS['points']}")
    if comparison.apart is not None:
        lines.append(f"Where both have one, the apices are {comparison.apart:.2f} s apart (median).")
    yield note(" ".join(lines))
    yield _agreement([comparison])
    yield note(WORDS["rates"], "term")
    if comparison.missed:
        listed = "; ".join(f"{clock(span.at, 2)} ({span.text})" for span in comparison.missed)
        yield note(f"Only in {comparison.what}: {listed}.")


def _other(comparison: Comparison) -> str:
    return comparison.what.partition(" (")[0]


def _agreement(comparisons: Sequence[Comparison]) -> str:
    """Return the table of what is in both, of one or several recordings together."""
    counts = {kind: sum((one.counts[kind] for one in comparisons), Counts()) for kind in KINDS}
    total = sum(counts.values(), Counts())
    rows: list[tuple[object, ...]] = [
        (
            name,
            c.tp,
            c.fp,
            c.fn,
            *(f"{rate:.2f}" if c.tp + c.fp + c.fn else _UNKNOWN for rate in (c.precision, c.recall, c.f1)),
        )
        for name, c in (*counts.items(), ("all", total))
    ]
    theirs = f"only in {_other(comparisons[0])}"
    return table(("", "in both", "only in this run", theirs, "precision", "recall", "F1"), rows)
