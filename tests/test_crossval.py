"""Leave-one-subject-out: resumable, and judged by networks that never saw the subject."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from small_data import timeless_results, write_small

from experiments.variants import Variant
from streamspot.cli.training import app
from streamspot.datasets.recording import Dataset, Instance, Recording
from streamspot.datasets.store import load
from streamspot.errors import DataError, SettingsError
from streamspot.processes import Processes
from streamspot.shipped import shipped
from streamspot.training.crossval import crossval
from streamspot.training.folds import check, deal, plan
from streamspot.training.method import Method, NetworkMethod
from streamspot.training.report import write_crossval
from streamspot.training.settings import TrainSettings, load_settings

TINY: dict[str, Any] = {
    "epochs": 4,
    "min_steps": 1,
    "crop": 256,
    "batch": 4,
    "groups": 3,
    "network": {"width": 8, "dilations": [1, 4]},
}
SIMULATED = {"steps": 3, "beside": 1, "recordings": 3}


def _whole(folds: Path) -> list[Path]:
    return list(folds.glob("[!.]*.npz"))


MOMENTS: dict[str, tuple[int, Callable[[Path], bool]]] = {
    "before the first training": (1, lambda folds: (folds / "fingerprint").exists()),
    "in the first training": (1, lambda folds: (folds / "start.safetensors").exists()),
    "while a result is written": (1, lambda folds: bool([*folds.glob(".*.npz.*.part"), *_whole(folds)])),
    "between results, two processes": (2, lambda folds: len(_whole(folds)) >= 3),
    "before the tables": (1, lambda folds: len(_whole(folds)) == 7),
}
"""When crossval is killed: with how many jobs, and what its folder shows."""


@pytest.mark.slow
def test_killed_and_started_again_gives_the_same_results(tmp_path: Path) -> None:
    """Whenever crossval is killed, started again it ends with the results of an undisturbed run."""
    data = write_small(tmp_path / "data", subjects=4)
    settings = tmp_path / "settings.yaml"
    settings.write_text(json.dumps(TINY | {"simulated": SIMULATED}))
    crossval(data, tmp_path / "whole", load_settings(settings))
    out = tmp_path / "broken"
    command = [
        sys.executable,
        "-m",
        "streamspot",
        "crossval",
        "--no-ui",
        "--data",
        str(data),
        "--out",
        str(out),
    ]
    kept: dict[Path, int] = {}
    for moment, (jobs, come) in MOMENTS.items():
        process = psutil.Popen([*command, "--config", str(settings), "--jobs", str(jobs)])
        try:
            limit = time.monotonic() + 240
            while not come(out / "folds"):
                assert time.monotonic() < limit, moment
                assert process.poll() is None, moment
                time.sleep(0.002)
            workers = process.children()
        finally:
            process.kill()
            process.wait()
        assert not psutil.wait_procs(workers, timeout=20)[1], "a worker outlived crossval"
        assert {path: path.stat().st_mtime_ns for path in kept} == kept, "a finished fold was made again"
        kept = {path: path.stat().st_mtime_ns for path in _whole(out / "folds")}
    crossval(data, out, load_settings(settings))
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert timeless_results(out) == timeless_results(tmp_path / "whole")


def test_jobs_do_not_change_the_results(tmp_path: Path) -> None:
    """Two processes give the results of one, also at 25 fps."""
    data = write_small(tmp_path / "data", subjects=4, fps=25.0)
    settings = TrainSettings.model_validate(TINY)
    crossval(data, tmp_path / "one", settings)
    results = crossval(data, tmp_path / "two", settings, workers=Processes(2))
    assert timeless_results(tmp_path / "one") == timeless_results(tmp_path / "two")
    for protocol in ("strict", "paper"):
        for kind in ("macro", "micro", "overall"):
            assert {"tp", "fp", "fn", "precision", "recall", "f1", "apex_error"} <= set(
                results[protocol][kind]
            )
    assert {"configuration", "seed", "commit", "wall_s"} <= set(results)


def test_no_subject_has_a_part_in_its_own_judgement(tmp_path: Path) -> None:
    """A subject is held out of the network that judges it and of all that its decoder settings rest on."""
    subjects = load(write_small(tmp_path, subjects=9)).subjects
    settings = TrainSettings(groups=4)
    runs, groups = plan(subjects, settings), deal(subjects, 4)
    assert sorted(s for group in groups for s in group) == list(subjects)
    assert [run.held_out for run in runs if run.outer] == [(s,) for s in subjects]
    held = {run.key: set(run.held_out) for run in runs if not run.outer}
    for a in range(4):
        for b in range(a + 1, 4):
            assert held[f"inner-{a}-{b}"] == set(groups[a]) | set(groups[b])


def test_a_folder_of_other_settings_is_refused(tmp_path: Path) -> None:
    """Folds of other settings are never mixed in."""
    data = write_small(tmp_path / "data", subjects=4, frames=200)
    quick = TINY | {"epochs": 1}
    crossval(data, tmp_path / "out", TrainSettings.model_validate(quick))
    with pytest.raises(SettingsError, match="other data or settings"):
        crossval(data, tmp_path / "out", TrainSettings.model_validate(quick | {"seed": 1}))


def test_another_decoder_needs_no_training(tmp_path: Path) -> None:
    """How curves are read, and what is maximised, may change without a network being trained again."""
    data = write_small(tmp_path / "data", subjects=4, frames=200)
    quick = TINY | {"epochs": 1, "choice": "pooled"}
    crossval(data, tmp_path / "out", TrainSettings.model_validate(quick))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "folds").iterdir()}
    other = quick | {"spotting": {"macro_ticks": [10, 90]}, "micro_share": 1.0}
    results = crossval(data, tmp_path / "out", TrainSettings.model_validate(other))
    assert results["decoder"]["usual"] is None
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "folds").iterdir()} == before


def test_several_data_sets_end_in_one_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``crossval`` judges each data set in a folder of its own and shows all of them in one table."""
    folders = [write_small(tmp_path / name, subjects=4, frames=200) for name in ("first", "second")]
    config = tmp_path / "tiny.yaml"
    config.write_text(json.dumps(TINY | {"epochs": 1, "choice": "pooled"}))
    given = [part for folder in folders for part in ("--data", str(folder))]
    with pytest.raises(SystemExit) as ended:
        app(["crossval", *given, "--out", str(tmp_path / "out"), "--config", str(config), "--no-ui"])
    assert not ended.value.code
    assert all((tmp_path / "out" / folder.name / "results.json").exists() for folder in folders)
    shown = capsys.readouterr().err
    table = shown[shown.index("all data sets") :]
    assert all(folder.name in table for folder in folders)


