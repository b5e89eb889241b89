"""Promises of the pages in docs/: every command is understood, every example runs, every link leads somewhere."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from brokers import Mosquitto, printed_by
from pydantic import BaseModel
from typer.main import get_command

from streamspot.cli import app
from streamspot.layers import load_settings
from streamspot.sources.synthetic import Synthetic
from streamspot.training import settings as training

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")], key=str)


def blocks(page: Path, language: str) -> list[str]:
    """Return the code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[list[str]]:
    """Return the arguments of every command of ours in the page's shell blocks."""
    lines = "\n".join(blocks(page, "sh")).replace("\\\n", " ").splitlines()
    found = [re.match(r"(?:\S*/)?streamspot (.*)", line) for line in lines]
    return [shlex.split(match[1], comments=True) for match in found if match]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with what the examples name: a clip, frames of one's own."""
    folder = tmp_path_factory.mktemp("examples")
    images = [frame.image for frame in Synthetic(seconds=7, expressions=1, noise=0).read()]
    height, width = images[0].shape[:2]
    writer = cv2.VideoWriter(str(folder / "clip.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 30, (width, height))
    for image in images:
        writer.write(image)
    writer.release()
    np.save(folder / "frames.npy", np.stack([cv2.resize(image, (320, 240)) for image in images]))
    return folder


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_shown_is_understood(page: Path):
    """Commands and flags are those that there are."""
    for name, *arguments in commands(page):
        command = get_command(app).commands[name]  # type: ignore[attr-defined]
        command.make_context(name, list(arguments))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path):
    """To a file of the repository and, within a page, to a heading."""
    for target in re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)\)", page.read_text()):
        file, _, heading = target.partition("#")
        where = (page.parent / file).resolve() if file else page
        assert where.exists(), f"{page.name}: {target}"
        if heading:
            heads = re.findall(r"^#+ (.*)$", where.read_text(), re.MULTILINE)
            assert heading in {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}, (
                target
            )


def test_the_tables_of_the_page_are_made_and_read(folder: Path):
    """The commands and the script of the page for analysts, in their order."""
    page = ROOT / "docs/howto/tables.md"
    for arguments in commands(page):
        run([sys.executable, "-m", "streamspot", *arguments], folder)
    (script,) = blocks(page, "python")
    assert "macro" in run([sys.executable, "-c", script], folder)
    assert (folder / "more.csv").stat().st_size > 0


@pytest.mark.parametrize("script", blocks(ROOT / "docs/howto/own-frames.md", "python"))
def test_frames_of_ones_own(script: str, folder: Path):
    """Each script of the page prints the expression that is in the frames."""
    assert "onset macro" in run([sys.executable, "-c", script], folder)


async def test_the_robot_looks_up(tmp_path: Path):
    """The robot's side of the first page reacts to a stream's events."""
    (program,) = blocks(ROOT / "docs/robot.md", "python")
    with Mosquitto(tmp_path) as broker:
        program = program.replace("mqtt://localhost", broker.url)
        program = program.replace('node="lab", stream="webcam"', 'node="+"')
        assert b"the robot looks up" in await printed_by(program, broker.url, tmp_path, "onset")


def test_the_settings_shown_are_settings(tmp_path: Path):
    """What the page on sensitivity puts into a file is taken."""
    (text,) = blocks(ROOT / "docs/tuning.md", "yaml")
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    assert (
        load_settings({"source": "0"}, str(file)).spotting.sensitivity
        == yaml.safe_load(text)["spotting"]["sensitivity"]
    )


def test_the_settings_of_a_training_that_are_shown_are_taken(tmp_path: Path):
    """What the page puts into a file is, and each group of keys is on the page."""
    page = ROOT / "docs/settings.md"
    (text,) = blocks(page, "yaml")
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    settings = training.load_settings(file)
    assert (settings.epochs, settings.decoder.macro_score) == (20, 0.6)
    groups = (getattr(settings, name) for name in training.TrainSettings.model_fields)
    assert {type(one).__name__ for one in groups if isinstance(one, BaseModel)} <= set(
        re.findall(r"\w+", page.read_text())
    )


def run(command: list[str], folder: Path) -> str:
    """Run a command in the folder; return what it printed."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout
