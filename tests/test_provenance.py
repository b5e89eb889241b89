"""Promises about which code a result says that it came from."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from streamspot.training import provenance


def test_a_package_within_another_repository_does_not_name_its_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Installed into a virtual environment inside somebody's own repository, the commit is unknown."""

    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True)

    git("init")
    git("commit", "--allow-empty", "-m", "theirs")
    (folder := tmp_path / "streamspot" / "training").mkdir(parents=True)
    installed = Path(shutil.copy(provenance.__file__, folder))
    monkeypatch.setattr(provenance, "__file__", str(installed))
    assert provenance.commit() == "unknown"
    for name in ("models/a", "experiments/a", "experiments/results/a"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("as committed")
    git("add", ".")
    git("commit", "-m", "now theirs, too")
    assert len(provenance.commit()) == 12
    (tmp_path / "experiments/results/a").write_text("a new result")
    assert len(provenance.commit()) == 12, "results make no results"
    for name in ("models/a", "experiments/a"):
        (tmp_path / name).write_text("changed")
        assert provenance.commit().endswith("+")
        (tmp_path / name).write_text("as committed")
