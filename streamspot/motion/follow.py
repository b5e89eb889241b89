"""Following the points of a face by flow, and what of their motion is the head's."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from streamspot.face.align import CROP, CROP_EYES, to_crop
from streamspot.face.scene import same_face
from streamspot.motion.flow import make_flow
from streamspot.motion.head import RIGID, fit_rigid, rigid_basis
from streamspot.types import Face, FlowName, Frame

Array = NDArray[np.float32]
Picture = NDArray[np.uint8]

SURE = 0.5
"""Quality of the flow from which on it is believed without landmarks."""

_NOISY = 0.005
"""Residual of the rigid fit, inter-ocular distances, at which quality is one half."""

_AXIS = 1.4826 * math.sqrt(2 * math.log(2))
"""How many times the standard deviation in x and in y the spread of the rigid fit's residual is."""

_UNKNOWN = 1.0
"""Error of a flow that says nothing, inter-ocular distances."""

_ALIKE = 0.1
"""Inter-ocular distances that a region, or the head at a region, may move before its patch looks like another one."""

_OFF = 2.0
"""Crop pixels by which landmarks may have a point elsewhere before it is followed from where they have it."""

_STRAY = 3.0
"""Crop pixels the aligned face may drift before the crop is laid anew."""

_MIDDLE = np.array([CROP / 2, CROP / 2, 0.0], np.float32)


@dataclass(frozen=True, slots=True)
class FlowStep:
    """What flow says of the next frame.

    Attributes:
        crop: Its crop.
        at: ``(26 + R, 3)``, where the points are in it, crop pixels.
        moved: ``(R, 2)``, how far the regions have moved by themselves since the template, inter-ocular distances.
        turned: ``(R, 2)``, how far the head has moved them since then.
        own: ``(R, 2)``, how far they have moved by themselves since the frame before.
        head: ``(R, 2)``, how far the head has moved them since then.
        spread: Error of the flow, inter-ocular distances (standard deviation in x and in y).
        quality: In [0, 1], how far to trust it.
        lost: Whether a point could not be followed.
        fresh: Whether this frame becomes the template of those that come.
    """

    crop: Picture
    at: Array
    moved: Array
    turned: Array
    own: Array
    head: Array
    spread: float
    quality: float
    lost: bool
    fresh: bool


