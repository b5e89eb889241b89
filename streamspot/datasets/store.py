"""The one on-disk form of a data set: ``features.npz`` + ``annotations.csv`` + optional ``meta.yaml``."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from streamspot.datasets.annotations import Annotated, Faults, read_annotations, write_annotations
from streamspot.datasets.meta import Meta, read_meta, usual
from streamspot.datasets.points import sample_point
from streamspot.datasets.recording import Dataset, Instance, Recording, instance_to_ticks, to_ticks
from streamspot.errors import DataError
from streamspot.files import write_atomically
from streamspot.types import TICK_RATE

FEATURES, ANNOTATIONS, META = "features.npz", "annotations.csv", "meta.yaml"


def load(folder: Path, *, seed: int = 0) -> Dataset:
    """Load a data set onto the 30 Hz grid.

    Args:
        folder: Holds ``features.npz`` (per video ``(frames, R, 2)``, row i the motion from frame i to i+1),
            ``annotations.csv`` and perhaps ``meta.yaml``. Without the latter, twelve regions are understood as
            the dlib points 18,19,20, 23,24,25, 28,30, 48,51,54,57 in units of 20 px, of which the nose points
            28 and 30 are left out.
        seed: For point labels the annotation lacks (see ``sample_point``).

    Raises:
        DataError: Something is missing or contradictory; every fault is named with file, row and remedy.
    """
    faults = Faults()
    arrays = _read_features(folder / FEATURES, faults)
    declared = read_meta(folder / META)
    width = next(iter(arrays.values())).shape[1]
    meta = usual(width) if declared is None else declared
    videos = read_annotations(
        folder / ANNOTATIONS, faults, missing_offset=meta.missing_offset, missing_apex=meta.missing_apex
    )
    _compare(folder, arrays, videos, faults)
    columns = _columns(folder, meta, width, faults)
    faults.stop_if_any()
    recordings = []
    for name in sorted(videos):
        video = videos[name]
        fps = video.fps or meta.fps or TICK_RATE
        motion = to_ticks(arrays[name][:, columns] * np.float32(meta.scale), fps)
        instances = _with_points(video, seed)
        in_ticks = tuple(
            sorted(
                (instance_to_ticks(i, fps, len(motion)) for i in instances), key=lambda i: (i.onset, i.offset)
            )
        )
        recordings.append(Recording(name, video.subject, motion, tuple(in_ticks)))
    return Dataset(folder.resolve().name, meta.layout, tuple(recordings), tuple(faults.notes))


def save(
    folder: Path, arrays: Mapping[str, NDArray[np.float32]], videos: list[Annotated], meta: Meta
) -> None:
    """Write a data set in the form ``load`` takes; files that are there are replaced once all three are written."""
    folder.mkdir(parents=True, exist_ok=True)
    declared = meta.model_dump(mode="json", exclude_defaults=True)
    with (
        write_atomically(folder / FEATURES) as features,
        write_atomically(folder / ANNOTATIONS) as annotations,
        write_atomically(folder / META) as about,
    ):
        with features.open("wb") as file:
            np.savez_compressed(file, **arrays)
        write_annotations(annotations, videos)
        about.write_text(
            yaml.safe_dump({"layout": meta.layout, **declared}, sort_keys=False), encoding="utf-8"
        )


def _read_features(path: Path, faults: Faults) -> dict[str, NDArray[np.float32]]:
    """Read the arrays; shapes and values are checked, faults noted."""
    try:
        with np.load(path) as file:
            arrays = {name: np.asarray(file[name], np.float32) for name in file.files}
    except FileNotFoundError:
        raise DataError(f"there is no {path}; give a folder with features.npz and annotations.csv") from None
    except (ValueError, OSError, zipfile.BadZipFile, zlib.error, EOFError):
        raise DataError(
            f"{path} cannot be read as a NumPy archive; write it again with `streamspot extract`"
        ) from None
    if not arrays:
        raise DataError(f"{path} holds no array; write it again with `streamspot extract`")
    widths = {array.shape[1] for array in arrays.values() if array.ndim == 3}
    for name, array in arrays.items():
        where = f"{path}, array {name}"
        if array.ndim != 3 or array.shape[2] != 2 or not len(array):
            faults.add(where, f"its shape is {array.shape}", "it must be (frames, regions, 2)")
        elif not np.isfinite(array).all():
            frame = int(np.argwhere(~np.isfinite(array))[0, 0])
            faults.add(where, f"frame {frame} is not finite", "extract this video again")
    if len(widths) > 1:
        faults.add(
            str(path), f"the arrays have {sorted(widths)} regions", "extract all videos with one layout"
        )
    faults.stop_if_any()
    return arrays


def _compare(
    folder: Path, arrays: Mapping[str, NDArray[np.float32]], videos: Mapping[str, Annotated], faults: Faults
) -> None:
    """Note as faults where the two files disagree."""
    path = folder / ANNOTATIONS
    for name in sorted(set(videos) - set(arrays)):
        faults.add(str(path), f"{name} has no array in {FEATURES}", "extract it or remove its rows")
    for name in sorted(set(arrays) - set(videos)):
        faults.add(
            str(path),
            f"{name} of {FEATURES} has no row",
            "add one, with an empty kind if nothing shows",
        )
    for name in sorted(set(arrays) & set(videos)):
        video, frames = videos[name], len(arrays[name])
        if video.frames not in (None, frames):
            faults.add(
                str(path), f"{name} says {video.frames} frames, its array has {frames}", "extract again"
            )
        for i, (row, instance) in enumerate(zip(video.rows, video.instances, strict=True)):
            where = f"{path}, row {row}"
            last = max(instance.apex, instance.point or 0, instance.offset - 1)
            if last >= frames:
                faults.add(where, f"frame {last} lies behind the last, {frames - 1}", "number frames from 0")
            elif instance.offset == frames:
                faults.assume(where, f"offset {frames} is one behind the last frame, taken as {frames - 1}")
                video.instances[i] = replace(instance, offset=frames - 1)


def _columns(folder: Path, meta: Meta, width: int, faults: Faults) -> list[int]:
    """Return the columns to keep."""
    columns = list(meta.columns or range(width))
    if any(not 0 <= c < width for c in columns) or len(set(columns)) < len(columns) or not columns:
        faults.add(
            str(folder / META), f"columns is {columns}", f"name columns from 0 to {width - 1}, each once"
        )
    return columns


def _with_points(video: Annotated, seed: int) -> list[Instance]:
    """Return the instances, each with a point, the annotated one or a sampled one."""
    rng = np.random.default_rng([seed, zlib.crc32(video.name.encode())])
    return [i if i.point is not None else replace(i, point=sample_point(i, rng)) for i in video.instances]
