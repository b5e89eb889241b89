"""Which code made a result."""

from __future__ import annotations

import subprocess
from pathlib import Path


def commit() -> str:
    """Return the commit this package runs from, with ``+`` if it was changed since; else ``unknown``."""
    here = Path(__file__)

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(here.parent), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603

    try:
        git(
            "ls-files", "--error-unmatch", here.name
        )  # or it is installed below the repository of something else
        changed = git("status", "--porcelain", "--untracked-files=no", "--", "..")
        return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
