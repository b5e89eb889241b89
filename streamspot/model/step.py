"""One tick of one stream on a CPU, in NumPy.

For one face at a time a call into PyTorch costs more than the arithmetic in it: between two frames the face mesh
has pushed PyTorch's code out of the processor's caches, and a step of 0.2 ms takes 0.8. This module computes the same
as ``CausalStepper`` and the heads for that one case; a test compares the two. Where several networks are joined side
by side (``join``), the weights from one to another are 0, and the step leaves them out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from streamspot.model.causal import CausalStepper
from streamspot.model.network import Network

Array = NDArray[np.float32]

_STEEP = np.float32(80.0)
"""Beyond this a sigmoid is 0 in float32, and its exponential soon overflows."""


def _array(tensor: Tensor) -> Array:
    return np.ascontiguousarray(tensor.numpy())


def _blocks(matrices: Array, count: int) -> Array:
    """Return the blocks (L, M, D/M, D/M) on the diagonal of matrices (L, D, D)."""
    size = matrices.shape[1] // count
    places = [slice(n * size, (n + 1) * size) for n in range(count)]
    return np.stack([matrices[:, place, place] for place in places], 1)


def _apart(matrices: Array, count: int) -> bool:
    """Return whether matrices (L, D, D) are 0 outside of so many blocks on the diagonal."""
    if matrices.shape[1] % count:
        return False
    return np.count_nonzero(matrices) == np.count_nonzero(_blocks(matrices, count))


class StepWeights:
    """The weights of a causal network as NumPy holds them; immutable, shared by all streams."""

    def __init__(self, network: Network, stepper: CausalStepper) -> None:
        encoder = stepper.encoder
        self.config = network.config
        self.taps, self.period, self.rows = stepper.taps, stepper.period, stepper.rows
        self.window = _array(stepper.window)
        self.integrals = _array(encoder.integrals)
        self.offset = _array(encoder.offset)
        self.decay = _array(encoder.decay)[:, None]
        now, mix = _array(encoder.now), _array(encoder.mix)
        far, near = np.split(_array(encoder.past), 2, axis=1)
        self.members = max(n for n in (1, 2, 3, 4) if all(_apart(part, n) for part in (now, mix, far, near)))
        self.past = np.concatenate((_blocks(far, self.members), _blocks(near, self.members)), 2)
        self.bias = _array(encoder.bias).reshape(len(now), self.members, 1, -1)
        self.layers = list(zip(_blocks(now, self.members), _blocks(mix, self.members), strict=True))
        self.reads, self.writes = stepper.reads.numpy(), stepper.writes.numpy()
        self.latest = stepper.latest.numpy()
        self.intermediate = _array(network.intermediate.weight.T), _array(network.intermediate.bias)
        self.intensity = _array(network.intensity.weight[0]), float(network.intensity.bias)
        self.classes = _array(network.classes.weight.T), _array(network.classes.bias)


class StepState:
    """What the step remembers of one stream; its size never changes."""

    def __init__(self, weights: StepWeights) -> None:
        inputs, width = 2 * weights.config.regions, weights.config.width
        self.ticks = 0
        self._weights = weights
        self._motion = np.zeros((weights.taps, inputs), np.float32)
        self._memory = np.zeros((len(weights.decay), inputs), np.float32)
        self._history = np.zeros((weights.rows, width), np.float32)
        self._layer_inputs = np.zeros((len(weights.layers), width), np.float32)

    def step(self, displacement: Array) -> tuple[float, float, float]:
        """Take one tick, (R, 2) in the configuration's unit; what is not finite counts as 0.

        Returned are intensity, macro and micro of the tick ``look_ahead`` ticks ago.
        """
        weights, memory = self._weights, self._memory
        motion = displacement.reshape(-1) * np.float32(weights.config.input_scale)
        if not np.isfinite(motion.sum()):
            motion = np.nan_to_num(motion, nan=0.0, posinf=0.0, neginf=0.0)
        slot, position = self.ticks % weights.taps, self.ticks % weights.period
        self._motion[slot] = motion
        memory *= weights.decay
        memory[:-1] += motion
        memory[-1] += np.abs(motion)
        window = self._motion[weights.latest[slot]].reshape(-1)
        hidden = np.arcsinh(window @ weights.window + weights.offset + memory.reshape(-1) @ weights.integrals)

        layers, members = len(weights.layers), weights.members
        taps = self._history[weights.reads[position]].reshape(layers, 2, members, -1)
        taps = taps.swapaxes(1, 2).reshape(layers, members, 1, -1)  # (layers, members, 1, 2D / members)
        past = taps @ weights.past + weights.bias
        hidden = hidden.reshape(members, 1, -1)
        for layer, (now, mix) in enumerate(weights.layers):
            self._layer_inputs[layer] = hidden.reshape(-1)
            inner = hidden @ now + past[layer]
            hidden = hidden + (inner / (1.0 + np.exp(np.minimum(-inner, _STEEP)))) @ mix
        self._history[weights.writes[position]] = self._layer_inputs
        self.ticks += 1

        hidden = hidden.reshape(-1)
        intermediate = hidden @ weights.intermediate[0] + weights.intermediate[1]
        intermediate = np.maximum(intermediate, 0.2 * intermediate)
        logits = np.append(
            hidden @ weights.classes[0] + weights.classes[1], intermediate @ weights.intensity[0]
        )
        logits[2] += weights.intensity[1]
        macro, micro, intensity = (1.0 / (1.0 + np.exp(np.minimum(-logits, _STEEP)))).tolist()
        return intensity, macro, micro
