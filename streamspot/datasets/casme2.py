"""CAS(ME)² as it is released."""

from __future__ import annotations

import re
from pathlib import Path

from streamspot.datasets.annotations import Annotated, Faults
from streamspot.datasets.official import Found, Video, add, finish, one_file, pictures
from streamspot.datasets.tables import sheet_rows_of, whole


def read_casme2(folder: Path) -> Found:
    """Read CAS(ME)²: ``CAS(ME)^2code_final.xlsx`` and ``rawpic/sNN/NN_CCCC…/img*.jpg`` (or the cropped faces).

    The first sheet has no head: subject number, expression code, onset, apex, offset, action units, …, kind. The
    sheets ``naming rule1`` and ``naming rule2`` map numbers to subjects and expression codes to the four digits after
    the underscore of a folder. Frames count from 1 at 30 a second. Offset 0 means not annotated.
    """
    path = one_file(folder, "CAS(ME)^2code_final.xlsx")
    subjects = {whole(r[2]): str(r[1]).strip() for r in sheet_rows_of(path, "naming rule1") if len(r) > 2}
    codes = {
        str(r[1]).strip().lower(): str(r[0]).strip().zfill(4)
        for r in sheet_rows_of(path, "naming rule2")
        if len(r) > 1
    }
    places = {}
    for place in folder.rglob("*"):
        if place.is_dir() and (match := re.match(r"(\d+)_(\d{4})", place.name)):
            places[int(match[1]), match[2]] = place
    faults, videos = Faults(), dict[str, Video]()
    for number, row in enumerate(sheet_rows_of(path), start=1):
        if not row or row[0] in (None, ""):
            continue
        where = f"{path}, row {number}"
        subject = subjects.get(whole(row[0]))
        expression = re.sub(r"_\d+$", "", str(row[1]).strip().lower())
        code = codes.get(expression)
        if subject is None or code is None:
            faults.add(
                where, f"subject {row[0]} or expression {row[1]!r} is in no naming rule", "check the sheets"
            )
            continue
        key = int(subject.lstrip("s")), code
        if key not in places:
            faults.add(
                where, f"there is no folder {key[0]}_{code}… for {row[1]}", f"unpack it below {folder}"
            )
            continue
        video = _video(videos, places, key)
        kind = str(row[7] or "").strip().lower().removesuffix("-expression")
        onset, apex, offset = (whole(row[i]) or None for i in (2, 3, 4))
        add(video, where, number, kind, (onset, apex, offset), faults=faults, first=1)
    for key in places:
        _video(videos, places, key)
    return finish(videos, faults)


def _video(videos: dict[str, Video], places: dict[tuple[int, str], Path], key: tuple[int, str]) -> Video:
    """Return the video of a folder, noted once."""
    name = f"casme_{key[0]:03d}_{key[1]}"
    if name not in videos:
        videos[name] = Video(Annotated(name, f"casme_{key[0]:03d}", 30.0), pictures(places[key]))
    return videos[name]
