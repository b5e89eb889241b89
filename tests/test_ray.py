"""Long work on a real Ray cluster of two nodes on this machine; a node that is lost costs nothing but time."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from benchmarks.fleet import Trial, TwoNodes, plan
from streamspot.batch import run_batch
from streamspot.cli import app
from streamspot.cluster import connect, workers
from streamspot.datasets.extract import extract
from streamspot.datasets.formats import read_format
from streamspot.datasets.measure import Measures
from streamspot.errors import SettingsError, StreamspotError
from streamspot.events import read_events
from streamspot.fleet.control import Fleet
from streamspot.layers import load_settings
from streamspot.shipped import shipped
from streamspot.training.crossval import crossval
from streamspot.training.settings import TrainSettings
from tests.brokers import Mosquitto
from tests.running import delivered
from tests.small_data import timeless_results, write_small
from tests.small_recordings import write_recording
from tests.test_crossval import TINY


@pytest.fixture(scope="module")
def cluster() -> Iterator[TwoNodes]:
    """Return a cluster, or skip where Ray is not installed."""
    pytest.importorskip("ray", reason="Ray is not installed; pip install '.[ray]'")
    here = Path(__file__).parent  # modules that workers import by name
    os.environ["PYTHONPATH"] = os.pathsep.join(
        [str(here.parent), str(here), os.environ.get("PYTHONPATH", "")]
    )
    found = TwoNodes()
    try:
        yield found
    finally:
        found.stop()


@pytest.fixture
def nodes(cluster: TwoNodes) -> TwoNodes:
    """Return the cluster with two nodes, whatever the test before has lost."""
    while len(cluster.nodes) < 2:
        cluster.add()
    return cluster


@pytest.mark.slow
def test_a_cluster_gives_the_local_results_though_a_node_is_lost(nodes: TwoNodes, tmp_path: Path) -> None:
    """A node is killed while its fold is trained: the fold is trained again, and the results are the local ones."""
    data = write_small(tmp_path / "data", subjects=4)
    settings = TrainSettings.model_validate(
        TINY | {"epochs": 30, "simulated": {"steps": 3, "beside": 1, "recordings": 3}}
    )
    crossval(data, tmp_path / "local", settings)
    out = tmp_path / "cluster"
    lost = threading.Event()

    def lose_a_node() -> None:
        while not list((out / "folds").glob("[!.]*.npz")):
            time.sleep(0.05)
        time.sleep(0.5)
        nodes.kill(nodes.nodes[-1].node_id)
        lost.set()

    threading.Thread(target=lose_a_node, daemon=True).start()
    crossval(data, out, settings, workers=workers(1, nodes.address))
    assert lost.is_set(), "the node was lost too late to prove anything"
    assert timeless_results(out) == timeless_results(tmp_path / "local")


@pytest.mark.slow
def test_videos_are_measured_on_a_cluster_as_here(nodes: TwoNodes, tmp_path: Path) -> None:
    """The data set that a cluster extracts is the local one; a broken video is named and costs no other."""
    (tmp_path / "videos").mkdir()
    for seed in (1, 2):
        write_recording(tmp_path / "videos" / f"v{seed}.ssm", seed)
    (tmp_path / "videos" / "broken.mp4").write_bytes(b"no video")
    rows = "".join(f"{name},ann,macro,60,30\n" for name in ("v1.ssm", "v2.ssm", "broken.mp4"))
    (tmp_path / "videos" / "points.csv").write_text(f"video,subject,kind,point,fps\n{rows}")
    found = read_format(tmp_path / "videos", "folder")
    outcomes = [
        extract(found, tmp_path / name, Measures(), workers=hands, progress=lambda _, __: None)
        for name, hands in (("here", workers(1)), ("there", workers(1, nodes.address)))
    ]
    assert outcomes[0] == outcomes[1]
    assert list(outcomes[0].broken) == ["broken"]
    for file in ("annotations.csv", "meta.yaml"):
        assert (tmp_path / "here" / file).read_bytes() == (tmp_path / "there" / file).read_bytes()


@pytest.mark.slow
def test_a_folder_of_videos_is_analysed_on_a_cluster_as_here(nodes: TwoNodes, tmp_path: Path) -> None:
    """The same events and curves, written where the command runs."""
    (tmp_path / "videos").mkdir()
    write_recording(tmp_path / "videos" / "a.motion")
    settings = load_settings({"source": str(tmp_path / "videos")})
    for name, hands in (("here", workers(1)), ("there", workers(1, nodes.address))):
        outcome = run_batch(settings, tmp_path / name, workers=hands, progress=lambda *_: None)
        assert (outcome.done, outcome.broken) == (1, {})
    here, there = (read_events(tmp_path / name / "a.jsonl") for name in ("here", "there"))
    assert [delivered(event, "time") for event in here] == [delivered(event, "time") for event in there]
    assert (tmp_path / "here" / "a.csv").read_bytes() == (tmp_path / "there" / "a.csv").read_bytes()


def test_what_a_worker_raises_arrives_as_it_is(nodes: TwoNodes) -> None:
    """A task's own error is not tried again and is said in its own words."""
    with pytest.raises(StreamspotError, match=r"^seven is no even number$"):
        list(workers(1, nodes.address)(_halve, 2, [7], lambda _: None))


