"""Labelling: one key an expression, nothing lost, the terminal as it was."""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
import termios
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest
from small_data import csv_rows

from streamspot.cli import data
from streamspot.cli.data import terminated_in_order
from streamspot.console import StatusLine
from streamspot.datasets.formats import read_format
from streamspot.datasets.label import OnShow, label, play
from streamspot.datasets.points import PointsFile
from streamspot.errors import DataError, SettingsError
from streamspot.keys import Keys
from streamspot.sources.motion import MotionWriter, is_recording
from streamspot.types import FaceMotion, RegionMotion, Session


class Terminal:
    """A pseudo-terminal that is this process's standard input; ``press`` plays the user."""

    def __init__(self) -> None:
        self.master, self.slave = os.openpty()
        self.stdin = os.fdopen(self.slave)

    def press(self, *presses: tuple[float, str]) -> None:
        def work() -> None:
            for seconds, keys in presses:
                time.sleep(seconds)
                os.write(self.master, keys.encode())

        threading.Thread(target=work, daemon=True).start()

    def state(self) -> list[object]:
        return termios.tcgetattr(self.slave)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    """Return a terminal in the place of standard input."""
    term = Terminal()
    monkeypatch.setattr(sys, "stdin", term.stdin)
    yield term
    term.stdin.close()
    os.close(term.master)


def _recording(path: Path, ticks: int) -> Path:
    session = Session("r", "s", "s", 0.0, datetime(2026, 1, 1, tzinfo=UTC))
    with MotionWriter(path) as writer:
        writer.begin(session, "face17")
        for tick in range(ticks):
            moved = np.full((17, 2), 0.01 * (tick % 3), np.float32)
            writer.extend([FaceMotion(0, RegionMotion(tick, tick / 30, 2 * tick, moved))], session)
    return path


def _label(path: Path, out: Path, **options: float) -> None:
    data.label(str(path), out=out, subject="ann", **{"speed": 1.0, "reaction": 0.0, **options})


def test_keys_become_labels_on_a_recording(tmp_path: Path, terminal: Terminal) -> None:
    """On a real terminal m and u label what shows, backspace takes back, and the terminal is restored."""
    before, out = terminal.state(), tmp_path / "points.csv"
    terminal.press((0.3, "m"), (0.4, "u"), (0.1, "u"), (0.1, "\x7f"))
    _label(_recording(tmp_path / "a.motion", 45), out)
    rows = csv_rows(out)
    assert [(row["video"], row["subject"], row["kind"]) for row in rows] == [
        ("a.motion", "ann", "macro"),
        ("a.motion", "ann", "micro"),
    ]
    macro, micro = (int(row["point"]) for row in rows)
    assert 0 < macro < micro <= 88, "frames of the source, two a tick"
    assert terminal.state() == before
    assert [i.kind for i in read_format(tmp_path, "folder").videos[0].annotated.instances] == [
        "macro",
        "micro",
    ]


def test_pictures_play_in_their_own_time(tmp_path: Path, terminal: Terminal) -> None:
    """A folder of pictures is labelled by frame number and frame rate, and q ends it at once."""
    folder = tmp_path / "clip"
    folder.mkdir()
    for number in range(40):
        cv2.imwrite(str(folder / f"{number}.png"), np.zeros((8, 8, 3), np.uint8))
    terminal.press((0.6, "M"), (0.2, "q"))
    began = time.monotonic()
    _label(Path(f"{folder}?fps=20"), tmp_path / "points.csv")
    assert time.monotonic() - began < 1.9
    (row,) = csv_rows(tmp_path / "points.csv")
    assert (row["video"], row["kind"], row["fps"]) == ("clip", "macro", "20")
    assert 4 <= int(row["point"]) <= 20


@pytest.mark.parametrize("width", [120, 80, 60, 30, 12])
def test_no_number_on_the_screen_is_cut(terminal: Terminal, width: int) -> None:
    """On a narrow terminal what matters least is left out, and the confirmation stands whole."""
    termios.tcsetwinsize(terminal.slave, (24, width))
    parts = ["▁" * 30, "00:42.5", "frame 1285", "macro 12 (m)", "micro 3 (u)", "unsure 0 (x)"]
    with os.fdopen(os.dup(terminal.slave), "w") as screen:
        StatusLine(screen)(parts, "macro at frame 1276")
    drawn = os.read(terminal.master, 4096).decode().removeprefix("\r").removesuffix("\x1b[K")
    assert len(drawn) < width
    assert drawn.endswith("1276")
    assert set(re.findall(r"\d+", drawn)) <= {"00", "42", "5", "1285", "12", "3", "0", "1276"}
    assert (width < 30) or drawn.endswith("macro at frame 1276")


