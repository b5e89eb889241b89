"""SAMM Long Videos as it is released."""

from __future__ import annotations

import re
from pathlib import Path

from streamspot.datasets.annotations import Annotated, Faults
from streamspot.datasets.official import Found, Video, add, finish, one_file, pictures
from streamspot.datasets.tables import sheet_rows_of, whole
from streamspot.errors import DataError


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
    places = {p.name: p for p in folder.rglob("*") if p.is_dir() and re.fullmatch(r"\d{3}_\d+", p.name)}
    faults, videos = Faults(), dict[str, Video]()
    for number, row in enumerate(table[head + 1 :], start=head + 2):
        if not row or row[1] in (None, ""):
            continue
        where, code = f"{path}, row {number}", str(row[1]).strip()
        parts = code.split("_")
        name = "_".join(parts[:2])
        if len(parts) != 3 or name not in places:
            faults.add(where, f"there is no folder for {code}", f"unpack {name} below {folder}")
            continue
        video = videos.setdefault(name, Video(Annotated(name, parts[0], 200.0), pictures(places[name])))
        kind = str(row[7] or "").strip().lower()
        onset, apex, offset = (whole(row[i]) for i in (3, 4, 5))
        add(
            video,
            where,
            number,
            kind.split()[0] if kind else "",
            (onset, apex, offset),
            faults=faults,
            first=1,
        )
    for name in sorted(set(places) - set(videos)):
        videos[name] = Video(Annotated(name, name.split("_")[0], 200.0), pictures(places[name]))
    return finish(videos, faults)
