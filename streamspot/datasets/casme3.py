"""CAS(ME)³ part A as it is released."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from streamspot.datasets.annotations import Annotated, Faults
from streamspot.datasets.official import (
    Found,
    Video,
    add,
    csv_rows_of,
    finish,
    natural,
    pictures,
    rows_of,
    whole,
)
from streamspot.errors import DataError


def read_casme3(folder: Path) -> Found:
    """Read CAS(ME)³ part A: an annotation table and ``spNO.N/<a…m>/color/<n>.jpg``.

    The table (saved as .xlsx or .csv; the released .xls must be saved anew) has the columns Subject, Filename,
    Onset, Apex, Offset, AU and Expression type. Frame numbers are those in the file names, which may start above 0
    and have gaps; they become positions among the files that are there. Apex or offset 0 means unknown.
    """
    path = _casme3_table(folder)
    table = rows_of(path) if path.suffix == ".xlsx" else csv_rows_of(path)
    head = [str(cell or "").strip().lower() for cell in table[0]]
    wanted = ("subject", "filename", "onset", "apex", "offset", "expression type")
    if missing := [name for name in wanted if name not in head]:
        raise DataError(f"{path} has no column {missing[0]!r}; its first row must name {', '.join(wanted)}")
    at = [head.index(name) for name in wanted]
    faults, videos = Faults(), dict[str, Video]()
    numbers: dict[str, list[int]] = {}
    for number, row in enumerate(table[1:], start=2):
        subject, clip, *frames, kind = (row[i] for i in at)
        if subject in (None, ""):
            continue
        where = f"{path}, row {number}"
        name = f"{str(subject).strip()}_{str(clip).strip()}"
        place = next(iter(folder.rglob(f"{str(subject).strip()}/{str(clip).strip()}/color")), None)
        if place is None:
            faults.add(where, f"there is no folder {subject}/{clip}/color", f"unpack it below {folder}")
            continue
        if name not in videos:
            shots = pictures(place)
            videos[name] = Video(Annotated(name, str(subject).strip(), 30.0), shots)
            numbers[name] = [natural(p)[0] for p in shots]
        onset, apex, offset = (_position(numbers[name], whole(f), i == 0) for i, f in enumerate(frames))
        short = str(kind or "").strip().lower().removesuffix("-expression")
        add(videos[name], where, number, short, (onset, apex, offset), faults=faults, first=0)
    return finish(videos, faults)


def _casme3_table(folder: Path) -> Path:
    for pattern in ("CAS(ME)*3*part*A*.xlsx", "CAS(ME)*3*part*A*.csv"):
        if found := sorted(folder.rglob(pattern)):
            return found[-1]
    if old := sorted(folder.rglob("CAS(ME)*3*part*A*.xls")):
        raise DataError(f"{old[-1]} is in the old Excel form; open it and save it as .xlsx beside it")
    raise DataError(f"there is no CAS(ME)3_part_A*.xlsx in {folder}; give the folder part A was unpacked to")


def _position(numbers: Sequence[int], frame: int | None, zero_is_known: bool) -> int | None:
    """Return the position of the first picture with at least that number."""
    if frame is None or (frame == 0 and not zero_is_known):
        return None
    return next((i for i, number in enumerate(numbers) if number >= frame), len(numbers))
