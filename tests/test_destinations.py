"""Promises about where results go: no output destroys an input, another output, a recording or a foreign file."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from brokers import Mosquitto, make_event
from small_data import write_small
from small_pictures import write_clip
from small_recordings import write_recording
from typer.testing import CliRunner

from streamspot.cli import app
from streamspot.commands import Label
from streamspot.datasets.extract import extract
from streamspot.datasets.formats import read_format
from streamspot.datasets.measure import Measures
from streamspot.datasets.points import PointsFile
from streamspot.destinations import check_outputs, check_writable
from streamspot.engine import Engine
from streamspot.errors import SettingsError, StreamspotError
from streamspot.events import encode
from streamspot.files import append_whole, make_private, write_atomically
from streamspot.layers import load_settings
from streamspot.outputs import Outputs
from streamspot.run import StreamRun
from streamspot.sinks.columns import CURVE
from streamspot.sources.opening import open_source


@pytest.mark.parametrize("flag", ["events", "intensity", "log", "record"])
def test_an_output_is_never_the_source(tmp_path: Path, flag: str):
    """By whatever name: a link, a path with dots in it."""
    video = tmp_path / "v.mp4"
    video.write_bytes(b"\x00\x00\x00\x18ftypmp42")
    (tmp_path / "link").symlink_to(video)
    for name in (video, tmp_path / "link", tmp_path / "x" / ".." / "v.mp4"):
        (tmp_path / "x").mkdir(exist_ok=True)
        with pytest.raises(SettingsError, match="is read by this very run"):
            check_outputs({flag: name}, [str(video)], force=True)


def test_what_a_run_reads_is_kept_even_by_force(tmp_path: Path):
    """Weights, a face model, and every picture of a folder that is the source."""
    for name in ("w.safetensors", "f.task", "folder/1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    read = [tmp_path / "folder", tmp_path / "w.safetensors", tmp_path / "f.task"]
    for name in ("w.safetensors", "f.task", "folder/1.png", "folder/new.csv"):
        with pytest.raises(SettingsError, match="is read by this very run"):
            check_outputs({"intensity": tmp_path / name}, read, force=True)


def test_labels_and_hard_links_are_files_too(tmp_path: Path):
    """The labels' table beside a recording, and a file under two names."""
    with pytest.raises(SettingsError, match="its labels"):
        check_outputs({"record": tmp_path / "a.motion", "events": tmp_path / "points.csv"}, [])
    (tmp_path / "x").touch()
    (tmp_path / "y").hardlink_to(tmp_path / "x")
    with pytest.raises(SettingsError, match="both name"):
        check_outputs({"events": tmp_path / "x", "intensity": tmp_path / "y"}, [])


def test_two_outputs_are_two_files(tmp_path: Path):
    """One file for both would hold neither."""
    with pytest.raises(SettingsError, match="--events and --record both name"):
        check_outputs({"events": tmp_path / "a", "record": tmp_path / "b" / ".." / "a"}, ["0"])


