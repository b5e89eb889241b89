"""Measures the region motion of one video, keeps it in a file, and converts the video's annotation to its ticks."""

from __future__ import annotations

import hashlib
import json
import time
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from streamspot.datasets.annotations import Annotated, Faults
from streamspot.datasets.store import write_arrays
from streamspot.datasets.videos import Video
from streamspot.errors import DataError
from streamspot.files import write_atomically
from streamspot.motion.estimator import MotionEstimator
from streamspot.motion.regions import Layout, layout
from streamspot.processes import Advance
from streamspot.sources.base import file_identity
from streamspot.sources.motion import MotionRecording, is_recording
from streamspot.sources.video import VideoFile
from streamspot.types import TICK_RATE, FaceMotion, FlowName, Frame, Motion, RegionMotion, Session

_FORM = 2
"""Raised when the content of a video's file changes its meaning, so that old ones are made anew."""

_OTHER_RATE = 1.5
"""How many times as many frames a second make it another copy of a video."""


@dataclass(frozen=True, slots=True)
class Measures:
    """How the videos are measured.

    Attributes:
        layout: Name of the region layout.
        flow: Which optical flow.
        stride: Only every so many frames one is measured.
        faces: How many are followed at most in a video of which one face is meant.
    """

    layout: str = "face17"
    flow: FlowName = "lk"
    stride: int = 1
    faces: int = 1


@dataclass(frozen=True, slots=True)
class Extracted:
    """Region motion of one video.

    Attributes:
        motion: ``(T, R, 2)`` float32, row n the displacement since tick n - 1; 0 where no face was seen.
        seen: ``(T,)`` bool, whether a face was.
        frames: ``(N,)`` int64, numbers of the frames that were measured; one that is held stands there several times.
        times: ``(N,)`` float64, their times in seconds after the first frame.
        remarks: What a user should know of the video: faces lost, pictures that could not be decoded.
    """

    motion: NDArray[np.float32]
    seen: NDArray[np.bool_]
    frames: NDArray[np.int64]
    times: NDArray[np.float64]
    remarks: tuple[str, ...] = ()


def measure(video: Video, measures: Measures, advance: Advance = lambda _: None) -> Extracted:
    """Return the region motion of one video: pictures, a video file, or a recording of region motion.

    ``advance`` is told how many frames have been dealt with since its last call.

    Raises:
        DataError: Nothing in it can be decoded, the face is not seen, its number means nothing while one face is
            followed, or a recording has other regions.
        SourceError: The file cannot be read.
    """
    name, regions = video.annotated.name, layout(measures.layout)
    if (recorded := _recorded(video, regions)) is not None:
        return recorded
    if video.face is not None and measures.faces == 1:
        raise DataError(f"{name}: its labels name faces; give --faces with the number given to review")
    faces = 1 if video.face is None else measures.faces
    motions: list[RegionMotion] = []
    looked: list[tuple[int, float]] = []
    remarks: list[str] = []
    with closing(MotionEstimator.open(regions, faces=faces, flow=measures.flow)) as estimator:
        for frame in _frames(video, measures.stride, remarks):
            motions += _ticks(estimator.push(frame), video.face)
            advance(frame.index - (looked[-1][0] if looked else -1))
            looked.append((frame.index, frame.pts - (estimator.origin or 0.0)))
    if not looked:
        raise DataError(f"{name}: none of its {len(video.pictures)} pictures can be decoded; copy it again")
    if video.face is not None and not motions:
        raise DataError(
            f"{name}: there is no face {video.face} in it while {faces} at most are followed; "
            "give --faces with the number given to review"
        )
    return _assemble(name, motions, looked, remarks)


def _recorded(video: Video, regions: Layout) -> Extracted | None:
    """Return what a recording of region motion holds of the video's face, None if the file is none.

    Where no face is named, that of the lowest number counts in each tick, which was there first.
    """
    path, name = video.file, video.annotated.name
    if path is None or not is_recording(path):
        return None
    recording = MotionRecording(path)
    if recording.layout != regions.name:
        raise DataError(
            f"{name} was recorded for the region layout {recording.layout}; "
            f"extract with --regions {recording.layout}, or leave it out"
        )
    found = [
        one for one in recording.read() if isinstance(one, FaceMotion) and video.face in {None, one.face}
    ]
    known = {one.motion.tick: one.motion for one in sorted(found, key=lambda one: -one.face)}
    motions = [known[tick] for tick in sorted(known)]
    looked = [(motion.frame, motion.tick / TICK_RATE) for motion in motions]
    if recording.whole:
        looked.append((recording.last_frame, recording.duration - recording.session.origin))
    return _assemble(name, motions, looked, [])


def _ticks(found: Iterable[Motion | Session], face: int | None) -> list[RegionMotion]:
    return [one.motion for one in found if isinstance(one, FaceMotion) and face in {None, one.face}]