def test_two_data_sets_of_one_name_are_refused_before_the_work(tmp_path: Path) -> None:
    """The second would be refused hours later, since the results of the first lie in its folder."""
    given = [part for name in "ab" for part in ("--data", str(tmp_path / name / "motion"))]
    with pytest.raises(SettingsError, match="two have one name; rename one"):
        app(["crossval", *given, "--out", str(tmp_path / "out")], standalone_mode=False)
    assert not (tmp_path / "out").exists()


def test_a_second_data_set_that_cannot_be_read_is_named_before_the_work(tmp_path: Path) -> None:
    """Who gives two data sets does not learn after the hours of the first that the second is not there."""
    first = write_small(tmp_path / "first", subjects=4, frames=200)
    given = [part for folder in (first, tmp_path / "second") for part in ("--data", str(folder))]
    with pytest.raises(DataError, match="second"):
        app(["crossval", *given, "--out", str(tmp_path / "out")], standalone_mode=False)
    assert not (tmp_path / "out").exists()


def test_subjects_with_long_names_have_files(tmp_path: Path) -> None:
    """A subject is called after a video if nobody says otherwise; a name in another script is long when quoted."""
    names = [f"{'表情' * 30}{letter}" for letter in "甲乙丙丁"]
    keys = [fold.key for fold in plan(names, TrainSettings()) if fold.outer]
    assert len(set(keys)) == 4
    for key in keys:
        (tmp_path / f"{key}.npz").touch()


def test_too_few_subjects_and_jobs_are_refused(tmp_path: Path) -> None:
    """Impossible requests end in one sentence."""
    data = write_small(tmp_path / "data", subjects=2, frames=200)
    with pytest.raises(SettingsError, match="too few"):
        crossval(data, tmp_path / "out", TrainSettings())
    with pytest.raises(SettingsError, match="--jobs 0"):
        crossval(data, tmp_path / "out", TrainSettings(), workers=Processes(0))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("epoch: 3", r"'epoch' in .*; did you mean 'epochs'\?"),
        ("labels: {hard_rech: 1}", r"'hard_rech' among those of labels in .*; did you mean 'hard_reach'\?"),
        ("epochs: 0", "epochs"),
        ("seed: yes", "seed.*write a number"),
        ("spotting: {threshold: 1}", "did you mean 'thresholds'"),
        ("spotting: {sensitivity: 0.7}", "a sensitivity is a setting of a run"),
        ("spotting: {usual: [[18, 22], [8]]}", r"usual is \(\(18, 22\), \(8,\)\); give two pairs"),
        ("spotting: {macro_score: 03}", "macro_score is '03'; give a number"),
        ("spotting: {both_kinds: 'no'}", "both_kinds is 'no'; give true or false"),
        ("[1, 2]", "no keys"),
        ("a: [", "is not YAML"),
    ],
)
def test_settings_that_do_not_exist_are_refused(tmp_path: Path, text: str, said: str) -> None:
    """An unknown key or impossible value is an error that names it."""
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=said):
        load_settings(path)


