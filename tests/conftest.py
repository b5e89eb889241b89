"""What tests share: a disk, development data, pictures, recorded runs, brokers, a folder of state of their own."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from brokers import Mosquitto
from review_browser import BROWSER, OPTIONS
from running import CLIP, collect, updates_of
from small_recordings import write_recording

from streamspot.mqtt.embedded import embedded_broker
from streamspot.sources.synthetic import Synthetic
from streamspot.types import Event, Frame


def pytest_configure() -> None:
    """Keep native libraries from taking every core and every line of the terminal."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("GLOG_minloglevel", "2")


@pytest.fixture(autouse=True)
def _own_state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every test its own journal and log folders and no settings from the environment."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
    for name in list(os.environ):
        if name.startswith("STREAMSPOT_") and name != "STREAMSPOT_DATA":
            monkeypatch.delenv(name)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Give a disk of 64 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    if os.name != "posix" or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small tmpfs is not allowed here; run as root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture(scope="session")
def data() -> Path:
    """Return the folder of development data, or skip where there is none."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("STREAMSPOT_DATA", beside))
    if not folder.is_dir():
        pytest.skip("the development data (research licence, not distributed) is not on this machine")
    return folder


@pytest.fixture(scope="session")
def portrait() -> Frame:
    """Return one frame with one face."""
    return next(iter(Synthetic.parse("synthetic:noise=0").read()))


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list, list[Event]]:
    """Return a recording with the scores and events of the run that made it."""
    path = tmp_path_factory.mktemp("recording") / "run.jsonl"
    scores, events = collect(CLIP, record=path)
    return path, scores, events


@pytest.fixture(params=["mosquitto", "mosquitto-5", "embedded"])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """Give the address of each kind of broker in turn."""
    if "mosquitto" in request.param:
        with Mosquitto(tmp_path) as broker:
            yield broker.url + "?version=5" * request.param.endswith("5")
    else:
        async with embedded_broker() as address:
            yield address


@pytest.fixture
def nobody() -> Frame:
    """Return one frame without a face."""
    return Frame(0, 0.0, 0, np.full((480, 640, 3), 90, np.uint8))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the wait for an answer from four seconds to one, to keep the tests short."""
    monkeypatch.setattr("streamspot.mqtt.connection.TIMEOUT", 1.0)


@pytest.fixture
def silence(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No fault may write over the dashboard: nothing is logged as an error."""
    yield
    gc.collect()
    assert [
        record.getMessage() for record in caplog.get_records("call") if record.levelno >= logging.ERROR
    ] == []


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Return a Chromium, or skip where there is none."""
    playwright = pytest.importorskip("playwright.sync_api")
    pytest.importorskip("aiohttp")
    if BROWSER is None:
        pytest.skip("there is no Chromium on this machine")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=BROWSER, args=OPTIONS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def visit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the events of a recording with expressions, curve and recording beside them."""
    folder = tmp_path_factory.mktemp("visit")
    recording = write_recording(folder / "visit.motion", ticks=600)
    flags = {"events": str(folder / "visit.jsonl"), "intensity": folder / "visit.csv"}
    asyncio.run(updates_of(recording, **flags))
    return folder / "visit.jsonl"


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """Return a folder with two recordings and a file that is broken."""
    folder = tmp_path / "videos"
    folder.mkdir()
    for ticks, name in ((180, "visit2"), (240, "visit10")):
        write_recording(folder / f"{name}.motion", ticks=ticks)
    (folder / "broken.mp4").write_text("no video")
    (folder / "notes.txt").write_text("not looked at")
    return folder
