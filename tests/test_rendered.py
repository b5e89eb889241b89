"""The rendered heads of the benchmark: pictures that move as smoothly as what they show."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest


@pytest.fixture(scope="module")
def heads() -> ModuleType:
    """Return the module of the benchmark, which is not part of the package."""
    path = Path(__file__).parents[1] / "benchmarks" / "heads.py"
    spec = importlib.util.spec_from_file_location("heads", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["heads"] = module
    spec.loader.exec_module(module)
    return module


def test_a_tenth_of_a_pixel_shows(heads: ModuleType) -> None:
    """Test that a surface moved by a fraction of a pixel changes by just that fraction."""
    corners = np.array([(50, 50, 0), (53, 50, 0), (53, 53, 0), (50, 53, 0)], np.float32)
    triangles = np.array([(0, 2, 1), (0, 3, 2)])
    first, values = heads.rasterise(corners, triangles, corners[:, :2])
    moved = corners + np.array((0.1, 0, 0), np.float32)
    second, later = heads.rasterise(moved, triangles, corners[:, :2])
    both = first & second
    assert both.sum() >= 9
    np.testing.assert_allclose((values - later)[both][:, 0], 0.1, atol=1e-4)
    np.testing.assert_allclose((values - later)[both][:, 1], 0.0, atol=1e-4)


def test_the_nearer_surface_hides_the_farther(heads: ModuleType) -> None:
    """Test that a triangle nearer to the camera is seen wherever it covers another."""
    one = np.array([(50, 50, 0), (60, 50, 0), (50, 60, 0)], np.float32)
    points = np.concatenate((one, one + np.array((0, 0, 1), np.float32)))
    colour = np.array([[1], [1], [1], [2], [2], [2]], np.float32)
    for triangles in ([(0, 2, 1), (3, 5, 4)], [(3, 5, 4), (0, 2, 1)]):
        covered, values = heads.rasterise(points, np.array(triangles), colour)
        np.testing.assert_allclose(values[covered], 2, atol=1e-4)


def test_a_seed_is_a_clip(heads: ModuleType, data: Path) -> None:
    """Test that a seed gives the same person, expressions and pictures again, and another seed another."""
    if not (data / "face_models" / "ict_facekit_light.npz").is_file():
        pytest.skip("the face model ICT-FaceKit is not on this machine")
    model = heads.HeadModel.load(data / "face_models")
    one, same, other = (heads.Clip(model, seed) for seed in (3, 3, 4))
    first, again, different = (next(clip.frames()).image for clip in (one, same, other))
    assert one.instances == same.instances
    assert (first == again).all()
    assert (first != different).any()
    for clip in (one, other):
        for instance in clip.instances:
            assert 0 <= instance.onset < instance.apex <= instance.offset < 180
            assert instance.kind == "macro" or instance.offset - instance.onset < 15