@pytest.mark.slow
def test_a_fleet_outlives_a_node(nodes: TwoNodes, tmp_path: Path) -> None:
    """Eight sources report again within 20 s, each in its one run; every event arrives, none is left open."""
    with Mosquitto(tmp_path) as broker:
        connect(nodes.address)
        trial = Trial(nodes, plan(tmp_path, broker.url, 8, video=False))

        async def outlive() -> list[float]:
            listening = asyncio.create_task(trial.heard.listen(broker.url))
            await trial.settled()
            await asyncio.sleep(10.0)
            silences = await trial.lose()
            await asyncio.sleep(10.0)
            await trial.end()
            listening.cancel()
            return silences

        silences = asyncio.run(outlive())
    seen = trial.heard.check(trial.fleet.journals)
    assert seen.pop("events") > 0
    assert seen.pop("sources") > 4
    seen.pop("repeated")
    seen.pop("cancelled since the engine was lost")
    assert set(seen.values()) == {0}, seen
    assert max(silences) < 20.0


@pytest.mark.slow
def test_a_fleet_is_run_by_its_commands(nodes: TwoNodes, tmp_path: Path) -> None:
    """Start it, look at it, leave a node, fetch its figures, roll out other weights, end it."""

    def command(*arguments: object) -> str:
        done = CliRunner().invoke(
            app, ["fleet", *map(str, arguments), "--ray", nodes.address, "--fleet", "small"]
        )
        assert done.exit_code == 0, done.output
        return done.stdout

    def sources() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(command("status", "--json"))
        assert set(found["sources"]) == {"a", "b"}
        return found

    def wait(condition: Callable[[], bool]) -> None:
        until = time.monotonic() + 60.0
        while not condition():
            assert time.monotonic() < until, command("status")
            time.sleep(0.5)

    recording = write_recording(tmp_path / "long.motion", ticks=36_000)
    file, weights = tmp_path / "fleet.yaml", tmp_path / "other.safetensors"
    streams = [{"source": str(recording), "name": {"stream": name}} for name in "ab"]
    with Mosquitto(tmp_path) as broker:
        settings = {
            "name": {"node": "small"},
            "mqtt": {"broker": broker.url, "journal": str(tmp_path / "j")},
            "capture": {"speed": 1},
            "source": streams,
        }
        file.write_text(yaml.safe_dump(settings))
        command(file, "--cpus", 1, "--gpus", 0, "--metrics", 0)
        assert "2 of 2 sources run" in command("status")
        seen = sources()
        row = seen["engines"][seen["sources"]["a"]["engine"]]
        with urllib.request.urlopen(f"http://{row['address']}:{row['metrics']}/metrics") as answer:
            assert f'node="{row["node"]}"' in answer.read().decode()
        wait(lambda: len(sources()["engines"]) == 2)
        command("drain", row["node"])
        wait(lambda: all(_settled(sources(), away_from=row["node"])))
        command("use", row["node"])
        shutil.copy(shipped("models", ".safetensors")["streamspot-base"], weights)
        file.write_text(yaml.safe_dump({**settings, "model": {"weights": str(weights)}}))
        epochs = {name: one["epoch"] for name, one in sources()["sources"].items()}
        command(file)  # returns when every source runs with them
        assert all(one["epoch"] > epochs[name] for name, one in sources()["sources"].items())
        command("stop")
    with pytest.raises(SettingsError, match="there is no fleet small"):
        Fleet.find(nodes.address, "small")


def _settled(status: dict[str, Any], *, away_from: str) -> Iterator[bool]:
    for row in status["sources"].values():
        yield row["reporting"] and status["engines"][row["engine"]]["node"] != away_from


def _halve(by: int, number: int, advance: object) -> int:
    if number % by:
        raise StreamspotError("seven is no even number")
    return number // by


def test_without_ray_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray is an extra."""
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SettingsError, match=r"pip install 'streamspot\[ray\]'"):
        workers(1, "auto")
