"""What a review of an hour costs its user: how soon the page stands, and how long a hundred points take.

    python benchmarks/review.py [--points 100]

Keys are pressed by a script as a person would: three steps of ten frames with 120 ms each, a label, 200 ms to look.
Needs a Chromium and what `.[dev,review]` installs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.review_browser import BROWSER, OPTIONS, opened, program, rows
from tests.small_recordings import write_recording

TICKS = 108_000  # an hour


def stands(browser: Browser, address: str, condition: str) -> float:
    """Return the seconds until the page is there."""
    began = time.monotonic()
    with opened(browser, address, analysed=False) as page:
        page.wait_for_selector(condition)
        return time.monotonic() - began


def label(browser: Browser, address: str, points: Path, count: int) -> float:
    """Return the seconds that so many labels take while the analysis goes on; come back when it is done."""
    with opened(browser, address, analysed=False) as page:
        began = time.monotonic()
        for number in range(count):
            for _ in range(3):
                page.keyboard.press("Shift+ArrowRight")
                page.wait_for_timeout(120)
            page.keyboard.press("m" if number % 3 else "u")
            page.wait_for_timeout(200)
        rows(points, count)
        took = time.monotonic() - began
        page.wait_for_selector("#progress[hidden]", state="attached", timeout=400_000)
    return took


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--points", type=int, default=100)
    count = parser.parse_args().points
    with tempfile.TemporaryDirectory() as name, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=OPTIONS)
        path = write_recording(Path(name) / "hour.motion", ticks=TICKS)
        with program(path) as (address, _):
            print(f"the page of an hour stands after {stands(browser, address, 'body[data-frame]'):.2f} s")
            print(f"{count} points take {label(browser, address, Path(name) / 'points.csv', count):.0f} s")
            print(f"with its curve it stands after {stands(browser, address, 'body[data-curve]'):.2f} s")
        browser.close()


if __name__ == "__main__":
    main()
