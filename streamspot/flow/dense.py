"""Dense optical flow between two aligned crops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

FlowName = Literal["dis", "farneback", "tvl1"]
DenseFlow = Callable[[NDArray[np.uint8], NDArray[np.uint8]], NDArray[np.float32]]


def make_flow(name: FlowName = "dis") -> DenseFlow:
    """Return a function from two grey ``(H, W)`` pictures to the flow ``(H, W, 2)`` in pixels.

    ``dis`` (Kroeger et al., ECCV 2016, preset *ultrafast*) is the default: without variational refinement, which
    smooths away a third of what a brow or a mouth corner moves. ``farneback`` with the constants of the published
    spotting pipelines and ``tvl1`` (Zach et al., 2007) are there for fidelity studies and cost twenty and a
    thousand times as much.
    """
    library: Any = cv2  # the type stubs of OpenCV leave these functions out
    if name == "farneback":
        return lambda a, b: library.calcOpticalFlowFarneback(a, b, None, 0.5, 3, 15, 5, 7, 1.5, 0)
    if name == "tvl1":
        method = library.optflow.DualTVL1OpticalFlow_create()
    else:
        method = library.DISOpticalFlow_create(library.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    return lambda a, b: method.calc(a, b, None)
