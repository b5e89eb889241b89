"""A plain folder of videos with one time stamp an expression."""

from __future__ import annotations

import re
from pathlib import Path

from streamspot.datasets.annotations import Annotated, Faults
from streamspot.datasets.official import Found, Video, add, csv_rows_of, finish, pictures, whole
from streamspot.errors import DataError


def read_folder(folder: Path) -> Found:
    """Read a plain folder of videos (files, or folders of pictures) with a ``points.csv``.

    Columns: video (file or folder name), subject, kind, point, and perhaps fps, onset, apex, offset; frames count
    from 0. A row with an empty kind names a video without expressions. What is not given is taken from the point.
    """
    path = folder / "points.csv"
    table = csv_rows_of(path)
    head = [str(cell).strip().lower() for cell in table[0]] if table else []
    if missing := [name for name in ("video", "subject", "kind", "point") if name not in head]:
        raise DataError(
            f"{path} has no column {missing[0]!r}; its first row must name video, subject, kind, point"
        )
    faults, videos = Faults(), dict[str, Video]()
    for number, cells in enumerate(table[1:], start=2):
        row = dict(zip(head, (str(c).strip() for c in cells), strict=False))
        where, name = f"{path}, row {number}", row.get("video", "")
        place = folder / name
        if not name or not place.exists() or not row.get("subject"):
            faults.add(
                where, f"there is no video {name!r}, or no subject", f"put it into {folder} and name both"
            )
            continue
        if name not in videos:
            fps = row.get("fps") or ""
            rate = float(fps) if re.fullmatch(r"\d+(\.\d+)?", fps) else None
            annotated = Annotated(Path(name).stem, row["subject"], rate)
            videos[name] = (
                Video(annotated, pictures(place)) if place.is_dir() else Video(annotated, file=place)
            )
        kind, point = row["kind"].lower(), whole(row.get("point"))
        if not kind:
            continue
        if point is None:
            faults.add(
                where, f"point is {row.get('point')!r}", "give the frame that shows the expression, from 0"
            )
            continue
        onset, apex, offset = (whole(row.get(key)) for key in ("onset", "apex", "offset"))
        around = 10 if kind == "macro" else 5
        onset = max(0, point - around) if onset is None else onset
        frames = (onset, point if apex is None else apex, point + around if offset is None else offset)
        add(videos[name], where, number, kind, frames, faults=faults, first=0, point=point)
    return finish(videos, faults)
