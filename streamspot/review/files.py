"""A coder's label files beside the videos: ``points.csv`` and, for what has both ends, ``annotations.csv``."""

from __future__ import annotations

import re
import threading
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from itertools import chain
from pathlib import Path

from pydantic import ValidationError

from streamspot.datasets.annotations import COLUMNS, MERGED, has_frame
from streamspot.datasets.tables import one_form, rate_in, whole
from streamspot.datasets.video_table import Rewritten, Row, VideoTable
from streamspot.errors import DataError, SettingsError
from streamspot.files import alone_beside
from streamspot.review.labels import GivenLabel, Labels, order
from streamspot.review.pictures import steady_rate
from streamspot.types import KINDS

_MARKS = ("point", "onset", "apex", "offset")
_POINTS = ("video", "subject", "kind", "point", "fps", "onset", "apex", "offset", "face")
_OURS = {*_POINTS, *COLUMNS}

Further = Mapping[str | None, Mapping[str, str]]
"""What others wrote beside a label, by the label's id; by None beside that a video was seen."""


class ChangedElsewhereError(Exception):
    """The labels of a video in its file are no longer those that were read or written here last.

    Attributes:
        before: As they were here.
        theirs: As they are in the file; one that was there before has the name that it had.
    """

    def __init__(self, before: Labels, theirs: Labels) -> None:
        super().__init__()
        self.before, self.theirs = before, theirs


class LabelFiles:
    """The files of one coder in one folder: ``points.csv``, or ``points-NAME.csv`` of a coder with a name.

    ``points.csv`` is what counts: one row a label, in the form of ``streamspot extract --layout folder``, with onset
    and offset where they were given. A video stands in ``annotations.csv`` too as soon as all its expressions have
    both ends; a video that is in ``annotations.csv`` alone starts with the expressions written there. What others
    wrote beside a label goes with it: into ``points.csv`` when its video leaves ``annotations.csv``, and back.

    Args:
        folder: Where they are.
        coder: Letters, digits, ``_`` and ``-``; empty for the coder without a name.

    Raises:
        SettingsError: The name cannot be part of a file's name.
    """

    def __init__(self, folder: Path, coder: str = "") -> None:
        if not re.fullmatch(r"[A-Za-z0-9_-]{0,40}", coder):
            raise SettingsError(
                f"the coder's name {coder!r} is impossible; give up to 40 letters, digits, _ or -"
            )
        ending = f"-{coder}" if coder else ""
        self.coder = coder
        self.points = VideoTable(folder / f"points{ending}.csv", _POINTS)
        self.annotations = VideoTable(folder / f"annotations{ending}.csv", COLUMNS)
        self._lock = threading.Lock()
        self._known: dict[str, Labels] = {}
        self._said = _Said(self.points), _Said(self.annotations)

    def read(self, video: str, title: str) -> Labels:
        """Return the labels of a video.

        Args:
            video: Its name in ``points.csv``: the path as seen from the folder.
            title: Its name in ``annotations.csv``.

        Raises:
            DataError: A row cannot be understood.
        """
        self._known[video] = self._labels(*self._standing(video, title))
        return self._known[video]

    def check_rates(self, video: str, title: str, fps: float | None, source: str) -> None:
        """Refuse rows that count frames at another rate than their video has.

        One that is rounded stays, and so does any where the video has no steady rate, or is no video.

        Args:
            video: Its name in ``points.csv``.
            title: Its name in ``annotations.csv``.
            fps: Its nominal rate, None where only time counts.
            source: What to open.

        Raises:
            DataError: There is such a row.
        """
        points, annotations = self._standing(video, title)
        paths = [self.points.path] * len(points) + [self.annotations.path] * len(annotations)
        for path, row in zip(paths, [*points, *annotations], strict=True):
            said = rate_in(row.cells.get("fps", "").strip())
            if said is None or fps is None or _alike(said, fps):
                continue
            own = steady_rate(source)
            if own is None:
                return
            if not _alike(said, own):
                raise DataError(
                    f"{_where(row, path)}: fps is {said:g} and the video has {own:.4g}; see that the frames are "
                    "those of this video and correct it"
                )

    def all(self, *, strict: bool = True) -> dict[str, Labels]:
        """Return the labels of every video in ``points.csv``, by its name there; one that stands twice is one.

        Args:
            strict: Whether a row that cannot be understood is an error; else its video is left out.

        Raises:
            DataError: The file is no such table, or a row cannot be understood.
        """
        videos: dict[str, list[Row]] = {}
        standing = self.points.rows()
        if strict:
            _check_named(standing, self.points.path)
        for row in standing:
            videos.setdefault(one_form(row.cells.get("video", "")), []).append(row)
        found: dict[str, Labels] = {}
        for video, rows in videos.items():
            with nullcontext() if strict else suppress(DataError):
                found[video] = _labels_of(rows, self.points.path)
        return {
            video: replace(labels, given=tuple({one.content: one for one in labels.given}.values()))
            for video, labels in found.items()
        }

    def write(
        self, video: str, title: str, labels: Labels, *, subject: str, fps: float | None, frames: int | None
    ) -> None:
        """Write the labels of a video; rows of other videos stay, and so does each row whose label did not change.

        A file that has vanished is written again first: nobody deletes labels by moving them away.

        Raises:
            DataError: A file cannot be written; what could not be is as it was.
            ChangedElsewhereError: Another program changed its labels; nothing is written, and theirs count as read.
        """
        with self._lock, alone_beside(self.points.path):  # each writes the whole file
            for table in (self.points, self.annotations):
                table.restore()
            points, annotations = self._standing(video, title)
            there = self._labels(points, annotations)
            known = self._known.get(video, there)
            if _contents(there) not in (_contents(known), _contents(labels)):
                self._known[video] = _named_as(known, there)
                raise ChangedElsewhereError(known, self._known[video])
            new: dict[str, object] = {"subject": subject, "fps": None if fps is None else f"{fps:g}"}
            for said, name, stand in zip(self._said, (video, title), (points, annotations), strict=True):
                said.look(name, stand, [*known.given, *labels.given])
            counted = [one for one in labels.given if one.kind in KINDS]
            whole = all(one.onset is not None for one in counted) and (labels.seen or counted)
            beside = self._said[1].beside(title, labels.given)
            self.points.columns = tuple(dict.fromkeys((*self.points.columns, *chain(*beside.values()))))
            others, moved = [*points, *annotations], bool(annotations) and not whole
            rows = self._said[0].rows(
                video, labels.given, others, new, seen=labels.seen, beside=beside, moved=moved
            )
            beside = self._said[0].beside(video, labels.given)
            self.points.replace(video, rows)
            new["frames"] = frames
            others, moved = [*annotations, *points], not annotations
            rows = self._said[1].rows(
                title, counted, others, new, seen=not counted, beside=beside, moved=moved
            )
            self.annotations.replace(title, rows if whole else [])
            self._known[video] = labels

    def _standing(self, video: str, title: str) -> tuple[list[Row], list[Row]]:
        """Return the rows of a video in both files: none in the second if another video in the first has its title.

        Raises:
            DataError: A file is no such table, or a label that may be of this video names none.
        """
        points, annotations = self.points.rows(), self.annotations.rows()
        _check_named(points, self.points.path)
        mine = [row for row in points if row.is_of(video)]
        if not mine:
            _check_named(annotations, self.annotations.path)
        others = [Path(one_form(row.cells.get("video", ""))) for row in points if not row.is_of(video)]
        taken = any(one_form(title) in {one.name, one.stem} for one in others)
        return mine, [] if taken else [row for row in annotations if row.is_of(title)]

    def _labels(self, points: Sequence[Row], annotations: Sequence[Row]) -> Labels:
        """Return what the rows of a video say: those of ``annotations.csv`` only where there are no others."""
        if points:
            return _labels_of(points, self.points.path)
        return _labels_of(annotations, self.annotations.path)


