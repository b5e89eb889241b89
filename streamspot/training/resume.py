"""Trainings that go on where they were: what one has done so far, in a file that goes when it ends."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from streamspot.datasets.recording import Recording
from streamspot.errors import SettingsError
from streamspot.files import write_atomically
from streamspot.shipped import weight_files
from streamspot.training.settings import TrainSettings

TrainingState = tuple[dict[str, Tensor], dict[str, Any]]
"""All that a training needs to go on: its tensors, and what can be said in JSON."""


def mark(
    recordings: Sequence[Recording], layout: str, settings: TrainSettings, how: Mapping[str, Any]
) -> str:
    """Return what tells trainings apart: data with their region layout, settings and whatever else ``how`` names.

    Networks do not depend on how they are read, so the settings of the decoder do not count. The weights that the
    settings name do, and not their names alone.
    """
    digest = hashlib.sha256(settings.model_dump_json(exclude={"spotting", "micro_share"}).encode())
    digest.update(json.dumps([layout, how], sort_keys=True).encode())
    for name in filter(None, (settings.start, settings.partner)):
        for file in weight_files(name):
            digest.update(file.read_bytes() if file.is_file() else b"")
    for recording in recordings:
        digest.update(f"{recording.name} {recording.subject} {recording.instances}".encode())
        digest.update(recording.motion.tobytes())
    return digest.hexdigest()[:16]


class Unfinished:
    """What an unfinished training has done.

    Args:
        path: Where that is kept.
        mark: Of the training, see ``mark``.
    """

    def __init__(self, path: Path, mark: str) -> None:
        self._path, self._mark = path, mark

    def read(self) -> TrainingState | None:
        """Return where the training stopped, None where it begins.

        Raises:
            SettingsError: The file is of another training, or damaged.
        """
        if not self._path.exists():
            return None
        try:
            with safe_open(self._path, "pt") as file:
                about = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        except (OSError, SafetensorError):
            about, tensors = {}, {}
        if about.get("mark") != self._mark:
            raise SettingsError(
                f"{self._path} is what a training with other data or settings has done so far; remove it, or name "
                "another --out"
            )
        return tensors, json.loads(about["facts"])

    def write(self, state: TrainingState) -> None:
        """Keep where the training is.

        Raises:
            SettingsError: It cannot be written.
        """
        tensors, facts = state
        about = {"mark": self._mark, "facts": json.dumps(facts)}
        try:
            with write_atomically(self._path) as part:
                save_file(tensors, part, about)
        except (OSError, SafetensorError) as error:
            raise SettingsError(
                f"{self._path} cannot be written ({error}); make room, or name another --out"
            ) from None

    def remove(self) -> None:
        """Forget the training, whose result is written."""
        self._path.unlink(missing_ok=True)
