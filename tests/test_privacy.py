"""Promises of privacy: only what is declared leaves the process, only to where it was told to go."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from brokers import Mosquitto, free_port, overhear

from streamspot.engine import Engine
from streamspot.layers import load_settings
from streamspot.motion.regions import layout
from streamspot.mqtt.journal import Journal
from streamspot.mqtt.payloads import TICKS
from streamspot.outputs import Outputs
from streamspot.run import StreamRun
from streamspot.sources import MotionRecording

PACKAGE = Path(__file__).parents[1] / "streamspot"
CLIP = "synthetic:seconds=7,expressions=1,noise=0"
SECRET = "hunter2-not-to-be-seen"  # noqa: S105
EMOTIONS = r"\b(happ(y|iness)|joy\w*|sad|sadness|ang(er|ry)|disgust\w*|fear\w*|surprise[ds]?|contempt\w*)\b"


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[bytes]]:
    """Return everything one run with everything switched on says, by the place where it was said."""
    folder = tmp_path_factory.mktemp("said")
    os.environ["STREAMSPOT_MQTT_PASSWORD"] = SECRET
    try:
        with Mosquitto(folder) as broker:
            published = asyncio.run(_run(broker, folder))
    finally:
        del os.environ["STREAMSPOT_MQTT_PASSWORD"]
    files = {
        str(path.relative_to(folder)): [path.read_bytes()] for path in folder.rglob("*") if path.is_file()
    }
    kept = {name: content for name, content in files.items() if "mosquitto" not in name}
    with contextlib.closing(sqlite3.connect(folder / "journal" / "journal.sqlite")) as journal:
        tables = journal.execute("SELECT name FROM sqlite_master").fetchall()
        columns = [one[1] for one in journal.execute("PRAGMA table_info(event)")]
    assert (tables, columns) == ([("event",)], ["id", "time", "delivered", "payload"])
    kept["journal/journal.sqlite"] = list(Journal.read(folder / "journal"))
    return published | kept


async def _run(broker: Mosquitto, folder: Path) -> dict[str, list[bytes]]:
    settings = load_settings(
        {
            "source": CLIP,
            "broker": broker.url.replace("//", "//someone@"),
            "node": "n",
            "stream": "s",
            "journal": folder / "journal",
            "ros": True,
            "homeassistant": True,
            "events": str(folder / "events.jsonl"),
            "intensity": folder / "curve.csv",
            "log": folder / "log.csv",
            "expressions": folder / "expressions.csv",
            "record": folder / "motion.jsonl",
        }
    )
    trouble = f"the camera rtsp://someone:{SECRET}@camera/1 stalls; check the cable"
    published: dict[str, list[bytes]] = {}
    async with overhear(broker.url, "#") as messages:
        run = StreamRun(settings)
        async with Outputs([run]) as outputs, Engine([run]) as engine:
            async for run, update in engine:
                await outputs.take(run, replace(update, messages=(trouble,)) if update.events else update)
            await asyncio.sleep(0.5)
        await asyncio.sleep(0.3)
        while not messages.empty():
            topic, payload, _ = messages.get_nowait()
            published.setdefault(f"topic {topic}", []).append(payload)
    return published


def _longest_array(value: Any) -> int:
    if isinstance(value, dict):
        return max(map(_longest_array, value.values()), default=0)
    if isinstance(value, list):
        return max([len(value), *map(_longest_array, value)])
    return 0


def _values(said: dict[str, list[bytes]]) -> Iterator[tuple[str, Any]]:
    """Yield every JSON value that was said."""
    for place, payloads in said.items():
        for line in b"\n".join(payloads).splitlines():
            if line[:1] in {b"{", b"["}:
                yield place, json.loads(line)


def test_the_run_said_something_everywhere(said: dict[str, list[bytes]]):
    """The tests below look at real output: every topic and every file has some."""
    topics = {place.rsplit("/", 1)[-1] for place in said if place.startswith("topic ")}
    named = {"status", "event", "state", "intensity", "stats", "error", "tracked", "expression", "config"}
    assert named <= topics
    for file in (
        "events.jsonl",
        "curve.csv",
        "log.csv",
        "expressions.csv",
        "motion.jsonl",
        "journal/journal.sqlite",
    ):
        assert said[file][0]


def test_everything_said_is_short_text(said: dict[str, list[bytes]]):
    """No picture can hide: all is UTF-8, no run of 40 characters looks like binary data in text form."""
    for place, payloads in said.items():
        for payload in payloads:
            text = payload.decode()
            assert not re.search(r"[A-Za-z0-9+/=_]{40,}", text), place
            assert all(len(line) < 4096 for line in text.splitlines()), place


def _layout(said: dict[str, list[bytes]]) -> str:
    return str(json.loads(said["motion.jsonl"][0].splitlines()[0])["layout"])


def test_no_array_could_be_a_face(said: dict[str, list[bytes]]):
    """No list is longer than the regions' displacements (recording) or a batch of curve: no landmarks fit."""
    regions = 2 * len(layout(_layout(said)))
    for place, value in _values(said):
        longest = _longest_array(value)
        assert longest <= (regions if place == "motion.jsonl" else TICKS if "intensity" in place else 6), (
            place
        )


