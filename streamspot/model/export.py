"""The streaming step as ONNX: traced from the step in PyTorch and checked against ``Model.step``."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import logging
import warnings
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from streamspot.destinations import check_result
from streamspot.errors import ModelError, needs
from streamspot.face.align import EYE_CORNERS
from streamspot.files import write_atomically
from streamspot.model.weights import Model
from streamspot.motion.head import RIGID
from streamspot.motion.regions import LAYOUTS
from streamspot.types import TICK_RATE

TOLERANCE = 1e-5
"""Largest difference between the scores of both that is accepted."""

_STEPS = 300
_PACKAGES = ("onnx", "onnxruntime", "onnxscript")


class _Step(nn.Module):
    """The step without side effects: motion and state in, scores and the new state out."""

    def __init__(self, model: Model, streams: int) -> None:
        super().__init__()
        self._prepare, self._step = model.network.prepare, model.torch_step()
        self.state = self._step.new_state(streams)
        self.names = [field.name for field in fields(self.state)]
        self._rows = torch.arange(streams)
        self.eval()

    def forward(self, motion: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        after = type(self.state)(*(part.clone() for part in state))
        scores = self._step(self._prepare(motion).flatten(1), self._rows, after)
        return scores, *after.parts()


def export_onnx(model: Model, path: Path, *, streams: int = 1) -> float:
    """Write the streaming step of so many streams as ONNX, and check it over 300 steps of random motion.

    Inputs are ``motion`` (S, R, 2) in inter-ocular distances a tick and the state, ``state_…``; a stream that has
    seen nothing has zeros there. Outputs are ``scores`` (S, 3): intensity, macro and micro of the tick
    ``look_ahead`` ticks ago, and the state to feed next in the same order, ``new_…``. The first ``look_ahead``
    scores speak of ticks before the start. In the file's metadata stand the configuration and, as ``motion``, what
    has to be fed: the regions and how their motion is normalised.

    The model is on the CPU; the file appears only when the check has passed. Returned is the largest difference of a
    score.

    Raises:
        SettingsError: ``path`` cannot be written.
        ModelError: A package is missing, the file cannot be written, or both do not agree to 1e-5.
    """
    check_result(path, ".onnx")
    lacking = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if lacking:
        raise ModelError(needs("exporting", lacking[0], "onnx"))
    step = _Step(model, streams)
    motion = torch.zeros(streams, model.config.regions, 2)
    with _quiet():
        program = torch.onnx.export(
            step,
            (motion, *step.state.parts()),
            dynamo=True,
            input_names=["motion", *(f"state_{name}" for name in step.names)],
            output_names=["scores", *(f"new_{name}" for name in step.names)],
            verbose=False,
        )
    assert program is not None  # noqa: S101 - for the type checker
    about = {"name": model.config.name, "look_ahead": str(model.config.look_ahead)}
    about |= {"config": model.config.to_json(), "motion": json.dumps(_motion(model))}
    program.model.metadata_props.update(about)
    try:
        with write_atomically(path, private=False) as part:
            program.save(str(part), external_data=False)
            worst = _difference(model, part, step)
            if not worst <= TOLERANCE:
                raise ModelError(
                    f"the ONNX form of {model.config.name} differs by {worst:.1e}, over {TOLERANCE}; "
                    "report it with the versions of torch and onnxruntime"
                )
    except OSError as error:
        raise ModelError(f"{path} cannot be written ({error.strerror}); name another with --out") from None
    return worst


def _motion(model: Model) -> dict[str, Any]:
    """Return what a front end has to know that measures the motion itself; vertices are those of MediaPipe's mesh."""
    layout = LAYOUTS.get(model.config.layout)  # a data set's own layout is known to its maker only
    points = () if layout is None else zip(layout.names, layout.vertices, strict=True)
    return {
        "layout": model.config.layout,
        "regions": [{"name": name, "vertex": vertex} for name, vertex in points],
        "tick_rate": TICK_RATE,
        "meaning": "Displacement of each region since the last tick: x to the image's right, y down, the eyes level. "
        "Regions are in the order of the input; left and right are those of the image.",
        "unit": "Inter-ocular distance: between the middles of both eyes' corners, in the image plane. Nothing else "
        "is scaled or shifted; the factor input_scale is part of the network.",
        "eye_corners": EYE_CORNERS,
        "head": "Motion of the rigid head, in all six degrees of freedom, is taken out by a robust fit to the rigid "
        "vertices.",
        "rigid": RIGID.tolist(),
        "start": "Zero for the first tick of a face; for 0.2 s, while its landmarks settle, flow alone where it is "
        "sure. A face unseen for 0.5 s begins anew, with a state of zeros.",
    }


def _difference(model: Model, path: Path, step: _Step) -> float:
    """Return the largest difference of a score between a stream's own step and onnxruntime."""
    import onnxruntime  # noqa: PLC0415 - an extra

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    streams = len(step.state.parts()[0])
    state = model.new_state(streams)
    feed = {f"state_{name}": part.numpy() for name, part in zip(step.names, step.state.parts(), strict=True)}
    rng = np.random.default_rng(0)
    worst = 0.0
    for _ in range(_STEPS):
        motion = rng.normal(0, 0.02, (streams, model.config.regions, 2)).astype(np.float32)
        scores, *after = session.run(None, {"motion": motion, **feed})
        worst = max(worst, float(np.abs(scores - model.step(motion, state)).max()))
        feed = dict(zip(feed, after, strict=True))
    return worst


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's warnings about packages that it can do without."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(logging.NOTSET)
