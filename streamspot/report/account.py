"""What is known of a run over one source, from what it wrote or from a recording that is analysed anew."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamspot.errors import DataError, SourceError
from streamspot.events import read_events, time_lines
from streamspot.sinks.columns import CURVE
from streamspot.sources.motion import MotionRecording, is_recording
from streamspot.types import TICK_RATE, Event, FaceMotion, Motion, Session, Trouble

SUMMARY = "streamspot-run"
"""What the file begins with in which a batch says how a run went."""

UNFINISHED = ""
"""Stands there for how results were made while they are written, and where the file could not be analysed anew."""

_APART = 0.02
"""How far the intensity of an event and its curve may be apart at the apex; both are rounded."""


@dataclass(slots=True)
class SightCounts:
    """How well a face could be seen, in ticks of 1/30 s.

    Attributes:
        ticks: In which it was in view.
        judged: In which nothing stood in the way of judging it.
        troubles: What stood in the way in the others.
    """

    ticks: int = 0
    judged: int = 0
    troubles: Counter[Trouble] = field(default_factory=Counter)

    def take(self, one: FaceMotion) -> None:
        """Count a tick."""
        self.ticks += 1
        self.judged += _can_be_judged(one)
        if one.trouble is not None:
            self.troubles[one.trouble] += 1


def _can_be_judged(one: FaceMotion) -> bool:
    """Tell whether nothing stands in the way; before the first tick of a face there is nothing to judge it by."""
    return one.trouble is None and one.motion.quality > 0


@dataclass(slots=True)
class Account:
    """What is known of a run over one source; what is not known is empty, or None.

    Attributes:
        name: Of the file that told.
        events: In their order.
        curves: Face → (n, 2) float64: time in seconds of the source, intensity.
        sight: Face → how well it could be seen.
        judged: Ticks in which a face could be judged, however many were in view; None without a recording.
        frames: Frame of the source → the first tick that it is nearest to, from a recording.
        seconds: Length of what was analysed, as far as it is known.
        whole: Whether it is known to its end, which may be long after the last face.
        about: How it was made: what → how, in words.
        stream: Name of the source.
        source: Its file, as a batch names it.
    """

    name: str
    events: list[Event]
    curves: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    sight: dict[int, SightCounts] = field(default_factory=dict)
    judged: int | None = None
    frames: dict[int, int] = field(default_factory=dict)
    seconds: float | None = None
    whole: bool = False
    about: dict[str, str] = field(default_factory=dict)
    stream: str = ""
    source: str = ""

    @property
    def faces(self) -> list[int]:
        """Every face that anything is known of."""
        return sorted({event.face for event in self.events} | set(self.curves) | set(self.sight))

    @property
    def final(self) -> list[Event]:
        """The finished expressions, in order of onset."""
        found = [event for event in self.events if event.offset is not None]
        return sorted(found, key=lambda event: (event.onset.pts, event.face))


def summary_of(out: Path, name: str) -> dict[str, Any]:
    """Return what a batch has said of the results of that name; nothing where it has made none."""
    try:
        said = json.loads((out / f"{name}.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    ours = isinstance(said, dict) and said.get("format") == SUMMARY
    return said if ours and _is_number(said.get("seconds")) and isinstance(said.get("about"), dict) else {}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and 0 <= value < math.inf


def is_written(path: Path) -> bool:
    """Tell whether a report shows events that a run wrote there, and not recordings that are analysed anew."""
    return bool(_files_of(path)[0]) if path.is_dir() else not is_recording(path)


def accounts_of(
    path: Path, weights: str, sensitivity: float, tell: Callable[[str], object] = lambda _: None
) -> list[Account]:
    """Return the accounts of a file of events, of a recording of region motion, or of a folder of either.

    Beside events ``clip.jsonl`` the curve ``clip.csv``, the recording ``clip.motion`` and a batch's ``clip.json`` are
    read too. A recording is analysed anew; of a folder only if it holds no events. Results that a batch has
    not finished are left out.

    Args:
        path: What to read.
        weights: What judges a recording.
        sensitivity: How much of a recording is reported, in [0, 1].
        tell: Takes sentences on what is not used.

    Raises:
        StreamspotError: There is nothing of the kind, or it is damaged.
    """
    if not path.is_dir():
        return [_replayed(path, weights, sensitivity)] if is_recording(path) else _written(path, tell)
    events, recordings, unfinished = _files_of(path)
    if unfinished:
        tell(
            f"what {path} holds of {', '.join(unfinished)} is not finished and left out; the same run --out goes on "
            "with it"
        )
    if not events and not recordings:
        raise DataError(
            f"{path} holds neither events (.jsonl) nor recordings that are finished; make some with streamspot run "
            "--out"
        )
    if events:
        accounts = [account for one in events for account in _written(one, tell)]
        streams = {one.stream for one in accounts}
        known = {one.stem for one in events}
        if left := [
            one.name for one in recordings if one.stem not in known and _stream_of(one) not in streams
        ]:
            tell(f"{', '.join(left)} in {path} have no events there and are left out; report each by itself")
        return accounts
    return [_replayed(one, weights, sensitivity) for one in recordings]


def _files_of(folder: Path) -> tuple[list[Path], list[Path], list[str]]:
    """Return events and recordings in a folder, and the names of results that a batch has not finished."""
    files = sorted(one for one in folder.iterdir() if one.is_file() and not one.name.startswith("."))
    unfinished = [
        one.stem
        for one in files
        if one.suffix == ".json" and summary_of(folder, one.stem).get("how") == UNFINISHED
    ]
    files = [one for one in files if one.stem not in unfinished]
    recordings = [one for one in files if is_recording(one)]
    return [one for one in files if one.suffix == ".jsonl" and one not in recordings], recordings, unfinished


def _stream_of(recording: Path) -> str | None:
    """Return the stream of a recording, None if it is damaged."""
    try:
        return MotionRecording(recording).stream
    except SourceError:
        return None


def _written(path: Path, tell: Callable[[str], object]) -> list[Account]:
    """Return an account for each stream of a file of events."""
    events = read_events(path)
    lines = time_lines(events)
    if len(lines) < 2:
        account = Account(path.stem, events)
        _read_beside(path, account, tell)
        _describe(account)
        return [account]
    accounts = []
    for mine in lines:
        first = mine[0]
        accounts.append(Account(f"{first.stream} ({first.run} from {first.onset.time})", mine))
        _describe(accounts[-1])
    return accounts


def _read_beside(path: Path, account: Account, tell: Callable[[str], object]) -> None:
    """Complete an account from the files beside its events, if they are of the same run."""
    curve, recording = path.with_suffix(".csv"), path.with_suffix(".motion")
    rows = curve.read_text(encoding="utf-8-sig", errors="replace").splitlines() if curve.is_file() else []
    if len(rows) > 1 and rows[0].startswith(CURVE):
        try:
            values = np.loadtxt(rows[1:], delimiter=",", ndmin=2)
        except ValueError:
            raise DataError(f"{curve} is damaged; remove it, or run again with --intensity") from None
        values = values[values[:, 0].argsort(kind="stable")]
        faces = values[:, 5] if values.shape[1] > 5 else _faces_in_turn(account.events, values[:, 0])
        heights = {(int(face), int(row[0])): float(row[2]) for face, row in zip(faces, values, strict=True)}
        if _is_curve_of(account.events, heights):
            account.curves = {int(face): values[faces == face, 1:3] for face in np.unique(faces)}
            account.seconds = (values[:, 0].max() + 1) / TICK_RATE
        else:
            tell(f"{curve} is not the curve of the events in {path} and not used; move it elsewhere")
    elif rows and rows[0].startswith("tick") and "," not in rows[0]:
        tell(f"{curve} has other separators than the comma of --intensity and is not used; save it as it was")
    if is_recording(recording):
        kept = MotionRecording(recording)
        if not account.events or _is_recorded_in(kept, account.events[0]):
            _look(account, kept, kept.read())
        else:
            tell(
                f"{recording} is the recording of another run than {path} and not used; move it elsewhere, or report "
                "it by itself"
            )
    if said := summary_of(path.parent, path.stem):
        if said["seconds"]:
            account.seconds, account.whole = max(account.seconds or 0.0, said["seconds"]), True
        account.about |= {str(key): str(value) for key, value in said["about"].items()}
        account.source = account.about.get("Source", "")


def _is_curve_of(events: Iterable[Event], heights: Mapping[tuple[int, int], float]) -> bool:
    """Tell whether a curve, (face, tick) → intensity, may be that of events: it is as high at their apices.

    Where it has no height the events are not its own. Micro-expressions may have been found in a curve of their own.
    """
    apart = [
        abs(heights.get((event.face, event.apex.tick), math.inf) - event.intensity)
        for event in events
        if event.phase == "offset" and event.kind == "macro" and event.apex is not None
    ]
    return not apart or float(np.median(apart)) < _APART


def _is_recorded_in(recording: MotionRecording, event: Event) -> bool:
    """Tell whether an event is of the run of a recording, or of one that analysed the recording in its own way.

    Such a run has a session of its own, but the wall-clock times of the recording.
    """
    first = recording.session
    if (event.session, event.stream) == (first.id, first.stream):
        return True
    later = (one for one in recording.read() if isinstance(one, Session))
    return any(
        event.onset == session.moment(event.onset.tick, event.onset.frame)
        for session in chain([first], later)
    )


def _faces_in_turn(events: Iterable[Event], ticks: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the face of each tick of a curve of one face at a time, which does not say when another came.

    It is the face of the nearest event; a face that leaves also leaves a gap, beyond which no event is looked for
    where there is one on this side.
    """
    apices = sorted(((event.apex or event.onset).tick, event.face) for event in events) or [(0, 0)]
    at, faces = np.array(apices).T
    found = []
    for stretch in np.split(ticks, np.flatnonzero(np.diff(ticks) > 1) + 1):
        apart = np.maximum(0, np.maximum(stretch[0] - at, at - stretch[-1]))
        near = apart == apart.min()
        halfway = (at[near][1:] + at[near][:-1]) / 2
        found.append(faces[near][np.searchsorted(halfway, stretch)])
    return np.concatenate(found)


