"""CAS(ME)³ part A as it is released."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from streamspot.datasets.annotations import Annotated, Faults
from streamspot.datasets.official import Found, Video, add, finish, natural, pictures
from streamspot.datasets.tables import records_of, whole
from streamspot.errors import DataError


def read_casme3(folder: Path) -> Found:
    """Read CAS(ME)³ part A: an annotation table and ``spNO.N/<a…m>/color/<n>.jpg``.

    The table (saved as .xlsx or .csv; the released .xls must be saved anew) has the columns Subject, Filename,
    Onset, Apex, Offset, AU and Expression type. Frame numbers are those in the file names, which may start above 0
    and have gaps; they become positions among the files that are there. Apex or offset 0 means unknown.
    """
    path = _table(folder)
    faults, videos = Faults(), dict[str, Video]()
    numbers: dict[str, list[int]] = {}
    for number, row in records_of(
        path, ("subject", "filename", "onset", "apex", "offset", "expression type")
    ):
        subject, clip = row["subject"], row["filename"]
        if not subject:
            continue
        where = f"{path}, row {number}"
        name = f"{subject}_{clip}"
        place = next(iter(folder.rglob(f"{subject}/{clip}/color")), None)
        if place is None:
            faults.add(where, f"there is no folder {subject}/{clip}/color", f"unpack it below {folder}")
            continue
        if name not in videos:
            shots = pictures(place)
            videos[name] = Video(Annotated(name, subject, 30.0), shots)
            numbers[name] = [natural(p)[0] for p in shots]
        onset, apex, offset = (
            _position(numbers[name], whole(row[key]), key == "onset") for key in ("onset", "apex", "offset")
        )
        kind = row["expression type"].lower().removesuffix("-expression")
        add(videos[name], where, number, kind, (onset, apex, offset), faults=faults, first=0)
    return finish(videos, faults)


def _table(folder: Path) -> Path:
    for pattern in ("CAS(ME)*3*part*A*.xlsx", "CAS(ME)*3*part*A*.csv"):
        if found := sorted(folder.rglob(pattern)):
            return found[-1]
    if old := sorted(folder.rglob("CAS(ME)*3*part*A*.xls")):
        raise DataError(f"{old[-1]} is in the old Excel form; open it and save it as .xlsx beside it")
    raise DataError(f"there is no CAS(ME)3_part_A*.xlsx in {folder}; give the folder part A was unpacked to")


def _position(numbers: Sequence[int], frame: int | None, zero_is_known: bool) -> int | None:
    """Return the position of the first picture with at least that number; None for an unknown frame."""
    if frame is None or (frame == 0 and not zero_is_known):
        return None
    return next((i for i, number in enumerate(numbers) if number >= frame), len(numbers))
