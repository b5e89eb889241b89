"""Point labels where a data set has none: sampled round the apex, as the paper did."""

from __future__ import annotations

import numpy as np

from streamspot.datasets.recording import Instance


def sample_point(instance: Instance, rng: np.random.Generator) -> int:
    """Draw the single time stamp an annotator would have given.

    Normal round the apex with half the shorter side as deviation, drawn again beyond the shorter side,
    decimals cut off: the rule that fits the 742 published points with an apex best ("Gaussian distribution
    centered on the ground-truth apex", section 4.1 of the GIM paper).

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
