"""Another data set of the same form: other frame rate, other subjects, ten times fewer frames, the same commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_data import write_other
from typer.testing import CliRunner

from streamspot.cli.training import app

TINY = {"epochs": 2, "min_steps": 2, "groups": 3, "network": {"width": 8, "dilations": [1, 4]}}


def _run(*command: object) -> None:
    done = CliRunner().invoke(app, [str(part) for part in command], catch_exceptions=False)
    assert done.exit_code == 0, done.output


@pytest.mark.slow
def test_the_same_commands_work_on_another_directory(tmp_path: Path) -> None:
    """``train``, ``crossval`` and ``evaluate`` take 12 subjects at 25 fps, and count every expression of theirs."""
    data, config = tmp_path / "other", tmp_path / "tiny.yaml"
    written = write_other(data, subjects=12)
    config.write_text(json.dumps(TINY))
    weights, tables = tmp_path / "mine.safetensors", tmp_path / "tables.json"
    _run("train", "--data", data, "--out", weights, "--config", config, "--no-ui")
    _run("evaluate", "--data", data, "--weights", weights, "--out", tables)
    _run("crossval", "--data", data, "--out", tmp_path / "run", "--config", config, "--no-ui")
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert (results["subjects"], results["recordings"], results["dataset"]) == (12, 12, "other")
    assert len(results["min_scores"]) == 12
    assert results["configuration"]["epochs"] == 2
    assert {"seed", "commit", "wall_s", "compute_s", "decoder"} <= set(results)
    assert min(written.values()) > 10
    counts = written | {"overall": sum(written.values())}
    for judged in (results, json.loads(tables.read_text())):
        for protocol in ("strict", "paper"):
            for kind, count in counts.items():
                row = judged[protocol][kind]
                assert row["tp"] + row["fn"] == count, (protocol, kind)
                assert {"precision", "recall", "f1", "f1_interval", "apex_error", "fp"} <= set(row)
        assert {kind: judged["live"][kind]["annotated"] for kind in counts} == counts
        assert judged["live"]["hours"] == pytest.approx(12 * 833 / 25 / 3600, abs=0.001)
