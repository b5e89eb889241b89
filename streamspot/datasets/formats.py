"""The formats in which data sets come, by name, and their readers.

Each reader takes the folder as it was unpacked and returns the videos; ``extract`` turns them into region motion.
What an annotation leaves open is completed by the rules of ``annotations.complete`` and noted; what contradicts
itself is a fault with file, row and remedy.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from streamspot.datasets.casme2 import read_casme2
from streamspot.datasets.casme3 import read_casme3
from streamspot.datasets.folder import read_folder
from streamspot.datasets.official import Found
from streamspot.datasets.sammlv import read_sammlv
from streamspot.errors import DataError, SettingsError

READERS: dict[str, Callable[[Path], Found]] = {
    "casme2": read_casme2,
    "sammlv": read_sammlv,
    "casme3": read_casme3,
    "folder": read_folder,
}


def read_format(folder: Path, name: str) -> Found:
    """Read a data set in the format of that name.

    Raises:
        SettingsError: There is no such format.
        DataError: Files are missing or the annotation is broken; every fault is named with file and row.
    """
    if name not in READERS:
        raise SettingsError(f"there is no format {name!r}; choose one of {', '.join(READERS)}")
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}; give the one the data set was unpacked to")
    return READERS[name](folder)