async def test_one_output_goes_to_the_standard_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Two would mix JSON and CSV, line by line; one needs no folder in which a file could be written."""
    monkeypatch.chdir(tmp_path)
    both = StreamRun(load_settings({"source": "synthetic", "events": "-", "intensity": "-"}))
    with pytest.raises(SettingsError, match="--events and --intensity both go to the standard output"):
        async with Outputs([both]):
            pass
    (tmp_path / "-").mkdir()
    check_outputs({"events": tmp_path / "e", "intensity": Path("-")}, ["0"])


@pytest.mark.parametrize("force", [False, True])
def test_a_file_where_a_folder_of_parquet_belongs_is_named(tmp_path: Path, force: bool):
    """``--force`` is not advised where it would not help."""
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    with pytest.raises(SettingsError, match="Parquet goes into a folder of that name; name another"):
        check_outputs({"log": tmp_path / "x.parquet"}, [], force=force)


def test_recordings_and_foreign_files_are_replaced_only_by_force(tmp_path: Path):
    """What an earlier run wrote may be written anew; anything else is kept unless --force says otherwise."""
    recording = tmp_path / "a.motion"
    write_recording(recording)
    (tmp_path / "notes.txt").write_text("dear diary")
    (tmp_path / "e.jsonl").write_text('{"specversion":"1.0","id":"x"}\n')
    (tmp_path / "empty").touch()
    for flag, name in (
        ("record", "a.motion"),
        ("events", "a.motion"),
        ("intensity", "notes.txt"),
        ("log", "e.jsonl"),
    ):
        with pytest.raises(SettingsError, match="--force"):
            check_outputs({flag: tmp_path / name}, ["0"])
        check_outputs({flag: tmp_path / name}, ["0"], force=True)
    for flag, name in (
        ("events", "e.jsonl"),
        ("record", "empty"),
        ("intensity", "new.csv"),
        ("events", "/dev/null"),
    ):
        check_outputs({flag: tmp_path / name}, ["0"])


def test_events_of_another_source_are_replaced_only_by_force(tmp_path: Path):
    """What this source gave before may be written anew; what others gave is kept, wherever it stands in the file."""
    path = tmp_path / "e.jsonl"
    path.write_bytes(b"".join(encode(make_event(number), node="n") + b"\n" for number in range(3)))
    check_outputs({"events": path}, ["0"], streams={"cam", "other"})
    with path.open("ab") as file:
        file.write(encode(make_event(3, stream="second"), node="n") + b"\n")
    with pytest.raises(SettingsError, match=r"of another source, second, .*--force"):
        check_outputs({"events": path}, ["0"], streams={"cam"})
    check_outputs({"events": path}, ["0"], streams={"cam", "second"})
    check_outputs({"events": path}, ["0"], streams={"cam"}, force=True)


@pytest.mark.parametrize("flag", ["events", "intensity"])
def test_what_a_camera_has_shown_is_replaced_only_by_force(tmp_path: Path, flag: str):
    """Monday's events are not lost on Tuesday: unlike a file, the camera cannot give them again."""
    path = tmp_path / flag
    path.write_bytes(
        encode(make_event(0), node="n") + b"\n" if flag == "events" else f"{CURVE}\n3,0.1".encode()
    )
    check_outputs({flag: path}, ["clip.mp4"], streams={"cam"})
    with pytest.raises(SettingsError, match=r"cannot be read again .*--force"):
        check_outputs({flag: path}, ["0"], streams={"cam"}, once=True)
    check_outputs({flag: path}, ["0"], streams={"cam"}, once=True, force=True)
    path.write_bytes(b"")
    check_outputs({flag: path}, ["0"], streams={"cam"}, once=True)


def test_only_what_has_an_identity_can_be_read_again(tmp_path: Path):
    """A file and the synthetic clip can; a camera and standard input cannot."""
    assert not open_source(str(write_clip(tmp_path / "clip.avi"))).once
    assert not open_source("synthetic").once
    assert open_source("0").once
    assert open_source("-").once


async def test_a_run_that_never_begins_empties_no_file(tmp_path: Path):
    """Where the port for metrics is taken, what an earlier run wrote is there as before."""
    events, curve = tmp_path / "e.jsonl", tmp_path / "c.csv"
    events.write_bytes(encode(make_event(0), node="n") + b"\n")
    curve.write_text("tick,pts,intensity,macro,micro\n3,0.1,0.5,0.25,0.125\n")
    before = events.read_bytes(), curve.read_bytes()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        flags = {"source": "synthetic", "stream": "cam", "events": str(events), "intensity": curve}
        settings = load_settings({**flags, "metrics": taken.getsockname()[1]})
        with pytest.raises(StreamspotError, match="port"):
            async with Outputs([StreamRun(settings)]):
                pass
    assert (events.read_bytes(), curve.read_bytes()) == before


def test_a_place_that_cannot_be_written_is_said_before_the_work(tmp_path: Path):
    """A folder in the file's place, a folder that is missing."""
    check_writable(tmp_path / "w.safetensors")
    with pytest.raises(SettingsError, match="is a folder"):
        check_writable(tmp_path)
    with pytest.raises(SettingsError, match="there is no folder"):
        check_writable(tmp_path / "none" / "w.safetensors")


