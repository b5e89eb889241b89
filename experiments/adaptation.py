"""What ten point labels of a person bring: leave-one-subject-out models before and after adaptation.

python -m experiments.adaptation --data DIR [--data DIR] --runs RUNS [--seed 0] [--seed 1]

A subject takes part whose first videos, in order of name, hold ten expressions and whose others hold at least five. The
video of the tenth is cut behind it; its rest belongs to neither part. A model is trained on all other subjects; its
minimum scores are the nested choice of ``crossval``, made without the subject. It is then adapted as ``train --from`` does, to
the first videos with nothing but ten points, and both judge the other videos under the strict protocol. RUNS keeps the
trained models, so that an interrupted run goes on. What is measured goes to ``experiments/results/adaptation.json``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer

from streamspot.datasets.recording import Dataset, Instance, Recording
from streamspot.datasets.store import load
from streamspot.evaluation.matching import Counts
from streamspot.evaluation.results import count_subjects
from streamspot.evaluation.search import Scores, choose_scores
from streamspot.model.weights import Model
from streamspot.spotting.settings import SpotSettings
from streamspot.training.folds import Job, execute, keep, open_folder, plan
from streamspot.training.loop import Trainer, predict
from streamspot.training.method import NetworkMethod
from streamspot.training.outcome import choose_decoders, decode_all
from streamspot.training.settings import BEGUN, TrainSettings

RESULT = Path(__file__).parent / "results" / "adaptation.json"
LABELS = 10
"""Expressions of which the adaptation sees one point each."""

OTHERS = 5
"""Expressions that a subject's other videos must hold at least."""


def parted(recordings: Sequence[Recording]) -> tuple[list[Recording], list[Recording]] | None:
    """Return a subject's first recordings, with ten points and nothing else, and the others; None if too few."""
    left, first = LABELS, list[Recording]()
    for place, one in enumerate(recordings):
        order = sorted(one.instances, key=lambda i: i.stamp)
        mine = order[:left]
        left -= len(mine)
        end = (mine[-1].offset + order[len(mine)].onset) // 2 if len(mine) < len(order) else len(one.motion)
        points = tuple(Instance(i.kind, i.stamp, i.stamp, i.stamp, i.stamp, bounded=False) for i in mine)
        first.append(replace(one, motion=one.motion[: max(end, mine[-1].stamp + 1 if mine else 1)], instances=points))
        if not left:
            others = list(recordings[place + 1 :])
            return (first, others) if sum(len(o.instances) for o in others) >= OTHERS else None
    return None
