"""The model: weights and configuration, shared by all streams; where its file is found and how it is read."""

from __future__ import annotations

import hashlib
import json
import math
import threading
from collections.abc import Mapping
from copy import deepcopy
from functools import cached_property
from pathlib import Path
from typing import Any, get_args
from weakref import WeakValueDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from streamspot.errors import ModelError, cut
from streamspot.files import write_atomically
from streamspot.model.config import ModelConfig
from streamspot.model.graph import GraphedStep, fused
from streamspot.model.judge import Judge
from streamspot.model.network import Network, Output
from streamspot.model.step import CausalStep, Step, StepState, WindowStep
from streamspot.shipped import DEFAULT_WEIGHTS, shipped
from streamspot.types import DeviceName

FORMAT = "streamspot-model/1"
"""What a file of weights says of itself; others are refused."""

_LOADED: WeakValueDictionary[tuple[object, ...], Model] = WeakValueDictionary()
_LOADING = threading.Lock()


def find_device(name: str) -> torch.device:
    """Return where to compute: of cpu, cuda or auto, which is cuda where there is one.

    Raises:
        ModelError: There is no such device.
    """
    if name not in get_args(DeviceName):
        raise ModelError(f"there is no device {name!r}; choose one of {', '.join(get_args(DeviceName))}")
    cuda = name != "cpu" and torch.cuda.is_available()
    if name == "cuda" and not cuda:
        raise ModelError("the device 'cuda' is not there: this machine has no CUDA device; use cpu or auto")
    return torch.device("cuda" if cuda else "cpu")


