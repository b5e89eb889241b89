"""Promises of the command line: a mistake ends in one sentence with the remedy."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from brokers import free_port
from running import SHORT
from safetensors.torch import save_file

from streamspot.cli import main
from streamspot.mqtt.journal import Journal
from streamspot.shipped import shipped

CLIP = "synthetic:seconds=7,expressions=1,noise=0"

Outcome = tuple[int, str, str]
Line = Callable[..., Outcome]


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Line:
    """Return a function that runs a command line and returns exit code, stdout and stderr."""

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["streamspot", *map(str, arguments)])
        capfd.readouterr()
        code = 0
        try:
            main()
        except SystemExit as left:
            code = int(left.code or 0)
        return code, *capfd.readouterr()

    return run


def assert_one_sentence(outcome: Outcome, *words: str) -> None:
    """Check that a mistake was answered as promised, and that the answer holds the words."""
    code, _, err = outcome
    assert code not in {0, 70}, err
    assert err.startswith("streamspot: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert ";" in err, "a remedy follows the semicolon"
    for word in words:
        assert word in err


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of things that are not what they should be."""
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("this is no video\n" * 100)
    (tmp_path / "bare").mkdir()
    (tmp_path / "junk.safetensors").write_bytes(b"junk" * 100)
    weights = shipped("models", ".safetensors")["streamspot-base"].read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(weights[: len(weights) // 2])
    save_file({"a": torch.zeros(3)}, str(tmp_path / "foreign.safetensors"))
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "list.yaml").write_text("- source\n")
    (tmp_path / "typo.yaml").write_text("sensitivty: 1\n")
    return tmp_path


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("nowhere.mp4", ["nowhere.mp4", "check the path"]),
        ("{}/empty.mp4", ["empty.mp4", "empty"]),
        ("{}/text.mp4", ["text.mp4", "ffmpeg"]),
        ("{}/bare", ["bare", "no pictures"]),
        ("/dev/video99", ["/dev/video99", "no camera"]),
        ("gopher://there/x", ["gopher", "rtsp"]),
        ("rtsp://me@127.0.0.1:1/x", ["rtsp://127.0.0.1:1/x", "check the address"]),
        ("synthetic:colour=3", ["colour", "seed"]),
        ("", ["no source", "synthetic"]),
    ],
)
def test_a_source_that_cannot_be_read_is_named(
    line: Line, folder: Path, source: str, words: list[str], monkeypatch: pytest.MonkeyPatch
):
    """A missing, empty or foreign file, a folder without pictures, no camera, an unknown address."""
    monkeypatch.setenv("STREAMSPOT_SOURCE_PASSWORD", "secret")
    outcome = line("run", "--source", source.format(folder))
    assert_one_sentence(outcome, *words)
    assert "secret" not in outcome[2]


@pytest.mark.parametrize("weights", ["junk", "cut", "foreign", "missing"])
def test_weights_that_cannot_be_used_are_named(line: Line, folder: Path, weights: str):
    """Corrupt, cut short, of another program, missing."""
    file = folder / f"{weights}.safetensors"
    assert_one_sentence(line("run", "--source", SHORT, "--weights", file), f"{weights}.safetensors")


@pytest.mark.parametrize(
    ("flag", "value", "remedy"),
    [
        ("faces", "0", "give 1 to 16"),
        ("sensitivity", "2", "from 0 to 1"),
        ("sensitivity", "nan", "from 0 to 1"),
        ("speed", "-1", "above 0"),
        ("speed", "nan", "above 0"),
        ("speed", "quick", "give max"),
        ("policy", "quick", "'every' or 'latest'"),
        ("device", "tpu", "'auto', 'cpu' or 'cuda'"),
        ("stream", "A b", "letters"),
        ("session", "a/b", "letters"),
        ("node", "a/b", "letters"),
    ],
)
def test_an_impossible_value_is_named_with_what_is_possible(line: Line, flag: str, value: str, remedy: str):
    """Out of range, not a number, not one of the choices, not fit for a topic."""
    code, _, err = line("run", "--source", SHORT, f"--{flag}", value)
    assert code == 2
    assert err.count("\n") == 1
    assert f"{flag} = " in err
    assert "(in the command line) is impossible" in err
    assert remedy in err


