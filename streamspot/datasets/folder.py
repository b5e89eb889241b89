"""A plain folder of videos with one time stamp an expression."""

from __future__ import annotations

import re
from pathlib import Path

from streamspot.datasets.annotations import Annotated, Faults
from streamspot.datasets.official import Found, Video, add, finish, pictures
from streamspot.datasets.tables import records_of, whole


def read_folder(folder: Path) -> Found:
    """Read a plain folder of videos (files, or folders of pictures) with a ``points.csv``.

    Columns: video (file or folder name), subject, kind, point, and perhaps fps, onset, apex, offset; frames count
    from 0. A row with an empty kind names a video without expressions. What is not given is taken from the point.
    """
    path = folder / "points.csv"
    faults, videos = Faults(), dict[str, Video]()
    for number, row in records_of(path, ("video", "subject", "kind", "point")):
        where, name = f"{path}, row {number}", row["video"]
        place = folder / name
        if not name or not place.exists() or not row["subject"]:
            faults.add(
                where, f"there is no video {name!r}, or no subject", f"put it into {folder} and name both"
            )
            continue
        if name not in videos:
            fps = row.get("fps", "")
            rate = float(fps) if re.fullmatch(r"\d+(\.\d+)?", fps) else None
            annotated = Annotated(Path(name).stem, row["subject"], rate)
            videos[name] = (
                Video(annotated, pictures(place)) if place.is_dir() else Video(annotated, file=place)
            )
        kind, point = row["kind"].lower(), whole(row["point"])
        if not kind:
            continue
        if point is None:
            faults.add(
                where, f"point is {row['point']!r}", "give the frame that shows the expression, from 0"
            )
            continue
        onset, apex, offset = (whole(row.get(key)) for key in ("onset", "apex", "offset"))
        around = 10 if kind == "macro" else 5
        onset = max(0, point - around) if onset is None else onset
        frames = (onset, point if apex is None else apex, point + around if offset is None else offset)
        add(videos[name], where, number, kind, frames, faults=faults, first=0, point=point)
    return finish(videos, faults)
