"""What a live user of the shipped weights feels: ``python -m experiments.announced [WEIGHTS]``.

200 simulated recordings of 30 s with seeds never trained on, decoded with the settings that the weights bring; prints
the table of the model card, of how many expressions that touch both are found, and the table for faces that are
measured with little, usual and much noise.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from typing import Any

import numpy as np

from experiments.shipped.held_out import HELD_OUT
from streamspot.datasets.recording import Recording
from streamspot.evaluation.live import HEADS, follow, live_figures, live_table
from streamspot.evaluation.matching import match
from streamspot.model import Model
from streamspot.simulation import simulate
from streamspot.spotting import SpotSettings
from streamspot.types import KINDS, Detection

RECORDINGS = 200


def main() -> None:
    """Judge the weights and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", nargs="?", default="streamspot-base")
    model = Model.load(parser.parse_args().weights)
    decoder = SpotSettings.from_sensitivity(0.5, **model.spotting)
    recordings: list[Recording] = []
    phases: dict[str, list[Detection]] = {}
    noise: list[np.floating[Any]] = []
    for number in range(RECORDINGS):
        made = simulate(HELD_OUT + number, layout=model.config.layout)
        name = str(number)
        recordings.append(Recording(name, name, made.motion, made.instances))
        phases[name] = follow(model.forward(made.motion[None]).scores[0].cpu().numpy(), decoder)
        moved = np.abs(made.motion.cumsum(0)[4:] - made.motion.cumsum(0)[:-4])
        noise.append(np.median(moved[made.intensity[4:] == 0]))
    _print(recordings, phases, model.config.look_ahead)
    print(
        "\nboth found of two expressions less than 10 ticks apart: {} of {}".format(
            *_touching(recordings, phases)
        )
    )
    by_noise = [recordings[i] for i in np.argsort(noise)]
    for part, name in enumerate(("little", "usual", "much")):
        third = by_noise[part * RECORDINGS // 3 : (part + 1) * RECORDINGS // 3]
        middle = 1000 * float(np.sort(noise)[(2 * part + 1) * RECORDINGS // 6])
        print(f"\n{name} noise: neutral regions move {middle:.1f} thousandths in four ticks, in the median")
        _print(
            third, {recording.name: phases[recording.name] for recording in third}, model.config.look_ahead
        )


def _touching(recordings: list[Recording], phases: dict[str, list[Detection]]) -> tuple[int, int]:
    """Return of how many pairs of expressions that touch both were found, and how many there are."""
    both = every = 0
    for recording in recordings:
        final = [phase for phase in phases[recording.name] if phase.phase == "offset"]
        found = [one for kind in KINDS for _, one in match(final, recording.instances, kind)[1]]
        for before, after in pairwise(recording.instances):
            if after.onset - before.offset < 10:
                every += 1
                both += before in found and after in found
    return both, every


def _print(recordings: list[Recording], phases: dict[str, list[Detection]], look_ahead: int) -> None:
    print("| " + " | ".join(HEADS) + " |")
    print("|---" * len(HEADS) + "|")
    for row in live_table(live_figures(recordings, phases, look_ahead)):
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
