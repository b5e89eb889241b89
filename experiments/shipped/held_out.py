"""Figures of weights on simulated recordings that they were not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from streamspot.evaluation.matching import Counts, count
from streamspot.model import Model
from streamspot.simulation import Simulation
from streamspot.types import KINDS, Detection

HELD_OUT = 10_000_000
"""Seeds of simulations from here on are never trained on."""

THRESHOLD = 0.5
MIN_TICKS = 4


def runs(intensity: NDArray[np.float32], classes: NDArray[np.float32]) -> list[Detection]:
    """Return a detection for each run above ``THRESHOLD`` that lasts at least ``MIN_TICKS``.

    Args:
        intensity: (T,).
        classes: (T, 2) probabilities of macro and micro; the higher mean over the run is the kind.
    """
    above = np.concatenate(([False], intensity > THRESHOLD, [False])).astype(np.int8)
    edges = np.diff(above)
    found: list[Detection] = []
    for first, stop in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True):
        if stop - first >= MIN_TICKS:
            found.append(
                Detection(
                    number=len(found),
                    phase="offset",
                    kind=KINDS[int(classes[first:stop].mean(0).argmax())],
                    onset=int(first),
                    apex=int(first + intensity[first:stop].argmax()),
                    offset=int(stop - 1),
                    intensity=float(intensity[first:stop].max()),
                    score=0.0,
                    decided=int(stop),
                )
            )
    return found


def held_out_figures(model: Model, recordings: Sequence[Simulation]) -> dict[str, float]:
    """Judge a model on simulated recordings: strict protocol, one threshold, every false event counted.

    Returns:
        ``mse`` of the intensity a tick, ``f1``, ``recall`` and ``false_per_hour`` of all events regardless of their
        kind, ``f1_macro`` and ``f1_micro`` with the kind required.
    """
    squares, ticks = 0.0, 0
    any_kind, of_kind = Counts(), dict.fromkeys(KINDS, Counts())
    for one in recordings:
        out = model.forward(one.motion[None])
        intensity, classes = out.intensity[0].cpu().numpy(), out.classes[0].cpu().numpy()
        squares += float(((intensity - one.intensity) ** 2).sum())
        ticks += len(intensity)
        found = runs(intensity, classes)
        for kind, counts in count(found, one.instances).items():
            of_kind[kind] += counts
        alike = [replace(d, kind="macro") for d in found], [replace(i, kind="macro") for i in one.instances]
        any_kind += count(*alike)["macro"]
    return {
        "mse": squares / ticks,
        "f1": any_kind.f1,
        **{f"f1_{kind}": counts.f1 for kind, counts in of_kind.items()},
        "recall": any_kind.recall,
        "false_per_hour": any_kind.fp / ticks * 108_000,
    }
