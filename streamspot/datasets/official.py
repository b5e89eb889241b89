"""What the readers of the official layouts share: videos, tables, frame numbers."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streamspot.datasets.annotations import Annotated, Faults, complete
from streamspot.datasets.recording import Instance
from streamspot.errors import DataError

PICTURES = {".jpg", ".jpeg", ".png", ".bmp"}


@dataclass(slots=True)
class Video:
    """One video of a data set: where its frames are and what is annotated.

    Attributes:
        annotated: Name, subject, frames a second and expressions, 0-based frames.
        pictures: Its frames in order, where they are pictures.
        file: The video file, where it is one.
    """

    annotated: Annotated
    pictures: tuple[Path, ...] = ()
    file: Path | None = None


@dataclass(slots=True)
class Found:
    """What a reader found.

    Attributes:
        videos: In order of name.
        notes: What was assumed, with file and row.
    """

    videos: list[Video]
    notes: list[str] = field(default_factory=list)


def natural(path: Path) -> tuple[int, str]:
    """Order pictures by the last number in their name: img2 before img10."""
    numbers = re.findall(r"\d+", path.stem)
    return int(numbers[-1]) if numbers else -1, path.name


def pictures(folder: Path) -> tuple[Path, ...]:
    """Return the pictures of a folder in order of their numbers; hidden files are not pictures."""
    found = (p for p in folder.iterdir() if p.suffix.lower() in PICTURES and not p.name.startswith("."))
    return tuple(sorted(found, key=natural))


def rows_of(path: Path, sheet: int | str = 0) -> list[tuple[Any, ...]]:
    """Return all rows of a sheet of an Excel file.

    Raises:
        DataError: The file cannot be read, or openpyxl is not installed.
    """
    try:
        from openpyxl import load_workbook  # noqa: PLC0415 - an extra
        from openpyxl.utils.exceptions import InvalidFileException  # noqa: PLC0415
    except ModuleNotFoundError:
        raise DataError(f"{path} needs openpyxl; install streamspot[train]") from None
    try:
        book = load_workbook(path, read_only=True, data_only=True)
    except (OSError, KeyError, ValueError, InvalidFileException) as error:
        raise DataError(f"{path} is no Excel file of the .xlsx kind ({error}); save it as .xlsx") from None
    name = book.sheetnames[sheet] if isinstance(sheet, int) else sheet
    if name not in book.sheetnames:
        raise DataError(f"{path} has no sheet {name!r}; it has {', '.join(book.sheetnames)}")
    return list(book[name].iter_rows(values_only=True))


def whole(value: Any) -> int | None:
    """Return a frame number: 566.4 (some copies hold such) → 566; empty, text and -1 → None."""
    try:
        number = int(float(value))
    except (TypeError, ValueError):
        return None
    return number if number >= 0 else None


def one_file(folder: Path, pattern: str) -> Path:
    """Return the only file below a folder that fits a pattern, the newest release if there are several.

    Raises:
        DataError: There is none.
    """
    found = sorted(p for p in folder.rglob(pattern) if not p.name.startswith(("~", ".")))
    if not found:
        raise DataError(f"there is no {pattern} in {folder}; give the folder the data set was unpacked to")
    return found[-1]


def csv_rows_of(path: Path) -> list[tuple[str, ...]]:
    """Return all rows of a CSV file that are not empty.

    Raises:
        DataError: It is missing or not UTF-8.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return [tuple(row) for row in csv.reader(file) if row]
    except FileNotFoundError:
        raise DataError(
            f"there is no {path}; write one with the columns video, subject, kind, point"
        ) from None
    except UnicodeDecodeError:
        raise DataError(f"{path} is not text in UTF-8; save it as CSV UTF-8") from None


def add(
    video: Video,
    where: str,
    row: int,
    kind: str,
    frames: tuple[int | None, int | None, int | None],
    *,
    faults: Faults,
    first: int,
    point: int | None = None,
) -> None:
    """Add an instance, its frames counted from ``first`` in the file and from 0 here."""
    onset, apex, offset = (None if f is None else f - first for f in frames)
    if onset == -1:  # some rows say onset 0 in files that count from 1
        faults.assume(where, "onset 0 in a table that counts from 1, taken as the first frame")
        onset = 0
    instance = complete(where, kind=kind, onset=onset, apex=apex, offset=offset, point=point, faults=faults)
    if instance is not None:
        video.annotated.instances.append(instance)
        video.annotated.rows.append(row)


def finish(videos: dict[str, Video], faults: Faults) -> Found:
    """Check instances against the number of frames, raise faults, and order."""
    for video in videos.values():
        frames = len(video.pictures)
        video.annotated.frames = frames or None
        for i, (row, instance) in enumerate(
            zip(video.annotated.rows, video.annotated.instances, strict=True) if frames else ()
        ):
            where = f"{video.annotated.name}, row {row}"
            if instance.apex >= frames:
                faults.add(
                    where,
                    f"apex {instance.apex} lies behind the last frame, {frames - 1}",
                    "check the frames",
                )
            elif instance.offset >= frames:
                faults.assume(
                    where, f"offset {instance.offset} lies behind the last frame, taken as {frames - 1}"
                )
                kept = Instance(instance.kind, instance.onset, instance.apex, frames - 1, instance.point)
                video.annotated.instances[i] = kept
    faults.stop_if_any()
    return Found([videos[name] for name in sorted(videos)], faults.notes)
