"""What the readers of all formats share: videos, their pictures and their instances."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streamspot.datasets.annotations import Annotated, Faults
from streamspot.errors import DataError
from streamspot.sources.images import picture_files


@dataclass(slots=True)
class Video:
    """One video of a data set: where its frames are and what is annotated.

    Attributes:
        annotated: Name, subject, frames a second and expressions; frames count from 0.
        pictures: The picture files of its frames in order; empty if it is a video file.
        file: The video file; None if its frames are pictures.
        face: Whose face it is about, by the number that a stream gives it; None if one is in view at a time.
    """

    annotated: Annotated
    pictures: tuple[Path, ...] = ()
    file: Path | None = None
    face: int | None = None


@dataclass(slots=True)
class Found:
    """What the reader of a format found.

    Attributes:
        videos: In order of name.
        notes: What was assumed, with file and row.
    """

    videos: list[Video]
    notes: list[str] = field(default_factory=list)


def number_of(picture: Path) -> int:
    """Return the last number in the name of a picture, -1 where there is none."""
    numbers = re.findall(r"\d+", picture.stem)
    return int(numbers[-1]) if numbers else -1


def pictures(folder: Path) -> tuple[Path, ...]:
    """Return the pictures of a folder in order of the last numbers in their names."""
    return tuple(sorted(picture_files(folder), key=number_of))


def one_file(folder: Path, *patterns: str) -> Path:
    """Return the file below a folder that fits the first pattern which any fits, of several the newest release.

    Raises:
        DataError: There is none.
    """
    for pattern in patterns:
        if found := sorted(p for p in folder.rglob(pattern) if not p.name.startswith(("~", "."))):
            return found[-1]
    raise DataError(f"there is no {patterns[0]} in {folder}; give the folder the data set was unpacked to")


def finish(videos: Mapping[Any, Video], faults: Faults) -> Found:
    """Check the instances against the number of pictures and return the videos in order of their keys.

    Raises:
        DataError: There are faults.
    """
    for video in videos.values():
        annotated, frames = video.annotated, len(video.pictures)
        if frames:
            annotated.frames = frames
            annotated.instances = annotated.within(frames, annotated.name, faults)
    faults.stop_if_any()
    return Found([videos[key] for key in sorted(videos)], faults.notes)
