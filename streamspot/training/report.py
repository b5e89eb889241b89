"""A self-contained HTML report of a cross-validation: tables, curves, traces, no picture of a face."""

from __future__ import annotations

import html
import io
import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from streamspot.datasets.recording import KINDS, Dataset, Recording
from streamspot.datasets.store import load
from streamspot.errors import DataError
from streamspot.evaluation.live import HEADS, live_table
from streamspot.evaluation.matching import Counts
from streamspot.evaluation.results import RESULT_HEADS, count_subjects, results_table
from streamspot.evaluation.search import Scores
from streamspot.spotting.settings import SpotSettings
from streamspot.training.batches import PointLabels
from streamspot.training.folds import Job, plan
from streamspot.training.method import NetworkMethod
from streamspot.training.outcome import decode_all
from streamspot.training.pseudo import label
from streamspot.training.settings import TrainSettings

TRACES = 6
"""Recordings whose traces are drawn: those with most expressions."""

_COLOURS = {"macro": "#4477aa", "micro": "#cc6677"}

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:980px;margin:2em auto;padding:0 1em;color:#222}
table{border-collapse:collapse;margin:1em 0}
td,th{padding:.2em .8em;text-align:right;border-bottom:1px solid #ddd}
td:first-child,th:first-child{text-align:left}
svg{max-width:100%;height:auto}
pre{background:#f5f5f5;padding:1em;overflow:auto}
"""


def write_report(data: Path, out: Path) -> Path:
    """Write ``out/report.html`` from what ``crossval`` left in ``out``.

    Raises:
        DataError: There is no finished cross-validation, or matplotlib is not installed.
    """
    try:
        results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        raise DataError(f"there is no finished {out / 'results.json'}; run crossval first") from None
    settings = TrainSettings.model_validate(results["configuration"])
    dataset = load(data, seed=settings.seed)
    job = Job(dataset, settings, NetworkMethod(), out / "folds")
    epochs: dict[int, dict[str, Scores]] = defaultdict(dict)
    for fold in plan(dataset.subjects, settings):
        if fold.outer:
            for epoch, scores in job.scores(fold)[0].items():
                epochs[epoch] |= scores
    last = epochs[settings.epochs - 1]
    own = settings if results["method"] == NetworkMethod().describe() else None
    decoders = {
        subject: replace(settings.decoder, macro_score=macro, micro_score=micro)
        for subject, (macro, micro) in results["min_scores"].items()
    }
    busy = sorted(dataset.recordings, key=lambda r: (-len(r.instances), r.name))[:TRACES]
    heads = (*RESULT_HEADS[:-2], "95 % interval", "apex error, ticks")
    summary = (
        f"{results['recordings']} recordings of {results['subjects']} subjects, each subject judged by a network "
        f"that never saw it. Seed {results['seed']}, commit {html.escape(results['commit'])}, "
        f"{results['false_alarms_per_hour']} false alarms an hour."
    )
    live = ""
    if (figures := results["live"]) is not None:
        live = (
            f"<h2>Live</h2><p>Look-ahead {figures['look_ahead']} ticks, {figures['hours']} hours. Delays from the "
            "annotated moment to its announcement and errors: median (95 % quantile).</p>"
        ) + _table(HEADS, live_table(figures))
    parts = [
        f"<h1>streamspot: {html.escape(results['dataset'])}</h1>",
        f"<p>{summary}</p>",
        *(
            f"<h2>{name} protocol</h2>" + _table(heads, results_table(results[name.lower()]))
            for name in ("Strict", "Paper")
        ),
        live,
        "<h2>By subject</h2>",
        _svg(lambda axes: _subjects(axes, dataset, last, decoders), (9, 3)),
        "<h2>Apex error by epoch</h2>",
        _svg(lambda axes: _apex_errors(axes, dataset, epochs), (6, 3)),
        "<h2>Traces</h2>",
        f"<p>{_legend(own)}</p>",
        *(
            _svg(lambda axes, r=r: _trace(axes, r, last[r.name], decoders[r.subject], own), (9, 2.2))
            for r in busy
        ),
        "<h2>Configuration</h2>",
        f"<pre>{html.escape(json.dumps(results['configuration'], indent=1))}</pre>",
    ]
    path = out / "report.html"
    head = f"<!doctype html><meta charset=utf-8><title>streamspot</title><style>{_STYLE}</style>"
    path.write_text(head + "\n".join(parts), encoding="utf-8")
    return path


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{name}</th>" for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _svg(draw: Any, size: tuple[float, float]) -> str:
    """Return a drawing as SVG text."""
    try:
        from matplotlib import rc_context  # noqa: PLC0415 - an extra
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ModuleNotFoundError:
        raise DataError("a report needs matplotlib; install streamspot[train]") from None
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "streamspot"}):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure.subplots())
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()[text.getvalue().index("<svg") :]


def _subjects(
    axes: Any, dataset: Dataset, last: dict[str, Scores], decoders: dict[str, SpotSettings]
) -> None:
    """Draw the overall F1 of every subject."""
    values = []
    for subject in dataset.subjects:
        recordings, decoder = dataset.of([subject]), decoders[subject]
        found = decode_all({r.name: last[r.name] for r in recordings}, decoder)
        values.append(sum(count_subjects(recordings, found)[subject].values(), Counts()).f1)
    axes.bar(range(len(values)), values, color="#4477aa")
    axes.set_xticks(range(len(values)), dataset.subjects, rotation=90, fontsize=7)
    axes.set(ylabel="F1, strict", ylim=(0, 1))


def _apex_errors(axes: Any, dataset: Dataset, epochs: dict[int, dict[str, Scores]]) -> None:
    """Draw the mean distance of the pseudo-apex from the annotated one by epoch (Fig. 7), on unseen subjects."""
    for kind, reach in (("macro", 8), ("micro", 4)):
        shown = [(r.name, i) for r in dataset.recordings for i in r.instances if i.kind == kind]
        errors = []
        for epoch in sorted(epochs):
            far = []
            for name, i in shown:
                first = max(0, i.stamp - reach)
                apex = first + int(epochs[epoch][name][first : i.stamp + reach + 1, 0].argmax())
                far.append(abs(apex - i.apex))
            errors.append(float(np.mean(far)) if far else np.nan)
        axes.plot(sorted(epochs), errors, color=_COLOURS[kind], marker="o", label=kind)
    axes.set(xlabel="epoch", ylabel="ticks")
    axes.legend()


def _legend(own: TrainSettings | None) -> str:
    """Return what the traces show, and how far their labels are those of the training."""
    shown = "Line: intensity. Shaded: annotated (blue macro, red micro). Bars below: detected. "
    if own is None:
        return shown + "No pseudo-labels: they are those of another method."
    shown += (
        "Triangles: the time stamps. Dashed: the pseudo-labels that the labelling of the last epoch gives "
        "round them on this curve of a network that never saw the subject"
    )
    if own.labels.kind == "gim":
        shown += ", their range alone, since their height depends on features that a run does not keep"
    return shown + "."


def _pseudo_labels(recording: Recording, scores: Scores, settings: TrainSettings) -> Scores:
    """Return the last epoch's pseudo-labels of the recording (2, T); 1 in the whole range if they need X."""
    labels = settings.labels
    found = label(
        torch.from_numpy(scores[None, :, 0]),
        torch.zeros(1, len(scores), 1),
        PointLabels.of([(0, i.stamp, KINDS.index(i.kind), i.onset, i.offset) for i in recording.instances]),
        epoch=settings.epochs - 1,
        settings=labels.model_copy(update={"kind": "hard"}) if labels.kind == "gim" else labels,
        generator=torch.Generator().manual_seed(settings.seed),
    )
    return np.asarray(found[0].numpy(), np.float32)


def _trace(
    axes: Any, recording: Recording, scores: Scores, decoder: SpotSettings, own: TrainSettings | None
) -> None:
    """Draw intensity, annotated expressions and detections of one recording (Fig. 4-6), perhaps pseudo-labels."""
    seconds = np.arange(len(scores)) / 30
    axes.plot(seconds, scores[:, 0], color="#222", linewidth=0.7)
    for i in recording.instances:
        axes.axvspan(i.onset / 30, i.offset / 30, 0.05, 1, color=_COLOURS[i.kind], alpha=0.3, linewidth=0)
    if own is not None:
        for kind, row in zip(KINDS, _pseudo_labels(recording, scores, own), strict=True):
            if row.any():
                near = np.where(np.convolve(row, np.ones(3), "same") > 0, row, np.nan)
                axes.step(seconds, near, "--", where="mid", color=_COLOURS[kind], linewidth=0.9)
            stamps = [i.stamp for i in recording.instances if i.kind == kind]
            axes.plot(np.array(stamps) / 30, [1.06] * len(stamps), "v", color=_COLOURS[kind], markersize=4)
    for d in decode_all({recording.name: scores}, decoder)[recording.name]:
        axes.plot(
            [d.onset / 30, (d.offset or d.onset) / 30], [-0.06] * 2, color=_COLOURS[d.kind], linewidth=4
        )
    axes.set(ylim=(-0.1, 1.12), ylabel="intensity", xlabel="s")
    axes.set_title(recording.name, fontsize=9, loc="left")
