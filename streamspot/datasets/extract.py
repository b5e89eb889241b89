"""Measures the region motion of all videos of a data set, in parallel, and joins it into one data set.

Each video has a file of its own, so an interrupted extraction goes on where it stopped. Annotations are not part of
that file. They are converted to ticks when the files are joined, so mended annotations cost no second extraction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from streamspot.datasets.measure import (
    Extracted,
    Measures,
    fingerprint,
    measure,
    on_ticks,
    rate_remark,
    read_extracted,
    write_extracted,
)
from streamspot.datasets.store import Meta, save
from streamspot.datasets.videos import Found, Video
from streamspot.destinations import check_folder
from streamspot.errors import DataError, SourceError, StreamspotError
from streamspot.files import as_file_name
from streamspot.motion.regions import layout
from streamspot.processes import Advance, Processes, Workers
from streamspot.sources.video import VideoFile
from streamspot.types import TICK_RATE

VIDEOS = "videos"
"""Folder of the result with a file for each video, from which an interrupted extraction goes on."""


_HERE = Processes()


@dataclass(frozen=True, slots=True)
class ExtractOutcome:
    """What became of a data set.

    Attributes:
        videos: How many are in the result.
        resumed: How many of them were there already.
        broken: Name → what is wrong and what to do, of the videos that are not.
        notes: What was assumed, where faces were lost, which pictures were damaged.
    """

    videos: int
    resumed: int
    broken: dict[str, str]
    notes: list[str]


def extract(
    found: Found,
    out: Path,
    measures: Measures,
    *,
    workers: Workers = _HERE,
    progress: Callable[[int, int], None],
) -> ExtractOutcome:
    """Measure every video of a data set and write it in the form that ``load`` takes.

    Videos already measured in the same way are not measured again. A broken video is left out and reported.

    ``out`` takes ``features.npz``, ``annotations.csv``, ``meta.yaml`` and ``videos/``, a file each. ``progress`` is
    told now and then the frames done and the frames there are, as far as is known.

    Raises:
        DataError: Two videos have one name.
        SettingsError: ``out`` cannot be written.
        StreamspotError: A worker was killed.
    """
    layout(measures.layout)
    for name, count in Counter(video.annotated.name for video in found.videos).most_common(1):
        if count > 1:
            raise DataError(f"two videos are called {name}; rename one, its name without ending must differ")
    check_folder(out / VIDEOS)
    broken: dict[str, str] = {}
    todo = []
    for video in found.videos:
        try:
            if read_extracted(_place(out, video), fingerprint(video, measures)) is None:
                todo.append(video)
        except (StreamspotError, OSError) as error:
            broken[video.annotated.name] = str(error)
    resumed = len(found.videos) - len(todo) - len(broken)
    sizes = {video.annotated.name: _length(video) for video in todo}
    total, done = sum(sizes.values()), 0

    def advance(frames: float) -> None:
        nonlocal done
        done += round(frames)
        progress(done, max(total, done))

    todo.sort(key=lambda video: -sizes[video.annotated.name])
    progress(0, total)
    for video, measured in workers(_measure, measures, todo, advance):
        if fault := measured if isinstance(measured, str) else _keep(out, video, measures, measured):
            broken[video.annotated.name] = fault
    return _join(found, out, measures, resumed, broken)


def _measure(measures: Measures, video: Video, advance: Advance) -> Extracted | str:
    """Measure a video, or return what is wrong with it."""
    cv2.setNumThreads(1)
    try:
        return measure(video, measures, advance)
    except (StreamspotError, OSError, cv2.error) as error:
        return str(error)


def _keep(out: Path, video: Video, measures: Measures, extracted: Extracted) -> str:
    """Write a video's motion to its file, whole or not at all; return what is wrong with that, or nothing."""
    try:
        write_extracted(_place(out, video), extracted, fingerprint(video, measures))
    except (StreamspotError, OSError) as error:
        return str(error)
    return ""


def _join(
    found: Found, out: Path, measures: Measures, resumed: int, broken: dict[str, str]
) -> ExtractOutcome:
    """Write the data set from the files of its videos, whole or not at all."""
    arrays: dict[str, NDArray[np.float32]] = {}
    annotated, notes = [], list(found.notes)
    for video in found.videos:
        name = video.annotated.name
        if name in broken:
            continue
        extracted = read_extracted(_place(out, video), fingerprint(video, measures))
        assert extracted is not None  # noqa: S101 - it has just been written
        try:
            annotated.append(on_ticks(video, extracted))
        except DataError as error:
            broken[name] = str(error)
            continue
        arrays[name] = np.concatenate((extracted.motion[1:], np.zeros_like(extracted.motion[:1])))
        remarks = (*extracted.remarks, rate_remark(video, extracted))
        notes += [f"{name}: {remark}" for remark in remarks if remark]
    if arrays:
        save(out, arrays, annotated, Meta(layout=measures.layout, fps=TICK_RATE))
    return ExtractOutcome(len(arrays), resumed, broken, notes)


def _place(out: Path, video: Video) -> Path:
    return out / VIDEOS / f"{as_file_name(video.annotated.name, safe=' ()')}.npz"


def _length(video: Video) -> int:
    """Return how many frames a video has, 0 where that is not known before it is read."""
    if video.file is None:
        return len(video.pictures)
    try:
        return VideoFile(video.file).length
    except SourceError:  # a recording of motion, or no video, which is said when its turn comes
        return 0