def test_an_unknown_key_is_named_with_its_neighbour(
    line: Line, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    """In a flag, in the settings file, in the environment: each is an error, and the right name is offered."""
    assert_one_sentence(line("run", "--sorce", SHORT), "--sorce", "--source", "run --help")
    assert_one_sentence(line("rnu"), "rnu", "run")
    assert_one_sentence(line("run", "--source"), "--source", "argument")
    assert_one_sentence(line("run", "--faces", "two"), "--faces", "integer")
    assert_one_sentence(line("run", "--config", folder / "typo.yaml"), "typo.yaml", "'sensitivity'")
    assert_one_sentence(line("run", "--config", folder / "list.yaml"), "list.yaml", "key: value")
    assert_one_sentence(line("run", "--config", folder / "binary.yaml"), "binary.yaml", "key: value")
    assert_one_sentence(line("run", "--config", folder / "none.yaml"), "none.yaml", "live, replay")
    monkeypatch.setenv("STREAMSPOT_FASES", "2")
    assert_one_sentence(line("run", "--source", SHORT), "'fases'", "STREAMSPOT_FASES", "'faces'")
    monkeypatch.delenv("STREAMSPOT_FASES")
    monkeypatch.setenv("STREAMSPOT_HEAD_SVC_SERVICE_HOST", "10.0.0.1")  # Kubernetes, of a service of ours
    monkeypatch.setenv("STREAMSPOT_HEAD_SVC_PORT_6379_TCP", "tcp://10.0.0.1:6379")
    assert_one_sentence(line("run", "--source", "nowhere.mp4"), "nowhere.mp4")


def test_a_file_that_cannot_be_written_is_named(line: Line, folder: Path):
    """Events, curve, recording and journal: a missing folder, a folder in the file's place."""
    for flag in ("--events", "--intensity", "--record"):
        assert_one_sentence(line("run", "--source", SHORT, flag, folder / "no" / "x"), "no/x", "name another")
        assert_one_sentence(line("run", "--source", SHORT, flag, folder / "bare"), "bare", "name another")
    broker = ("--broker", f"mqtt://127.0.0.1:{free_port()}")
    outcome = line("run", "--source", SHORT, *broker, "--journal", folder / "text.mp4")
    assert_one_sentence(outcome, "text.mp4", "name another")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("flag", ["--intensity", "--record", "--events"])
def test_a_full_disk_is_named(line: Line, flag: str):
    """A disk that fills up during the run ends it with a sentence, even at the very last byte."""
    clip = CLIP if flag == "--events" else SHORT
    assert_one_sentence(line("run", "--source", clip, flag, "/dev/full"), "/dev/full", "No space left")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_every_output_on_a_full_disk_is_named(line: Line, tmp_path: Path):
    """Whoever frees space knows afterwards which files to make anew."""
    flags = {"--events": "e.jsonl", "--intensity": "i.csv", "--expressions": "x.csv", "--log": "l.csv"}
    for name in flags.values():
        (tmp_path / name).symlink_to("/dev/full")
    given = [word for flag, name in flags.items() for word in (flag, tmp_path / name)]
    code, _, err = line("run", "--source", CLIP, "--no-ui", *given)
    assert code == 1
    for name in flags.values():
        assert re.search(rf"{name} lacks \d+ entr.* \(No space left on device\); free some space", err)


def test_a_setting_without_effect_is_refused(line: Line, folder: Path):
    """Nobody waits for processes, or for a force, that nothing would use."""
    assert_one_sentence(line("run", "--source", SHORT, "--jobs", 7), "--jobs is for", "--out")
    training = ("train", "--data", folder, "--out", folder / "mine.safetensors")
    assert_one_sentence(line(*training, "--force"), "--force is for", "add --from")


@pytest.mark.parametrize(
    "arguments",
    [
        ("report",),
        ("convert", "--to", "vtt"),
        ("run", "--weights"),
        ("run", "--config"),
        ("resend", "--broker", "x"),
    ],
)
def test_a_name_that_is_too_long_is_one_sentence(line: Line, arguments: tuple[str, ...]):
    """No file can have it, and none of the program's own faults is suspected."""
    name = "n" * 300
    outcome = line(*arguments, name) if arguments[0] == "run" else line(arguments[0], name, *arguments[1:])
    assert_one_sentence(outcome, "nnn", "too long")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device here")
@pytest.mark.parametrize("arguments", [("schema",), ("run", "--help"), ("doctor",)])
def test_a_full_standard_output_is_one_sentence(arguments: tuple[str, ...]):
    """Whoever prints into a file on a full disk learns that it is full."""
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-m", "streamspot", *arguments]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert_one_sentence((done.returncode, "", done.stderr), "is full")


@pytest.mark.skipif(sys.platform == "win32", reason="a shell that closes descriptors")
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_process_without_standard_streams_loses_nothing(closed: str, tmp_path: Path):
    """A supervisor may start a process with any of them closed; no file of ours takes their numbers."""
    events, journal = tmp_path / "events.jsonl", tmp_path / "journal"
    run = f"-m streamspot run --source {CLIP} --speed max --events {events} --journal {journal}"
    broker = f"--broker mqtt://127.0.0.1:{free_port()}"
    shell = ["sh", "-c", f'exec "$0" {run} {broker} {closed}', sys.executable]
    done = subprocess.run(shell, capture_output=True, check=False)
    assert done.returncode not in {0, 70}, "the broker is not there"
    assert events.read_bytes()
    assert b"".join(payload + b"\n" for payload in Journal.read(journal)) == events.read_bytes()


def test_a_broker_that_is_not_there_loses_nothing(line: Line, tmp_path: Path):
    """The run goes on, its events wait in the journal, and the end says so with an exit code that is not 0."""
    port, journal = free_port(), tmp_path / "journal"
    arguments = ("run", "--source", CLIP, "--broker", f"mqtt://127.0.0.1:{port}", "--journal", journal)
    outcome = line(*arguments, "--events", tmp_path / "events.jsonl")
    assert_one_sentence(outcome, str(port), "refused", "wait in the journal")
    events = (tmp_path / "events.jsonl").read_bytes()
    assert events
    assert b"".join(payload + b"\n" for payload in Journal.read(journal)) == events
    nobody = line("run", "--source", SHORT, "--broker", "mqtt://no-such-host.invalid", "--journal", journal)
    assert_one_sentence(nobody, "no-such-host.invalid")


def test_a_broker_address_that_makes_no_sense_is_named(line: Line):
    """A foreign scheme is refused; a password in the address too, and it is not repeated."""
    assert_one_sentence(line("run", "--source", SHORT, "--broker", "http://x"), "http://x", "mqtt://")
    outcome = line("run", "--source", SHORT, "--broker", "mqtt://me:secret@127.0.0.1")
    assert_one_sentence(outcome, "STREAMSPOT_MQTT_PASSWORD")
    assert "secret" not in outcome[2]
    assert_one_sentence(line("listen", "--broker", f"mqtt://127.0.0.1:{free_port()}"), "refused", "start it")
    assert_one_sentence(line("listen", "--broker", "mqtt://no-such-host.invalid"), "check the name")


@pytest.mark.parametrize("word", ["secret", "sec/ret", "sec@ret", "sec:ret#1", ""])
def test_a_password_on_the_command_line_is_refused(line: Line, word: str):
    """Others could read it in the list of processes; the sentence says where to put it and does not repeat it."""
    for command in (("run", "--source"), ("label",), ("bench", "--source")):
        outcome = line(*command, f"rtsp://me:{word}@127.0.0.1:1/x")
        assert_one_sentence(outcome, "STREAMSPOT_SOURCE_PASSWORD", "rtsp://user@host")
        assert not word or word not in outcome[2]
    outcome = line("run", "--source", SHORT, "--broker", f"mqtt://me:{word}@host")
    assert_one_sentence(outcome, "STREAMSPOT_MQTT_PASSWORD")
    assert not word or word not in outcome[2]


def test_debug_shows_the_traceback_and_changes_nothing_else(line: Line, monkeypatch: pytest.MonkeyPatch):
    """``--debug`` may stand anywhere; a good run stays good, a bad one shows where it went wrong."""
    monkeypatch.setenv("STREAMSPOT_DEBUG", "")
    code, _, err = line("run", "--source", "nowhere.mp4", "--debug")
    assert code == 1
    assert "Traceback" in err
    assert err.splitlines()[-1].startswith("streamspot: there is no file nowhere.mp4")
    code, _, err = line("--debug", "run", "--source", SHORT)
    assert code == 0, err


def test_the_password_may_stand_in_a_file(line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The variables of the broker's password are no unknown settings."""
    (tmp_path / "password").write_text("secret\n")
    monkeypatch.setenv("STREAMSPOT_MQTT_PASSWORD_FILE", str(tmp_path / "password"))
    monkeypatch.setenv("STREAMSPOT_MQTT_PASSWORD", "secret")
    assert line("run", "--source", SHORT)[0] == 0


def test_every_command_explains_itself(line: Line):
    """``--help`` of each command says what it does and what each of its options is for."""
    code, out, _ = line("--help")
    assert code == 0
    commands = re.findall(r"^│ ([a-z]+) ", out, re.MULTILINE)
    assert {"run", "demo", "listen", "cameras", "doctor", "schema", "bench", "train"} <= set(commands)
    for command in commands:
        code, out, _ = line(command, "--help")
        assert code == 0
        assert len(out) > 300
        for option in re.findall(r"^│ (?:\* +)?(--[a-z-]+)(.*)│$", out, re.MULTILINE):
            assert re.sub(r"<[^>]*>|\[[^]]*\]", "", option[1]).strip(), (
                f"{command} {option[0]} is not explained"
            )


def test_help_does_not_wait_for_torch():
    """What only prints something loads no network: ``--help`` and ``listen`` are there at once."""
    code = "import sys, streamspot.cli; sys.exit('torch' in sys.modules or 'mediapipe' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