def test_what_is_recorded_is_how_regions_moved_and_not_where_they_are(said: dict[str, list[bytes]]):
    """Every number of a recording is a small step between two ticks, in inter-ocular distances."""
    steps = [
        abs(step)
        for place, value in _values(said)
        if place == "motion.jsonl" and isinstance(value, list) and len(value) == 6
        for step in value[-1]
    ]
    assert len(steps) > 1000
    assert max(steps) < 0.5
    assert all(map(math.isfinite, steps))


def test_credentials_appear_nowhere(said: dict[str, list[bytes]]):
    """Neither the password nor the user name of a broker or a camera is ever repeated."""
    for place, payloads in said.items():
        for payload in payloads:
            assert SECRET.encode() not in payload, place
            assert b"someone" not in payload, place


def test_no_emotion_is_named(said: dict[str, list[bytes]]):
    """What moves is macro or micro; nobody is told what another person feels."""
    for place, payloads in said.items():
        for payload in payloads:
            assert not re.search(EMOTIONS, payload.decode(), re.IGNORECASE), place


def test_the_package_names_no_emotion_to_a_user():
    """No text of the program does either; readers of data sets may hold the official names of files only."""
    for path in PACKAGE.rglob("*.py"):
        if path.parent.name == "datasets":
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            found = re.search(EMOTIONS, line, re.IGNORECASE)
            if found:
                pytest.fail(f"{path.name}:{number}: {found[0]}")


_AUDITED = """
import sys
reached = set()
def note(event, arguments):
    if event == "socket.connect":
        reached.add(str(arguments[1]))
    elif event == "socket.getaddrinfo":
        reached.add(f"asked for {arguments[0]}")
sys.addaudithook(note)
from streamspot.cli import main
sys.argv = ["streamspot", *sys.argv[1:]]
try:
    main()
except SystemExit as left:
    assert left.code in (0, None), left.code
print(sorted(reached), file=sys.__stdout__)
"""


def _reached(*arguments: str, state: Path) -> str:
    command = [sys.executable, "-c", _AUDITED, *arguments]
    environment = os.environ | {"XDG_STATE_HOME": str(state)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_without_a_broker_nothing_is_connected_to(tmp_path: Path):
    """A run opens no connection and asks for no name."""
    arguments = ("run", "--source", CLIP, "--intensity", str(tmp_path / "c"), "--record", str(tmp_path / "r"))
    assert _reached(*arguments, state=tmp_path) == "[]"


def test_with_a_broker_nothing_else_is_connected_to(tmp_path: Path):
    """Every connection goes to the broker's address."""
    with Mosquitto(tmp_path) as broker:
        reached = _reached("run", "--source", CLIP, "--broker", broker.url, state=tmp_path)
    places = set(re.findall(r"\('[^)]*\)|asked for [^\"']*", reached))
    assert f"('127.0.0.1', {broker.port})" in places
    # asyncio wakes itself through a pair of sockets on the loopback where the system has no other
    assert places <= {f"('127.0.0.1', {broker.port})", "asked for 127.0.0.1"}


def test_a_broker_that_is_away_makes_nothing_else_be_connected_to(tmp_path: Path):
    """There is no second address to fall back to."""
    port = free_port()
    code = _AUDITED.replace("assert left.code in (0, None), left.code", "pass")
    arguments = ["run", "--source", CLIP, "--broker", f"mqtt://127.0.0.1:{port}"]
    environment = os.environ | {"XDG_STATE_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    places = set(re.findall(r"\('[^)]*\)|asked for [^\"']*", done.stdout.splitlines()[-1]))
    assert places <= {f"('127.0.0.1', {port})", "asked for 127.0.0.1"}


def test_a_recording_names_its_layout(said: dict[str, list[bytes]], tmp_path: Path):
    """What was recorded can be read back."""
    (tmp_path / "r").write_bytes(said["motion.jsonl"][0])
    assert MotionRecording(tmp_path / "r").layout == _layout(said)
