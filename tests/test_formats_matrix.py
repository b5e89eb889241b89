"""Promise: one clip gives the same events in whatever container, codec, rate and orientation it comes."""

from __future__ import annotations

import math
from pathlib import Path

import av
import numpy as np
import pytest
from made_clips import FPS, as_frames, portrait_clip, same, spot, spotted, turn, write_video
from numpy.typing import NDArray

from streamspot.types import TICK_RATE

_PAIRS = {
    "mp4": ("libx264", "libx265", "libsvtav1", "mpeg4", "libvpx-vp9"),
    "mov": ("libx264", "libx265", "prores_ks", "mjpeg", "mpeg4"),
    "mkv": (
        "libx264",
        "libx265",
        "libvpx",
        "libvpx-vp9",
        "libsvtav1",
        "mpeg4",
        "mpeg2video",
        "mjpeg",
        "ffv1",
    ),
    "webm": ("libvpx", "libvpx-vp9", "libsvtav1"),
    "avi": ("mpeg4", "mjpeg", "libx264"),
    "ts": ("libx264", "libx265", "mpeg2video"),
    "mpg": ("mpeg2video",),
    "flv": ("flv", "libx264"),
    "wmv": ("wmv2",),
    "3gp": ("libx264",),
    "m4v": ("libx264",),
    "nut": ("libx264",),
}
_LAYOUTS = {"prores_ks": "yuv422p10le", "mjpeg": "yuvj420p"}
_RATES = (15, 24, 30, 50)
_RATED = (("mp4", "libx264"), ("mkv", "libvpx-vp9"), ("avi", "mpeg4"), ("ts", "libx264"), ("mov", "libx265"))
_TURNED = (("mp4", "libx264"), ("mp4", "mpeg4"), ("mov", "libx265"), ("mov", "mjpeg"))

COMBINATIONS = [
    *((kind, codec, FPS, 0) for kind, codecs in _PAIRS.items() for codec in codecs),
    *((kind, codec, rate, 0) for kind, codec in _RATED for rate in _RATES),
    *((kind, codec, FPS, degrees) for kind, codec in _TURNED for degrees in (90, 180, 270)),
]
_FINE = {
    "libx264": {"crf": "0"},
    "libx265": {"x265-params": "log-level=none:lossless=1"},
    "libvpx": {"b": "12M"},
    "libvpx-vp9": {"lossless": "1"},
    "libsvtav1": {"crf": "10"},
    "mpeg4": {"b": "40M", "qmin": "1", "qmax": "1"},
    "mpeg2video": {"b": "20M"},
    "wmv2": {"b": "16M"},
    "flv": {"b": "16M"},
    "mjpeg": {"b": "50M"},
}
"""So good that the encoder's noise changes no event: reading is what is tested."""
_references: dict[int, list[tuple[str, int, int]]] = {}


def held(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture as all of these formats hold it: its colours at half the resolution."""
    coarse = av.VideoFrame.from_ndarray(picture, format="bgr24").reformat(format="yuv420p")
    return coarse.to_ndarray(format="bgr24")


def test_there_are_many_combinations():
    """The matrix is as large as it claims."""
    assert len(set(COMBINATIONS)) >= 60


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "codec", "rate", "degrees"), COMBINATIONS)
def test_a_clip_is_the_same_in_every_form(tmp_path: Path, kind: str, codec: str, rate: int, degrees: int):
    """Containers, codecs, rates and rotations change nothing: onsets and offsets come within a frame or a tick."""
    pictures = portrait_clip(6.2, rate, expressions=1)
    if rate not in _references:
        _references[rate] = spot(as_frames(map(held, pictures), rate))
    stored = [np.ascontiguousarray(np.rot90(picture, degrees // 90)) for picture in pictures]
    clip = write_video(
        tmp_path / f"clip.{kind}",
        stored,
        fps=rate,
        codec=codec,
        layout=_LAYOUTS.get(codec, "yuv420p"),
        options=_FINE.get(codec),
    )
    if degrees:
        turn(clip, stored[0].shape[1::-1], degrees)
    found, said = spotted(clip)
    assert len(_references[rate]) == 1
    assert same(found, _references[rate], within=math.ceil(rate / TICK_RATE)), (found, _references[rate])
    assert said == []
