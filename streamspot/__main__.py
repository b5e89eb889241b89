"""The process: ``streamspot`` and ``python -m streamspot``."""

from __future__ import annotations

import contextlib
import os
import sys

from streamspot.interrupts import ending_at_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def program() -> NoReturn:
    """Run the command line and end the process at once.

    Taking torch and MediaPipe apart would cost a second after Ctrl-C, and a capture thread that hangs in a driver
    would never let the process go.
    """
    code: object = 130
    with contextlib.suppress(KeyboardInterrupt):
        try:
            with ending_at_once():
                from streamspot.cli import main  # noqa: PLC0415 - Ctrl-C may come while it is imported

            main()
            code = 0
        except SystemExit as leaving:
            code = leaving.code
    for screen in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):
            screen.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    program()
