"""Promises of several sources in one run: each is as if it were alone, and one delivery serves all."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from brokers import Mosquitto, overhear, until
from running import collect, delivered, updates_of
from small_recordings import write_recording
from typer.testing import CliRunner

from streamspot.cli import app
from streamspot.engine import Engine, open_runs
from streamspot.errors import SettingsError, SourceError
from streamspot.events import decode
from streamspot.layers import load_settings, load_streams
from streamspot.outputs import Outputs
from streamspot.run import StreamRun
from streamspot.sources.base import Source
from streamspot.sources.synthetic import Synthetic
from streamspot.stats import Delivery
from streamspot.types import Frame


@pytest.fixture
def recordings(tmp_path: Path) -> list[Path]:
    """Four recordings of one face each."""
    return [write_recording(tmp_path / f"door{seed}.motion", seed) for seed in (1, 3, 5, 6)]


def test_sources_may_be_repeated_or_listed_with_settings_of_their_own(tmp_path: Path):
    """A flag wins over a source's own settings, those over the file's, those over the defaults."""
    file = tmp_path / "several.yaml"
    file.write_text(
        "face: {faces: 2}\nsource:\n  - hall.mp4\n"
        "  - source: door.mp4\n    face: {faces: 3}\n    name: {stream: door}\n    spotting: {sensitivity: 0.9}\n"
    )
    hall, door = load_streams({}, file)
    assert (hall.source, hall.face.faces, hall.spotting.sensitivity) == ("hall.mp4", 2, 0.5)
    assert (door.source, door.face.faces, door.name.stream) == ("door.mp4", 3, "door")
    assert load_streams({"sensitivity": 0.2}, file)[1].spotting.sensitivity == 0.2
    assert [one.source for one in load_streams({"source": ["a", "b"]}, file)] == ["a", "b"]
    assert [one.source for one in load_streams({})] == ["0"]
    with pytest.raises(SettingsError, match="2 sources"):
        load_settings({}, file)


def test_the_list_shown_in_the_documentation_works(tmp_path: Path):
    """The page about sources shows a settings file as it may be."""
    page = (Path(__file__).parents[1] / "docs" / "sources.md").read_text()
    file = tmp_path / "shown.yaml"
    file.write_text(re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)[0])
    first, door = load_streams({}, file)
    assert (first.source, first.face.faces) == ("0", 1)
    assert (door.name.stream, door.face.choose, door.mqtt.broker) == ("door", "largest", first.mqtt.broker)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- source: a\n    mqtt: {broker: embedded}", "broker .* whole run; write it at the top"),
        ("- source: a\n    fcae: {faces: 1}", "no setting 'fcae'"),
        ("- face: {faces: 1}", "begin each with - source: NAME"),
        ("- source: a\n    face: {faces: 99}", "faces = 99"),
    ],
)
def test_a_mistake_in_the_settings_of_a_source_is_named(tmp_path: Path, text: str, said: str):
    """What holds for the whole run, a misspelt key, a missing name and an impossible value: one sentence each."""
    file = tmp_path / "several.yaml"
    file.write_text(f"source:\n  {text}\n")
    with pytest.raises(SettingsError, match=said):
        load_streams({}, file)


@pytest.mark.parametrize("setting", ["face: {faces: 0}", "name: {node: lab}"])
@pytest.mark.parametrize("address", ["rtsp://me:hush@cam/live", "rtsp://cam/user=me&password=hush&channel=1"])
def test_a_mistake_beside_an_address_does_not_tell_its_password(tmp_path: Path, setting: str, address: str):
    """The source is named without it."""
    file = tmp_path / "several.yaml"
    file.write_text(f"source:\n  - source: {address}\n    {setting}\n")
    with pytest.raises(SettingsError, match="rtsp://cam/") as said:
        load_streams({}, file)
    assert "hush" not in str(said.value)


def test_streams_have_names_and_files_of_their_own(recordings: list[Path], tmp_path: Path):
    """Equal names get numbers; ``{stream}`` in a file's name is the stream's, even alone; one for two is refused."""
    twice = [str(recordings[0])] * 2
    curve = tmp_path / "{stream}.csv"
    runs = open_runs(load_streams({"source": twice, "intensity": curve}))
    assert [run.name for run in runs] == ["simulated", "simulated-2"]
    assert [run.settings.output.intensity for run in runs] == [
        tmp_path / "simulated.csv",
        tmp_path / "simulated-2.csv",
    ]
    (alone,) = open_runs(load_streams({"source": twice[:1], "intensity": curve}))
    assert alone.settings.output.intensity == tmp_path / "simulated.csv"
    with pytest.raises(SettingsError, match=r"write \{stream\} in its name"):
        open_runs(load_streams({"source": twice, "intensity": tmp_path / "one.csv"}))
    (tmp_path / "link").symlink_to(tmp_path)
    linked = [tmp_path / "one.csv", tmp_path / "link" / "one.csv"]
    streams = [load_settings({"source": twice[0], "intensity": path}) for path in linked]
    with pytest.raises(SettingsError, match=r"write \{stream\} in its name"):
        open_runs(streams)
    for spelt in ("vrchat://127.0.0.1", "VRChat://127.0.0.1:9000", "vrchat://localhost/"):
        streams = [load_settings({"source": twice[0], "osc": osc}) for osc in ("vrchat://127.0.0.1", spelt)]
        with pytest.raises(SettingsError, match="set it for one source"):
            open_runs(streams)
    with pytest.raises(SettingsError, match="a name of its own"):
        open_runs(load_streams({"source": twice, "stream": "door"}))


def test_every_stream_gives_the_bytes_that_it_gives_alone(recordings: list[Path], tmp_path: Path):
    """Four sources share a process, a network and a file of events; the end says what came of each."""
    events, curve = tmp_path / "events.jsonl", tmp_path / "{stream}.csv"
    flags = [f"--source={one}" for one in recordings]
    done = CliRunner().invoke(app, ["run", *flags, f"--events={events}", f"--intensity={curve}", "--no-ui"])
    assert done.exit_code == 0, done.output
    assert "done: 4 streams" in done.output
    names = ["simulated", *(f"simulated-{n}" for n in (2, 3, 4))]
    found = [decode(line) for line in events.read_bytes().splitlines()]
    for name, one in zip(names, recordings, strict=True):
        alone_curve = tmp_path / "alone.csv"
        _, alone = collect(one, stream=name, intensity=alone_curve)
        assert [delivered(event) for event in found if event.stream == name] == [delivered(e) for e in alone]
        assert (tmp_path / f"{name}.csv").read_bytes() == alone_curve.read_bytes()
        assert f"{name}: 6.0 s of motion" in done.output
    assert {event.stream for event in found} == set(names)


async def test_one_connection_and_one_journal_serve_all(recordings: list[Path], tmp_path: Path):
    """Each stream has its status, state and numbers; commands reach the one they are for."""
    delivery = Delivery()
    with Mosquitto(tmp_path) as broker:
        flags = {
            "source": [str(one) for one in recordings[:3]],
            "broker": broker.url,
            "node": "n",
            "journal": tmp_path / "j",
        }
        runs = open_runs(load_streams({**flags, "speed": 4.0}))
        async with overhear(broker.url, "streamspot/#") as raw:
            async with Outputs(runs, delivery) as outputs, Engine(runs) as engine:
                async for run, update in engine:
                    await outputs.take(run, update)
                await until(lambda: not delivery.queued)
            said: dict[str, list[bytes]] = {}
            while not raw.empty():
                topic, payload, _ = raw.get_nowait()
                said.setdefault(topic, []).append(payload)
    assert len(list((tmp_path / "j").glob("*.sqlite"))) == 1
    for run in runs:
        base = f"streamspot/n/{run.name}"
        assert said[f"{base}/status"][0], said[f"{base}/status"][-1] == (b"online", b"stopped")
        numbers = [json.loads(payload)["data"]["seq"] for payload in said[f"{base}/event"]]
        assert numbers == list(range(len(numbers))) != []
        assert f"{base}/state" in said
        assert f"{base}/stats" in said


async def test_a_stream_that_is_over_says_so_while_others_go_on(recordings: list[Path], tmp_path: Path):
    """Its retained status is ``offline`` where it failed and ``stopped`` where it ended, at once and to the end."""
    delivery = Delivery()
    with Mosquitto(tmp_path) as broker:
        flags = {"broker": broker.url, "node": "n", "journal": tmp_path / "j"}
        failed = StreamRun(load_settings({"stream": "failed", **flags}), _Faulty("failed", _unplugged))
        ended = StreamRun(load_settings({"source": str(recordings[0]), "stream": "ended", **flags}))
        going = StreamRun(
            load_settings({"source": str(recordings[1]), "stream": "going", "speed": 0.1, **flags})
        )
        runs = [failed, ended, going]

        async def statuses() -> dict[str, bytes]:
            async with overhear(broker.url, "streamspot/n/+/status") as heard, asyncio.timeout(5):
                items = [await heard.get() for _ in runs]
            assert all(retained for *_, retained in items)
            return {topic.split("/")[2]: payload for topic, payload, _ in items}

        async with Outputs(runs, delivery) as outputs, Engine(runs) as engine:
            await until(lambda: delivery.state == "online")
            over: set[str] = set()
            async for run, update in engine:
                await outputs.take(run, update)
                if update.status != "online":
                    over.add(run.name)
                if over == {"failed", "ended"}:
                    await asyncio.sleep(0.5)  # five times what status may take
                    assert await statuses() == {"failed": b"offline", "ended": b"stopped", "going": b"online"}
                    break
            assert not going.stats.finished
        assert await statuses() == {"failed": b"offline", "ended": b"stopped", "going": b"stopped"}


def test_the_curve_of_a_recording_tells_its_faces_apart(tmp_path: Path):
    """A replay needs no ``--faces`` for a column that says whose each row is."""
    path = write_recording(tmp_path / "one.motion")
    header, *lines = path.read_bytes().splitlines(keepends=True)
    two = tmp_path / "two.motion"
    two.write_bytes(header + b"".join(one + one.replace(b"[0,", b"[1,", 1) for one in lines))
    for recording, columns in ((path, 5), (two, 6)):
        collect(recording, intensity=(curve := tmp_path / f"{recording.stem}.csv"))
        assert {row.count(",") + 1 for row in curve.read_text().splitlines()} == {columns}
    assert {row.rpartition(",")[2] for row in curve.read_text().splitlines()[1:]} == {"0", "1"}


class _Faulty(Source):
    """A camera: pictures at 30 fps, then something goes wrong."""

    live = True

    def __init__(self, name: str, wrong: Callable[[], None]) -> None:
        super().__init__(name, name, name, fps=30.0)
        self._wrong = wrong

    def read(self) -> Iterator[Frame]:
        for frame in Synthetic(seconds=7, expressions=1).read():
            if frame.index >= 5:
                self._wrong()
            yield replace(frame, captured_ns=time.monotonic_ns())


def _unplugged() -> None:
    raise SourceError("the camera was unplugged; plug it in again")


async def test_a_source_that_hangs_is_slow_or_unplugged_leaves_the_others_alone(recordings: list[Path]):
    """Of four sources three go wrong; the fourth gives the very events that it gives alone, while they hang."""
    wrong = {
        "hangs": threading.Event().wait,
        "slow": lambda: time.sleep(0.4),
        "unplugged": _unplugged,
    }
    faulty = [
        StreamRun(load_settings({"source": "synthetic", "stream": name}), _Faulty(name, what))
        for name, what in wrong.items()
    ]
    good = StreamRun(load_settings({"source": str(recordings[0]), "stream": "good", "speed": 1.0}))
    for run in (good, *faulty):
        run.load()
    found, messages = [], []
    async with Engine([good, *faulty]) as engine:
        async for run, update in engine:
            messages += update.messages
            found += update.events if run is good else ()
            if good.stats.finished:
                waiting = [one.name for one in faulty if not one.stats.finished]
                break
    alone = [event for update in await updates_of(recordings[0], stream="good") for event in update.events]
    assert (
        [delivered(event, "time") for event in found] == [delivered(event, "time") for event in alone] != []
    )
    assert waiting == ["hangs", "slow"]
    assert any("unplugged has ended: the camera was unplugged" in message for message in messages)


async def test_the_failure_of_one_is_raised_when_all_have_ended(recordings: list[Path]):
    """The run goes on to its end and then says, by its exit code too, that something was wrong."""
    bad = StreamRun(load_settings({"source": "synthetic"}), _Faulty("bad", _unplugged))
    good = StreamRun(load_settings({"source": str(recordings[0]), "stream": "good"}))
    seen = 0
    with pytest.raises(SourceError, match="unplugged"):  # noqa: PT012
        async with Engine([bad, good]) as engine:
            async for run, update in engine:
                seen += len(update.scores) if run is good else 0
    assert seen == 180
