"""A run against labels, or against another run over the same source."""

from __future__ import annotations

import itertools
import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamspot.datasets.annotations import MERGED, Faults, frame_of, is_label
from streamspot.datasets.recording import Instance
from streamspot.datasets.tables import one_form, rate_in, records_of, whole
from streamspot.errors import DataError
from streamspot.evaluation.matching import Counts, match
from streamspot.report.account import Account
from streamspot.report.figures import FigureSpan
from streamspot.sources.base import stream_name
from streamspot.types import KINDS, TICK_RATE, Detection, Event, Kind


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two accounts of one source have in common.

    Attributes:
        what: What the run is held against, in words.
        short: The same in a word or two.
        by_point: How many of the others are points, which an event hits when they lie within it.
        counts: Kind → in both, only here, only there.
        hits: Events that have a counterpart there, by their id.
        spans: The others, to be drawn below the curve.
        missed: Those of them that have no counterpart here.
        apart: Median distance of the apices of those in both, s; None without any. A point stands for an apex, an
            onset does not.
    """

    what: str
    short: str
    by_point: int
    counts: dict[Kind, Counts]
    hits: frozenset[str]
    spans: tuple[FigureSpan, ...]
    missed: tuple[FigureSpan, ...]
    apart: float | None


def with_labels(account: Account, path: Path, among: Sequence[Account] = ()) -> Comparison | None:
    """Compare a run with the labels of its source in a table: ``points.csv`` or ``annotations.csv``.

    Labels are frames of the source, from 0, and judged by the ticks nearest to them, as ``evaluate`` does. One with
    an onset and an offset is found by an event that overlaps it by half, as everywhere; one that is a point alone by
    an event in which the point lies. One that goes on behind the end of the source ends there. Where the run or the
    labels know of several faces, one that names its face is found by an event of that face alone, and one that names
    none by any event that is left.

    Args:
        account: The run.
        path: The table.
        among: All runs that are reported. Of several, one that the table does not name is compared with nothing. A
            table that names no video is taken to be about the only one.

    Raises:
        DataError: It is no such table, has no row of this only source, or does not tell of which video a row is.
    """
    faults = Faults()
    rows = _rows_of(account, path, among, faults)
    if not rows:
        faults.stop_if_any()
        return None
    _check_rates(account, rows, path, faults)
    running, last = _time_line(account, [row for _, row in rows])
    final = max(0.0, account.seconds - 1 / TICK_RATE) if account.whole and account.seconds else math.inf

    def seconds(frame: int) -> float:
        return min(running(frame), final)

    instances, faces, told = [], [], []
    for number, row in rows:
        where = f"{path}, row {number}"
        if not is_label(row) or (instance := _instance(row, where, faults)) is None:
            continue
        if instance.stamp > last:
            behind = (
                f"frame {instance.stamp} lies behind the end of {account.name}, which has about {last:.0f}"
            )
            faults.add(where, behind, "correct or remove it")
        instances.append(instance)
        faces.append(whole(row.get("face", "")))
        told.append(any(whole(row.get(key)) is not None for key in ("apex", "point")))
    faults.stop_if_any()
    origin = next((one.onset.pts - one.onset.tick / TICK_RATE for one in account.events), 0.0)
    spans = [
        FigureSpan(
            origin + seconds(i.onset), origin + seconds(i.offset), "labelled",
            f"labelled {i.kind}, frame {i.stamp}", origin + seconds(i.apex if i.bounded else i.stamp),
        )
        for i in instances
    ]  # fmt: skip
    what = f"the labels of {path.name}", "labelled"
    several = len(account.faces) > 1 or len({*faces} - {None}) > 1
    ticked = [one.at(lambda frame: math.floor(seconds(frame) * TICK_RATE + 0.5 + 1e-6)) for one in instances]
    return _compared(account, ticked, faces, spans, what=what, several=several, told=told)


def _videos_of(account: Account, videos: Sequence[str], path: Path, among: Sequence[Account]) -> list[str]:
    """Return how a table of labels names the source of a run; nothing where it does not.

    A video that lies, as seen from the table, where the source of a run lay is that source for sure: the name of its
    stream says so.

    Raises:
        DataError: It may mean several videos, or another run's.
    """
    streams = {
        video: stream_name(Path(video).stem, str((path.parent / video).absolute()))
        for video in videos
        if video
    }
    if sure := [video for video, stream in streams.items() if stream == account.stream]:
        return sure
    others = [one for one in among if (one.stream, one.name) != (account.stream, account.name)]
    taken = {one.stream for one in others} & set(streams.values())
    free = [video for video, stream in streams.items() if stream not in taken]
    found = _likely(account, free)
    for other in others:
        if other.stream not in taken and _likely(other, found) and set(_likely(other, free)) & set(found):
            raise DataError(
                f"{path} does not tell whether {found[0]} is {account.name} or {other.name}; let each row name its "
                "video with its folder"
            )
    if len(set(map(one_form, found))) > 1:
        raise DataError(
            f"{path} does not tell whether {account.name} is {found[0]} or {found[1]}; leave the rows of one"
        )
    return found


def _likely(account: Account, videos: Sequence[str]) -> list[str]:
    """Return the videos that are called like the source of a run, or like its stream, or like the run."""
    if account.source and (found := [one for one in videos if _ends_alike(one, account.source)]):
        return found
    exact = [one for one in videos if one_form(account.name) in map(one_form, (Path(one).stem, one))]
    if exact or account.source:
        return exact
    title, _, _ = account.stream.rpartition("-")  # what follows stands for its place
    return [
        one
        for one in videos
        if Path(one).stem == account.stream  # a recording: --record {stream}.motion
        or (title and title == stream_name(Path(one).stem, "").rpartition("-")[0])
    ]


def _ends_alike(one: str, other: str) -> bool:
    """Tell whether two paths may lead to one file, seen from different folders."""
    parts = Path(one_form(one)).parts, Path(one_form(other)).parts
    return all(a == b for a, b in zip(*map(reversed, parts), strict=False))


def counterparts(accounts: Sequence[Account], others: Sequence[Account]) -> list[Account | None]:
    """Return of each run the other one over its source: the only one, that of its name, or that of its stream.

    A run that found nothing does not tell its stream: it goes by its name. A stream without an event stands in no
    file of events, so one may lack its counterpart. Nothing is returned where the others are over other sources.
    """
    if len(accounts) == len(others) == 1 or [one.name for one in accounts] == [one.name for one in others]:
        return list(others)
    mine, known = ({one.stream: one for one in ones if one.stream} for ones in (accounts, others))
    named = {one.name: one for one in others if one.stream not in mine}
    found = [known.get(one.stream) or _unknown(one, named.get(one.name)) for one in accounts]
    alone = all(
        len(streams) == sum(bool(one.stream) for one in ones)
        for streams, ones in ((mine, accounts), (known, others))
    )
    return found if alone and any(found) else []


def _unknown(account: Account, other: Account | None) -> Account | None:
    """Return the other run of that name, unless the streams of both are known."""
    return None if other is None or (account.stream and other.stream) else other


def _rows_of(
    account: Account, path: Path, among: Sequence[Account], faults: Faults
) -> list[tuple[int, dict[str, str]]]:
    """Return the rows of a table that are about a run's source, with their numbers; arguments as in ``with_labels``.

    A label without a video, where other rows name one, is a fault.

    Raises:
        DataError: There is none, and it is the only run that is reported; or whose they are is not told.
    """
    rows = list(records_of(path, ("kind",)))
    videos = list(dict.fromkeys(row.get("video", "") for _, row in rows))
    alone = len(among) < 2
    mine = videos if alone and videos == [""] else _videos_of(account, videos, path, among)
    if alone and not mine:
        listed = ", ".join(videos[:4]) or "no video"
        raise DataError(
            f"{path} has no row of {account.name} (it names {listed}); give the labels of this source"
        )
    for number, row in rows:
        if any(videos) and not row.get("video") and is_label(row):
            faults.add(f"{path}, row {number}", "it names no video", f"name it in every row; {MERGED}")
    found = {tuple(row.items()): (number, row) for number, row in rows if row.get("video", "") in mine}
    return list(found.values())  # what stands there twice is one label


def _instance(row: Mapping[str, str], where: str, faults: Faults) -> Instance | None:
    """Return the expression that a row of labels tells of; what is wrong with it is a fault."""
    onset, apex, offset, point = (
        frame_of(row, key, where, faults) for key in ("onset", "apex", "offset", "point")
    )
    kind = next((one for one in KINDS if one == row["kind"].lower()), None)
    at = next((frame for frame in (point, apex, onset) if frame is not None), None)
    if kind is None or at is None:
        remedy = "complete it or remove it" + ("" if row["kind"] else f"; {MERGED}")
        faults.add(where, "a label needs a kind (macro or micro) and a frame", remedy)
        return None
    bounded = onset is not None and offset is not None
    begin, end = (onset, offset) if onset is not None and offset is not None else (at, at)
    if end < begin:
        faults.add(where, f"offset {end} lies before onset {begin}", "correct it")
    return Instance(kind, begin, apex if apex is not None else at, end, point, bounded=bounded)


def with_run(account: Account, other: Account) -> Comparison:
    """Compare two runs over one source, by the ticks of their events, face by face."""
    instances, faces, spans = [], [], []
    for event in other.final:
        seen = _detection(event)
        assert seen.offset is not None  # noqa: S101 - it is final
        instances.append(Instance(seen.kind, seen.onset, seen.apex or seen.onset, seen.offset))
        faces.append(event.face)
        spans.append(span_of(event, "other"))
    what = f"the other run ({other.name})", "there too"
    several = len(account.faces) > 1 or len(other.faces) > 1
    told = [True] * len(instances)
    return _compared(account, instances, faces, spans, what=what, several=several, told=told)


def _compared(
    account: Account,
    others: Sequence[Instance],
    faces: Sequence[int | None],
    spans: Sequence[FigureSpan],
    *,
    what: tuple[str, str],
    several: bool,
    told: Sequence[bool],
) -> Comparison:
    """Match each face's events with what is known of it, in ticks, and whatever is left then with what names no face.

    Where neither side knows of several faces, everything is of the one there is, whatever its number. The others'
    apices count where they are told.
    """
    final = account.final
    named = {*faces} - {None} if several else set()
    known: dict[int | None, list[Instance]] = defaultdict(list)
    for one, face in zip(others, faces, strict=True):
        known[face if face in named else None].append(one)
    free = [_detection(event, number) for number, event in enumerate(final)]
    counts, pairs = dict.fromkeys(KINDS, Counts()), []
    for face, kind in itertools.product((*named, None), KINDS):
        mine = [one for one in free if face is None or final[one.number].face == face]
        found, matched = match(mine, known[face], kind)
        hits = [(d, i) for d, i in matched if i is not None]
        used = {d.number for d, _ in hits}
        free = [one for one in free if one.number not in used]
        counts[kind] += replace(found, fp=0)
        pairs += hits
    for left in free:
        counts[left.kind] += Counts(fp=1)
    taken = {id(one) for _, one in pairs}
    peaks = {id(one): one.apex if one.bounded else one.stamp for one in itertools.compress(others, told)}
    apart = [abs((d.apex or 0) - peaks[id(i)]) / TICK_RATE for d, i in pairs if id(i) in peaks]
    return Comparison(
        *what,
        sum(not one.bounded for one in others),
        counts,
        frozenset(final[d.number].id for d, _ in pairs),
        tuple(spans),
        tuple(span for span, one in zip(spans, others, strict=True) if id(one) not in taken),
        statistics.median(apart) if apart else None,
    )


def span_of(event: Event, name: str) -> FigureSpan:
    """Return a finished expression as it is drawn."""
    assert event.offset is not None  # noqa: S101 - it is finished
    apex = event.apex or event.onset
    text = f"{event.kind}, {event.onset.pts:.2f} to {event.offset.pts:.2f} s, peak {event.intensity:.2f}"
    return FigureSpan(event.onset.pts, event.offset.pts, name, text, apex.pts)


def _detection(event: Event, number: int = 0) -> Detection:
    """Return a finished expression in ticks."""
    onset, apex, offset = (
        None if one is None else one.tick for one in (event.onset, event.apex, event.offset)
    )
    assert onset is not None  # noqa: S101 - every event has one
    return Detection(number, "offset", event.kind, onset, apex, offset, event.intensity, event.score, 0)


def _steady(rate: float) -> Callable[[float], float]:
    """Return what turns a frame, or a tick, into seconds at a constant rate."""
    return lambda number: number / rate


def _marks(account: Account) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the frames of the source whose time is known, and their seconds from its beginning."""
    marks = [
        one for event in account.events for one in (event.onset, event.apex, event.offset, event.decided_at)
    ]
    known = {(0, 0), *account.frames.items(), *((one.frame, one.tick) for one in marks if one is not None)}
    pairs = np.array(sorted(known), np.float64)
    frames, first = np.unique(pairs[:, 0], return_index=True)
    return frames, pairs[first, 1] / TICK_RATE


