"""Native libraries' chatter is kept out of the terminal, and the terminal is given back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from screens import until

from streamspot import console
from streamspot.console import QuietStderr
from streamspot.dashboard.live import Dashboard
from streamspot.stats import Delivery, Stats


def test_native_chatter_goes_to_the_log(tmp_path, monkeypatch, capfd):
    """What C code or a child process writes to descriptor 2 lands in the log; stderr is back afterwards."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    path = tmp_path / "state" / "streamspot" / "native.log"
    with QuietStderr() as quiet:
        assert not quiet.written
        os.write(2, b"W0000 from a native library\n")
        subprocess.run([sys.executable, "-c", "import os; os.write(2, b'from a child')"], check=True)
        assert quiet.written
        quiet.console.print("drawn")
    os.write(2, b"after\n")
    assert "from a native library" in path.read_text()
    assert "from a child" in path.read_text()
    assert capfd.readouterr().err == "drawn\nafter\n"


def test_stderr_is_restored_after_an_error_and_leaks_nothing(capfd):
    """However often and however badly the block ends, stderr is back and no descriptor stays open."""
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0  # noqa: PTH112, PTH208
    for _ in range(5):
        with pytest.raises(KeyError), QuietStderr():
            raise KeyError
    if before:
        assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    os.write(2, b"back")
    assert capfd.readouterr().err == "back"


def test_the_log_is_bounded(tmp_path, monkeypatch):
    """A library that never stops talking leaves a log of bounded size that ends with its last words."""
    monkeypatch.setattr(console, "_LOG_BYTES", 10_000)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with QuietStderr() as quiet:  # for less than the time between two looks
        os.write(2, b"chatter\n" * 2_000)
    monkeypatch.setattr(console, "_TRIM_S", 0.01)
    with QuietStderr() as quiet:
        assert quiet.path.stat().st_size < 6_000
        os.write(2, b"chatter\n" * 2_000)
        assert until(lambda: quiet.path.stat().st_size < 6_000)
        os.write(2, b"last words\n")
        assert quiet.written
    assert quiet.path.read_text().endswith("\nchatter\nlast words\n")


def test_a_log_that_cannot_be_written_moves(tmp_path, monkeypatch):
    """Where the state folder cannot be written the log goes to the temporary directory and says so."""
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with QuietStderr() as quiet:
        os.write(2, b"chatter")
    assert quiet.path.exists()
    assert "chatter" in quiet.path.read_text()
    quiet.path.unlink()


def test_the_dashboard_keeps_chatter_out_of_the_picture(tmp_path, monkeypatch, capfd):
    """A dashboard on the real terminal keeps chatter out of it, and says where it went."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with QuietStderr() as quiet, Dashboard([Stats()], Delivery(), quiet, on_quit=lambda: None):
        os.write(2, b"first\n")
    with QuietStderr() as quiet:
        with Dashboard([Stats()], Delivery(), quiet, on_quit=lambda: None):
            os.write(2, b"second\n")
        os.write(2, b"third\n")
    os.write(2, b"fourth\n")
    log = (tmp_path / "streamspot" / "native.log").read_text()
    assert [word for word in ("first", "second", "third", "fourth") if word in log] == [
        "first",
        "second",
        "third",
    ]
    shown = capfd.readouterr().err
    assert shown.count("Messages of native libraries:") == 2
    assert shown.endswith("fourth\n")


def test_debugging_shows_native_chatter(monkeypatch, capfd):
    """With ``--debug`` what libraries write is seen, and nothing is said to be in a log."""
    monkeypatch.setenv("STREAMSPOT_DEBUG", "1")
    with QuietStderr() as quiet:
        os.write(2, b"chatter\n")
        assert not quiet.written
    assert capfd.readouterr().err == "chatter\n"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no job control")
def test_ctrl_z_gives_the_terminal_back():
    """The alternate screen is left before the process stops, and drawn anew when it goes on; again and again."""
    program = (
        "import os, time\n"
        "from streamspot.console import suspendable\n"
        "with suspendable(lambda: os.write(1, b'left\\n'), lambda: os.write(1, b'back\\n')):\n"
        "    os.write(1, b'ready\\n')\n"
        "    time.sleep(60)\n"
    )
    job = {
        "stdout": subprocess.PIPE,
        "process_group": 0,
    }  # as a shell's: one without a parent is never stopped
    with subprocess.Popen([sys.executable, "-c", program], **job) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        for _ in range(2):
            process.send_signal(signal.SIGTSTP)
            assert process.stdout.readline() == b"left\n"
            _, status = os.waitpid(process.pid, os.WUNTRACED)
            assert os.WIFSTOPPED(status)
            process.send_signal(signal.SIGCONT)
            assert process.stdout.readline() == b"back\n"
        process.kill()
