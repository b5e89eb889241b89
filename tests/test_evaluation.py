"""Evaluation: every false alarm counts, nothing is counted twice."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.tables import _spread
from streamspot.datasets.recording import Instance, Recording
from streamspot.evaluation.evaluate import evaluate
from streamspot.evaluation.matching import Counts, count, match, overlap
from streamspot.evaluation.results import count_subjects, protocols, results_table, summarise
from streamspot.evaluation.search import Curves, choose_scores
from streamspot.spotting.online import decode, scores_of
from streamspot.spotting.settings import SpotSettings
from streamspot.types import Detection, Kind


def _found(onset: int, offset: int, kind: Kind = "macro", score: float = 0.5) -> Detection:
    return Detection(0, "offset", kind, onset, (onset + offset) // 2, offset, 0.9, score, offset + 3)


def _truth(onset: int, offset: int, kind: Kind = "macro") -> Instance:
    return Instance(kind, onset, (onset + offset) // 2, offset)


def _recording(*instances: Instance, subject: str = "s", name: str = "v") -> Recording:
    return Recording(name, subject, np.zeros((900, 10, 2), np.float32), instances)


def test_overlap_counts_frames_inclusively() -> None:
    """Frames 0-9 and 5-14 share five of fifteen; the paper's code sees it differently."""
    assert overlap(_found(0, 9), _truth(5, 14)) == pytest.approx(5 / 15)
    assert overlap(_found(0, 9), _truth(5, 14), "paper") == pytest.approx(5 / 14)
    assert overlap(_found(0, 9), _truth(20, 29)) == 0


def test_half_is_enough() -> None:
    """An overlap of exactly one half is a hit, a frame less is a miss and a false alarm."""
    assert count([_found(0, 19)], [_truth(0, 9)])["macro"].tp == 1
    assert count([_found(0, 20)], [_truth(0, 9)])["macro"] == Counts(0, 1, 1, 0)


def test_an_expression_is_found_once() -> None:
    """Of two detections of one expression the better scored is the hit, the other a false alarm."""
    counts, pairs = match([_found(0, 9, score=0.3), _found(0, 10, score=0.8)], [_truth(0, 9)], "macro")
    assert (counts.tp, counts.fp, counts.fn) == (1, 1, 0)
    assert [(d.offset, hit is not None) for d, hit in pairs] == [(10, True), (9, False)]


def test_the_wrong_kind_is_no_hit() -> None:
    """A micro detection does not find a macro-expression."""
    assert count([_found(0, 9, "micro")], [_truth(0, 9)]) == {
        "macro": Counts(0, 0, 1),
        "micro": Counts(0, 1, 0),
    }


def test_strict_counts_what_the_paper_drops() -> None:
    """False positives of a class the subject never shows count under strict and are dropped under paper."""
    recordings = [_recording(_truth(0, 30)), _recording(name="w")]
    detections = {"v": [_found(0, 30), _found(100, 110, "micro")], "w": [_found(5, 60)]}
    strict = summarise(count_subjects(recordings, detections))
    paper = summarise(count_subjects(recordings, detections, "paper"))
    assert (strict["overall"]["tp"], strict["overall"]["fp"]) == (1, 2)
    assert (paper["overall"]["tp"], paper["overall"]["fp"]) == (1, 1)


def test_results_hold_what_is_promised() -> None:
    """Both protocols, all classes, every number the design names, as JSON."""
    recordings = [_recording(_truth(0, 30), subject=str(i), name=f"v{i}") for i in range(4)]
    results = protocols(recordings, {"v0": [_found(0, 30)], "v1": [_found(100, 130)]})
    table = json.loads(json.dumps(results))["strict"]["overall"]
    assert (table["tp"], table["fp"], table["fn"]) == (1, 1, 3)
    assert table["f1"] == pytest.approx(2 / 6, abs=1e-4)
    assert table["f1_interval"][0] <= table["f1"] <= table["f1_interval"][1]
    assert results["false_alarms_per_hour"] == pytest.approx(1 / (4 * 900 / 30 / 3600), abs=0.01)