class Follower:
    """Follows the points of the skull and of the regions of one face.

    They are looked for as they were in a template, a crop of some earlier frame, not in the frame before: errors of
    flow then do not add up from frame to frame. The template is taken anew when something has moved far, and when
    flow is not sure.

    Args:
        regions: Their number, R.
        flow: Which optical flow to use.
    """

    def __init__(self, regions: int, flow: FlowName) -> None:
        self._flow = make_flow(flow)
        self._still = np.zeros((regions, 2), np.float32)
        self._cutter: _Cutter
        self._crop: Picture | None = None
        self._looks: deque[Picture] = deque(maxlen=3)
        self._at = np.zeros((0, 3), np.float32)
        self._template: Picture
        self._from = self._at
        self._basis = rigid_basis(self._at)
        self._moved = self._turned = self._still

    @property
    def follows(self) -> bool:
        """Whether it has points to follow."""
        return self._crop is not None

    def drop(self) -> None:
        """Follow nothing until points are laid."""
        self._crop = None

    def lay(self, frame: Frame, face: Face, aligned: Array) -> None:
        """Lay the crop where the face is now, and its points ``aligned`` ``(26 + R, 3)``."""
        self._cutter = _Cutter(frame.image.shape[:2], face.transform)
        self._crop, self._at = self._cutter(frame.image), aligned
        self._take_template()

    def check(self, frame: Frame, face: Face, landmarks: Array, aligned: Array) -> None:
        """Compare the points with landmarks ``(26 + R, 3)``, in the frame and aligned; put right what is far off."""
        placed = to_crop(self._cutter.transform, landmarks)
        if np.abs((placed - aligned)[: len(RIGID), :2]).max() > _STRAY:
            self.lay(frame, face, aligned)
        elif np.abs((placed - self._at)[:, :2]).max() > _OFF:
            self._at = placed
            self._take_template()

    def recognises(self, frame: Frame, face: Face) -> bool:
        """Return whether a face looks as the one that is followed did lately; unless it is known, it does."""
        if not self._looks:
            return True
        now = _Cutter(frame.image.shape[:2], face.transform)(frame.image)
        return any(same_face(one, now) for one in self._looks)

    def remember(self) -> None:
        """Remember how the face looks now, beside the two times before."""
        if self._crop is not None:
            self._looks.append(self._crop)

    def step(self, frame: Frame) -> FlowStep:
        """Return where flow has the points in the next frame; ``go`` takes that step."""
        crop = self._cutter(frame.image)
        eyes = np.float32(CROP_EYES)
        flow = self._flow(self._template, crop, self._from[:, :2], self._at[:, :2]) / eyes  # (26 + R, 2)
        lost = np.isnan(flow)  # still where the head is fitted, going with the head elsewhere
        if 2 * lost[: len(RIGID), 0].sum() > len(RIGID):
            return self.leap(frame, 0.0)  # the light was switched, and what is left would be believed
        motion, spread = fit_rigid(self._basis[: len(RIGID)], np.where(lost, 0, flow)[: len(RIGID)])
        head = (self._basis @ motion).astype(np.float32)
        flow = np.where(lost, head, flow)
        at = self._from.copy()
        at[:, :2] += flow * eyes
        moved, turned = (flow - head)[len(RIGID) :], head[len(RIGID) :]
        quality = 1.0 / (1.0 + (spread / _NOISY) ** 2)
        far = max(float(np.abs(moved).max()), float(np.abs(head).max())) > _ALIKE
        return FlowStep(
            crop,
            at,
            moved,
            turned,
            moved - self._moved,
            turned - self._turned,
            spread / _AXIS,
            quality,
            lost=bool(lost.any()),
            fresh=far or quality < SURE or bool(lost.any()),
        )

    def leap(self, frame: Frame, quality: float) -> FlowStep:
        """Return the step of which flow says nothing: across a gap, or where most of the head was lost."""
        still = self._still
        crop = self._cutter(frame.image)
        return FlowStep(crop, self._at, still, still, still, still, _UNKNOWN, quality, lost=True, fresh=True)

    def go(self, step: FlowStep) -> None:
        """Take a step: from here on the points are where it has them."""
        self._crop, self._at, self._moved, self._turned = step.crop, step.at, step.moved, step.turned
        if step.fresh:
            self._take_template()

    def _take_template(self) -> None:
        assert self._crop is not None  # noqa: S101 - points have been laid
        self._template, self._from = self._crop, self._at
        self._basis = rigid_basis((self._at - _MIDDLE) / np.float32(CROP_EYES))  # (26 + R, 2, 6)
        self._moved = self._turned = self._still


class _Cutter:
    """Cuts the grey ``(160, 160)`` crop of one transform; a larger face is averaged over pixels, not sampled."""

    def __init__(self, size: tuple[int, ...], transform: NDArray[np.float32]) -> None:
        self.transform = transform
        self._size = size
        corners = _CORNERS @ cv2.invertAffineTransform(transform).T  # (4, 2)
        by = max(1, int(1.0 / max(float(np.hypot(transform[0, 0], transform[0, 1])), 1e-3)))
        self._by = by = min(by, *size)  # of a picture that has become tiny no more than is there
        limit = np.array(size[::-1])
        first = np.clip(np.floor(corners.min(0)) - 1, 0, limit - by).astype(int)
        last = np.clip(np.ceil(corners.max(0)) + 2, first + by, limit).astype(int)
        last -= (last - first) % by
        self._part = slice(first[1], last[1]), slice(first[0], last[0])
        # the centre of pixel i of the part lies at first + by * (i + 1/2) - 1/2
        turn = transform[:, :2]
        shift = transform[:, 2] + turn @ (first + (by - 1) / 2)
        self._warp = np.concatenate([turn * by, shift[:, None]], axis=1)

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the crop of a picture."""
        if image.shape[:2] != self._size:  # the source changed its mode
            return _Cutter(image.shape[:2], self.transform)(image)
        part = cv2.cvtColor(image[self._part], cv2.COLOR_BGR2GRAY)
        if self._by > 1:
            size = part.shape[1] // self._by, part.shape[0] // self._by
            part = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.warpAffine(part, self._warp, (CROP, CROP), borderMode=cv2.BORDER_REPLICATE))


_CORNERS = np.array([[0, 0, 1], [CROP, 0, 1], [0, CROP, 1], [CROP, CROP, 1]], np.float32)