def _fits(rate: float, frames: NDArray[np.float64], times: NDArray[np.float64]) -> bool:
    """Tell whether frames were at their times at a constant rate."""
    return float(np.abs(frames / rate - times).max()) <= 1 / rate + 1 / TICK_RATE


def _check_rates(
    account: Account, rows: Sequence[tuple[int, Mapping[str, str]]], path: Path, faults: Faults
) -> None:
    """Note each row that counts frames at another rate than the source had, as a fault.

    One that is rounded stays, and so does any where the source had no steady rate.
    """
    frames, times = _marks(account)
    if not frames[-1] or not times[-1] or not _fits(own := float(frames[-1] / times[-1]), frames, times):
        return
    off = max(0.5, (0.02 + 1 / frames[-1] + 1 / (times[-1] * TICK_RATE)) * own)
    for number, row in rows:
        said = rate_in(row.get("fps", ""))
        if said is not None and abs(said - own) > off and not _fits(said, frames, times):
            what = f"fps is {said:g} and {account.name} has about {own:.4g}"
            remedy = "see that the frames are those of this source and correct it, or leave it empty"
            faults.add(f"{path}, row {number}", what, remedy)


def _time_line(account: Account, rows: Sequence[Mapping[str, str]]) -> tuple[Callable[[float], float], float]:
    """Return what turns a frame of the source into seconds, and the last frame as far as it is known.

    The rate is constant unless frames whose time is known say otherwise; then it is so behind the last of them only.
    """
    rate, off = _rate(account, rows)
    frames, times = _marks(account)
    if _fits(rate, frames, times):
        end = account.seconds if account.whole else None
        return _steady(rate), math.inf if end is None else end * rate * (1 + off) + 1
    to_the_end = account.whole and times[-1] + 2 / TICK_RATE >= (account.seconds or 0.0)

    def seconds(frame: float) -> float:
        return float(np.interp(frame, frames, times) + max(0.0, frame - frames[-1]) / rate)

    return seconds, frames[-1] + 1 if to_the_end else math.inf


def _rate(account: Account, rows: Sequence[Mapping[str, str]]) -> tuple[float, float]:
    """Return the frames a second of the source, and by which share they may be off.

    The labels say it, else the events tell, which count whole frames; without either it may be any.
    """
    for row in rows:
        if (said := rate_in(row.get("fps", ""))) is not None:
            return said, 0.0
    last = max((event.decided_at for event in account.events), key=lambda one: one.tick, default=None)
    if last is None or not last.tick or not last.frame:
        return TICK_RATE, math.inf
    return last.frame / last.tick * TICK_RATE, 1 / last.frame + 1 / last.tick
