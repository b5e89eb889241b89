"""How many cameras a node can carry: measured on the spot, with the weights that the fleet runs."""

from __future__ import annotations

import time

from streamspot.analysis import Analyser
from streamspot.layers import load_settings
from streamspot.sources import open_source
from streamspot.threads import one_thread

_FRAMES = 90
_WARM = 30
"""Frames that are not counted: caches and native libraries are cold."""
_READING = 0.0004
"""Seconds of processor time to read one 640×480 picture of a file or network camera, which is not measured here."""
_HEADROOM = 0.7
"""Share of the processors that is planned with: expressions and turned heads cost more than rest."""


def cameras(weights: str, cores: float) -> float:
    """Return how many cameras of 640×480 at 30 frames a second so many cores carry.

    Processor time is counted, not time on the clock, so that a busy neighbour does not make the node look small.

    Raises:
        ModelError: There are no such weights.
    """
    one_thread()
    settings = load_settings({"source": f"synthetic:seconds={_FRAMES / 30:g}", "weights": weights})
    analyser = Analyser(settings, open_source(settings.source))
    analyser.load()
    frames = list(analyser.source.read())
    started = 0.0
    try:
        for number, frame in enumerate(frames):
            if number == _WARM:
                started = time.process_time()
            analyser.analyse(frame)  # type: ignore[arg-type]
        cost = (time.process_time() - started) / (len(frames) - _WARM)
    finally:
        analyser.close()
    return cores * _HEADROOM / (30 * (cost + _READING))
