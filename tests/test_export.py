"""The streaming step as ONNX: the same scores elsewhere."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from streamspot.errors import ModelError
from streamspot.model import Model, ModelConfig
from streamspot.model.export import export_onnx
from streamspot.model.network import Network
from streamspot.motion.regions import layout


def _model() -> Model:
    torch.manual_seed(0)
    config = ModelConfig(name="small", layout="paper10", width=8, dilations=(1, 2), look_ahead=4)
    return Model(Network(config), device="cpu")


@pytest.mark.slow
def test_the_step_runs_in_onnx(tmp_path: Path) -> None:
    """Another program that feeds motion and state gets the scores of this one, from one file that explains itself."""
    for package in ("onnx", "onnxscript"):
        pytest.importorskip(package)
    runtime = pytest.importorskip("onnxruntime")
    model, path = _model(), tmp_path / "small.onnx"
    assert export_onnx(model, path, streams=2) <= 1e-5
    assert [file.name for file in tmp_path.iterdir()] == ["small.onnx"]
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["config"])["layout"] == "paper10"
    assert about["look_ahead"] == "4"
    motion = json.loads(about["motion"])
    assert [region["name"] for region in motion["regions"]] == list(layout("paper10").names)
    assert motion["regions"][6] == {"name": "mouth_corner_left", "vertex": 61}
    assert motion["tick_rate"] == 30
    assert "Inter-ocular" in motion["unit"]
    kinds = {"tensor(float)": np.float32, "tensor(int64)": np.int64}
    feed = {i.name: np.zeros(i.shape, kinds[i.type]) for i in session.get_inputs()}
    moves = np.random.default_rng(1).normal(0, 0.05, (40, 2, 10, 2)).astype(np.float32)
    whole = model.forward(moves.transpose(1, 0, 2, 3))
    for tick, moved in enumerate(moves):
        scores, *state = session.run(None, {**feed, "motion": moved})
        feed = dict(zip([name for name in feed if name != "motion"], state, strict=True))
        if tick >= 4:
            np.testing.assert_allclose(scores[:, 0], whole.intensity[:, tick - 4], atol=1e-5)


def test_a_missing_package_is_named_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra one sentence says what to install, and nothing is written."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ModelError, match=r"pip install 'streamspot\[onnx\]'"):
        export_onnx(_model(), tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())
