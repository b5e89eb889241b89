"""Optical flow between two aligned crops, at chosen points."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from streamspot.errors import SettingsError
from streamspot.types import FlowName

FLOWS: tuple[FlowName, ...] = get_args(FlowName)
Picture = NDArray[np.uint8]
Points = NDArray[np.float32]

_cv: Any = cv2  # the type stubs of OpenCV leave some functions out

_WINDOW = 15
"""Side of the patch that Lucas-Kanade follows, crop pixels: 0.3 inter-ocular distances."""

_BLOCK = 4
"""A dense flow is averaged over blocks of so many crop pixels and read between the blocks' centres."""


class Flow(Protocol):
    """What follows points from one picture to another."""

    def __call__(
        self, before: Picture, after: Picture, points: Points, guess: Points | None = None
    ) -> Points:
        """Return the flow ``(P, 2)`` of points, pixels; ``guess`` is where they are likely to be afterwards."""
        ...


def make_flow(name: str = "lk") -> Flow:
    """Return a function from two grey ``(H, W)`` pictures and points ``(P, 2)`` to their flow ``(P, 2)`` in pixels.

    ``lk`` (Lucas and Kanade, 1981, with one coarser level, Bouguet, 2000) is the default: it follows the patch
    around each point and no other. Dense flows smooth across the edge of what moves: ``dis`` (Kroeger et al., ECCV
    2016, preset *ultrafast*), ``farneback`` with the constants of the published spotting pipelines, and ``tvl1``
    (Zach et al., 2007) are there for fidelity studies; the latter two cost twenty and a thousand times as much.

    A point that cannot be followed has a flow of NaN.

    Raises:
        SettingsError: There is no flow of that name.
    """
    if name == "lk":
        return _lucas_kanade
    if name == "farneback":
        return _read(lambda a, b: _cv.calcOpticalFlowFarneback(a, b, None, 0.5, 3, 15, 5, 7, 1.5, 0))
    if name == "tvl1":
        method = _cv.optflow.DualTVL1OpticalFlow_create()
    elif name == "dis":
        method = _cv.DISOpticalFlow_create(_cv.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    else:
        raise SettingsError(f"there is no flow {name!r}; choose one of {', '.join(FLOWS)}")
    return _read(lambda a, b: method.calc(a, b, None))


def _lucas_kanade(before: Picture, after: Picture, points: Points, guess: Points | None = None) -> Points:
    """Follow the patch around each point."""
    start = np.ascontiguousarray(points, np.float32)
    guess = np.array(points if guess is None else guess, np.float32)  # OpenCV writes into it
    end, found, _ = _cv.calcOpticalFlowPyrLK(
        before,
        after,
        start,
        guess,
        winSize=(_WINDOW, _WINDOW),
        maxLevel=1,
        criteria=_CRITERIA,
        # without the eigenvalues the patches would be compared once more, for what nobody reads
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW | cv2.OPTFLOW_LK_GET_MIN_EIGENVALS,
        minEigThreshold=_FAINTEST,
    )
    return np.where(found == 1, end - start, np.float32(np.nan))


_FAINTEST = 1e-5
"""Least texture that is followed: a tenth of OpenCV's default, with which a face in a quarter of the light lost a
sixth of its points and of its motion, though the pictures still show them."""

_CRITERIA = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 10, 0.01)


def _read(dense: Callable[[Picture, Picture], NDArray[np.float32]]) -> Flow:
    """Return a dense flow averaged over blocks and read at the points."""

    def flow(before: Picture, after: Picture, points: Points, guess: Points | None = None) -> Points:  # noqa: ARG001
        size = before.shape[1] // _BLOCK, before.shape[0] // _BLOCK
        field = cv2.resize(dense(before, after), size, interpolation=cv2.INTER_AREA)
        column, row = np.hsplit((points - (_BLOCK - 1) / 2) / np.float32(_BLOCK), 2)
        read = cv2.remap(field, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(read[:, 0])

    return flow
