"""Ready configurations that come with the package, found by name."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from streamspot.errors import SettingsError


def shipped_configs(folder: str = "") -> dict[str, Path]:
    """Return the configurations of a folder of ``configs/``: name → file.

    They lie in the installed package or, in a checkout, beside it.
    """
    package = Path(str(resources.files("streamspot")))
    places = (package / "configs" / folder, package.parent / "configs" / folder)
    return {file.stem: file for place in places if place.is_dir() for file in sorted(place.glob("*.yaml"))}


def find_config(name_or_path: str | Path, folder: str = "") -> Path:
    """Return the file of a configuration.

    Args:
        name_or_path: Name of a shipped configuration, or a path.
        folder: Folder of ``configs/`` that holds those in question: ``train``, or the top with its runs.

    Raises:
        SettingsError: It is neither.
    """
    path, known = Path(name_or_path), shipped_configs(folder)
    if path.is_file():
        return path
    if str(name_or_path) in known:
        return known[str(name_or_path)]
    names = ", ".join(known) or "none"
    raise SettingsError(f"there is no configuration {name_or_path}: give a file or one of the names {names}")
