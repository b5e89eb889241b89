"""The formats in which data sets come, by name, and their readers.

Each reader takes the folder as it was unpacked and returns the videos; ``extract`` turns them into region motion.
What an annotation leaves open is completed by the rules of ``annotations.annotate`` and noted; what contradicts
itself is a fault with file, row and remedy.
"""

from __future__ import annotations

import re
import shlex
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from streamspot.datasets.annotations import MERGED, Annotated, Faults, annotate, frame_of, is_label, rate_of
from streamspot.datasets.tables import no_frame, one_form, records_of, sheet_rows_of, whole
from streamspot.datasets.videos import Found, Video, finish, number_of, one_file, pictures
from streamspot.errors import DataError, SettingsError, SourceError, cut
from streamspot.sources.images import picture_files
from streamspot.sources.motion import is_recording, several_at_once


def read_casme2(folder: Path) -> Found:
    """Read CAS(ME)²: ``CAS(ME)^2code_final.xlsx`` and ``rawpic/sNN/NN_CCCC…/img*.jpg`` (or the cropped faces).

    Where both sets of pictures are unpacked, ``rawpic`` counts. The first sheet has no head: subject number,
    expression code, onset, apex, offset, action units, …, kind. The sheets ``naming rule1`` and ``naming rule2`` map
    numbers to subjects and expression codes to the four digits after the underscore of a folder. Frames count from 1
    at 30 a second. Offset 0 means not annotated.
    """
    path = one_file(folder, "CAS(ME)^2code_final.xlsx")
    subjects = {whole(r[2]): str(r[1]).strip() for r in sheet_rows_of(path, "naming rule1") if len(r) > 2}
    codes = {
        str(r[1]).strip().lower(): str(r[0]).strip().zfill(4)
        for r in sheet_rows_of(path, "naming rule2")
        if len(r) > 1
    }
    faults = Faults()
    videos = {
        (number, code): Video(
            Annotated(f"casme_{number:03d}_{code}", f"casme_{number:03d}", 30.0),
            _pictures_of_one(folder, sets, faults),
        )
        for (number, code), sets in _folders(folder, r"(\d+)_(\d{4})").items()
    }
    for number, row in enumerate(sheet_rows_of(path), start=1):
        if not row or row[0] in (None, ""):
            continue
        where = f"{path}, row {number}"
        if not _has_kind(row, where, faults):
            continue
        subject = subjects.get(whole(row[0]))
        code = codes.get(re.sub(r"_\d+$", "", str(row[1]).strip().lower()))
        if subject is None or code is None:
            what = f"subject {row[0]} or expression {row[1]!r} is in no naming rule"
            faults.add(where, what, "check the sheets")
            continue
        key = int(subject.lstrip("s")), code
        if key not in videos:
            what = f"there is no folder {key[0]}_{code}… for {row[1]}"
            faults.add(where, what, f"unpack it below {folder}")
            continue
        kind = str(row[7] or "").strip().lower().removesuffix("-expression")
        frames = [whole(row[i]) or None for i in (2, 3, 4)]
        annotate(videos[key].annotated, number, where, kind, frames, faults=faults, first=1)
    return finish(videos, faults)


def _has_kind(row: Sequence[object], where: str, faults: Faults) -> bool:
    """Tell whether a row of a released sheet reaches to its kind; that it does not is a fault."""
    if len(row) < 8:
        what = f"it has {len(row)} of its columns, and the kind is the eighth"
        faults.add(where, what, "give the table as it was released")
    return len(row) >= 8


def _folders(folder: Path, form: str) -> dict[tuple[int, str], list[Path]]:
    """Return all folders whose names begin in a form, by subject and video, which are the form's two groups."""
    found: dict[tuple[int, str], list[Path]] = {}
    for place in folder.rglob("*"):
        if (match := re.match(form, place.name)) and place.is_dir():
            found.setdefault((int(match[1]), match[2]), []).append(place)
    return found


def _pictures_of_one(folder: Path, places: Sequence[Path], faults: Faults) -> tuple[Path, ...]:
    """Return a video's pictures; of several folders that hold some, those in ``rawpic``, or else it is a fault."""
    sets = {place: shots for place in sorted(places) if (shots := pictures(place))}
    chosen = [place for place in sets if "rawpic" in place.relative_to(folder).parts] or list(sets)
    if len(chosen) > 1:
        faults.add(str(chosen[0]), f"{chosen[1]} holds the same video", "leave one of the two there")
    return sets[chosen[0]] if chosen else ()


