"""What comes with the package beside its code, found by name: weights and ready settings."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from streamspot.errors import SettingsError

DEFAULT_WEIGHTS = "streamspot-base"
"""The weights that are taken where none are named."""


def shipped(folder: str, suffix: str) -> dict[str, Path]:
    """Return the files of one kind that came with the package, by name without the suffix.

    ``folder``, such as ``configs/train``, lies in the installed package, and beside it in a checkout.

    Example:
        >>> sorted(shipped("configs", ".yaml"))
        ['live', 'replay']
    """
    package = Path(str(resources.files("streamspot")))
    return {
        file.stem: file
        for place in (package / folder, package.parent / folder)
        for file in sorted(place.glob(f"*{suffix}"))
    }


def weight_files(name_or_path: str | Path) -> tuple[Path, ...]:
    """Return the files that weights may come from: of a name those for every layout, of a path itself."""
    known, name = shipped("models", ".safetensors"), str(name_or_path)
    if name not in known:
        return (Path(name),)
    return tuple(file for one, file in sorted(known.items()) if one == name or one.startswith(f"{name}."))


def settings_file(name_or_path: str | Path, folder: str = "configs") -> Path:
    """Return the path of a settings file, given by path or by the name of a shipped one.

    Raises:
        SettingsError: There is neither such a file nor such a name.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    names = shipped(folder, ".yaml")
    if str(name_or_path) in names:
        return names[str(name_or_path)]
    raise SettingsError(
        f"there are no settings {str(name_or_path)!r}; give a YAML file or one of {', '.join(sorted(names))}"
    )
