"""Files that are written whole or not at all, files that grow by whole pieces, and who may read them."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from streamspot.session import digest

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    fcntl = None  # type: ignore[assignment]


_LONGEST = 200
"""Letters of a name at most: what is added to it while it is written fits into the 255 of a file's name."""


def as_file_name(text: str, safe: str = "") -> str:
    """Return what a file may be called that belongs to a text: quoted, since every system knows other letters.

    A quoted letter takes up to twelve, so that what becomes too long is cut and told apart by a hash.

    Args:
        text: Whose file it is.
        safe: Marks that are not quoted.
    """
    name = quote(text, safe=safe)
    return name if len(name) <= _LONGEST else f"{name[:40]}-{digest(name)}"


def make_private(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for their owner only; one that is there stays as it is.

    Raises:
        OSError: It cannot be made.
    """
    for one in reversed([folder, *folder.parents]):
        if not one.is_dir():
            one.mkdir(0o700, exist_ok=True)


@contextmanager
def write_atomically(path: Path, *, private: bool = True) -> Iterator[Path]:
    """Give a temporary path beside ``path``; it takes the place of ``path`` when the block ends without an error.

    Readers see the old file or the new one, never a part. After an error the old file is untouched and nothing
    is left behind. A new file is for its owner only, unless it is not ``private``; who may read the old one may
    read the one that replaces it. A link stays one: what it leads to is replaced. The temporary name ends in
    ``.part``: NumPy adds ``.npz`` to such a path, so hand it an open file.

    Example:
        >>> with write_atomically(path) as part:  # doctest: +SKIP
        ...     part.write_bytes(content)

    Raises:
        OSError: The file cannot be written.
    """
    path = _led_to(path)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        part.touch(0o600 if private else 0o666)
        mode = part.stat().st_mode
        yield part
        part.chmod(stat.S_IMODE(mode))  # whatever wrote it may have put a file of another mode there
        with suppress(FileNotFoundError):
            shutil.copymode(path, part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _led_to(path: Path) -> Path:
    """Return the file that a path leads to by links, there or yet to come; of a device, which is none, the path."""
    real = Path(os.path.realpath(path))
    return real if real.is_file() or not real.exists() else path


def claim(file: int, *, wait: bool = False) -> bool:
    """Take an open file or folder for this program alone until it is closed; tell whether no other has taken it.

    Where the system cannot tell, nobody has. With ``wait`` it is taken as soon as the others have closed it.
    """
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # some network file systems know no locks
            return True
    return True


@contextmanager
def alone_beside(path: Path) -> Iterator[None]:
    """Keep other programs that ask so from writing where a file is, or where links lead, where the system can."""
    place = None
    with suppress(OSError):  # Windows opens no folders
        place = os.open(_led_to(path).parent, os.O_RDONLY)
        claim(place, wait=True)
    try:
        yield
    finally:
        if place is not None:
            os.close(place)


def line_has_ended(path: Path) -> bool:
    """Tell whether the last line of a file that is not empty has its end, so that another may follow."""
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"


def append_whole(path: Path, content: bytes) -> None:
    """Append to a file, all of the content or nothing of it; made for its owner only if missing.

    Raises:
        OSError: It cannot be written.
    """
    with suppress(FileExistsError):
        path.touch(0o600, exist_ok=False)
    with path.open("ab", buffering=0) as file:
        size, written = file.seek(0, os.SEEK_END), 0
        try:
            written = file.write(content)
        finally:
            if written < len(content):
                file.truncate(size)
    if written < len(content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
