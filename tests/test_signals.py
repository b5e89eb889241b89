"""Promises of the end of a run: Ctrl-C is heard, once, whatever hangs."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from brokers import free_port


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Return a function that starts the program as a user does."""
    running: list[subprocess.Popen[bytes]] = []

    def start(*arguments: object, **settings: object) -> subprocess.Popen[bytes]:
        environment = os.environ | {"XDG_STATE_HOME": str(tmp_path), "TERM": "xterm-256color"}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | settings
        command = [sys.executable, "-m", "streamspot", *map(str, arguments)]
        running.append(subprocess.Popen(command, env=environment, **pipes))
        return running[-1]

    yield start
    for each in running:
        each.kill()
        each.communicate()


def wait_for(path: Path) -> None:
    """Wait until the curve of a run holds something."""
    deadline = time.monotonic() + 40
    while not path.exists() or path.stat().st_size < 200:
        assert time.monotonic() < deadline, "the run does not begin"
        time.sleep(0.02)


@pytest.mark.parametrize(("broker", "code", "says"), [(None, 0, b""), ("mqtt://127.0.0.1:{}", 1, b"refused")])
def test_ctrl_c_ends_the_run_cleanly_within_a_second_or_so(
    process: Callable[..., subprocess.Popen[bytes]],
    tmp_path: Path,
    broker: str | None,
    code: int,
    says: bytes,
):
    """Exit code 0, what was written is whole, nothing but a missing broker is complained about."""
    curve, clip = tmp_path / "curve.csv", "synthetic:seconds=60"
    address = () if broker is None else ("--broker", broker.format(free_port()))
    running = process("run", "--source", clip, "--speed", 1, "--intensity", curve, *address)
    wait_for(curve)
    running.send_signal(signal.SIGINT)
    begun = time.monotonic()
    _, err = running.communicate(timeout=20)
    assert time.monotonic() - begun < 2.5  # a second on a machine that does nothing else
    assert (running.returncode, b"Traceback" in err) == (code, False)
    assert says in err
    assert says or not err
    assert curve.read_bytes().endswith(b"\n")


def test_where_the_loop_knows_no_signals_ctrl_c_ends_the_run_as_well(tmp_path: Path):
    """Windows' event loops have no handlers of signals; the end is the same: exit code 0, the curve whole."""
    curve = tmp_path / "curve.csv"
    program = (
        "import asyncio.unix_events as loops\n"
        "def none(*_): raise NotImplementedError\n"
        "loops._UnixSelectorEventLoop.add_signal_handler = none\n"
        "from streamspot.__main__ import program\n"
        "program()"
    )
    command = ["run", "--source", "synthetic:seconds=60", "--speed", "1", "--intensity", str(curve)]
    running = subprocess.Popen(
        [sys.executable, "-c", program, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        wait_for(curve)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=20)
    finally:
        running.kill()
    assert (running.returncode, err, b"done" in out) == (0, b"", True)
    assert curve.read_bytes().endswith(b"\n")


def test_ctrl_c_is_heard_while_an_address_does_not_answer(process: Callable[..., subprocess.Popen[bytes]]):
    """A camera that accepts a connection and says nothing holds up nobody."""
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        running = process("run", "--source", f"https://127.0.0.1:{mute.getsockname()[1]}/x", "--no-ui")
        mute.settimeout(40)
        connection, _ = mute.accept()
        time.sleep(0.3)
        running.send_signal(signal.SIGINT)
        begun = time.monotonic()
        _, err = running.communicate(timeout=20)
        connection.close()
    assert time.monotonic() - begun < 2.5  # at once on a machine that does nothing else
    assert (running.returncode, err) == (130, b"")


def test_ctrl_c_while_it_starts_ends_it_quietly(process: Callable[..., subprocess.Popen[bytes]]):
    """No traceback and exit code 130, at whatever import it is; what Python says before our code is its own."""
    for wait in (0.1, 0.2, 0.4, 0.8):
        running = process("run", "--source", "synthetic:seconds=60", "--speed", 1)
        time.sleep(wait)
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=20)
        assert (running.returncode in {0, 130} and not err) or b"in program" not in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_two_signals_within_half_a_second_are_one(
    process: Callable[..., subprocess.Popen[bytes]], tmp_path: Path, number: signal.Signals
):
    """``timeout`` and closing terminals send two: the end is orderly all the same, the curve whole."""
    curve = tmp_path / "curve.csv"
    running = process("run", "--source", "synthetic:seconds=60", "--speed", 1, "--intensity", curve)
    wait_for(curve)
    running.send_signal(number)
    time.sleep(0.1)
    running.send_signal(number)
    _, err = running.communicate(timeout=20)
    assert (running.returncode, err) == (0, b"")
    assert curve.read_bytes().endswith(b"\n")


