"""Checks of everything a run needs, each with its remedy."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Literal

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from rich.console import Console

from streamspot.console import can_draw, terminal_size
from streamspot.errors import StreamspotError
from streamspot.face.detectors import make_detector
from streamspot.files import make_private
from streamspot.loop import run_to_end
from streamspot.settings import state_folder
from streamspot.sources.cameras import list_cameras
from streamspot.sources.synthetic import Synthetic
from streamspot.types import TICK_RATE, Frame

Severity = Literal["ok", "warning", "failure"]
"""A run is possible in spite of a warning."""


def examine(screen: Console, weights: str, broker: str | None = None) -> Iterator[tuple[str, Severity, str]]:
    """Yield, for everything that a run needs, what it is, how it is, and what was found, with the remedy.

    ``screen`` is where a dashboard would be drawn; a broker is tried only if its address is given.
    """
    checks: dict[str, Callable[[], tuple[Severity, str]]] = {
        "Python": lambda: ("ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        "packages": _packages,
        "face mesh": _face,
        "weights": partial(_weights, weights),
        "device": _device,
        "camera": _camera,
        "state folder": _state,
        "terminal": partial(_terminal, screen),
    }
    if broker is not None:
        checks["broker"] = partial(_broker, broker)
    for what, check in checks.items():
        try:
            yield what, *check()
        except StreamspotError as error:
            yield what, "failure", str(error)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a machine is a finding
            yield what, "failure", f"{type(error).__name__}: {error}"


def _packages() -> tuple[Severity, str]:
    """Compare what is installed with what streamspot's own metadata asks for on this machine."""
    installed = {canonicalize_name(d.name): d.version for d in importlib.metadata.distributions()}
    if "opencv-python" in installed and "opencv-contrib-python" in installed:
        return "failure", (
            "opencv-python and opencv-contrib-python overwrite each other; pip uninstall opencv-python and "
            "reinstall opencv-contrib-python"
        )
    if "streamspot" not in installed:
        return "warning", (
            "streamspot runs without being installed, so nobody checked its packages; pip install it"
        )
    good, bad = [], []
    for each in map(Requirement, importlib.metadata.requires("streamspot") or ()):
        if each.marker is not None and not each.marker.evaluate({"extra": ""}):
            continue
        version = installed.get(canonicalize_name(each.name))
        if version is None:
            bad.append(f"{each.name} is missing")
        elif not each.specifier.contains(version, prereleases=True):
            bad.append(f"{each.name} is {version} and should be {each.specifier}")
        else:
            good.append(f"{each.name} {version}")
    return ("failure", f"{', '.join(bad)}; pip install streamspot again") if bad else ("ok", ", ".join(good))


def _face() -> tuple[Severity, str]:
    with closing(make_detector(1)) as detector:
        found = detector(Frame(0, 0.0, 0, Synthetic(noise=0).picture(0)))
    mesh = f"{detector.name} of mediapipe {importlib.metadata.version('mediapipe')}"
    if not found:
        return "failure", f"{mesh} runs but finds no face in a portrait; reinstall mediapipe"
    return "ok", f"{mesh} finds the face of a portrait"


def _weights(name: str) -> tuple[Severity, str]:
    from streamspot.model import Model  # noqa: PLC0415

    model = Model.load(name, device="cpu")
    config = model.config
    return "ok", (
        f"{config.name}: {config.regions} regions, {model.parameters:,} parameters, "
        f"look-ahead {config.look_ahead} ticks ({config.look_ahead / TICK_RATE:.2f} s)"
    )


def _device() -> tuple[Severity, str]:
    import torch  # noqa: PLC0415

    if torch.cuda.is_available():
        return "ok", f"CUDA: {torch.cuda.get_device_name(0)}"
    return "ok", f"CPU with {os.cpu_count()} cores; one stream needs no more"


def _camera() -> tuple[Severity, str]:
    cameras = list_cameras()
    if not cameras:
        return "warning", "none found; plug one in, or stream a file with --source clip.mp4"
    return "ok", ", ".join(f"{camera.index}: {camera.name}" for camera in cameras)


def _state() -> tuple[Severity, str]:
    folder = state_folder()
    try:
        make_private(folder)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"streamspot")
    except OSError as error:
        return "failure", (
            f"{folder} cannot be written ({error.strerror}); set XDG_STATE_HOME to a folder that can"
        )
    free = shutil.disk_usage(folder).free
    if free < 100 << 20:
        return "warning", f"{folder} has {free >> 20} MiB left; the journal needs room"
    return "ok", f"{folder}, {free >> 30} GiB free"


def _terminal(screen: Console) -> tuple[Severity, str]:
    if can_draw(screen):
        columns, rows = terminal_size(screen)
        return "ok", f"{columns} x {rows}, the dashboard can be drawn"
    return "warning", "no UTF-8 terminal here; events come as plain lines"


def _broker(url: str) -> tuple[Severity, str]:
    from streamspot.mqtt.address import Broker  # noqa: PLC0415
    from streamspot.mqtt.connection import Dialler  # noqa: PLC0415

    broker = Broker.parse(url)

    async def try_it() -> None:
        async with Dialler(broker).connect():
            pass

    run_to_end(try_it())
    return "ok", f"{broker.address} answers"
