"""The one on-disk form of a data set: ``features.npz`` + ``annotations.csv`` + optional ``meta.yaml``."""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from streamspot.bounds import check_archive, read_yaml
from streamspot.datasets.annotations import MISSING, Annotated, Faults, read_annotations, write_annotations
from streamspot.datasets.recording import Dataset, Recording, sample_point, to_tick, to_ticks
from streamspot.datasets.tables import FPS, LARGEST
from streamspot.errors import DataError, cut
from streamspot.files import make_private, write_atomically
from streamspot.settings import FromYaml
from streamspot.types import TICK_RATE

FEATURES, ANNOTATIONS, META = "features.npz", "annotations.csv", "meta.yaml"
_npy: Any = np.lib.format  # without type stubs
_FREE = 64
"""MiB that the arrays of a data set may take however small their file is."""
_AGAIN = "write it again with `streamspot extract`"


class Meta(FromYaml):
    """Contents of ``meta.yaml``; every key may be left out.

    Attributes:
        layout: Region layout of the columns that are kept.
        columns: Columns of the arrays to keep, in the layout's order; all by default.
        scale: Factor from the arrays' unit to inter-ocular distances.
        fps: Frames a second, where ``annotations.csv`` has no such column.
        missing_offset: Frames after the onset at which an instance without an annotated offset ends.
        missing_apex: Frames after the onset at which an apex is assumed that is missing or lies outside.
    """

    layout: str = Field("paper10", max_length=80)
    columns: tuple[int, ...] | None = Field(None, max_length=256)
    scale: float = Field(1.0, gt=0, lt=1e6)
    fps: float | None = Field(None, ge=FPS[0], le=FPS[1])
    missing_offset: int = Field(MISSING[0], gt=0, lt=LARGEST)
    missing_apex: int = Field(MISSING[1], gt=0, lt=LARGEST)


def usual(columns: int) -> Meta:
    """Return what arrays with so many regions mean when nothing is declared.

    Twelve are the dlib landmarks 18,19,20, 23,24,25, 28,30, 48,51,54,57 in units of 20 px on crops whose inter-ocular
    distance is about 80 px. The nose points 28 and 30, with which the flow was stabilised, are left out.
    """
    if columns == 12:
        return Meta(columns=(0, 1, 2, 3, 4, 5, 8, 9, 10, 11), scale=0.25)
    return Meta(layout="face17") if columns == 17 else Meta()


def read_meta(path: Path) -> Meta | None:
    """Read ``meta.yaml``, None where there is no such file.

    Raises:
        DataError: It is no YAML, has an unknown key or an impossible value.
    """
    if not path.exists():
        return None
    try:
        return Meta.model_validate(read_yaml(path) or {})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file"
        known = ", ".join(Meta.model_fields)
        raise DataError(f"{path}: {key} is wrong ({first['msg'].lower()}); known keys are {known}") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not valid YAML ({cut(error)}); mend or remove it") from None


def load(folder: Path, *, seed: int = 0) -> Dataset:
    """Load a data set onto the 30 Hz grid.

    The folder holds ``features.npz`` (per video ``(frames, R, 2)``, row i the motion from frame i to i+1),
    ``annotations.csv`` and perhaps ``meta.yaml`` (see ``usual``). ``seed`` is for point labels that the annotation
    lacks (see ``sample_point``).

    Raises:
        DataError: Something is missing or contradictory; every fault is named with file, row and remedy.
    """
    faults = Faults()
    arrays = _read_features(folder / FEATURES, faults)
    width = next(iter(arrays.values())).shape[1]
    meta = read_meta(folder / META) or usual(width)
    missing = meta.missing_offset, meta.missing_apex
    videos = read_annotations(folder / ANNOTATIONS, faults, missing)
    _compare(folder / ANNOTATIONS, arrays, videos, faults)
    columns = list(meta.columns or range(width))
    if any(not 0 <= c < width for c in columns) or len(set(columns)) < len(columns) or not columns:
        what = f"columns is {columns}"
        faults.add(str(folder / META), what, f"name columns from 0 to {width - 1}, each once")
    faults.stop_if_any()
    recordings = []
    for name, video in sorted(videos.items()):
        fps = video.fps or meta.fps or TICK_RATE
        motion = to_ticks(arrays[name][:, columns] * np.float32(meta.scale), fps)
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        recordings.append(_recording(video, motion, fps, rng))
    return Dataset(folder.resolve().name, meta.layout, tuple(recordings), tuple(faults.notes))


def _recording(
    video: Annotated, motion: NDArray[np.float32], fps: float, rng: np.random.Generator
) -> Recording:
    """Return motion and expressions in ticks, each expression with a point, the annotated one or a sampled one."""

    def tick(frame: int) -> int:
        return min(len(motion) - 1, to_tick(frame, fps))

    pointed = (i if i.point is not None else replace(i, point=sample_point(i, rng)) for i in video.instances)
    instances = sorted((i.at(tick) for i in pointed), key=lambda i: (i.onset, i.offset))
    return Recording(video.name, video.subject, motion, tuple(instances))