def _look(account: Account, recording: MotionRecording, motion: Iterable[Motion | Session]) -> None:
    """Take over from a recording's motion how well faces could be seen, when which frame was, and its length."""
    last, judged = -1, set()
    if recording.whole:
        account.whole = True
        last = int((recording.duration - recording.session.origin) * TICK_RATE + 1e-6)
        account.frames[recording.last_frame] = last
    for one in motion:
        if isinstance(one, FaceMotion):
            account.sight.setdefault(one.face, SightCounts()).take(one)
            account.frames.setdefault(one.motion.frame, one.motion.tick)
            if _can_be_judged(one):
                judged.add(one.motion.tick)
            last = max(last, one.motion.tick)
    account.judged = len(judged)
    account.seconds = max(account.seconds or 0.0, (last + 1) / TICK_RATE)


def _replayed(path: Path, weights: str, sensitivity: float) -> Account:
    """Return the account of a recording that is analysed now."""
    import streamspot  # noqa: PLC0415 - loads the network

    account = Account(path.stem, [])
    curves: dict[int, list[tuple[float, float]]] = {}
    motion: list[Motion] = []
    with streamspot.open(path, weights=weights, sensitivity=sensitivity) as stream:
        for update in stream:
            account.events += update.events
            motion += update.motion
            for face, score in update.scores:
                curves.setdefault(face, []).append((score.pts, score.intensity))
    account.curves = {face: np.array(rows) for face, rows in curves.items()}
    recording = MotionRecording(path)
    _look(account, recording, motion)
    account.stream = recording.stream
    account.about = {
        "Source": f"{path.name}, a recording of region motion, analysed anew for this report",
        "Weights": stream.stats.model,
        "Sensitivity": f"{sensitivity:g}",
    }
    _describe(account)
    return account


def _describe(account: Account) -> None:
    """Add what the events say of how they were made."""
    for event in account.events[:1]:
        account.stream = event.stream
        account.about = {
            **account.about,
            "Stream": event.stream,
            "Weights": event.model,
            "Look-ahead": f"{event.look_ahead} ticks ({event.look_ahead / TICK_RATE:.2f} s)",
            "Run, session": f"{event.run}, {event.session}",
            "Wall-clock time of the first onset": f"{event.onset.time[:19].replace('T', ' ')} UTC",
        }
