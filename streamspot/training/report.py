"""The report of a cross-validation or an evaluation: tables, curves by subject and by epoch, recordings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray

from streamspot.datasets.recording import Dataset, Recording
from streamspot.datasets.store import load
from streamspot.errors import DataError
from streamspot.evaluation.live import HEADS, live_table
from streamspot.evaluation.matching import Counts
from streamspot.evaluation.results import RESULT_HEADS, count_subjects, results_table
from streamspot.evaluation.search import Scores
from streamspot.model.weights import Model
from streamspot.report.figures import Figure, FigureSpan, Panel, bars, curves, lines
from streamspot.report.page import drawn, heading, note, pre, table, write_page
from streamspot.report.words import WORDS
from streamspot.spotting.settings import SpotSettings
from streamspot.training.batches import PointLabels
from streamspot.training.folds import Job
from streamspot.training.method import NetworkMethod
from streamspot.training.outcome import decode_all, decoders_of
from streamspot.training.pseudo import label
from streamspot.training.settings import TrainSettings
from streamspot.training.train import judge
from streamspot.types import KINDS, TICK_RATE, Detection

TRACES = 6
"""Recordings that are drawn: those with most expressions."""

_WORDS = {"labelled": "annotated", **{f"{kind} label": f"pseudo-label, {kind}" for kind in KINDS}}


def read_results(out: Path) -> dict[str, Any]:
    """Return what ``crossval`` left in ``out``.

    Raises:
        DataError: There is no finished cross-validation.
    """
    try:
        results: dict[str, Any] = json.loads((out / "results.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        raise DataError(f"there is no finished {out / 'results.json'}; run crossval first") from None
    return results


def write_crossval(path: Path, out: Path, data: Path | None) -> None:
    """Write the report of what ``crossval`` left in ``out``; without the data there are tables only.

    Raises:
        DataError: There is no finished cross-validation, or the data are others.
        SettingsError: plotly is missing, or the file cannot be written.
    """
    results = read_results(out)
    parts = [
        heading(f"Cross-validation: {results['dataset']}", 1),
        note(
            f"{results['recordings']} recordings of {results['subjects']} subjects, each subject judged by a network "
            f"that never saw it. Seed {results['seed']}, commit {results['commit']}.",
            "lead",
        ),
        *_tables(results),
    ]
    if data is not None:
        parts += _crossval_figures(results, data, out)
    parts += [heading("Configuration"), _as_yaml(results["configuration"])]
    write_page(path, f"streamspot: {results['dataset']}", parts)


def write_evaluation(path: Path, results: Mapping[str, Any], data: Path, weights: str) -> None:
    """Write the report of the tables that ``evaluate_weights`` returned for these data and weights.

    Raises:
        StreamspotError: The data or the weights cannot be used, plotly is missing, or the file cannot be written.
    """
    dataset, decoder = load(data), SpotSettings(**results["decoder"])
    shown = replace(dataset, recordings=_busiest(dataset))
    scores = judge(Model.load(weights, layout=dataset.layout), shown)
    chosen = " The minimum scores were chosen on these very data, so the figures are optimistic."
    parts = [
        heading(f"Evaluation: {results['weights']} on {results['dataset']}", 1),
        note(
            f"{len(dataset.recordings)} recordings of {len(dataset.subjects)} subjects."
            + (chosen if results["chosen_on_test_data"] else ""),
            "lead",
        ),
        *_tables(results),
        heading("Recordings"),
        note(WORDS["traces"]),
        *(part for one in shown.recordings for part in _trace(one, scores[one.name], decoder, None)),
        heading("How the weights came about"),
        _as_yaml(results["provenance"]),
    ]
    write_page(path, f"streamspot: {results['dataset']}", parts)


def _as_yaml(values: Mapping[str, Any]) -> str:
    return pre(yaml.safe_dump(dict(values), default_flow_style=None, sort_keys=False, width=100))


def _tables(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield both protocols' tables and, of what can stream, what a live user feels."""
    heads = (*RESULT_HEADS[:-2], "95 % interval of F1", "apex error, ticks")
    for name in ("strict", "paper"):
        yield heading(f"{name.capitalize()} protocol")
        yield note(WORDS[name])
        yield table(heads, results_table(results[name]))
    yield note(WORDS["results"])
    if results.get("points"):
        yield note(f"{results['points']} of the annotated expressions are points: {WORDS['points']}")
    yield note(f"{results['false_alarms_per_hour']} false alarms an hour.")
    if (figures := results["live"]) is not None:
        yield heading("What a live user notices")
        yield note(f"Look-ahead {figures['look_ahead']} ticks, {figures['hours']} hours. {WORDS['live']}")
        yield table(HEADS, live_table(figures))