def test_a_file_names_what_differs_of_the_decoder(tmp_path: Path) -> None:
    """One score in a file changes that score; all else stays as it is without the file."""
    path = tmp_path / "settings.yaml"
    path.write_text("spotting: {macro_score: 0.6}")
    assert load_settings(path).decoder == replace(TrainSettings().decoder, macro_score=0.6)


def test_folds_and_the_pooled_choice(tmp_path: Path) -> None:
    """Fewer folds hold every subject out exactly once; the pooled choice needs no further training."""
    data = write_small(tmp_path / "data", subjects=5, frames=200)
    settings = TrainSettings.model_validate(TINY | {"epochs": 1, "folds": 2, "choice": "pooled"})
    runs = plan(load(data).subjects, settings)
    assert sorted(s for run in runs for s in run.held_out) == [f"s{i}" for i in range(5)]
    assert len(runs) == 2
    assert crossval(data, tmp_path / "out", settings)["subjects"] == 5


def _written(data: Path, out: Path) -> str:
    pytest.importorskip("plotly")
    write_crossval(out / "report.html", out, data)
    return (out / "report.html").read_text()


def test_the_report_stands_alone(tmp_path: Path) -> None:
    """The report holds tables, curves by subject and epoch and recordings; every protocol and term is explained."""
    data = write_small(tmp_path / "data", subjects=4, frames=200)
    crossval(data, tmp_path / "out", TrainSettings.model_validate(TINY | {"epochs": 1, "choice": "pooled"}))
    text = _written(data, tmp_path / "out")
    assert text.count('<div class="figure">') == 2 + 4
    for words in ("Strict protocol", "Paper protocol", "These figures flatter", "What a live user notices"):
        assert words in text
    said = re.sub(r"<(script|style|pre).*?</\1>", "", text, flags=re.DOTALL)
    assert "None" not in said
    assert "[" not in said


@pytest.mark.parametrize(
    ("labels", "method", "said"),
    [
        ({"kind": "window"}, NetworkMethod(), "Dotted: the pseudo-labels"),
        ({"kind": "gim"}, NetworkMethod(), "their range alone"),
        ({"kind": "hard"}, Variant(labels="hrpro"), "No pseudo-labels"),
    ],
)
def test_the_report_shows_the_pseudo_labels(
    tmp_path: Path, labels: dict[str, str], method: Method, said: str
) -> None:
    """The traces show the labels round the points, and say where a curve alone does not determine them."""
    data = write_small(tmp_path / "data", subjects=4, frames=200)
    chosen = TINY | {"epochs": 1, "choice": "pooled", "labels": labels}
    crossval(data, tmp_path / "out", TrainSettings.model_validate(chosen), method=method)
    text = _written(data, tmp_path / "out")
    assert said in text
    drawn = "".join(re.findall(r'<script type="application/json">(.*?)</script>', text))
    assert ('"dash":"dot"' in drawn) == isinstance(method, NetworkMethod)


@pytest.mark.parametrize(
    "path",
    sorted(shipped("configs/train", ".yaml").values()),
    ids=lambda path: path.stem,
)
def test_every_ready_configuration_is_valid(path: Path) -> None:
    """Every file in configs/train loads and says in its first line what it is for."""
    assert load_settings(path).epochs >= 1
    assert path.read_text().startswith("# ")


def test_folds_that_would_leave_nothing_to_learn_from_are_refused_before_any_training() -> None:
    """Of five subjects two show expressions: an inner fold holds out both."""
    expressive = Recording("a", "a", np.zeros((9, 10, 2), np.float32), (Instance("macro", 1, 2, 3),))
    still = replace(expressive, instances=())
    shown = (replace(expressive if name in "ab" else still, name=name, subject=name) for name in "abcde")
    dataset = Dataset("five", "paper10", tuple(shown))
    folds = plan("abcde", TrainSettings())
    with pytest.raises(DataError, match=r"a, b alone shows expressions.*choice: pooled"):
        check(folds, dataset)
    check([fold for fold in folds if fold.outer], dataset)
    with pytest.raises(SettingsError, match="folds: 1 holds everybody out"):
        plan("abcde", TrainSettings(folds=1))
