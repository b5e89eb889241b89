"""What a moving head leaves in the motion of programs that take only the nose's shift from it.

The public features of CAS(ME)² and SAMM-LV are such motion: a head that rolls moves their brows one way, their mouth
the other, one that turns moves what lies behind the tip of the nose.
"""

from __future__ import annotations

import numpy as np

from streamspot.motion.head import rigid_basis
from streamspot.simulation.time_courses import Array, Rng, knots, nod, swing

_PLACES = np.array(
    [
        *([-0.79, -0.96, 0.49], [-0.63, -1.01, 0.37], [-0.44, -1.01, 0.29]),
        *([0.44, -1.01, 0.29], [0.63, -1.01, 0.37], [0.79, -0.96, 0.49]),
        *([-0.39, 0.49, 0.40], [0.0, 0.34, 0.13], [0.39, 0.49, 0.40], [0.0, 0.65, 0.20]),
    ],
    np.float32,
)
"""Where the ten regions of ``paper10`` are, from the tip of the nose, in inter-ocular distances: x, y and depth of
MediaPipe's canonical face."""
_SWAY = np.array((0.5, 1, 1, 1), np.float32)
_TURN = np.array((0.05, 0.1, 0.12, 0.1), np.float32)
"""Relative size of nearing, roll, yaw and pitch in a head that sways, and their size in one that turns."""


def turned(rng: Rng, motion: Array) -> Array:
    """Return motion (T, R, 2) of which the first ten regions also move as a swaying head takes them along.

    The head nears, rolls, turns and nods (nearing as a share, the others in radians): slowly all the time, by some
    0.01, and now and then by up to 0.2.
    """
    ticks = len(motion)
    places = _PLACES * np.float32(np.exp(rng.normal(0, 0.08)))
    size = np.float32(np.exp(rng.normal(np.log(0.012), 0.8)))
    pose = knots(rng, ticks, rng.uniform(25, 150), 4) * size * _SWAY
    for _ in range(rng.poisson(rng.choice((0.3, 2.0)) * ticks / 480)):
        start, nodding = int(rng.integers(-30, ticks - 5)), rng.random() < 0.3
        length = int(rng.integers(20, 90) if nodding else rng.integers(10, 200))
        course = (nod if nodding else swing)(rng, length)[max(0, -start) : ticks - start]
        sizes = rng.normal(0, 1, 4).astype(np.float32) * _TURN * np.float32(rng.choice((0.2, 1.0)))
        pose[max(0, start) : max(0, start) + len(course)] += course[:, None] * sizes
    taken = np.einsum("tk,nck->tnc", pose, rigid_basis(places)[:, :, 2:]).astype(np.float32)
    out = motion.copy()
    out[:, : len(places)] += np.diff(taken, axis=0, prepend=taken[:1])
    return out