def _frames(video: Video, stride: int, remarks: list[str]) -> Iterator[Frame]:
    """Yield the pictures in the order in which the annotation counts them, or the frames of the file."""
    if video.file is not None:
        source = VideoFile(video.file)
        yield from (frame for frame in source.read() if frame.index % stride == 0)
        remarks += source.messages
        return
    fps, bad = video.annotated.fps or TICK_RATE, []
    for index in range(0, len(video.pictures), stride):
        data = np.fromfile(video.pictures[index], np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
        if image is None:
            bad.append(video.pictures[index].name)
        else:
            yield Frame(index, index / fps, time.monotonic_ns(), np.asarray(image, np.uint8))
    if bad:
        remarks.append(f"{len(bad)} of {len(video.pictures)} pictures are damaged, first {bad[0]}")


def _assemble(
    name: str, motions: Sequence[RegionMotion], looked: Sequence[tuple[int, float]], remarks: Sequence[str]
) -> Extracted:
    """Return the ticks as one array; its rows are 0 where no face was seen."""
    if not motions:
        raise DataError(
            f"{name}: no face was seen in {len(looked)} frames; check that its face is upright, "
            "lit and at least 16 px between the eyes, or leave the video out"
        )
    frames, times = (np.array(column, np.float64) for column in zip(*looked, strict=True))
    ticks = max(int(times[-1] * TICK_RATE + 1e-6), motions[-1].tick) + 1
    motion = np.zeros((ticks, *motions[0].displacement.shape), np.float32)
    seen = np.zeros(ticks, np.bool_)
    for tick in motions:
        motion[tick.tick], seen[tick.tick] = tick.displacement, True
    said = list(remarks)
    if not seen.all():
        at = int(np.argmin(seen)) / TICK_RATE
        said.append(f"no face in {np.mean(~seen):.1%} of its ticks, first at {at:.1f} s; no motion there")
    return Extracted(motion, seen, frames.astype(np.int64), times, tuple(said))


def on_ticks(video: Video, extracted: Extracted) -> Annotated:
    """Return the video's annotation with frames as ticks of its array, by the time at which each frame first shows.

    Raises:
        DataError: An apex or point lies behind the last frame.
    """
    annotated, last = video.annotated, len(extracted.motion) - 1
    frames, first = np.unique(extracted.frames, return_index=True)  # one that is held repeats
    times = extracted.times[first]
    between = int(np.median(np.diff(frames, prepend=-1))) - 1  # frames that were not looked at
    final = max(int(frames[-1]) + between, len(video.pictures) - 1)

    def tick(frame: int) -> int:
        seconds = float(np.interp(frame, frames, times))
        return min(last, int(seconds * TICK_RATE + 0.5))

    faults = Faults()
    instances = annotated.within(final + 1, annotated.name, faults)
    faults.stop_if_any()
    return replace(annotated, fps=TICK_RATE, frames=last + 1, instances=[i.at(tick) for i in instances])


def rate_remark(video: Video, extracted: Extracted) -> str:
    """Return what to say where the labels count so many more or fewer frames a second than the video has; or nothing.

    A camera's rate wavers, and falls in the dark, so less than that says nothing.
    """
    said, times, frames = video.annotated.fps, extracted.times, extracted.frames
    if video.file is None or said is None or len(times) < 2 or times[-1] <= times[0]:
        return ""
    rate = float((frames[-1] - frames[0]) / (times[-1] - times[0]))
    if max(said / rate, rate / said) < _OTHER_RATE:
        return ""
    return (
        f"its labels count {said:g} frames a second and it has {rate:.3g}; if they were made in another copy of the "
        "video, extract from that one"
    )


def fingerprint(video: Video, measures: Measures) -> str:
    """Return a digest of all that the region motion of a video depends on; its annotation is no part of it.

    Raises:
        DataError: The video has no pictures.
        OSError: They cannot be read.
    """
    faces = 1 if video.face is None else measures.faces
    what: list[object] = [_FORM, asdict(replace(measures, faces=faces))]
    if video.file is not None:
        what += [file_identity(video.file), *([] if video.face is None else [video.face])]
    elif video.pictures:
        what += [video.annotated.fps, [(path.name, path.stat().st_size) for path in video.pictures]]
    else:
        raise DataError(f"{video.annotated.name}: its folder holds no picture; unpack it again")
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()


def write_extracted(path: Path, extracted: Extracted, key: str) -> None:
    """Write a video's region motion to its file, whole or not at all."""
    with write_atomically(path) as part:
        write_arrays(part, {"key": np.array(key), **asdict(extracted)})


def read_extracted(path: Path, key: str) -> Extracted | None:
    """Read a video's region motion; None if the file is missing, damaged or of other pictures or measures."""
    try:
        with np.load(path) as file:
            if str(file["key"]) != key:
                return None
            remarks = tuple(str(remark) for remark in file["remarks"])
            return Extracted(file["motion"], file["seen"], file["frames"], file["times"], remarks)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
