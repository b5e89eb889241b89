"""The configuration of a network; it is kept in the weights' file."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from pydantic import ConfigDict, TypeAdapter, ValidationError

from streamspot.errors import ModelError
from streamspot.motion.regions import LAYOUTS

Encoder = Literal["causal", "transformer"]

WINDOW = 17
"""Ticks K of the window of cumulative displacement, C[n-16..n] - C[n-16]."""

MOST_CHANNELS = 256
"""Width that a network may have, a partner included."""

LOOK_AHEADS = (0, 4, 8, 16)
"""Ticks the network may wait before it judges one."""

_GROUPS: dict[str, tuple[tuple[int, ...], ...]] = {
    "paper10": ((0, 1, 2), (3, 4, 5), (6, 7, 8, 9)),
    "face17": ((0, 1, 2, 10), (3, 4, 5, 11), (6, 7, 8, 9, 12, 13, 14, 15, 16)),
}


def _groups_of(layout: str, regions: int) -> tuple[tuple[int, ...], ...]:
    """Return the regions that the transformer pools together: left brow, right brow, mouth."""
    if layout in _GROUPS:
        return _GROUPS[layout]
    parts = min(3, regions)
    return tuple(tuple(range(i * regions // parts, (i + 1) * regions // parts)) for i in range(parts))


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Configuration of a network, complete enough to build it again from its weights.

    Attributes:
        name: Name of the weights, carried in every event.
        layout: Region layout the weights were trained on; a data set's own layout may have any name.
        regions: Number of regions R; 0 takes it from a layout of ``streamspot.motion.regions``.
        look_ahead: Ticks L the network waits before it judges one: the score of tick n is known at n + L.
        encoder: ``causal`` (ships) or ``transformer`` (the paper's, for fidelity).
        width: Channels D of the features.
        dilations: Causal encoder: tick distance of the taps of each convolution, powers of two.
        time_constants: Causal encoder: decay times of the leaky integrals of the displacement, s.
        heads: Transformer: attention heads, each ``width / heads`` wide.
        groups: Transformer: regions that are pooled together; () takes the layout's.
        dropout: Share of the head's features dropped in training.
        input_scale: Factor from the unit of the displacement to the network's (0.05 inter-ocular
            distances are 1 by default).

    Raises:
        ModelError: A value is impossible.
    """

    name: str = "unnamed"
    layout: str = "face17"
    regions: int = 0
    look_ahead: int = 8
    encoder: Encoder = "causal"
    width: int = 64
    dilations: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
    time_constants: tuple[float, ...] = (0.5, 2.0, 8.0)
    heads: int = 4
    groups: tuple[tuple[int, ...], ...] = ()
    dropout: float = 0.2
    input_scale: float = 20.0

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    def __post_init__(self) -> None:
        known = LAYOUTS.get(self.layout)
        if self.regions == 0 and known is not None:
            object.__setattr__(self, "regions", len(known))
        causal = self.encoder == "causal"
        fits = known is None or self.regions == len(known)
        powers = all(d > 0 and d & (d - 1) == 0 and d <= 1024 for d in self.dilations)
        times = all(math.isfinite(t) and t > 0 for t in self.time_constants)
        flat = [i for group in self.groups for i in group]
        disjoint = len(flat) == len(set(flat)) and all(0 <= i < self.regions for i in flat)
        for fine, key, remedy in (
            (1 <= self.regions <= 256, "regions", "give the number of regions of the layout, 1 to 256"),
            (fits, "regions", f"{self.layout} has {len(known or ())} regions"),
            (len(self.name) <= 80, "name", "give at most 80 characters"),
            (len(self.layout) <= 80, "layout", "give at most 80 characters"),
            (self.look_ahead in LOOK_AHEADS, "look_ahead", f"choose one of {LOOK_AHEADS}"),
            (self.encoder in get_args(Encoder), "encoder", "choose causal or transformer"),
            (1 <= self.width <= MOST_CHANNELS, "width", f"choose 1 to {MOST_CHANNELS} channels"),
            (0 < len(self.dilations) <= 16 and powers, "dilations", "give 1 to 16 powers of two up to 1024"),
            (0 < len(self.time_constants) <= 16 and times, "time_constants", "give 1 to 16 times in seconds"),
            (
                self.heads >= 1 and (causal or self.width % self.heads == 0),
                "heads",
                "it must divide the width",
            ),
            (all(self.groups) and disjoint, "groups", "give disjoint, non-empty groups of region numbers"),
            (0 <= self.dropout < 1, "dropout", "choose a share in [0, 1)"),
            (0 < self.input_scale <= 1e4, "input_scale", "give a factor above 0, at most 10,000"),
        ):
            if not fine:
                raise _impossible(key, getattr(self, key), remedy)
        if not self.groups:
            object.__setattr__(self, "groups", _groups_of(self.layout, self.regions))

    def to_json(self) -> str:
        """Return the configuration as one line of JSON with sorted keys."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> ModelConfig:
        """Build the configuration from the line ``to_json`` wrote.

        Raises:
            ModelError: It is no such line, a key is unknown or a value has the wrong type.
        """
        try:
            return TypeAdapter(cls).validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            if not first["loc"]:
                raise ModelError(f"the model configuration {text[:40]!r} is no JSON mapping") from None
            unknown = first["type"] == "unexpected_keyword_argument"
            known = f"known keys are {', '.join(cls.__dataclass_fields__)}"
            remedy = known if unknown else first["msg"].replace("Input should", "it should")
            raise _impossible(str(first["loc"][0]), first["input"], remedy) from None


def _impossible(key: str, value: Any, remedy: str) -> ModelError:
    return ModelError(f"{key} = {repr(value)[:60]} is impossible in a model configuration: {remedy}")
