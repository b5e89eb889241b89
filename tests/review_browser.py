"""The page of a review as a person uses it: the program, a Chromium, and the label file that comes of it."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@contextmanager
def program(*arguments: object) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run the command; give its address and process."""
    command = [sys.executable, "-m", "streamspot", "review", *map(str, arguments)]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert running.stdout is not None
        yield running.stdout.readline().strip(), running
    finally:
        running.terminate()
        running.communicate(timeout=30)


@contextmanager
def opened(browser: Any, address: str, *, analysed: bool = True, **options: Any) -> Iterator[Any]:
    """Open the page; nothing may go wrong in it, and nothing may be asked of anybody else."""
    page = browser.new_page(viewport=options.pop("viewport", {"width": 1280, "height": 720}), **options)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.on(
        "request", lambda asked: None if asked.url.startswith((address, "blob:")) else wrong.append(asked.url)
    )
    page.goto(address)
    page.wait_for_selector("body[data-frame]")
    if analysed:
        page.wait_for_selector("#progress[hidden]", state="attached", timeout=120_000)
    yield page
    page.close()
    assert wrong == []


def rows(path: Path, lines: int) -> list[dict[str, str]]:
    """Return the rows of a label file, as soon as there are so many."""
    for _ in range(100):
        found = list(csv.DictReader(path.read_text().splitlines())) if path.exists() else []
        if len(found) == lines:
            return found
        time.sleep(0.05)
    raise AssertionError(found)