def read_sammlv(folder: Path) -> Found:
    """Read SAMM Long Videos: ``SAMM_LongVideos_*_Release.xlsx``, one folder ``SSS_V`` of ``SSS_V_NNNN.jpg`` a video.

    The table's head follows after some preamble rows. Frames count from 1 at 200 a second. The third part of a
    file name numbers the instance and is not contiguous. Apex -1 means unknown.
    """
    path = one_file(folder, "SAMM_LongVideos_*Release*.xlsx")
    table = sheet_rows_of(path)
    head = next((i for i, row in enumerate(table) if row and str(row[0]).strip() == "Subject"), None)
    if head is None:
        raise DataError(f"{path} has no row that begins with 'Subject'; give the table as it was released")
    faults = Faults()
    videos = {
        f"{number:03d}_{part}": Video(
            Annotated(f"{number:03d}_{part}", f"{number:03d}", 200.0), _pictures_of_one(folder, sets, faults)
        )
        for (number, part), sets in _folders(folder, r"(\d{3})_(\d+)\Z").items()
    }
    for number, row in enumerate(table[head + 1 :], start=head + 2):
        where = f"{path}, row {number}"
        if len(row) < 2 or row[1] in (None, "") or not _has_kind(row, where, faults):
            continue
        code = str(row[1]).strip()
        name = code.rpartition("_")[0]
        if name not in videos:
            what = f"there is no folder for {code}"
            faults.add(where, what, f"unpack {'_'.join(code.split('_')[:2])} below {folder}")
            continue
        kind = "".join(str(row[7] or "").lower().split()[:1])
        frames = [whole(row[i]) for i in (3, 4, 5)]
        annotate(videos[name].annotated, number, where, kind, frames, faults=faults, first=1)
    return finish(videos, faults)


def read_casme3(folder: Path) -> Found:
    """Read CAS(ME)³ part A: an annotation table and ``spNO.N/<a…m>/color/<n>.jpg``.

    The table (saved as .xlsx or .csv; the released .xls must be saved anew) has the columns Subject, Filename,
    Onset, Apex, Offset, AU and Expression type. Frame numbers are those in the file names, which may start above 0
    and have gaps; they become positions among the files that are there. Apex or offset 0 means unknown.
    """
    path = one_file(folder, *(f"CAS(ME)*3*part*A*.{ending}" for ending in ("xlsx", "csv", "xls")))
    if path.suffix == ".xls":
        raise DataError(f"{path} is in the old Excel form; open it and save it as .xlsx beside it")
    faults, videos = Faults(), dict[str, Video]()
    needed = ("subject", "filename", "onset", "apex", "offset", "expression type")
    for number, row in records_of(path, needed):
        subject, clip = row["subject"], row["filename"]
        if not subject:
            continue
        where, name = f"{path}, row {number}", f"{subject}_{clip}"
        if name not in videos:
            place = next(folder.rglob(f"{subject}/{clip}/color"), None)
            if place is None:
                what = f"there is no folder {subject}/{clip}/color"
                faults.add(where, what, f"unpack it below {folder}")
                continue
            videos[name] = Video(Annotated(name, subject, 30.0), pictures(place))
        onset, apex, offset = (whole(row[key]) for key in ("onset", "apex", "offset"))
        frames = [
            None if frame is None else bisect_left(videos[name].pictures, frame, key=number_of)
            for frame in (onset, apex or None, offset or None)
        ]
        kind = row["expression type"].lower().removesuffix("-expression")
        annotate(videos[name].annotated, number, where, kind, frames, faults=faults)
    return finish(videos, faults)


