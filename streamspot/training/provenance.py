"""Which code made a result."""

from __future__ import annotations

import subprocess
from pathlib import Path

_MADE_BY = ("..", "../../configs", "../../models", "../../experiments", ":(exclude)../../experiments/results")
"""What a result depends on, from this folder: the package, and what lies beside it in the repository."""


def commit() -> str:
    """Return the commit this package runs from, with ``+`` if that or what is beside it was changed since.

    ``unknown`` where the package is in no repository of its own.
    """
    here = Path(__file__)

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(here.parent), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603

    try:
        # fails where it is installed below the repository of something else
        git("ls-files", "--error-unmatch", here.name)
        changed = git("status", "--porcelain", "--untracked-files=no", "--", *_MADE_BY)
        return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