def _crossval_figures(results: Mapping[str, Any], data: Path, out: Path) -> Iterator[str]:
    settings = TrainSettings.model_validate(results["configuration"])
    dataset = load(data, seed=settings.seed)
    epochs = Job(dataset, settings, NetworkMethod(), out / "folds").judged()
    last = epochs[settings.epochs - 1]
    lengths = {one.name: len(one.motion) for one in dataset.recordings}
    if results["dataset"] != dataset.name or lengths != {name: len(one) for name, one in last.items()}:
        raise DataError(f"{out} judged the data set {results['dataset']}, not {data}; give what it judged")
    decoders = decoders_of(results, settings)
    yield heading("By subject")
    yield drawn(_subjects(dataset, last, decoders))
    yield heading("Apex error by epoch")
    yield note(WORDS["apex error"])
    yield drawn(_apex_errors(dataset, epochs))
    yield heading("Recordings")
    own = settings if results["method"] == NetworkMethod().describe() else None
    yield note(f"{WORDS['traces']} {_labels(own)}")
    for one in _busiest(dataset):
        yield from _trace(one, last[one.name], decoders[one.subject], own)


def _busiest(dataset: Dataset) -> tuple[Recording, ...]:
    return tuple(sorted(dataset.recordings, key=lambda r: (-len(r.instances), r.name))[:TRACES])


def _subjects(dataset: Dataset, last: dict[str, Scores], decoders: dict[str, SpotSettings]) -> Figure:
    """Return the overall F1 of every subject."""
    values = []
    for subject in dataset.subjects:
        recordings, decoder = dataset.of([subject]), decoders[subject]
        found = decode_all({r.name: last[r.name] for r in recordings}, decoder)
        values.append(sum(count_subjects(recordings, found)[subject].values(), Counts()).f1)
    return bars(dataset.subjects, values, "F1, strict")


def _apex_errors(dataset: Dataset, epochs: Mapping[int, Mapping[str, Scores]]) -> Figure:
    """Return the mean distance of the pseudo-apex from the annotated one by epoch (Fig. 7), on unseen subjects."""
    series = {}
    for kind, reach in (("macro", 8), ("micro", 4)):
        shown = [(r.name, i) for r in dataset.recordings for i in r.instances if i.kind == kind and i.bounded]
        errors = []
        for epoch in sorted(epochs):
            far = []
            for name, i in shown:
                first = max(0, i.stamp - reach)
                apex = first + int(epochs[epoch][name][first : i.stamp + reach + 1, 0].argmax())
                far.append(abs(apex - i.apex))
            errors.append(float(np.mean(far)) if far else np.nan)
        series[kind] = errors
    return lines(series, "ticks", "epoch")


def _labels(own: TrainSettings | None) -> str:
    """Return how far the dotted lines are the labels of the training."""
    if own is None:
        return WORDS["no pseudo-labels"]
    return WORDS["pseudo-labels"] + (f" {WORDS['range']}" if own.labels.kind == "gim" else "")


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
    recording: Recording, scores: Scores, decoder: SpotSettings, own: TrainSettings | None
) -> Iterator[str]:
    """Yield a recording (Fig. 4-6): its name, then intensity, annotation, detections, perhaps pseudo-labels."""
    seconds = np.arange(len(scores)) / TICK_RATE
    pseudo: dict[str, NDArray[np.float64]] = {}
    if own is not None:
        for kind, row in zip(KINDS, _pseudo_labels(recording, scores, own), strict=True):
            near = np.convolve(row, np.ones(3), "same") > 0
            if near.any():
                pseudo[kind] = np.column_stack((seconds, row))[near].astype(np.float64)
    found = decode_all({recording.name: scores}, decoder)[recording.name]
    rows = [[_found(one) for one in found], _annotated(recording)]
    curve = np.column_stack((seconds, scores[:, 0])).astype(np.float64)
    yield heading(recording.name, 3)
    yield drawn(curves([Panel("", curve, rows, pseudo)], _WORDS))


def _found(one: Detection) -> FigureSpan:
    end, apex = one.onset if one.offset is None else one.offset, one.onset if one.apex is None else one.apex
    times = one.onset / TICK_RATE, end / TICK_RATE
    return FigureSpan(*times, one.kind, f"{one.kind}, {times[0]:.2f} to {times[1]:.2f} s", apex / TICK_RATE)


def _annotated(recording: Recording) -> Sequence[FigureSpan]:
    return [
        FigureSpan(
            (i.onset if i.bounded else i.stamp) / TICK_RATE,
            (i.offset if i.bounded else i.stamp) / TICK_RATE,
            "labelled",
            f"annotated {i.kind}, time stamp {i.stamp / TICK_RATE:.2f} s",
            i.stamp / TICK_RATE,
        )
        for i in recording.instances
    ]