class Model:
    """Weights and configuration; immutable, shared by all streams.

    Example:
        >>> model = Model(Network(ModelConfig(layout="paper10")))
        >>> model.forward(np.zeros((1, 90, 10, 2), np.float32)).intensity.shape
        torch.Size([1, 90])

    Attributes:
        config: The network's configuration.
        provenance: How the weights came about: protocol, seed, commit, …
        spotting: Decoder settings that suit these weights' curves, where they differ from a stream's defaults.
        network: Their network; not to be changed.
        device: Where the computation runs.
    """

    def __init__(
        self,
        network: Network,
        provenance: Mapping[str, Any] | None = None,
        *,
        spotting: Mapping[str, Any] | None = None,
        device: str = "cpu",
    ) -> None:
        self.config: ModelConfig = network.config
        self.provenance: Mapping[str, Any] = dict(provenance or {})
        self.spotting: Mapping[str, Any] = dict(spotting or {})
        self.device = find_device(device)
        self.network = deepcopy(network).to(self.device).eval().requires_grad_(requires_grad=False)
        self._step = self._make_step()

    @classmethod
    def load(
        cls, name_or_path: str | Path = DEFAULT_WEIGHTS, *, device: str = "auto", layout: str | None = None
    ) -> Model:
        """Load shipped weights by name or any weights by path.

        Args:
            name_or_path: A name or a path.
            device: cpu, cuda or auto.
            layout: Region layout of what they will judge. Under one name there may be others for it: those of
                ``NAME.LAYOUT.safetensors`` if there are, and otherwise those of ``NAME.safetensors``.

        Raises:
            ModelError: There is no such file, it is damaged or not one of ours, or the device is not there.
        """
        place = find_device(device)
        path = _find(name_or_path, layout)
        remedy = "train or fetch it again"
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                if metadata.get("format") != FORMAT or "config" not in metadata:
                    raise ModelError(
                        f"{path} holds weights of another program; give weights made by streamspot train"
                    )
                network = Network(_config(path, metadata["config"]))  # some MB at most
                parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - no mapping
                found = {name: (part.get_dtype(), tuple(part.get_shape())) for name, part in parts.items()}
                if found != _shapes(network):  # before anything that the file asks for is allocated
                    raise ModelError(f"the weights in {path} do not fit their own configuration; {remedy}")
                weights = {name: file.get_tensor(name) for name in found}
        except (SafetensorError, OSError) as error:
            raise ModelError(
                f"{path} is damaged or no safetensors file ({cut(error, 200)}); name another, or {remedy}"
            ) from None
        if any(not torch.isfinite(value).all() for value in weights.values()):
            raise ModelError(f"{path} holds weights that are not finite; {remedy}")
        network.load_state_dict(weights)
        try:
            provenance, spotting = (_mapping(metadata.get(key, "{}")) for key in ("provenance", "spotting"))
        except (ValueError, TypeError, RecursionError) as error:
            raise ModelError(
                f"the provenance or spotting in {path} is impossible ({cut(error, 200)}); {remedy}"
            ) from None
        return cls(network, provenance, spotting=spotting, device=str(place))

    @classmethod
    def shared(
        cls, name_or_path: str | Path = DEFAULT_WEIGHTS, *, device: str = "auto", layout: str | None = None
    ) -> Model:
        """Load as ``load`` does, or return what has been loaded of the same file and is still in use."""
        path, place = _find(name_or_path, layout), str(find_device(device))
        about = path.stat()
        key = (path.resolve(), about.st_mtime_ns, about.st_size, place)
        with _LOADING:
            if (model := _LOADED.get(key)) is None:
                model = _LOADED[key] = cls.load(path, device=place)
        return model

    def save(self, path: str | Path) -> None:
        """Write weights, configuration, provenance and decoder settings to one safetensors file.

        Raises:
            ModelError: The file cannot be written.
        """
        metadata = {
            "format": FORMAT,
            "config": self.config.to_json(),
            "provenance": json.dumps(self.provenance, sort_keys=True),
            "spotting": json.dumps(self.spotting, sort_keys=True),
        }
        weights = {key: value.contiguous().cpu() for key, value in self.network.state_dict().items()}
        try:
            with write_atomically(Path(path), private=False) as part:
                save_file(weights, part, metadata)
        except (SafetensorError, OSError) as error:
            raise ModelError(
                f"the model cannot be written to {path} ({error}); choose another place"
            ) from None

    @cached_property
    def digest(self) -> str:
        """Twelve hexadecimal digits that stand for everything that decides the scores and their decoding.

        The start of a SHA-256 of names, types, shapes and bytes of the weights, of the configuration and of the
        decoder settings; the provenance is no part of it.
        """
        found = hashlib.sha256(self.config.to_json().encode())
        found.update(json.dumps(self.spotting, sort_keys=True).encode())
        for name, value in sorted(self.network.state_dict().items()):
            array = value.cpu().contiguous().numpy()
            found.update(f"{name} {array.dtype.str} {array.shape}".encode())
            found.update(array.tobytes())
        return found.hexdigest()[:12]

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(weight.numel() for weight in self.network.parameters())

    @torch.inference_mode()
    def forward(self, motion: Tensor | NDArray[np.float32]) -> Output:
        """Judge every tick of whole recordings, as ``Network.forward`` does, on the model's device."""
        motion = torch.as_tensor(motion, dtype=torch.float32, device=self.device)
        return self.network(motion)  # type: ignore[no-any-return]

    def torch_step(self) -> Step:
        """Return what takes one tick in PyTorch, on the model's device."""
        causal = self.config.encoder == "causal"
        return CausalStep(self.network, self.device) if causal else WindowStep(self.network)

    def _make_step(self) -> Step:
        if self.device.type == "cuda":
            return GraphedStep(fused(self.network, self.device) or self.torch_step())
        return CausalStep(self.network) if self.config.encoder == "causal" else self.torch_step()

    @cached_property
    def judge(self) -> Judge:
        """The streams of this model that are judged together, see ``ModelStream``."""
        return Judge(self.new_state, self.step)

    def new_state(self, streams: int = 1) -> StepState:
        """Return the state of so many streams that have seen nothing; its first part counts their steps."""
        state: StepState = self._step.new_state(streams)
        return state

    def step(
        self, motion: NDArray[np.float32], state: Any, rows: NDArray[np.int64] | None = None
    ) -> NDArray[np.float32]:
        """Take one tick of streams, changing their state in place.

        Args:
            motion: (S, R, 2) in the configuration's unit; what is not finite counts as 0.
            state: From ``new_state``.
            rows: (S,), which streams of the state take a tick, each once; None for all.

        Returns:
            (S, 3): intensity, macro, micro of the tick ``look_ahead`` ticks ago; the first ``look_ahead`` answers
            speak of ticks before its start. On a processor their bytes depend on the stream alone, not on the others.

        Raises:
            ModelError: The shape does not fit the configuration or the state.
        """
        if rows is None:
            rows = np.arange(len(state.parts()[0]))
        wanted = (len(rows), self.config.regions, 2)
        if motion.shape != wanted:
            raise ModelError(
                f"motion of shape {tuple(motion.shape)} does not fit {len(rows)} streams of {self.config.name}, "
                f"which wants {wanted} in the layout {self.config.layout}"
            )
        scaled = motion.reshape(len(rows), -1) * np.float32(self.config.input_scale)
        if not math.isfinite(scaled.sum()):
            scaled = np.nan_to_num(scaled, nan=0.0, posinf=0.0, neginf=0.0)
        if isinstance(self._step, CausalStep):
            return np.asarray(self._step(scaled, rows, state))
        with torch.no_grad():
            return np.asarray(self._step(torch.from_numpy(scaled), torch.from_numpy(rows), state))


def _config(path: Path, text: str) -> ModelConfig:
    try:
        return ModelConfig.from_json(text)
    except ModelError as error:
        raise ModelError(
            f"{path} asks for a network that cannot be: {error}; train or fetch it again"
        ) from None


def _mapping(text: str) -> dict[str, Any]:
    if not isinstance(found := json.loads(text), dict):
        raise TypeError("no JSON mapping")
    return found


def _shapes(network: Network) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return type, as safetensors names it, and shape of each weight."""
    names = {torch.float32: "F32", torch.int64: "I64"}
    return {key: (names[one.dtype], tuple(one.shape)) for key, one in network.state_dict().items()}


def _find(name_or_path: str | Path, layout: str | None = None) -> Path:
    """Return the file of weights given by name or path; by name, that for a layout if there is one."""
    known, path = shipped("models", ".safetensors"), Path(name_or_path)
    for name in (f"{name_or_path}.{layout}", str(name_or_path)):
        if name in known:
            return known[name]
    if path.is_file():
        return path
    raise ModelError(
        f"there are no weights {str(name_or_path)!r}; shipped are {', '.join(known) or 'none'}, "
        "or give the path of a .safetensors file"
    )
