"""Promises of weights: they survive the disk, names and paths find them, what is wrong with them is one sentence."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from small_networks import CONFIGS, make, noise, whole

from streamspot.errors import ModelError
from streamspot.model import Model, ModelConfig, Network
from streamspot.shipped import shipped, weight_files

torch.set_num_threads(1)


@pytest.mark.parametrize("name", list(CONFIGS))
def test_weights_survive_the_disk(name, tmp_path):
    """Saved and loaded: the same configuration, provenance, decoder settings and scores."""
    path, model = tmp_path / "some.safetensors", make(CONFIGS[name])
    model.save(path)
    again = Model.load(path, device="cpu")
    assert again.config == model.config
    assert again.provenance == {"seed": 0}
    assert again.spotting == model.spotting == {"trough_share": 0.5}
    motion = noise((1, 40, model.config.regions, 2))
    np.testing.assert_array_equal(whole(again, motion), whole(model, motion))


@pytest.mark.parametrize("name", list(CONFIGS))
def test_the_digest_tells_weights_apart(name, tmp_path):
    """Equal weights have one digest, wherever they lie and however they came about; any other number changes it."""
    model = make(CONFIGS[name])
    model.save(tmp_path / "a.safetensors")
    again = Model.load(tmp_path / "a.safetensors", device="cpu")
    assert again.digest == model.digest
    assert re.fullmatch("[0-9a-f]{12}", model.digest)
    network = Network(model.config)
    network.load_state_dict(load_file(tmp_path / "a.safetensors"))
    same = Model(network, {"seed": 1}, spotting={"trough_share": 0.5})
    assert same.digest == model.digest
    renamed = Network(replace(model.config, name="other"))
    renamed.load_state_dict(network.state_dict())
    others = [Model(network), Model(renamed, spotting={"trough_share": 0.5})]
    with torch.no_grad():
        network.intensity.bias += 1e-3
    others.append(Model(network, spotting={"trough_share": 0.5}))
    assert len({model.digest, *(other.digest for other in others)}) == 4


def damaged(path: Path, kind: str) -> None:
    """Write a file that is wrong in that way."""
    make(CONFIGS["causal"]).save(path)
    if kind == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("not weights at all")
    elif kind == "foreign":
        save_file({"w": torch.zeros(3)}, path)
    elif kind == "unfit":
        config = ModelConfig(width=8).to_json()
        save_file({"w": torch.zeros(3)}, path, {"format": "streamspot-model/1", "config": config})
    elif kind == "huge":
        config = json.dumps({**json.loads(ModelConfig().to_json()), "width": 1024, "dilations": [1] * 10_000})
        weights = Network(CONFIGS["causal"]).state_dict()
        save_file(weights, path, {"format": "streamspot-model/1", "config": config})
    elif kind == "nan":
        network = Network(CONFIGS["causal"])
        torch.nn.init.constant_(network.intensity.weight, float("nan"))
        Model(network).save(path)
    elif kind == "spotting":
        metadata = {
            "format": "streamspot-model/1",
            "config": CONFIGS["causal"].to_json(),
            "spotting": "[0.5]",
        }
        save_file(Network(CONFIGS["causal"]).state_dict(), path, metadata)


@pytest.mark.parametrize("kind", ["cut", "empty", "text", "foreign", "unfit", "huge", "nan", "spotting"])
def test_a_damaged_file_is_refused_in_one_sentence(tmp_path, kind):
    """Whatever is wrong with a file, the message names it and the remedy; one that asks for 160 GB gets none."""
    path = tmp_path / "bad.safetensors"
    damaged(path, kind)
    with pytest.raises(ModelError, match=r"bad\.safetensors.*(again|streamspot train)"):
        Model.load(path, device="cpu")


def test_missing_weights_name_what_there_is():
    """A misspelt name is answered with the names of the shipped weights."""
    with pytest.raises(ModelError, match="no weights 'streamspot-bsae'; shipped are"):
        Model.load("streamspot-bsae")


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        (None, "streamspot-base"),
        ("face17", "streamspot-base"),
        ("paper10", "streamspot-base.paper10"),
        ("casme2", "streamspot-base"),
    ],
)
def test_a_name_stands_for_the_weights_of_what_was_measured(layout, expected):
    """Where flow alone measured ten regions, a shipped name means the weights that learned these; a path does not."""
    model = Model.load("streamspot-base", device="cpu", layout=layout)
    assert model.config.name == expected
    assert Model.shared("streamspot-base", device="cpu", layout=layout).digest == model.digest
    path = shipped("models", ".safetensors")["streamspot-base"]
    assert [file.stem for file in weight_files("streamspot-base")] == [
        "streamspot-base",
        "streamspot-base.paper10",
    ]
    assert weight_files(path) == (path,)
    assert Model.load(path, device="cpu", layout=layout).config.name == "streamspot-base"


@pytest.mark.parametrize("name", ["gpu", "cuda"])
def test_a_device_that_is_not_there_is_refused(name):
    """No silent fall-back to another device than the one asked for."""
    if name == "cuda" and torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(ModelError, match="device"):
        Model.load(device=name)


def test_a_configuration_survives_json():
    """What is written into the file is what is read back."""
    for config in CONFIGS.values():
        assert ModelConfig.from_json(config.to_json()) == config


@pytest.mark.parametrize(
    "values",
    [
        {"lookahead": 8},
        {"look_ahead": 5},
        {"look_ahead": "8"},
        {"encoder": "mamba"},
        {"layout": "face17", "regions": 10},
        {"layout": "unheard-of"},
        {"layout": "unheard-of", "regions": 10**9},
        {"dilations": [3]},
        {"dilations": []},
        {"dilations": 1},
        {"time_constants": [-1.0]},
        {"width": 0},
        {"groups": [[0, 99]]},
        {"input_scale": float("nan")},
        {"dropout": 1.0},
    ],
)
def test_an_impossible_configuration_is_refused(values):
    """Unknown keys, wrong types and impossible values are named."""
    with pytest.raises(ModelError, match=next(iter(values)) if "layout" not in values else "regions"):
        ModelConfig.from_json(json.dumps(values))


@pytest.mark.parametrize("text", ["", "nonsense", "[1]", "3"])
def test_a_configuration_that_is_no_mapping_is_refused(text):
    """A foreign metadata line does not end in a traceback."""
    with pytest.raises(ModelError, match="no JSON mapping"):
        ModelConfig.from_json(text)
