"""The training loop: networks that learn from the same recordings, each for itself, and become one network."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from streamspot.datasets.recording import Recording
from streamspot.evaluation.search import Scores
from streamspot.model.network import Network
from streamspot.training.join import Shares, beside, join, partner_of
from streamspot.training.learner import Learner, OnShare
from streamspot.training.resume import State
from streamspot.training.settings import TrainSettings

OnEpoch = Callable[[int, Network, float], None]
"""Called after each epoch with its number, the network that would be kept, and the mean loss."""

_PARTNER = 0.5
"""What the partner counts in micro. Of micro-expressions it and the trained networks know little and err in different
places; of macro-expressions the trained ones know more, so it counts nothing there."""


class Trainer:
    """Trains the networks of an ensemble on the training subjects' recordings and joins them to one.

    Trained apart, from seeds of their own, they err in different places, so their mean errs less than each. A partner
    that the settings name is joined with them.

    Args:
        recordings: What they learn from.
        settings: Every choice.
        layout: The layout of the recordings' regions.
        name: Of the network.
        on_step: Told of each step.
        learner: What trains one network; called as ``Learner`` is.
        given: Further arguments of the learners.

    Raises:
        ModelError: The partner cannot be used; and as ``Learner``.
    """

    def __init__(
        self,
        recordings: Sequence[Recording],
        settings: TrainSettings,
        *,
        layout: str,
        name: str = "unnamed",
        on_step: OnShare | None = None,
        learner: Callable[..., Learner] = Learner,
        **given: Any,
    ) -> None:
        self._told = on_step

        def told(share: float, loss: float) -> None:
            if on_step is not None:
                on_step(share / settings.ensemble, loss)

        self.learners = [
            learner(recordings, one, layout=layout, name=name, on_step=told, **given)
            for one in settings.members()
        ]
        first = self.learners[0].network.config
        self.partner_name = None if settings.start is None else partner_of(settings.start)
        """Weights that judge beside the trained networks, perhaps within the weights that they begin with."""
        self.partner = beside(settings.partner, first) if self.partner_name is None else None
        if self.partner is not None:
            self.partner_name = settings.partner
        self._epochs = settings.epochs

    def run(self, on_epoch: OnEpoch | None = None) -> Network:
        """Train, from the epoch on at which it stopped, and return the network to keep, in evaluation mode."""
        for epoch in range(self.learners[0].epochs, self._epochs):
            losses = [one.epoch() for one in self.learners]
            if on_epoch is not None:
                on_epoch(epoch, self.result(), float(np.mean(losses)))
        return self.result()

    def result(self) -> Network:
        """Return the network to keep if training ended here, all that belongs to it joined."""
        networks = [one.kept.eval() for one in self.learners]
        if self.partner is None and len(networks) == 1:
            return networks[0]
        share = 1 / len(networks)
        shares: list[Shares] = [(share, share, share)] * len(networks)
        if self.partner is not None:
            networks.append(self.partner)
            shares = [(share, share, share * (1 - _PARTNER)) for _ in shares] + [(0.0, 0.0, _PARTNER)]
        with torch.random.fork_rng(devices=[]):  # what joins them draws weights first
            return join(networks, shares).to(self.learners[0].device)

    def state(self) -> State:
        """Return what it needs to go on after this epoch, and then to end as if it had never stopped."""
        states = [one.state() for one in self.learners]
        tensors = {
            f"{number}/{name}": value for number, (own, _) in enumerate(states) for name, value in own.items()
        }
        return tensors, {"networks": [facts for _, facts in states]}

    def go_on(self, state: State) -> None:
        """Go on from such a state of a training with the same recordings and settings."""
        for number, (one, facts) in enumerate(zip(self.learners, state[1]["networks"], strict=True)):
            own = {
                name.removeprefix(f"{number}/"): value
                for name, value in state[0].items()
                if name.startswith(f"{number}/")
            }
            one.go_on((own, facts))
        if self._told is not None and self.learners[0].epochs:
            self._told(self.learners[0].epochs, math.nan)


@torch.no_grad()
def predict(network: Network, recordings: Sequence[Recording]) -> dict[str, Scores]:
    """Return intensity and class probabilities of every tick, ``(T, 3)`` float32 by name of the recording."""
    device = next(network.parameters()).device
    network.eval()
    scores: dict[str, Scores] = {}
    for recording in recordings:
        output = network(torch.from_numpy(recording.motion)[None].to(device))
        table = torch.cat((output.intensity[0, :, None], output.classes[0]), 1)
        scores[recording.name] = table.float().cpu().numpy()
    return scores