@pytest.fixture
def usual() -> Iterator[None]:
    """Let everybody read what is made without a word about it, as most systems do."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def open_to_others(folder: Path) -> list[str]:
    """Return what others than its owner may read, write or enter."""
    return [str(path) for path in sorted(folder.rglob("*")) if path.stat().st_mode & 0o077]


@pytest.mark.usefixtures("usual")
async def test_nobody_else_reads_what_a_run_writes(tmp_path: Path):
    """Every file of a run with every output is 0600, every folder that it makes 0700."""
    (tmp_path / "broker").mkdir()
    out = tmp_path / "out"
    out.mkdir(0o700)
    names = {"record": "r.motion", "events": "e.jsonl", "intensity": "i.csv", "log": "l.csv"}
    names |= {"expressions": "x.parquet", "journal": "deep/deeper/journal"}
    with Mosquitto(tmp_path / "broker") as broker:
        files = {name: out / value for name, value in names.items()} | {"events": str(out / "e.jsonl")}
        settings = load_settings({"source": "synthetic:expressions=1", "broker": broker.url, **files})
        run = StreamRun(settings)
        run.load()
        async with Outputs([run]) as outputs, Engine([run]) as engine:
            async for _, update in engine:
                await outputs.take(run, update)
                if update.session is not None and update.pts > 2 and not (out / "points.csv").exists():
                    outputs.obey(run.name, Label("macro"))
    written = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert {
        "r.motion",
        "e.jsonl",
        "i.csv",
        "l.csv",
        "points.csv",
        "deep/deeper/journal/journal.sqlite",
    } <= written
    assert any(name.startswith("x.parquet/") for name in written)
    assert open_to_others(out) == []
    state = Path(os.environ["XDG_STATE_HOME"])
    assert open_to_others(state) == []


@pytest.mark.usefixtures("usual")
def test_nobody_else_reads_what_extract_and_label_write(tmp_path: Path):
    """Region motion of a data set, what stands beside it, and tables of labels."""
    videos = tmp_path / "videos"
    videos.mkdir(0o700)
    recording = write_recording(videos / "v.motion")
    assert open_to_others(videos) == []
    points = PointsFile(videos / "points.csv", recording.name, "ann", None)
    points.add("macro", 60)
    points.add("macro", 90)
    points.undo()
    assert open_to_others(videos) == []
    extract(read_format(videos, "folder"), tmp_path / "a" / "b", Measures(), progress=lambda _, __: None)
    assert open_to_others(tmp_path / "a") == []
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700


def test_what_extract_writes_replaces_no_labels(tmp_path: Path):
    """Not those beside the videos, by whatever name, nor those of other videos; its own it may."""
    videos, others, own = (tmp_path / name for name in ("videos", "others", "own"))
    for folder in (videos, others):
        folder.mkdir()
        (folder / "points.csv").write_text("video,subject,kind,point\nv.motion,ann,macro,60\n")
        (folder / "annotations.csv").write_text("video,subject,kind,onset,offset\n")
    write_recording(videos / "v.motion")
    (tmp_path / "link").symlink_to(videos)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    arguments = ["extract", str(videos), "--layout", "folder", "--jobs", "1", "--out"]
    for out in (videos, tmp_path / "link", others):
        refused = CliRunner().invoke(app, [*arguments, str(out)])
        assert isinstance(refused.exception, SettingsError), refused.output
        assert "name another folder with --out" in str(refused.exception)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    for _ in range(2):
        assert CliRunner().invoke(app, [*arguments, str(own)]).exit_code == 0


@pytest.mark.usefixtures("usual")
def test_new_files_are_their_owners_and_old_ones_keep_who_reads_them(tmp_path: Path):
    """Whoever opened a table to colleagues need not do so after every label."""
    make_private(tmp_path / "a" / "b")
    append_whole(tmp_path / "a" / "b" / "t", b"x")
    with write_atomically(tmp_path / "a" / "n") as part:
        part.write_text("x")
    assert open_to_others(tmp_path) == []
    with write_atomically(tmp_path / "m", private=False) as part:  # a model is there to be handed on
        part.write_text("x")
    (tmp_path / "a" / "n").chmod(0o640)
    with write_atomically(tmp_path / "a" / "n") as part:
        part.write_text("y")
    modes = [path.stat().st_mode & 0o777 for path in (tmp_path / "m", tmp_path / "a" / "n")]
    assert modes == [0o644, 0o640]


@pytest.mark.parametrize("command", ["train", "evaluate", "export", "crossval", "extract"])
def test_a_long_work_finds_out_first_that_its_result_has_no_place(
    tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch
):
    """Before the data are read or anything is computed; nothing that is there is touched."""

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("the work has begun")

    for place in (
        "training.train.load",
        "training.crossval.load",
        "model.export._Step",
        "model.weights.safe_open",
    ):
        if command != "export" or "weights" not in place:
            monkeypatch.setattr(f"streamspot.{place}", fail)
    monkeypatch.setattr("streamspot.datasets.formats.read_format", fail)
    data = write_small(tmp_path / "data", subjects=2)
    (tmp_path / "file").write_text("mine")
    within = tmp_path / "file" / "x"
    places, arguments = {
        "train": ([within / "w.safetensors", data / "features.npz"], ["--data", data]),
        "evaluate": (
            [within / "r.json", data / "annotations.csv"],
            ["--data", data, "--weights", "streamspot-base"],
        ),
        "export": ([tmp_path / "none" / "m.onnx", data / "features.npz", data], []),
        "crossval": ([within, tmp_path / "file"], ["--data", data]),
        "extract": ([within, tmp_path / "file"], [data, "--layout", "folder"]),
    }[command]
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for out in places:
        result = CliRunner().invoke(app, [command, *map(str, arguments), "--out", str(out)])
        assert isinstance(result.exception, SettingsError), result.exception
        assert "--out" in str(result.exception)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
