"""The file of all runs and the page that is written from it."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
from small_data import write_small
from typer.testing import CliRunner

from experiments import runs, tables


def test_the_page_of_results_is_what_the_runs_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """docs/results.md is written from the file of runs, never by hand."""
    written = tables.DOCUMENT.read_text(encoding="utf-8")
    monkeypatch.setattr(tables, "DOCUMENT", tmp_path / "results.md")
    tables.render()
    assert (tmp_path / "results.md").read_text(encoding="utf-8") == written


def test_a_run_becomes_a_line_and_takes_the_place_of_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A cross-validation of a row leaves its figures in one line; run again, it is still one."""
    file = tmp_path / "runs.jsonl"
    monkeypatch.setattr(runs, "FILE", file)
    data = write_small(tmp_path / "data", subjects=5, frames=200)
    command = ["run", "--data", str(data), "--runs", str(tmp_path / "runs"), "--quick", "motion"]
    for _ in range(2):
        done = CliRunner().invoke(tables.app, command, catch_exceptions=False)
        assert done.exit_code == 0, done.output
    ((key, line),) = runs.read().items()
    assert key == ("motion", "data", True, 0)
    assert line["method"]["motion_rule"] is True
    assert line["settings"].pop("spotting") == {"macro_ticks": [18, 90]}
    assert line["settings"] == {"partner": None, "epochs": 1, "folds": 5, "choice": "pooled"}
    results = json.loads((tmp_path / "runs" / "quick-motion-data-seed0" / "results.json").read_text())
    assert line["strict"]["overall"]["tp"] == results["strict"]["overall"]["tp"]


def test_the_package_does_not_know_the_experiments():
    """Nothing in the package imports what is outside of it."""
    package = Path(__file__).parents[1] / "streamspot"
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not any(name.split(".")[0] in {"experiments", "benchmarks", "tests"} for name in names), (
                path
            )
