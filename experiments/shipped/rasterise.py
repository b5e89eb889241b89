"""Triangles with depth, drawn into a picture: by compiled code where numba is installed, else by NumPy."""

from __future__ import annotations

import importlib.util

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def rasterise(
    points: Array, triangles: NDArray[np.int64], attributes: Array, size: int
) -> tuple[NDArray[np.bool_], Array]:
    """Draw triangles with a depth buffer.

    Args:
        points: ``(V, 3)`` x and y in pixels, z towards the camera.
        triangles: ``(T, 3)`` vertices, counter-clockwise seen from outside with y up.
        attributes: ``(V, A)`` interpolated at the centres of pixels, so what moves by a tenth of a pixel looks so.
        size: Side of the picture, pixels.

    Returns:
        Which pixels are covered ``(size, size)``, and their attributes ``(size, size, A)``.
    """
    return _draw(points, triangles, attributes, size)


def one_by_one(  # noqa: C901 - compiled, so in one piece
    points: Array, triangles: NDArray[np.int64], attributes: Array, size: int
) -> tuple[NDArray[np.bool_], Array]:
    """Draw each triangle after the other; slow where it is not compiled."""
    nearest = np.full((size, size), -np.inf, np.float32)
    shown = np.full((size, size), -1, np.int64)
    shares = np.zeros((size, size, 2), np.float32)
    for t in range(len(triangles)):
        i, j, k = triangles[t]
        ax, ay, bx, by = points[i, 0], points[i, 1], points[j, 0], points[j, 1]
        cx, cy = points[k, 0], points[k, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        left, right = int(np.ceil(min(ax, bx, cx))), int(np.floor(max(ax, bx, cx)))
        top, bottom = int(np.ceil(min(ay, by, cy))), int(np.floor(max(ay, by, cy)))
        if area >= -1e-4 or left < 0 or top < 0 or right >= size or bottom >= size:
            continue
        over = 1 / area
        for y in range(top, bottom + 1):
            for x in range(left, right + 1):
                first = ((bx - x) * (cy - y) - (by - y) * (cx - x)) * over
                second = ((cx - x) * (ay - y) - (cy - y) * (ax - x)) * over
                third = 1 - first - second
                if first < -1e-5 or second < -1e-5 or third < -1e-5:
                    continue
                near = first * points[i, 2] + second * points[j, 2] + third * points[k, 2]
                if near > nearest[y, x]:
                    nearest[y, x], shown[y, x] = near, t
                    shares[y, x, 0], shares[y, x, 1] = first, second
    values = np.zeros((size, size, attributes.shape[1]), np.float32)
    for y in range(size):
        for x in range(size):
            if shown[y, x] >= 0:
                i, j, k = triangles[shown[y, x]]
                first, second = shares[y, x]
                third = 1 - first - second
                for a in range(attributes.shape[1]):
                    value = first * attributes[i, a] + second * attributes[j, a] + third * attributes[k, a]
                    values[y, x, a] = value
    return shown >= 0, values


def at_once(
    points: Array, triangles: NDArray[np.int64], attributes: Array, size: int
) -> tuple[NDArray[np.bool_], Array]:
    """Draw all triangles of a size at once."""
    x, y = points[:, 0], points[:, 1]
    i, j, k = triangles.T
    area = (x[j] - x[i]) * (y[k] - y[i]) - (y[j] - y[i]) * (x[k] - x[i])
    triangles, area = triangles[area < -1e-4], area[area < -1e-4]
    a, b, c = (points[triangles[:, n]] for n in range(3))
    low = np.ceil(np.minimum(np.minimum(a, b), c)[:, :2]).astype(np.int32)
    high = np.floor(np.maximum(np.maximum(a, b), c)[:, :2]).astype(np.int32)
    inside = (low[:, 0] >= 0) & (low[:, 1] >= 0) & (high[:, 0] < size) & (high[:, 1] < size)
    inside &= (high[:, 0] >= low[:, 0]) & (high[:, 1] >= low[:, 1])
    extent = np.maximum(high[:, 0] - low[:, 0], high[:, 1] - low[:, 1]) + 1
    hits = []
    for small, large in ((0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 8), (8, 11), (11, 16), (16, 32)):
        chosen = np.flatnonzero(inside & (extent > small) & (extent <= large))
        if not len(chosen):
            continue
        step = np.arange(large, dtype=np.float32)
        x = low[chosen, 0, None].astype(np.float32) + np.tile(step, large)
        y = low[chosen, 1, None].astype(np.float32) + np.repeat(step, large)
        pa, pb, pc, over = a[chosen, :, None], b[chosen, :, None], c[chosen, :, None], 1 / area[chosen, None]
        w0 = ((pb[:, 0] - x) * (pc[:, 1] - y) - (pb[:, 1] - y) * (pc[:, 0] - x)) * over
        w1 = ((pc[:, 0] - x) * (pa[:, 1] - y) - (pc[:, 1] - y) * (pa[:, 0] - x)) * over
        w2 = 1 - w0 - w1
        row, column = np.nonzero((w0 >= -1e-5) & (w1 >= -1e-5) & (w2 >= -1e-5))
        weights = np.stack((w0[row, column], w1[row, column], w2[row, column]), 1)
        pixel = y[row, column].astype(np.int64) * size + x[row, column].astype(np.int64)
        hits.append((pixel, chosen[row], weights))
    pixel, triangle, weights = (np.concatenate(parts) for parts in zip(*hits, strict=True))
    z = np.stack((a[:, 2], b[:, 2], c[:, 2]), 1)
    depth = (weights * z[triangle]).sum(1)
    nearness = (depth - depth.min()) * (65535 / max(float(np.ptp(depth)), 1e-6))
    order = np.argsort(nearness.astype(np.uint16), kind="stable")
    nearest = np.full(size * size, -1)
    nearest[pixel[order]] = order  # the last one written is the nearest
    covered = nearest >= 0
    shown = nearest[covered]
    chosen = triangles[triangle[shown]]
    values = np.zeros((size * size, attributes.shape[1]), np.float32)
    values[covered] = sum(weights[shown, k, None] * attributes[chosen[:, k]] for k in range(3))
    return covered.reshape(size, size), values.reshape(size, size, -1)


_draw = at_once
if importlib.util.find_spec("numba"):
    import numba

    _draw = numba.njit(cache=True)(one_by_one)


def normals(points: Array, triangles: NDArray[np.int64]) -> Array:
    """Return unit normals at the vertices."""
    a, b, c = (points[triangles[:, k]] for k in range(3))
    across = np.cross(b - a, c - a)
    total = np.zeros_like(points)
    for k in range(3):
        np.add.at(total, triangles[:, k], across)
    return np.asarray(total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-9), np.float32)