def test_the_next_command_finds_the_labels(
    tmp_path: Path, terminal: Terminal, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command that comes next reads points.csv; where the table is another, it says so."""
    recording = _recording(tmp_path / "a.motion", 10)
    for name, sentence in (
        ("points.csv", "measure it with: streamspot extract"),
        (
            "lab2.csv",
            f"extract reads {tmp_path / 'points.csv'} alone: move the labels there, then",
        ),
    ):
        _label(recording, tmp_path / name, speed=16.0)
        assert f"\n{sentence}" in capsys.readouterr().err


def test_the_terminal_is_restored_when_the_program_is_ended(terminal: Terminal) -> None:
    """A termination signal in the middle leaves a terminal that echoes, and the signal's exit code."""
    before = terminal.state()

    def killed() -> None:
        with terminated_in_order(), Keys():
            assert terminal.state() != before
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)

    with pytest.raises(SystemExit) as ended:
        killed()
    assert ended.value.code == 143
    assert terminal.state() == before


def test_without_a_terminal_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no keys can be pressed one sentence says so."""
    monkeypatch.setattr(sys, "stdin", None)

    def refuse(*_: object) -> int:
        raise OSError

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(SettingsError, match="in a terminal"), Keys():
        pass


def _show(count: int) -> Iterator[OnShow | None]:
    for number in range(count):
        yield OnShow(number, number / 30)
        yield None


def _press(keys: dict[int, str]) -> Iterator[str]:
    for turn in range(10_000):
        yield keys.get(turn, "")


def test_a_label_is_set_when_it_was_seen(tmp_path: Path) -> None:
    """The time a person needs to press a key is taken off, never before the first frame."""
    points = PointsFile(tmp_path / "points.csv", "a.mp4", "ann", 30.0)
    keys = _press({4: "m", 80: "u"})
    assert label(_show(60), points, lambda: next(keys), lambda *_: None, reaction=0.3)
    assert [int(row["point"]) for row in points.given] == [0, 40 - 9]


@pytest.mark.parametrize("pace", [1.0, 0.5])
def test_a_key_counts_as_long_as_a_person_reacts_to_the_last_frame(tmp_path: Path, pace: float) -> None:
    """What the end of a clip shows is labelled although the key comes late, and q cuts nothing short any more."""
    points = PointsFile(tmp_path / "points.csv", "a.mp4", "ann", 30.0)
    keys = _press({125: "m", 127: "q"})
    assert label(_show(60), points, lambda: next(keys), lambda *_: None, reaction=0.4, pace=pace)
    (row,) = csv_rows(tmp_path / "points.csv")
    assert row["kind"] == "macro"
    assert 59 - 12 * pace < int(row["point"]) <= 59


def test_labels_of_other_videos_are_kept(tmp_path: Path) -> None:
    """Foreign rows and columns survive; earlier labels of the same video are there and can be undone."""
    path = tmp_path / "points.csv"
    path.write_text("video,subject,kind,point,note\nb.mp4,bob,macro,7,keep\na.mp4,ann,micro,9,mine\n")
    points = PointsFile(path, "a.mp4", "ann", None)
    points.add("macro", 30)
    assert [(row["video"], row["point"], row["note"]) for row in csv_rows(path)] == [
        ("b.mp4", "7", "keep"),
        ("a.mp4", "9", "mine"),
        ("a.mp4", "30", ""),
    ]
    assert points.undo() == {"video": "a.mp4", "subject": "ann", "fps": "", "kind": "macro", "point": "30"}
    points.undo()
    assert points.undo() is None
    assert [row["video"] for row in csv_rows(path)] == ["b.mp4"]


def test_seen_to_the_end_without_a_label_means_no_expression(tmp_path: Path) -> None:
    """A video seen whole counts as one without expressions; one broken off is not mentioned."""
    path, keys = tmp_path / "points.csv", _press({5: "q"})
    points = PointsFile(path, "a.mp4", "ann", 25.0)
    assert not label(_show(9), points, lambda: next(keys), lambda *_: None, reaction=0)
    assert not path.exists()
    assert label(_show(9), points, lambda: "", lambda *_: None, reaction=0)
    assert [(row["video"], row["kind"], row["fps"]) for row in csv_rows(path)] == [("a.mp4", "", "25")]


def test_what_cannot_be_read_again_is_recorded(tmp_path: Path) -> None:
    """A source that is no file is kept as region motion beside the table, without a picture."""
    playing = play("synthetic:seconds=1,expressions=0,fps=10", tmp_path, 16.0)
    shown = [now for now in playing.shown if now is not None]
    assert playing.video.parent == tmp_path
    assert is_recording(playing.video)
    assert len(shown) == 10
    assert shown[-1].motion is not None


def test_a_table_of_another_kind_is_refused(tmp_path: Path) -> None:
    """A CSV without the columns is named, and not touched."""
    path = tmp_path / "points.csv"
    path.write_text("name,age\nann,3\n")
    with pytest.raises(DataError, match="no column 'video'"):
        PointsFile(path, "a.mp4", "ann", None)
    assert path.read_text() == "name,age\nann,3\n"


def test_a_label_is_appended_and_costs_the_same_with_thousands_before_it(tmp_path: Path) -> None:
    """A flood of labels rewrites nothing: what is there stays byte for byte, others may append meanwhile."""
    path = tmp_path / "points.csv"
    path.write_text("video,subject,kind,point,fps\n" + "b.mp4,bob,macro,7,\n" * 50_000)
    points = PointsFile(path, "a.mp4", "ann", None)
    with path.open("a") as other:
        other.write("c.mp4,cid,micro,1,\n")
    begun, inode = time.monotonic(), path.stat().st_ino
    for frame in range(200):
        points.add("micro", frame)
    assert time.monotonic() - begun < 0.5
    assert path.stat().st_ino == inode
    rows = csv_rows(path)
    assert len(rows) == 50_000 + 1 + 200
    assert [int(row["point"]) for row in rows[-200:]] == list(range(200))


def test_a_label_replaces_the_row_that_said_there_was_none(tmp_path: Path) -> None:
    """A video seen before without an expression is listed once, and a table without a last line end is mended."""
    path = tmp_path / "points.csv"
    path.write_text("video,subject,kind,point,fps\na.mp4,ann,,,")
    PointsFile(path, "a.mp4", "ann", None).add("macro", 4)
    assert path.read_text() == "video,subject,kind,point,fps\na.mp4,ann,macro,4,\n"


def test_a_row_that_lacks_its_kind_is_kept(tmp_path: Path) -> None:
    """It is a label that somebody has still to complete; taking one's own back does not delete it."""
    path = tmp_path / "points.csv"
    path.write_text("video,subject,kind,point\na.mp4,ann,,40\n")
    points = PointsFile(path, "a.mp4", "ann", None)
    points.add("macro", 10)
    points.undo()
    points.watched()
    assert path.read_text() == "video,subject,kind,point\na.mp4,ann,,40\n"


