"""Checks of everything a run needs, each with its remedy."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from streamspot.errors import StreamspotError
from streamspot.settings import state_folder
from streamspot.types import TICK_RATE

Verdict = Literal["ok", "warning", "failure"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One check.

    Attributes:
        what: What was checked.
        verdict: ``ok``, ``warning`` (a run is possible) or ``failure``.
        detail: What was found and, unless it is fine, the remedy.
    """

    what: str
    verdict: Verdict
    detail: str


def examine(weights: str = "streamspot-base", broker: str | None = None) -> Iterator[Finding]:
    """Yield a finding for everything that a run needs.

    Args:
        weights: Name or file of the weights to try.
        broker: Address to try; None leaves the broker out.
    """
    checks: list[tuple[str, Callable[[], Finding]]] = [
        ("Python", _python),
        ("packages", _packages),
        ("face mesh", _face),
        ("weights", lambda: _weights(weights)),
        ("device", _device),
        ("camera", _camera),
        ("state folder", _state),
        ("terminal", _terminal),
    ]
    if broker is not None:
        checks.append(("broker", lambda: _broker(broker)))
    for what, check in checks:
        try:
            yield check()
        except StreamspotError as error:
            yield Finding(what, "failure", str(error))
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a machine is a finding
            yield Finding(what, "failure", f"{type(error).__name__}: {error}")


def _python() -> Finding:
    return Finding("Python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")


def _packages() -> Finding:
    """Compare what is installed with what streamspot's own metadata asks for on this machine."""
    installed = {canonicalize_name(d.name): d.version for d in importlib.metadata.distributions()}
    if "opencv-python" in installed and "opencv-contrib-python" in installed:
        return Finding(
            "packages",
            "failure",
            "opencv-python and opencv-contrib-python overwrite each other; pip uninstall opencv-python and "
            "reinstall opencv-contrib-python",
        )
    try:
        asked = [Requirement(line) for line in importlib.metadata.requires("streamspot") or ()]
    except importlib.metadata.PackageNotFoundError:
        return Finding(
            "packages",
            "warning",
            "streamspot runs without being installed, so nobody checked its packages; pip install it",
        )
    good, bad = [], []
    for each in asked:
        if each.marker is not None and not each.marker.evaluate({"extra": ""}):
            continue
        version = installed.get(canonicalize_name(each.name))
        if version is None:
            bad.append(f"{each.name} is missing")
        elif not each.specifier.contains(version, prereleases=True):
            bad.append(f"{each.name} is {version} and should be {each.specifier}")
        else:
            good.append(f"{each.name} {version}")
    if bad:
        return Finding("packages", "failure", f"{', '.join(bad)}; pip install streamspot again")
    return Finding("packages", "ok", ", ".join(good))


def _face() -> Finding:
    from streamspot.face.detectors import make_detector  # noqa: PLC0415
    from streamspot.sources.synthetic import Synthetic  # noqa: PLC0415
    from streamspot.types import Frame  # noqa: PLC0415

    detector = make_detector(1)
    try:
        found = detector(Frame(0, 0.0, 0, Synthetic(noise=0).picture(0)))
    finally:
        detector.close()
    version = importlib.metadata.version("mediapipe")
    if not found:
        return Finding(
            "face mesh",
            "failure",
            f"{detector.name} of mediapipe {version} runs but finds no face in a portrait; reinstall mediapipe",
        )
    return Finding("face mesh", "ok", f"{detector.name} of mediapipe {version} finds the face of a portrait")


def _weights(name: str) -> Finding:
    from streamspot.model import Model  # noqa: PLC0415

    model = Model.load(name, device="cpu")
    delay = model.config.look_ahead / TICK_RATE
    return Finding(
        "weights",
        "ok",
        f"{model.config.name}: {model.config.regions} regions, {model.parameters:,} parameters, "
        f"look-ahead {model.config.look_ahead} ticks ({delay:.2f} s)",
    )


def _device() -> Finding:
    import torch  # noqa: PLC0415

    if torch.cuda.is_available():
        return Finding("device", "ok", f"CUDA: {torch.cuda.get_device_name(0)}")
    return Finding("device", "ok", f"CPU with {os.cpu_count()} cores; one stream needs no more")


def _camera() -> Finding:
    from streamspot.sources.cameras import list_cameras  # noqa: PLC0415

    cameras = list_cameras()
    if not cameras:
        return Finding(
            "camera", "warning", "none found; plug one in, or stream a file with --source clip.mp4"
        )
    return Finding("camera", "ok", ", ".join(f"{camera.index}: {camera.name}" for camera in cameras))


def _state() -> Finding:
    folder = state_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"streamspot")
    except OSError as error:
        return Finding(
            "state folder",
            "failure",
            f"{folder} cannot be written ({error.strerror}); set XDG_STATE_HOME to a folder that can",
        )
    free = shutil.disk_usage(folder).free
    if free < 100 << 20:
        return Finding(
            "state folder", "warning", f"{folder} has {free >> 20} MiB left; the journal needs room"
        )
    return Finding("state folder", "ok", f"{folder}, {free >> 30} GiB free")


def _terminal() -> Finding:
    from rich.console import Console  # noqa: PLC0415

    from streamspot.console import can_draw  # noqa: PLC0415

    console = Console(stderr=True)
    if can_draw(console):
        return Finding("terminal", "ok", f"{console.width} x {console.height}, the dashboard can be drawn")
    return Finding("terminal", "warning", "no UTF-8 terminal here; events come as plain lines")


def _broker(url: str) -> Finding:
    from streamspot.loop import run_to_end  # noqa: PLC0415
    from streamspot.mqtt.address import Broker  # noqa: PLC0415
    from streamspot.mqtt.connection import Dialler  # noqa: PLC0415

    broker = Broker.parse(url)

    async def try_it() -> None:
        async with Dialler(broker).connect():
            pass

    run_to_end(try_it())
    return Finding("broker", "ok", f"{broker.address} answers")