def read_folder(folder: Path) -> Found:
    """Read a plain folder of videos (files, or folders of pictures) with a ``points.csv``.

    Columns: video (file or folder name), subject, kind, point, and perhaps fps, onset, apex, offset, face; frames
    count from 0. A row with neither kind nor frame names a video without expressions; ``unsure`` and ``rejected``
    are for people and count as nothing. A row without both onset and offset is a point label, which stands for no
    interval; with both, an apex that is not given is the point. Where several faces are in view at once and the
    labels name them, each face is a video.
    """
    path = folder / "points.csv"
    if not path.exists():
        raise DataError(
            f"there is no {path}; label the videos with streamspot review {shlex.quote(str(folder))}, or write one "
            "whose first row names video, subject, kind, point"
        )
    faults, videos = Faults(), dict[tuple[str, int | None], Video]()
    there = {one_form(one.name): one.name for one in folder.iterdir()}
    rows = [
        (number, row | {"video": there.get(one_form(row["video"]), row["video"])})
        for number, row in records_of(path, ("video", "subject", "kind", "point"))
    ]
    several = {
        name for name in {row["video"] for _, row in rows if row.get("face")} if _several(folder / name)
    }
    rates = _rates(rows, path, faults)
    for number, row in rows:
        where, name = f"{path}, row {number}", row["video"]
        place, face = folder / name, whole(row.get("face")) if name in several else None
        if not name or not place.exists() or not row["subject"]:
            what = f"there is no video {cut(name)!r}, or no subject"
            empty = "" if name and row["subject"] else f"; {MERGED}"
            faults.add(where, what, f"put it into {folder} and name both{empty}")
            continue
        if name in several and face is None:
            if is_label(row):
                what = "several faces are in view at once, and the row names none"
                faults.add(where, what, "give the number of its face, as other rows of this video do")
            continue
        if (name, face) not in videos:
            videos[name, face] = _video(folder, name, face, row["subject"], rates.get(name))
        elif videos[name, face].annotated.subject != row["subject"]:
            what = f"{cut(name)} has another subject than in an earlier row"
            faults.add(where, what, "make them the same")
            continue
        if not is_label(row):
            continue
        if no_frame(row["point"]) or (point := whole(row["point"])) is None:
            what = f"point is {cut(row['point'])!r}"
            faults.add(where, what, "give the frame that shows the expression, from 0")
            continue
        onset, apex, offset = (frame_of(row, key, where, faults) for key in ("onset", "apex", "offset"))
        ends = onset is not None and offset is not None
        frames = (onset, point if apex is None else apex, offset) if ends else (None, None, None)
        kind, video = row["kind"].lower(), videos[name, face].annotated
        annotate(video, number, where, kind, frames, faults=faults, point=point)
    return finish(videos, faults)


def _video(folder: Path, name: str, face: int | None, subject: str, fps: float | None) -> Video:
    """Return a video of a folder, a file or a folder of pictures itself, or one of several faces in it."""
    place, title = folder / name, Path(name).stem + ("" if face is None else f"-face{face}")
    shots, file = (picture_files(place), None) if place.is_dir() else ((), place)
    return Video(Annotated(title, subject, fps), shots, file, face)


def _rates(rows: Iterable[tuple[int, Mapping[str, str]]], path: Path, faults: Faults) -> dict[str, float]:
    """Return the frames a second of each video of which a row gives them; two that differ are a fault."""
    rates: dict[str, float] = {}
    for number, row in rows:
        where, name = f"{path}, row {number}", row["video"]
        if (rate := rate_of(row, where, faults)) is not None and rates.setdefault(name, rate) != rate:
            what = f"{cut(name)} has another fps than in an earlier row"
            faults.add(where, what, "make them the same")
    return rates


def _several(path: Path) -> bool:
    """Tell whether the labels that name faces need to: always but for a recording that holds one face at a time.

    What is wrong with the recording is said later.
    """
    try:
        return path.exists() and (not is_recording(path) or several_at_once(path))
    except SourceError:
        return False


READERS: dict[str, Callable[[Path], Found]] = {
    "casme2": read_casme2,
    "sammlv": read_sammlv,
    "casme3": read_casme3,
    "folder": read_folder,
}


def read_format(folder: Path, name: str) -> Found:
    """Read a data set in the format of that name.

    Raises:
        SettingsError: There is no such format.
        DataError: Files are missing or the annotation is broken; every fault is named with file and row.
    """
    if name not in READERS:
        raise SettingsError(f"there is no layout {name!r} of a data set; choose one of {', '.join(READERS)}")
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}; give the one the data set was unpacked to")
    found = READERS[name](folder)
    if not found.videos:
        raise DataError(f"no video of {folder} is named where its expressions are; name at least one")
    return found
