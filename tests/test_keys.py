"""Keys while a stream runs: q ends it, and nothing that was typed reaches the shell."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("pty", reason="no pseudo-terminals here")

RUN = """
import threading
from streamspot.console import QuietStderr
from streamspot.dashboard.live import Dashboard
from streamspot.stats import Delivery, Stats

quit = threading.Event()
with QuietStderr() as quiet, Dashboard([Stats()], Delivery(), quiet, on_quit=quit.set):
    print("quit" if quit.wait(60) else "late")
"""


class Shell:
    """An interactive shell in a pseudo-terminal, and a user before it."""

    def __init__(self, home: Path) -> None:
        import pty

        self.written = ""
        child, self.fd = pty.fork()
        if not child:
            os.chdir(home)
            root = Path(__file__).parents[1]
            own = {
                "PYTHONPATH": str(root),
                "XDG_STATE_HOME": str(home),
                "PS1": "$ ",
                "TERM": "xterm-256color",
            }
            os.execvpe("bash", ["bash", "--norc", "--noprofile"], {**os.environ, **own})  # noqa: S606

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self.fd, text.encode())

    def wait(self, text: str, seconds: float = 60.0) -> None:
        """Wait until the screen has shown ``text``; forget all before it."""
        end = time.monotonic() + seconds
        while text not in self.written:
            assert time.monotonic() < end, self.written
            if select.select([self.fd], [], [], 0.1)[0]:
                self.written += os.read(self.fd, 65536).decode("utf-8", "replace")
        self.written = self.written.partition(text)[2]


@pytest.mark.skipif(shutil.which("bash") is None, reason="no shell here")
def test_typed_keys_never_reach_the_shell(tmp_path):
    """What is typed while a stream runs is swallowed, q ends it, and afterwards the shell reads and echoes again."""
    (tmp_path / "run.py").write_text(RUN)
    shell = Shell(tmp_path)
    shell.wait("$ ")
    shell.type(f"{sys.executable} run.py; touch ended\n")
    shell.wait("q quit")
    shell.type("touch typed\n")
    time.sleep(0.5)
    shell.type("q")
    shell.type("touch typed\n")
    shell.wait("0 frames")
    shell.wait("$ ")
    shell.type("echo $((6 * 7)) $(ls)\n")
    shell.wait("echo $((6 * 7))")  # the echo
    shell.wait("42 ")
    shell.wait("$ ")
    assert {path.name for path in tmp_path.iterdir()} >= {"ended"}
    assert not (tmp_path / "typed").exists()
    shell.type("exit\n")
    os.close(shell.fd)


@pytest.mark.skipif(shutil.which("bash") is None, reason="no shell here")
def test_the_demonstration_may_be_ended_early(tmp_path):
    """Before any expression has been found, too, q ends it without an error; it says that it was ended early."""
    shell = Shell(tmp_path)
    shell.wait("$ ")
    shell.type(f"{sys.executable} -m streamspot demo; echo code $?\n")
    shell.wait("q quit")
    shell.type("q")
    shell.wait("0 events; the demonstration was ended early")
    shell.wait("code 0")
    shell.type("exit\n")
    os.close(shell.fd)


def test_without_a_terminal_nothing_is_read(tmp_path):
    """Where no terminal is, standard input is left alone and the run does not end."""
    script = RUN.replace("quit.wait(60)", "quit.wait(0.5)") + "\nimport sys\nprint(sys.stdin.read())\n"
    done = subprocess.run(
        [sys.executable, "-c", script],
        input="q data",
        text=True,
        capture_output=True,
        check=True,
        start_new_session=True,
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
    )
    assert done.stdout.split() == ["late", "q", "data"]
    assert "q quit" not in done.stderr


def test_nothing_needs_posix_to_be_imported():
    """The dashboard and keys are imported where there is no termios, and no terminal is said to be found."""
    script = (
        "import sys\nfor name in ('termios', 'tty', 'fcntl'): sys.modules[name] = None\n"
        "import streamspot.dashboard.live, streamspot.keys, streamspot.console"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
