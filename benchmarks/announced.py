"""What a live user of the shipped weights feels: ``python benchmarks/announced.py [WEIGHTS]``.

200 simulated recordings of 30 s with seeds never trained on, decoded with a stream's default settings; prints the
table of the model card.
"""

from __future__ import annotations

import sys

import numpy as np

from streamspot.datasets.recording import Instance, Recording
from streamspot.evaluation.live import HEADS, follow, live_figures, live_table
from streamspot.model import Model
from streamspot.simulation import simulate
from streamspot.spotting import SpotSettings
from streamspot.training.simulated import HELD_OUT

RECORDINGS = 200


def main() -> None:
    """Judge the weights and print the table."""
    model = Model.load(sys.argv[1] if len(sys.argv) > 1 else "streamspot-base")
    recordings, phases = [], {}
    for number in range(RECORDINGS):
        made = simulate(HELD_OUT + number, layout=model.config.layout)
        name = str(number)
        instances = tuple(Instance(one.kind, one.onset, one.apex, one.offset) for one in made.instances)
        recordings.append(Recording(name, name, made.motion, instances))
        output = model.forward(made.motion[None])
        scores = np.column_stack((output.intensity[0].cpu().numpy(), output.classes[0].cpu().numpy()))
        phases[name] = follow(scores, SpotSettings())
    print("| " + " | ".join(HEADS) + " |")
    print("|---" * len(HEADS) + "|")
    for row in live_table(live_figures(recordings, phases, model.config.look_ahead)):
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
