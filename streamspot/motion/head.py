"""Motion of the rigid head: what a turning, nodding, nearing head does to each point of the face.

A two-dimensional similarity cannot explain a head that turns. Both functions here know the depth of the
points: the first fits the six-parameter motion of a rigid body under weak perspective to measured flow, the
second turns a landmark mesh back into a reference pose.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

# nose ridge and root, eye corners, sides of the nose, temples and the border before the ears: what neither
# brows nor mouth move
_SKULL = "6 197 195 5 4 168 193 417 122 351 133 362 33 263 127 356 234 454 245 465 188 412 114 343 47 277"
RIGID = np.array([int(vertex) for vertex in _SKULL.split()])
"""Face-mesh vertices that move with the skull."""

_PRIOR = np.diag([1e-6, 1e-6, 1e-3, 1e-3, 1e-2, 1e-2])
"""Weak pull towards no motion; keeps rotation from explaining a flat patch of points."""


def rigid_basis(points: Array) -> NDArray[np.float64]:
    """Return the image motion of each point for each of the six motions of a rigid body.

    Of points ``(N, 3)`` in inter-ocular distances, depth away from the camera positive, it is ``(N, 2, 6)``: shift x,
    shift y, nearing, roll, yaw and pitch (small angles, weak perspective).
    """
    x, y, z = points.T
    basis = np.zeros((len(points), 2, 6))
    basis[:, 0, 0] = basis[:, 1, 1] = 1.0
    basis[:, 0, 2], basis[:, 1, 2] = x, y
    basis[:, 0, 3], basis[:, 1, 3] = -y, x
    basis[:, 0, 4] = basis[:, 1, 5] = z
    return basis


def fit_rigid(basis: NDArray[np.float64], motion: Array) -> tuple[NDArray[np.float64], float]:
    """Fit the rigid motion to the measured motion of rigid points, robustly.

    Three rounds of re-weighted least squares with Cauchy-like weights, begun at the median motion: a hand, hair
    or a spectacle frame over fewer than half of the points does not matter.

    Returned are the six parameters for ``motion`` ``(N, 2)``, and the robust standard deviation of what they leave,
    in inter-ocular distances.
    """
    rows = basis.reshape(-1, 6)
    target = motion.reshape(-1).astype(np.float64)
    left = (motion - median(motion)).reshape(-1)
    parameters = np.zeros(6)
    for _ in range(3):
        squares, spread = _spread(left)
        weight = 1.0 / np.maximum(1.0, squares / (1.5 * spread) ** 2)
        weighted = (basis * weight[:, None, None]).reshape(-1, 6).T
        # OpenCV's solver: NumPy's wakes a pool of threads for a system of six
        solved = cv2.solve(weighted @ rows + _PRIOR, weighted @ target, flags=cv2.DECOMP_CHOLESKY)[1]
        parameters = np.asarray(solved, np.float64)[:, 0]
        left = target - rows @ parameters
    return parameters, _spread(left)[1]


def median(values: Array) -> Array:
    """Return the median over the first axis, faster than NumPy's for so few."""
    ordered, middle = np.sort(values, axis=0), len(values) // 2
    return np.asarray((ordered[middle] + ordered[-middle - 1]) / 2, np.float32)


def _spread(left: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Return the squared lengths of ``(N, 2)`` flat residuals and their robust standard deviation."""
    squares = left[::2] ** 2 + left[1::2] ** 2
    middle = len(squares) // 2
    return squares, max(1.4826 * math.sqrt(float(np.partition(squares, middle)[middle])), 1e-4)


class PoseNormaliser:
    """Turns landmarks back into the pose of a reference (3-D Procrustes on the rigid points).

    The reference, a segment's first mesh, is (26 + R, 3) in inter-ocular distances, the points of ``RIGID`` first.
    """

    def __init__(self, reference: Array) -> None:
        rigid = reference[: len(RIGID)]
        self._centre = rigid.mean(0)
        self._target = rigid - self._centre

    def __call__(self, points: Array) -> Array:
        """Return the ``(R, 2)`` positions of the points after the rigid ones, were the head in the reference pose.

        Source: Umeyama, *Least-squares estimation of transformation parameters*, PAMI 1991.
        """
        rigid = points[: len(RIGID)]
        centre = rigid.sum(0) / np.float32(len(rigid))
        source = rigid - centre
        singular, u, vt = cv2.SVDecomp(source.T @ self._target)
        sign = np.array([1.0, 1.0, np.sign(cv2.determinant(u) * cv2.determinant(vt))], np.float32)
        turn = (u * sign) @ vt
        scale = (singular[:, 0] * sign).sum() / max(float((source * source).sum()), 1e-9)
        positions = scale * ((points[len(RIGID) :] - centre) @ turn[:, :2]) + self._centre[:2]
        return np.asarray(positions, np.float32)