def test_one_person_has_no_interval_between_people() -> None:
    """Nothing varies between the resamples of one person: no interval is given, and the table says so."""
    results = protocols([_recording(_truth(0, 30), _truth(60, 90))], {"v": [_found(0, 30)]})
    assert results["strict"]["overall"]["f1_interval"] is results["paper"]["micro"]["f1_interval"] is None
    assert [row[-2] for row in results_table(results["strict"])] == ["-", "-", "-"]
    assert _spread([results], "strict", "overall") == "0.667"


INTERVALS = st.lists(
    st.tuples(st.integers(0, 200), st.integers(1, 60), st.sampled_from(["macro", "micro"])), max_size=8
)


@given(INTERVALS, INTERVALS, st.randoms())
def test_counts_add_up(
    found: list[tuple[int, int, Kind]], truth: list[tuple[int, int, Kind]], rng: object
) -> None:
    """Hits and misses make up all expressions, hits and false alarms all detections, in any order of input."""
    detections = [_found(a, a + n, k, score=i / 10) for i, (a, n, k) in enumerate(found)]
    instances = [_truth(a, a + n, k) for a, n, k in truth]
    counts = count(detections, instances)
    for kind in ("macro", "micro"):
        assert counts[kind].tp + counts[kind].fn == sum(i.kind == kind for i in instances)
        assert counts[kind].tp + counts[kind].fp == sum(d.kind == kind for d in detections)
    shuffled = detections[:]
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    assert count(shuffled, instances) == counts


def test_finding_everything_is_perfect() -> None:
    """Detections equal to the truth give F1 1 under strict."""
    instances = [_truth(10, 50), _truth(100, 112, "micro")]
    detections = [_found(i.onset, i.offset, i.kind) for i in instances]
    assert summarise(count_subjects([_recording(*instances)], {"v": detections}))["overall"]["f1"] == 1


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 0.9), st.floats(0.1, 0.9), st.sampled_from([0.0, 0.4, 1.0]))
def test_the_search_decodes_as_the_decoder(seed: int, macro: float, micro: float, overlap: float) -> None:
    """What the search for minimum scores counts is what the one decoder reports with those scores."""
    rng = np.random.default_rng(seed)
    smooth = np.convolve(rng.random(400), np.ones(9) / 9, "same")
    curve = np.clip((smooth - smooth.min()) / np.ptp(smooth) * 1.1 - 0.05, 0, 1)
    scores = np.stack((curve, rng.random(400), rng.random(400)), 1).astype(np.float32)
    base = SpotSettings(macro_ticks=(8, 200), micro_ticks=(4, 20), overlap=overlap)
    fast = Curves({"v": scores}, base).decode("v", macro, micro)
    exact = decode(scores_of(*scores.T), replace(base, macro_score=macro, micro_score=micro))
    assert [replace(d, number=0) for d in fast] == [replace(d, number=0) for d in exact]


def test_one_evaluator_gives_all_tables() -> None:
    """Scores in, tables of both protocols and of the live stream out; each subject may have settings of its own."""
    scores = np.zeros((900, 3), np.float32)
    scores[100:131, :2] = 0.9
    recordings = [_recording(_truth(100, 130), subject=one, name=one) for one in "ab"]
    strict = SpotSettings(macro_score=2.0)
    settings = {"a": SpotSettings(), "b": strict}
    results = evaluate(recordings, {"a": scores, "b": scores}, settings, look_ahead=8)
    assert [results[table]["overall"]["tp"] for table in ("strict", "paper")] == [1, 1]
    assert (results["live"]["overall"]["found"], results["live"]["look_ahead"]) == (1, 8)
    none = evaluate(recordings, {"a": scores, "b": scores}, strict, look_ahead=None)
    assert none["strict"]["overall"]["tp"] == 0
    assert none["live"] is None


def test_the_chosen_scores_keep_what_is_plain() -> None:
    """Minimum scores are chosen so that a clear rise stays and a weak one goes."""
    scores = np.zeros((900, 3), np.float32)
    scores[:, 1] = 1
    for first in range(50, 850, 200):
        scores[first : first + 31, 0] = 0.95
        scores[first + 100 : first + 131, 0] = 0.45
    recording = _recording(*(_truth(first, first + 30) for first in range(50, 850, 200)))
    chosen = choose_scores([recording], {"v": scores}, SpotSettings())
    curves = Curves({"v": scores}, chosen)
    found = curves.decode("v", chosen.macro_score, chosen.micro_score)
    assert summarise(count_subjects([recording], {"v": found}))["overall"]["f1"] == 1
