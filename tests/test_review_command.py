"""The command that opens a review: how it begins and ends, and what it says of several coders."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from made_clips import numbered, playable, write_video

from streamspot.review.files import LabelFiles
from streamspot.review.labels import GivenLabel, Labels

pytest.importorskip("aiohttp")


def _command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "streamspot", "review", *map(str, arguments)]


def test_ctrl_c_ends_it_in_good_order(tmp_path: Path) -> None:
    """The address is printed, nothing is written without a label, and the exit code is 0."""
    clip = playable(tmp_path)
    program = subprocess.Popen(_command(clip), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert program.stdout is not None
    assert program.stdout.readline().startswith("http://127.0.0.1:")
    time.sleep(0.5)
    program.send_signal(signal.SIGINT)
    _, said = program.communicate(timeout=20)
    assert (program.returncode, "Traceback" in said) == (0, False)
    assert [path.name for path in clip.parent.iterdir()] == ["clip.mp4"]


def test_a_broken_first_video_closes_no_review(tmp_path: Path) -> None:
    """The page says it beside that video; alone, it is said at once."""
    (tmp_path / "a.mp4").write_bytes(b"no video")
    alone = subprocess.run(_command(tmp_path / "a.mp4"), capture_output=True, text=True, check=False)
    assert (alone.returncode, "convert it" in alone.stderr) == (1, True)
    write_video(tmp_path / "b.avi", numbered(10), codec="mpeg4")
    program = subprocess.Popen(_command(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert program.stdout is not None
    assert program.stdout.readline().startswith("http://127.0.0.1:")
    program.send_signal(signal.SIGINT)
    program.communicate(timeout=20)
    assert program.returncode == 0


def test_what_is_missing_is_one_sentence(tmp_path: Path) -> None:
    """A source that is not there, a camera, a folder without videos, coders that are not there."""
    for arguments, sentence in (
        (("gone.mp4",), "there is no file or folder gone.mp4"),
        (("0",), "record a camera"),
        ((tmp_path,), "holds no video, recording or pictures"),
        ((tmp_path, "--out", tmp_path / "gone"), "there is no folder"),
    ):
        ended = subprocess.run(
            _command(*arguments), capture_output=True, text=True, check=False, cwd=tmp_path
        )
        assert ended.returncode
        assert sentence in ended.stderr
        assert ended.stderr.count("\n") == 1


def test_agreement_is_printed_for_each_pair_of_coders(tmp_path: Path) -> None:
    """Kappa and overlap of all that both have labelled."""
    clip = playable(tmp_path)

    def code(name: str, onset: int) -> None:
        label = GivenLabel(id="a", kind="macro", point=onset + 3, onset=onset, offset=onset + 9)
        LabelFiles(clip.parent, name).write(
            "clip.mp4", "clip", Labels((label,)), subject="a", fps=25, frames=40
        )

    code("ann", 10)
    alone = subprocess.run(_command(clip, "--agreement"), capture_output=True, text=True, check=False)
    assert "needs label files of two coders" in alone.stderr
    code("ben", 12)
    done = subprocess.run(_command(clip, "--agreement"), capture_output=True, text=True, check=True).stdout
    assert "ann and ben, 1 video that both have labelled, 40 frames" in done
    assert "0.733" in done  # 36 of 40 agree, 0.625 by chance
    assert "0.667" in done  # 8 of 12 frames


def test_agreement_names_what_both_labelled_and_cannot_be_compared(tmp_path: Path) -> None:
    """A video that is gone and one that cannot be read are said; of one video alone, nothing of others."""
    folder = playable(tmp_path).parent
    (folder / "broken.mp4").write_bytes(b"no video")
    for coder in ("ann", "ben"):
        files = LabelFiles(folder, coder)
        for name in ("clip", "broken", "gone"):
            one = Labels((GivenLabel(id="a", kind="macro", point=13),))
            files.write(f"{name}.mp4", name, one, subject="a", fps=25, frames=40)
    done = subprocess.run(_command(folder, "--agreement"), capture_output=True, text=True, check=True)
    assert "ann and ben, 1 video that both have labelled, 40 frames" in done.stdout
    broken, gone = done.stderr.splitlines()
    assert ("broken.mp4" in broken, "convert it" in broken) == (True, True)
    assert f"there is no {folder / 'gone.mp4'}; put it back" in gone
    one = _command(folder / "clip.mp4", "--agreement")
    assert not subprocess.run(one, capture_output=True, text=True, check=True).stderr
    (folder / "tuesday").mkdir()
    (folder / "tuesday" / "clip.mp4").touch()
    done = subprocess.run(_command(folder, "--agreement"), capture_output=True, text=True, check=True)
    assert "not looked into: tuesday; review each by itself" in done.stderr


def test_agreement_counts_the_frames_that_there_are(tmp_path: Path) -> None:
    """A video of variable frame rate has those that its container holds, not those of its nominal rate."""
    stamps = [number / 10 for number in range(60)]
    clip = write_video(tmp_path / "slow.mkv", numbered(60), fps=25, stamps=stamps)
    label = GivenLabel(id="a", kind="macro", point=13, onset=10, offset=19)
    for coder in ("ann", "ben"):
        LabelFiles(tmp_path, coder).write(
            clip.name, "slow", Labels((label,)), subject="a", fps=25, frames=None
        )
    done = subprocess.run(_command(clip, "--agreement"), capture_output=True, text=True, check=True).stdout
    assert "ann and ben, 1 video that both have labelled, 60 frames" in done