def test_what_is_ignored_stays_ignored(process: Callable[..., subprocess.Popen[bytes]], tmp_path: Path):
    """Under ``nohup`` the end of the terminal ends nothing."""
    curve = tmp_path / "curve.csv"
    ignore = {"preexec_fn": lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)}
    running = process("run", "--source", "synthetic:seconds=60", "--speed", 1, "--intensity", curve, **ignore)
    wait_for(curve)
    running.send_signal(signal.SIGHUP)
    size = curve.stat().st_size
    time.sleep(1.0)
    assert running.poll() is None
    assert curve.stat().st_size > size


@pytest.mark.parametrize("broker", [False, True])
def test_the_first_signal_is_enough_whatever_hangs(
    process: Callable[..., subprocess.Popen[bytes]], tmp_path: Path, broker: bool
):
    """A broker that never answers and a pipe that nobody reads or opens: gone within a second or so."""
    curve, pipe = tmp_path / "curve.csv", tmp_path / "pipe"
    os.mkfifo(pipe)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        address = ("--broker", f"mqtt://127.0.0.1:{mute.getsockname()[1]}") if broker else ()
        clip = ("--source", "synthetic:seconds=60,expressions=9", "--speed", 1)
        running = process(
            "run",
            *clip,
            "--intensity",
            curve,
            "--events",
            "-",
            "--log",
            tmp_path / "t.csv",
            "--record",
            pipe,
            *address,
        )
        wait_for(curve)
        assert running.stdout is not None
        fill = os.open(f"/proc/self/fd/{running.stdout.fileno()}", os.O_WRONLY | os.O_NONBLOCK)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(fill, bytes(4096))
        time.sleep(6.0)  # an event has come, and waits for the pipe
        running.send_signal(signal.SIGTERM)
        begun = time.monotonic()
        while running.poll() is None and time.monotonic() - begun < 10:
            time.sleep(0.01)
        took = time.monotonic() - begun
        os.close(fill)
    assert took < 2.5  # a second on a machine that does nothing else


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_terminal_that_takes_nothing_does_not_hold_up_the_end(
    process: Callable[..., subprocess.Popen[bytes]], tmp_path: Path, number: signal.Signals
):
    """Ctrl-S, or a terminal that nobody reads, below a dashboard: gone within a second or so, the curve whole."""
    pty = pytest.importorskip("pty", reason="no pseudo-terminals here")
    curve, (user, terminal) = tmp_path / "curve.csv", pty.openpty()
    screen = dict.fromkeys(("stdin", "stdout", "stderr"), terminal)
    command = ("run", "--source", "synthetic:seconds=60", "--speed", 1, "--intensity", curve)
    running = process(*command, **screen)
    wait_for(curve)
    os.write(user, b"\x13")
    time.sleep(1.0)  # the dashboard has drawn, and waits
    running.send_signal(number)
    begun = time.monotonic()
    assert running.wait(timeout=20) == 0
    assert time.monotonic() - begun < 2.5  # a second on a machine that does nothing else
    assert curve.read_bytes().endswith(b"\n")
    os.close(user)
    os.close(terminal)


def test_a_detector_that_hangs_does_not_hold_up_the_end(tmp_path: Path):
    """An analysis that is stuck in a library is left behind, and said."""
    program = (
        "import sys, time; import streamspot.face.detectors as detectors; from streamspot.cli import main\n"
        "class Stuck:\n"
        "    name = 'stuck'\n"
        "    def __call__(self, frame): print('stuck', flush=True); time.sleep(25)\n"
        "    def close(self): pass\n"
        "detectors.make_detector = lambda *_: Stuck()\n"
        "from streamspot.__main__ import program; sys.argv = ['streamspot', *sys.argv[1:]]; program()\n"
    )
    command = [sys.executable, "-c", program, "run", "--source", "synthetic:seconds=60", "--no-ui"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"synthetic (seed 0) is the stream synthetic\n"
        assert running.stdout.readline() == b"stuck\n"
        running.send_signal(signal.SIGTERM)
        begun = time.monotonic()
        out, err = running.communicate(timeout=20)
    assert time.monotonic() - begun < 2.0  # a second on a machine that does nothing else
    assert running.returncode == 0
    assert b"the analysis hangs" in out
    assert not err


def test_a_reader_that_leaves_ends_the_run(process: Callable[..., subprocess.Popen[bytes]]):
    """``streamspot run … --events - | head -1`` ends by itself, with one sentence and no traceback."""
    running = process("run", "--source", "synthetic:seconds=60,expressions=9", "--events", "-")
    assert running.stdout is not None
    assert select.select([running.stdout], [], [], 60)[0]
    assert running.stdout.readline().startswith(b'{"specversion":"1.0"')
    running.stdout.close()
    running.stdout = None
    _, err = running.communicate(timeout=30)
    assert running.returncode == 2
    lines = [each for each in err.splitlines() if each.startswith(b"streamspot: ")]
    assert lines == err.splitlines()[-1:]
    assert b"nobody reads" in lines[0]
    assert b"Traceback" not in err
    assert b"Exception ignored" not in err
