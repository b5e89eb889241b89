"""What the tests of reports share: writing a page, and reading it as its reader does."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from streamspot.cli import app


def page_of(*arguments: object) -> str:
    """Return the page that the command writes."""
    done = CliRunner().invoke(app, ["report", *map(str, arguments)])
    assert done.exit_code == 0, done.output
    return Path(done.output.rpartition(": ")[0].replace("\n", "")).read_text(encoding="utf-8")


def said(page: str) -> str:
    """Return what a reader sees as text."""
    return html.unescape(
        re.sub(r"<[^>]+>", " ", re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL))
    )


def figures(page: str) -> list[dict[str, Any]]:
    """Return the figures of a page."""
    return [json.loads(one) for one in re.findall(r'<script type="application/json">(.*?)</script>', page)]