def test_a_label_that_cannot_be_written_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk the table stays whole, and the count tells what it holds."""
    path = tmp_path / "points.csv"
    path.write_text("video,subject,kind,point,fps\n")
    points = PointsFile(path, "a.mp4", "ann", None)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("streamspot.datasets.points.append_whole", full)
    with pytest.raises(DataError, match="cannot be written"):
        points.add("macro", 4)
    assert points.count("macro") == 0
    assert path.read_text() == "video,subject,kind,point,fps\n"


def test_two_streams_label_into_one_table(tmp_path: Path) -> None:
    """What one takes back, or adds a column for, costs the other nothing, and nothing comes back."""
    path = tmp_path / "points.csv"
    one, other = (PointsFile(path, name, "ann", None) for name in ("a.motion", "b.motion"))
    one.add("macro", 1)
    other.add("micro", 2)
    one.add("macro", 3, face=1)
    other.add("micro", 4)
    other.add("micro", 5, face=0)
    one.undo()
    assert [(row["video"], row["point"], row["face"] or "") for row in csv_rows(path)] == [
        ("b.motion", "2", ""),
        ("b.motion", "4", ""),
        ("b.motion", "5", "0"),
        ("a.motion", "1", ""),
    ]
    one.undo()
    other.undo()
    one.watched()
    assert [(row["video"], row["point"]) for row in csv_rows(path)] == [
        ("b.motion", "2"),
        ("b.motion", "4"),
        ("a.motion", ""),
    ]