class _Said:
    """Which row of a table says which label; a row is written anew only where its label is another than it says.

    The row of a label that was removed is remembered, so that an undo brings back all its cells.

    Args:
        table: Where the rows are.
    """

    def __init__(self, table: VideoTable) -> None:
        self._parts = 5 if "face" in table.columns else 4
        self._rows: dict[tuple[str, str], tuple[GivenLabel, Row]] = {}
        self._seen: dict[str, list[Row]] = {}

    def look(self, video: str, rows: Sequence[Row], labels: Sequence[GivenLabel]) -> None:
        """Find the rows of labels among those that stand in the file."""
        standing: dict[tuple[object, ...], list[Row]] = defaultdict(list)
        for row in rows:
            with suppress(ValidationError):
                label = _label_of(row, "x")
                standing[() if label is None else label.content[: self._parts]].append(row)
        self._seen[video] = standing[()] or self._seen.get(video, [])
        for label in {one.id: one for one in reversed(labels)}.values():
            if same := standing[label.content[: self._parts]]:
                self._rows[video, label.id] = label, same.pop(0)

    def beside(self, video: str, labels: Sequence[GivenLabel]) -> Further:
        """Return what others wrote beside labels, and beside that the video was seen."""
        rows = {one.id: self._rows[video, one.id][1] for one in labels if (video, one.id) in self._rows}
        return {
            name: {key: cell for key, cell in row.cells.items() if key and cell and key not in _OURS}
            for name, row in [*rows.items(), *((None, row) for row in self._seen[video][:1])]
        }

    def rows(
        self,
        video: str,
        labels: Sequence[GivenLabel],
        others: Sequence[Row],
        new: Mapping[str, object],
        *,
        seen: bool,
        beside: Further,
        moved: bool,
    ) -> list[Rewritten]:
        """Return of each label its row, None for a new one, and the cells that change.

        Args:
            video: What they are of.
            labels: All that there are.
            others: Rows that tell whose faces these are, and at which rate frames count.
            new: Cells of a new row where no other row tells.
            seen: Whether a row says that the video was seen to its end.
            beside: What others wrote beside the labels in the other table.
            moved: Whether they come from there; else it is written into new rows alone.
        """
        known = [row.cells for row in others]
        rate = next((cells["fps"] for cells in known if cells.get("fps")), new["fps"])

        def fresh(face: int | None) -> dict[str, object]:
            whose = _subject(known, face) or new["subject"]
            return {**new, "video": video, "subject": whose, "fps": rate}

        def along(row: Row | None, name: str | None) -> dict[str, object]:
            further = beside.get(name, {}) if moved or row is None else {}
            return {key: cell for key, cell in further.items() if row is None or row.cells.get(key) != cell}

        rows: list[Rewritten] = []
        for one in labels:
            before, row = self._rows.get((video, one.id), (None, None))
            changes = along(row, one.id) | ({} if one == before else _cells(one))
            rows.append((row, changes if row else fresh(one.face) | changes))
        if seen:
            stand = [(row, along(row, None)) for row in self._seen[video]]
            rows += stand or [(None, fresh(None) | along(None, None))]
        return rows


