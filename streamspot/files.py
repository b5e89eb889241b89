"""Files that are written whole or not at all, and files that grow by whole pieces."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def write_atomically(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``; it takes the place of ``path`` when the block ends without an error.

    Readers see the old file or the new one, never a part. After an error the old file is untouched and nothing
    is left behind. The temporary name ends in ``.part``: NumPy adds ``.npz`` to such a path, so hand it an
    open file.

    Example:
        >>> with write_atomically(path) as part:  # doctest: +SKIP
        ...     part.write_bytes(content)

    Raises:
        OSError: The file cannot be written.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def append_whole(path: Path, content: bytes) -> None:
    """Append to a file, all of the content or nothing of it; made if missing.

    Raises:
        OSError: It cannot be written.
    """
    with path.open("ab", buffering=0) as file:
        size, written = file.seek(0, os.SEEK_END), 0
        try:
            written = file.write(content)
        finally:
            if written < len(content):
                file.truncate(size)
    if written < len(content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
