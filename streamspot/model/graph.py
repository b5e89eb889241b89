"""The step on a GPU: static buffers and one captured graph for each padded number of streams.

Launching the step's eighty small kernels one by one takes ten times as long as running them. On a processor the
same code runs without capture; that is how it is tested.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from streamspot.model.network import Network
from streamspot.model.step import Step, StepState

_LOG = logging.getLogger(__name__)
SIZES = (1, 8, 64, 256, 1024, 4096)
"""Streams for which a graph is captured; fewer are filled up, more are taken in parts."""


def fused(network: Network, device: torch.device) -> Step | None:
    """Return the step in two kernels, or None where they cannot be: without Triton or a C compiler, for instance."""
    if network.config.encoder != "causal":
        return None
    try:
        from streamspot.model.fused import FusedStep  # noqa: PLC0415 - Triton comes with PyTorch for a GPU alone

        step = FusedStep(network, device)
        with torch.no_grad():
            motion = torch.zeros(1, 2 * network.config.regions, device=device)
            step(motion, torch.zeros(1, dtype=torch.int64, device=device), step.new_state(1))
    except Exception as error:  # noqa: BLE001 - whatever it is, PyTorch takes the step without it
        _LOG.info("the network's step is not fused: %s", error)
        return None
    return step


class _Padded:
    """The step of one number of streams, captured on its first run."""

    def __init__(self, step: Step, state: StepState, size: int) -> None:
        ticks, motion, *_ = state.parts()
        self._step, self._state, self._idle = step, state, len(ticks) - 1
        self._motion = torch.zeros(size, motion.shape[-1], device=ticks.device)
        self._rows = torch.full((size,), self._idle, device=ticks.device)
        self._scores: Tensor
        self._graph: Any = None
        if ticks.device.type == "cuda":
            self._capture()

    def _capture(self) -> None:
        """Capture the step while every row is the idle one, so that no stream moves on."""
        apart = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        apart.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(apart):  # libraries set themselves up in the first runs
            for _ in range(3):
                self._step(self._motion, self._rows, self._state)
        torch.cuda.current_stream().wait_stream(apart)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._scores = self._step(self._motion, self._rows, self._state)

    def __call__(self, motion: Tensor, rows: Tensor) -> Tensor:
        count = len(rows)
        self._motion[:count] = motion
        self._rows[:count] = rows
        self._rows[count:] = self._idle
        if self._graph is None:
            self._scores = self._step(self._motion, self._rows, self._state)
        else:
            self._graph.replay()
        return self._scores[:count].cpu()


@dataclass(slots=True)
class GraphedState:
    """What a step remembers of its streams, with one idle row more, and the captured steps that work on it."""

    whole: StepState
    steps: dict[int, _Padded] = field(default_factory=dict)

    def parts(self) -> list[Any]:
        """Return its tensors, whose first axis are the streams."""
        return [part[:-1] for part in self.whole.parts()]


class GraphedStep:
    """A step in PyTorch for any number of streams, padded to the next of ``SIZES`` with the state's idle row."""

    def __init__(self, step: Step) -> None:
        self._step = step

    def new_state(self, streams: int) -> GraphedState:
        """Return the state of so many streams that have seen nothing."""
        return GraphedState(self._step.new_state(streams + 1))

    def __call__(self, motion: Tensor, rows: Tensor, state: GraphedState) -> Tensor:
        """Take a tick, see ``Step``; motion, rows and scores lie in the processor's memory."""
        scores = []
        for moved, places in zip(torch.split(motion, SIZES[-1]), torch.split(rows, SIZES[-1]), strict=True):
            size = SIZES[bisect_left(SIZES, len(places))]
            if size not in state.steps:
                state.steps[size] = _Padded(self._step, state.whole, size)
            scores.append(state.steps[size](moved, places))
        return torch.cat(scores)