def _check_named(rows: Sequence[Row], path: Path) -> None:
    """Refuse the rows of a table in which a label names no video, and other rows do."""
    unnamed = [row for row in rows if row.is_of("")]
    lost = next((row for row in unnamed if has_frame(row.cells)), None)
    if lost is not None and len(unnamed) < len(rows):
        raise DataError(f"{_where(lost, path)}: it names no video; name it in every row; {MERGED}")


def _alike(said: float, own: float) -> bool:
    """Tell whether a rate that is said may be a video's own, perhaps rounded."""
    return abs(said - own) <= max(0.5, 0.02 * own)


def _where(row: Row, path: Path) -> str:
    """Return where a row stands, in words."""
    at = next((f" at {cell}" for key in _MARKS if (cell := row.cells.get(key))), "")
    return f"{path}, {row.cells.get('video') or 'a label'}{at}"


def _subject(rows: Sequence[Mapping[str, str]], face: int | None) -> str:
    """Return who a face is by the rows of its video, empty where they do not tell."""
    named = [(whole(cells.get("face")), cells["subject"]) for cells in rows if cells.get("subject")]
    same = [subject for other, subject in named if other == face]
    anybody = [subject for other, subject in named if None in (other, face)]
    return next(iter(same + anybody), "")


def _contents(labels: Labels) -> tuple[object, ...]:
    """Return what labels say, their ids aside."""
    return labels.seen, Counter(one.content for one in labels.given)


def coders(folder: Path) -> Iterator[str]:
    """Yield the names of the coders who have labelled something in a folder; the one without a name is ''."""
    for path in sorted(folder.glob("points*.csv")):
        if match := re.fullmatch(r"points(?:-([A-Za-z0-9_-]{1,40}))?\.csv", path.name):
            yield match[1] or ""


def _cells(label: GivenLabel) -> dict[str, object]:
    """Return what both files say of a label."""
    apex = None if label.onset is None else label.point
    return {**label.model_dump(exclude={"id"}), "apex": apex}


def _label_of(row: Row, name: str) -> GivenLabel | None:
    """Return what a row says; None if it is that the video was seen."""
    cells = {key: (row.cells.get(key) or "").strip().lower() or None for key in ("kind", *_MARKS, "face")}
    if cells["kind"] is None and not has_frame(row.cells):
        return None
    apex = cells.pop("apex")
    cells["point"] = cells["point"] or apex
    if cells["onset"] is None or cells["offset"] is None:
        cells["onset"] = cells["offset"] = None
    return GivenLabel.model_validate({"id": name, **cells})


def _labels_of(rows: Sequence[Row], path: Path) -> Labels:
    given, seen = [], False
    for row in rows:
        try:
            label = _label_of(row, uuid.uuid4().hex)
        except ValidationError as error:
            first = error.errors()[0]
            what = " ".join((*(str(part) for part in first["loc"]), "cannot be used"))
            empty = "" if (row.cells.get("kind") or "").strip() else f"; {MERGED}"
            raise DataError(f"{_where(row, path)}: {what} ({first['msg']}); mend the row{empty}") from None
        if label is None:
            seen = True
        else:
            given.append(label)
    return Labels(tuple(sorted(given, key=order)), seen)


def _named_as(known: Labels, found: Labels) -> Labels:
    """Return labels that were found, with the names of those known that say the same."""
    names: dict[tuple[object, ...], list[str]] = defaultdict(list)
    for one in known.given:
        names[one.content].append(one.id)
    given = [
        one.model_copy(update={"id": names[one.content].pop()}) if names[one.content] else one
        for one in found.given
    ]
    return replace(found, given=tuple(sorted(given, key=order)))
