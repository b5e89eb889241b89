"""What the readers of all formats share: videos, their pictures, and how instances are added."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from streamspot.datasets.annotations import Annotated, Faults, complete
from streamspot.datasets.recording import Instance
from streamspot.errors import DataError

PICTURES = {".jpg", ".jpeg", ".png", ".bmp"}


@dataclass(slots=True)
class Video:
    """One video of a data set: where its frames are and what is annotated.

    Attributes:
        annotated: Name, subject, frames a second and expressions; frames count from 0.
        pictures: The picture files of its frames in order; empty if it is a video file.
        file: The video file; None if its frames are pictures.
    """

    annotated: Annotated
    pictures: tuple[Path, ...] = ()
    file: Path | None = None


@dataclass(slots=True)
class Found:
    """What the reader of a format found.

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


def one_file(folder: Path, pattern: str) -> Path:
    """Return the only file below a folder that fits a pattern, the newest release if there are several.

    Raises:
        DataError: There is none.
    """
    found = sorted(p for p in folder.rglob(pattern) if not p.name.startswith(("~", ".")))
    if not found:
        raise DataError(f"there is no {pattern} in {folder}; give the folder the data set was unpacked to")
    return found[-1]


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
    """Add an instance to a video.

    Args:
        video: Takes it.
        where: File and row, as a fault names them.
        row: Number of the row.
        kind: ``macro`` or ``micro``; anything else is a fault.
        frames: Onset, apex and offset as the file counts them; None where it does not say.
        faults: Takes what is wrong or assumed.
        first: Number of the first frame in the file, 0 or 1.
        point: The point label, counted from 0.
    """
    onset, apex, offset = (None if f is None else f - first for f in frames)
    if onset == -1:  # some rows say onset 0 in files that count from 1
        faults.assume(where, "onset 0 in a table that counts from 1, taken as the first frame")
        onset = 0
    instance = complete(where, kind=kind, onset=onset, apex=apex, offset=offset, point=point, faults=faults)
    if instance is not None:
        video.annotated.instances.append(instance)
        video.annotated.rows.append(row)


def finish(videos: dict[str, Video], faults: Faults) -> Found:
    """Check the instances against the number of pictures and return the videos in order of name.

    Raises:
        DataError: There are faults.
    """
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
