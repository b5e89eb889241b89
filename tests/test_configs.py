"""Ready configurations are found by name, files by path."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamspot.configs import find_config, shipped_configs
from streamspot.errors import SettingsError


def test_a_ready_configuration_has_a_name():
    """Those of a folder are known by the names of their files."""
    assert {"casme2", "own-videos"} <= set(shipped_configs("train"))
    assert find_config("casme2", "train").name == "casme2.yaml"
    assert {"live", "replay"} <= set(shipped_configs())


def test_a_path_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A file of one's own is found by its path, and goes before a ready one of the same name."""
    mine = tmp_path / "casme2"
    mine.write_text("epochs: 1")
    assert find_config(mine, "train") == mine
    monkeypatch.chdir(tmp_path)
    assert find_config("casme2", "train").read_text() == "epochs: 1"


def test_an_unknown_name_is_one_sentence_with_the_names():
    """What is neither a file nor a name is refused, and the names are told."""
    with pytest.raises(SettingsError, match=r"no configuration casme4: .* casme2, .*own-videos"):
        find_config("casme4", "train")
