"""Clips changed in ways that keep their expressions: frames and labels stay together."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.changed import CHANGES
from streamspot.datasets.recording import Instance
from streamspot.types import Frame

SHOWN = [Instance("macro", 2, 2, 5), Instance("macro", 11, 11, 16)]


@pytest.mark.parametrize("name", CHANGES)
def test_what_an_expression_shows_is_where_its_label_says(name: str) -> None:
    """A clip that is bright during its expressions is bright there afterwards, and its time goes on."""
    bright = {tick for one in SHOWN for tick in range(one.onset, one.offset + 1)}
    clip = [
        Frame(n, n / 30, 0, np.full((60, 80, 3), 200 if n in bright else 20, np.uint8)) for n in range(20)
    ]
    change = CHANGES[name]
    changed = list(change.frames(clip))
    expected = {
        tick
        for one in change.expressions(SHOWN, len(clip))
        for tick in range(one.onset, one.offset + 1)
        if tick % change.every == 0
    }
    levels = [frame.image.mean() for frame in changed]
    middle = (min(levels) + max(levels)) / 2
    assert {frame.index for frame in changed if frame.image.mean() > middle} == expected
    assert np.all(np.diff([frame.pts for frame in changed]) > 0)
