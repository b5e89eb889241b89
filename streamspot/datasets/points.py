"""Point labels where a data set has none: sampled round the apex, as the paper did."""

from __future__ import annotations

import numpy as np

from streamspot.datasets.recording import Instance


def sample_point(instance: Instance, rng: np.random.Generator) -> int:
    """Draw the single time stamp an annotator would have given.

    The point is drawn from a normal distribution round the apex ("Gaussian distribution centered on the ground-truth
    apex", section 4.1 of the GIM paper). Its deviation is half the shorter of the two sides of the apex; a point
    farther away than that side is drawn again, and decimals are cut off. This rule fits the 742 published points with
    an apex best.

    Returns:
        A frame between onset and offset.
    """
    side = min(instance.apex - instance.onset, instance.offset - instance.apex)
    if side <= 0:
        return instance.apex
    while True:
        point = rng.normal(instance.apex, 0.5 * side)
        if abs(point - instance.apex) <= side:
            return max(instance.onset, int(point))
