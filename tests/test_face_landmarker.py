"""Promises of FaceLandmarker, the face mesh wherever MediaPipe has no FaceMesh: the same program, the same events.

These tests need its model, a file of 4 MB that is fetched once from its publisher. They take what
``STREAMSPOT_FACE_MODEL`` names, what an earlier run has fetched, or what lies with the development data.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
from running import CLIP, overlap

from streamspot import bench
from streamspot.errors import ModelError
from streamspot.events import read_events
from streamspot.face import detectors
from streamspot.face.align import Eyes
from streamspot.face.detectors import FaceLandmarker, fetch_landmarker, landmarker_path, make_detector
from streamspot.sources.synthetic import Synthetic
from streamspot.types import Event, Frame

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("STREAMSPOT_DATA", ROOT.parent / "shared" / "data"))
PLACES = (
    Path(os.environ.get("STREAMSPOT_FACE_MODEL", "")),
    landmarker_path(),
    DATA / "face_models" / "face_landmarker.task",
)


@pytest.fixture(scope="session")
def model() -> Path:
    """Return FaceLandmarker's model, or skip where there is none."""
    for place in PLACES:
        if place.is_file():
            return place
    pytest.skip("FaceLandmarker's model is not on this machine; name it in STREAMSPOT_FACE_MODEL")


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Hide FaceMesh and any model fetched earlier, and return where the model would be kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(detectors, "has_face_mesh", lambda: False)
    return landmarker_path()


def expressions(source: str, model: Path, events: Path) -> list[Event]:
    """Run the whole program with FaceLandmarker and return the finished expressions."""
    command = ["run", "--source", source, "--face-model", model, "--events", events, "--no-ui"]
    subprocess.run(
        [sys.executable, "-m", "streamspot", *command], cwd=ROOT, check=True, timeout=120, capture_output=True
    )
    return [event for event in read_events(events) if event.phase == "offset"]


def test_the_synthetic_clip_gives_its_expressions_with_face_landmarker(model: Path, tmp_path: Path):
    """From the picture to the event, with the other face mesh: what was made is found, and nothing else."""
    found = expressions(CLIP, model, tmp_path / "events.jsonl")
    truth = Synthetic.parse(CLIP).truth
    assert len(found) == len(truth) == 2
    for one, made in zip(found, truth, strict=True):
        assert one.kind == made.kind
        assert overlap(one, made.onset, made.offset) >= 0.5


def test_a_real_smile_is_found_with_face_landmarker(model: Path, data: Path, tmp_path: Path):
    """The webcam's smile, at rest before frame 16 and after frame 72, is one macro-expression."""
    (smile,) = expressions(str(data / "clips" / "single_face.mp4"), model, tmp_path / "events.jsonl")
    assert smile.kind == "macro"
    assert overlap(smile, 16, 72) >= 0.5


def test_face_landmarker_finds_what_face_mesh_finds(model: Path, portrait: Frame):
    """Whichever MediaPipe is installed, the landmarks are the same points to within a tenth of the eyes' distance."""
    landmarker = FaceLandmarker(1, model)
    try:
        (found,) = landmarker(portrait)
        landmarker(portrait)  # the same time stamp again must not upset the graph
    finally:
        landmarker.close()
    assert found.shape == (478, 3)
    if not detectors.has_face_mesh():
        return
    mesh = make_detector(1)
    (reference,) = mesh(portrait)
    mesh.close()
    apart = np.hypot(*(found[:468, :2] - reference[:468, :2]).T)
    assert np.median(apart) < 0.1 * Eyes.of(reference).distance


def test_the_model_is_fetched_once_and_kept(model: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch):
    """Where there is no FaceMesh the model comes from its publisher; afterwards nothing is connected to."""
    asked = []

    def publisher(address: str, timeout: float) -> io.BytesIO:
        asked.append(address)
        return io.BytesIO(model.read_bytes())

    monkeypatch.setattr(urllib.request, "urlopen", publisher)
    for _ in range(2):
        make_detector(1).close()
    assert asked == [detectors.LANDMARKER_URL]
    assert [path.name for path in empty_cache.parent.iterdir()] == ["face_landmarker.task"]


def test_a_model_that_cannot_be_fetched_names_the_address_and_the_place(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
):
    """Without a network, or with one that answers something else, one sentence says what to put where."""

    def cut_off(*_: object, **__: object) -> io.BytesIO:
        raise URLError("no route")

    monkeypatch.setattr(urllib.request, "urlopen", cut_off)
    with pytest.raises(ModelError, match=r"no route") as refused:
        make_detector(1)
    assert detectors.LANDMARKER_URL in str(refused.value)
    assert str(empty_cache) in str(refused.value)
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: io.BytesIO(b"<html>please log in"))
    with pytest.raises(ModelError, match=r"not the face model it should be"):
        make_detector(1)
    assert not empty_cache.exists()


def test_a_damaged_model_in_the_cache_is_named(empty_cache: Path):
    """A model cut short, by a full disk for instance, is refused with its path."""
    empty_cache.parent.mkdir(parents=True)
    empty_cache.write_bytes(b"half a model")
    with pytest.raises(ModelError, match=r"face_landmarker\.task.*delete it"):
        fetch_landmarker()


def test_the_benchmark_names_its_yardstick(
    model: Path, empty_cache: Path, portrait: Frame, monkeypatch: pytest.MonkeyPatch
):
    """Where MediaPipe has no FaceMesh the pipeline is compared with FaceLandmarker alone, and the figures say so."""
    monkeypatch.setattr(bench, "has_face_mesh", lambda: False)
    empty_cache.parent.mkdir(parents=True)
    shutil.copy(model, empty_cache)
    with ExitStack() as stack:
        ((name, alone),) = bench._yardsticks(stack)
        assert name == "FaceLandmarker with blendshapes"
        alone(portrait)
