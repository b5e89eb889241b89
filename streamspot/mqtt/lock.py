"""A file that one program at a time may hold, on every system."""

from __future__ import annotations

import sys
from typing import BinaryIO


def try_lock(file: BinaryIO) -> bool:
    """Lock an open file until it is closed or the process ends, however it ends.

    Args:
        file: Open for writing; its first byte is what is locked.

    Returns:
        Whether it was free; it is not if it is open and locked elsewhere, in this process too.
    """
    try:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415 - only there

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl  # noqa: PLC0415 - not on Windows

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # flock's word for it, and Windows'
        return False
    return True
