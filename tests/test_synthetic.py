"""Promises of the synthetic clip: known truth, same bytes, and a face that moves as a face does."""

from __future__ import annotations

import time
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamspot.errors import SourceError
from streamspot.face.detectors import has_face_mesh
from streamspot.sources import open_source
from streamspot.sources.synthetic import LEAD_S, Synthetic

_CORNERS, _BROWS, _CHIN, _LIDS = (61, 291), (105, 334), (152,), ((159, 145), (386, 374))
_RIGID = (33, 263, 133, 362, 168, 6, 197)
_IRISES = (468, 473)


def test_default_clip():
    """By default: 640x480 at 30 fps, 12 to 15 s, at least 2 s neutral, three macro-expressions."""
    clip = open_source("synthetic")
    frames = list(islice(clip.read(), 60))
    assert 12 <= len(clip) / 30 <= 15
    assert [frame.index for frame in frames] == list(range(60))
    assert all(frame.pts == frame.index / 30 for frame in frames)
    assert all(frame.image.shape == (480, 640, 3) and frame.image.dtype == np.uint8 for frame in frames)
    assert [truth.kind for truth in clip.truth] == ["macro"] * 3
    assert clip.truth[0].onset >= 2 * 30
    assert (clip.live, clip.stream, clip.fps) == (False, "synthetic", 30.0)


def test_same_seed_same_bytes():
    """The same seed gives the same bytes, from two clips and from one read twice; another seed others."""
    spec = "synthetic:seed=3,seconds=3,expressions=0,fps=10"
    clip = open_source(spec)
    first, again = ([frame.image.tobytes() for frame in clip.read()] for _ in range(2))
    copy = [frame.image.tobytes() for frame in open_source(spec).read()]
    other = [frame.image.tobytes() for frame in open_source(spec.replace("3", "4", 1)).read()]
    assert len(first) == 30
    assert first == again == copy
    assert first != other


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(0, 5),
    st.integers(0, 5),
    st.sampled_from([10.0, 24.0, 29.97, 30.0, 60.0, 200.0]),
)
def test_truth_is_consistent(seed, macro, micro, fps):
    """Expressions never overlap, lie within the clip, and last as long as their kind does."""
    clip = Synthetic(seed=seed, expressions=macro, micro=micro, fps=fps)
    kinds = [truth.kind for truth in clip.truth]
    assert (kinds.count("macro"), kinds.count("micro")) == (macro, micro)
    end = LEAD_S * fps
    for truth in clip.truth:
        assert end <= truth.onset <= truth.apex <= truth.offset < len(clip)
        seconds = (truth.offset - truth.onset + 1) / fps
        assert (1.0 < seconds < 3.0) if truth.kind == "macro" else (0.1 < seconds < 0.5)
        end = truth.offset + 0.5 * fps


@pytest.mark.parametrize(
    "spec",
    ["seconds=3,expressions=1", "seconds=0", "fps=2000", "expressions=1.5", "noise=-1", "seed=nan", "wink=1"],
)
def test_impossible_clips_are_refused(spec):
    """A clip that cannot be made is refused in one sentence."""
    with pytest.raises(SourceError, match="synthetic"):
        open_source(f"synthetic:{spec}")


def test_clip_is_cheap_and_can_be_ended():
    """A picture costs a few milliseconds, and ``close`` ends the clip at the next one."""
    clip = open_source("synthetic:fps=60")
    costs = []
    last = time.thread_time()
    for frame in clip.read():
        costs.append(time.thread_time() - last)
        last = time.thread_time()
        if frame.index == 100:
            clip.close()
    assert frame.index == 100
    assert np.median(costs) < 0.02  # 2 to 5 ms here


@pytest.mark.skipif(not has_face_mesh(), reason="this MediaPipe has no FaceMesh")
def test_face_mesh_sees_the_movements():
    """MediaPipe finds the face in every frame, and what the truth names moves by 0.08 eye distances."""
    from mediapipe.python.solutions import face_mesh

    clip = Synthetic(seed=1, expressions=2, fps=15)
    meshes = []
    with face_mesh.FaceMesh(refine_landmarks=True, max_num_faces=1) as finder:
        for frame in clip.read():
            found = finder.process(np.ascontiguousarray(frame.image[..., ::-1])).multi_face_landmarks
            assert found, f"no face in frame {frame.index}"
            meshes.append([(point.x * 640, point.y * 480) for point in found[0].landmark])
    landmarks = np.array(meshes)
    neutral = landmarks[: int(1.5 * 15)].mean(0)
    distance = np.linalg.norm(neutral[_IRISES[0]] - neutral[_IRISES[1]])
    moved = (
        np.array([np.linalg.norm(_aligned(mesh, neutral) - neutral, axis=1) for mesh in landmarks]) / distance
    )
    assert {move for truth in clip.truth for move in truth.moves} >= {"smile", "brows"}
    for truth in clip.truth:
        for move in truth.moves:
            points = {"smile": _CORNERS, "brows": _BROWS, "jaw": _CHIN}[move]
            assert moved[truth.apex, points].min() >= 0.08, truth
        assert moved[truth.onset - 2, _CORNERS + _BROWS].max() < 0.05
    for lids in _LIDS:
        opening = np.linalg.norm(np.subtract(*landmarks[:, lids].swapaxes(0, 1)), axis=1) / distance
        assert opening.min() < 0.8 * np.median(opening)


def _aligned(mesh: np.ndarray, onto: np.ndarray) -> np.ndarray:
    """Move ``mesh`` by the similarity that brings the points no expression moves onto theirs."""
    a, b = (points[list(_RIGID)] @ (1, 1j) for points in (mesh, onto))
    turn = np.vdot(a - a.mean(), b - b.mean()) / np.vdot(a - a.mean(), a - a.mean())
    moved = (mesh @ (1, 1j) - a.mean()) * turn + b.mean()
    return np.stack([moved.real, moved.imag], -1)