def save(
    folder: Path, arrays: Mapping[str, NDArray[np.float32]], videos: list[Annotated], meta: Meta
) -> None:
    """Write a data set in the form ``load`` takes; files that are there are replaced once all three are written."""
    make_private(folder)
    declared = meta.model_dump(mode="json", exclude_defaults=True)
    with (
        write_atomically(folder / FEATURES) as features,
        write_atomically(folder / ANNOTATIONS) as annotations,
        write_atomically(folder / META) as about,
    ):
        write_arrays(features, arrays)
        write_annotations(annotations, videos)
        about.write_text(
            yaml.safe_dump({"layout": meta.layout, **declared}, sort_keys=False), encoding="utf-8"
        )


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays as one file, compressed.

    Such as would unpack to more than ``load`` takes, motion of hours in which a face is seldom in view, are not
    compressed. The file is made in memory first: on a full disk an archive stays open, of which Python complains
    later. NumPy's own function takes names as arguments, and a video may be called as one of those.

    Raises:
        OSError: It cannot be written.
    """
    for form in (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED):
        whole = io.BytesIO()
        with zipfile.ZipFile(whole, "w", form) as archive:
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    _npy.write_array(member, np.asarray(array), allow_pickle=False)
        path.write_bytes(whole.getbuffer())
        with suppress(ValueError):
            check_archive(path, free=_FREE)
            return


def _read_features(path: Path, faults: Faults) -> dict[str, NDArray[np.float32]]:
    """Read the arrays; shapes and values are checked, faults noted."""
    try:
        _check(path)
        with np.load(path) as file:
            arrays = {name: _array(file, name) for name in file.files}
    except FileNotFoundError:
        raise DataError(f"there is no {path}; give a folder with features.npz and annotations.csv") from None
    except (ValueError, OSError, zipfile.BadZipFile, zlib.error, EOFError):
        raise DataError(f"{path} cannot be read as a NumPy archive; {_AGAIN}") from None
    if not arrays:
        raise DataError(f"{path} holds no array; {_AGAIN}")
    widths = {array.shape[1] for array in arrays.values() if array.ndim == 3}
    for name, array in arrays.items():
        where = f"{path}, array {name}"
        if array.ndim != 3 or array.shape[2] != 2 or not len(array):
            faults.add(where, f"its shape is {array.shape}", "it must be (frames, regions, 2)")
        elif not np.isfinite(array).all():
            frame = int(np.argwhere(~np.isfinite(array))[0, 0])
            faults.add(where, f"frame {frame} is not finite", "extract this video again")
    if len(widths) > 1:
        what = f"the arrays have {sorted(widths)} regions"
        faults.add(str(path), what, "extract all videos with one layout")
    faults.stop_if_any()
    return arrays


def _check(path: Path) -> None:
    """Refuse what is no archive, or would burst."""
    try:
        check_archive(path, free=_FREE)
    except ValueError as error:
        raise DataError(f"{path} cannot be read as a NumPy archive ({cut(error)}); {_AGAIN}") from None


def _array(file: Any, name: str) -> NDArray[np.float32]:
    """Read an array; one whose header says that it is larger than its bytes is refused before it is made."""
    with file.zip.open(f"{name}.npy") as member:
        first = _npy.read_magic(member) == (1, 0)
        shape, _, kind = (_npy.read_array_header_1_0 if first else _npy.read_array_header_2_0)(member)
    size = file.zip.getinfo(f"{name}.npy").file_size
    if kind.kind not in "fiu" or not 0 <= math.prod(shape) * kind.itemsize <= size:
        raise ValueError(name)
    return np.asarray(file[name], np.float32)


def _compare(
    path: Path, arrays: Mapping[str, NDArray[np.float32]], videos: Mapping[str, Annotated], faults: Faults
) -> None:
    """Note as faults where the annotations in ``path`` and the arrays disagree."""
    for name in sorted(set(videos) - set(arrays)):
        faults.add(str(path), f"{name} has no array in {FEATURES}", "extract it or remove its rows")
    for name in sorted(set(arrays) - set(videos)):
        remedy = "add one, with an empty kind if nothing shows"
        faults.add(str(path), f"{name} of {FEATURES} has no row", remedy)
    for name in sorted(set(arrays) & set(videos)):
        video, frames = videos[name], len(arrays[name])
        if video.frames not in (None, frames):
            what = f"{name} says {video.frames} frames, its array has {frames}"
            faults.add(str(path), what, "extract again")
        video.instances = video.within(frames, str(path), faults, strict=True)
