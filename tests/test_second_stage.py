"""HR-Pro's and TSP-Net's second stages: what they promise on proposals, and that they are no streams."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_data import write_small

from experiments.baselines.proposals import interval_iou, plateaus, sections
from experiments.baselines.tspnet import align, salient, targets
from experiments.variants import Variant
from streamspot.datasets.recording import Recording
from streamspot.datasets.store import load
from streamspot.evaluation.results import count_subjects
from streamspot.evaluation.search import Curves, choose_scores
from streamspot.spotting.settings import SpotSettings
from streamspot.training.crossval import crossval
from streamspot.training.folds import plan
from streamspot.training.settings import TrainSettings


def test_features_contrast_a_proposal_with_its_surroundings() -> None:
    """What only shows inside stands out on both sides; what goes on behind the end does not stand out there."""
    encoded = torch.zeros(100, 2)
    encoded[40:60, 0] = 1  # within
    encoded[40:80, 1] = 1  # goes on
    found = sections(encoded, torch.tensor([[40.0, 60.0], [0.0, 100.0]]))
    assert found[0].tolist() == [1, 1, 1, 1, 1, 0]
    assert found[1, 2:4].tolist() == [1, 1]


def test_overlap_is_intersection_over_union() -> None:
    """Intervals of 10 and 20 ticks that share 5 have 5 of 25 in common; apart they have nothing."""
    found = interval_iou(torch.tensor([[0.0, 10.0], [90.0, 95.0]]), torch.tensor([5.0, 25.0]))
    assert found.flatten().tolist() == pytest.approx([0.2, 0])


JUDGED = st.lists(
    st.tuples(
        st.tuples(st.floats(-5, 290), st.floats(1, 100)).map(lambda pair: (pair[0], pair[0] + pair[1])),
        st.integers(0, 1),
        st.floats(0.1, 1),
    ),
    max_size=12,
)


@given(JUDGED)
def test_the_decoder_reports_what_a_second_stage_is_sure_of(
    judged: list[tuple[tuple[float, float], int, float]],
) -> None:
    """Each plateau is one detection with its ends and the curve's apex; the surest is there, none touches another."""
    decoder = SpotSettings(macro_ticks=(18, 90), micro_ticks=(6, 18), trough_share=1.0)
    curve = torch.rand(300, generator=torch.Generator().manual_seed(len(judged)))
    scores = plateaus(curve, judged, decoder)
    found = Curves({"v": scores}, decoder).decode("v", 0.01, 0.01)
    for detection in found:
        assert detection.offset is not None
        assert detection.apex == detection.onset + int(curve[detection.onset : detection.offset + 1].argmax())
        assert (scores[detection.onset : detection.offset + 1, 0] > decoder.thresholds[0]).all()
        assert detection.onset == 0 or scores[detection.onset - 1, 0] == 0
    edges = np.diff(np.concatenate(([0], scores[:, 0] > 0, [0])).astype(int))
    assert len(found) == (edges == 1).sum()
    clipped = [(max(0, round(a)), min(300, round(b)), kind, sure) for (a, b), kind, sure in judged]
    fitting = [one for one in clipped if (18, 6)[one[2]] <= one[1] - one[0] <= (90, 18)[one[2]]]
    if fitting:
        best = max(sure for *_, sure in fitting)
        assert any(
            (d.onset, (d.offset or 0) + 1) in {one[:2] for one in fitting if one[3] == best} for d in found
        )


def test_a_centred_point_is_worth_most() -> None:
    """TSP-Net: the centre score falls from 1 in the middle to 0 at an end; without a point a proposal is neutral."""
    span = torch.tensor([[0.0, 20.0], [5.0, 25.0], [30.0, 40.0]])
    shown, centre = targets(span, torch.tensor([10.0]), torch.tensor([1]))
    assert shown.tolist() == [[0, 1, 0], [0, 1, 0], [0, 0, 1]]
    assert centre.tolist() == pytest.approx([1, 0.5, 0.4])
    shown, centre = targets(span, torch.zeros(0), torch.zeros(0, dtype=torch.long))
    assert shown[:, 2].all()
    assert centre.tolist() == pytest.approx([0.4] * 3)


def test_points_move_to_the_centre_of_what_is_centred_on_them() -> None:
    """TSP-Net: a point moves to the mean centre of its sure proposals; without any it stays."""
    span = torch.tensor([[0.0, 20.0], [4.0, 24.0], [0.0, 60.0], [80.0, 90.0]])
    moved = salient(span, torch.tensor([8.0, 82.0]), torch.tensor([0.9, 0.9, 0.5, 0.2]))
    assert moved.tolist() == pytest.approx([12, 82])


def test_similar_proposals_draw_each_others_ends() -> None:
    """TSP-Net: the best proposal's ends move towards those of similar ones; the others keep theirs."""
    span = torch.tensor([[0.0, 20.0], [4.0, 24.0], [50.0, 70.0]])
    found = align(span, torch.tensor([0.9, 0.3, 0.5]))
    assert 0 < found[0, 0] < 2
    assert found[1:].tolist() == span[1:].tolist()


@pytest.fixture(scope="module")
def settings() -> TrainSettings:
    """Return settings with which plain expressions are learned in seconds."""
    return TrainSettings.model_validate(
        {
            "epochs": 40,
            "min_steps": 1,
            "crop": 256,
            "batch": 4,
            "network": {"width": 16, "dilations": [1, 2, 4, 8]},
            "labels": {"kind": "window"},
            "loss": {"intensity": "bce", "joint": 0},
            "spotting": {"macro_ticks": [18, 90], "outer_ticks": 16, "trough_share": 1.0},
        }
    )


@pytest.mark.parametrize("method", ["hrpro", "tspnet"])
def test_a_second_stage_finds_plain_expressions(tmp_path: Path, settings: TrainSettings, method: str) -> None:
    """Trained on points alone, it finds every plain rise of an unseen subject, with one false alarm at most."""
    data = load(write_small(tmp_path, subjects=4, videos=2, frames=600))
    variant = Variant.model_validate({"second_stage": method})
    seen, unseen = data.of(["s0", "s1", "s2"]), data.of(["s3"])
    judge = variant.fit(
        seen,
        settings,
        layout=data.layout,
        start=None,
        device="cpu",
        on_step=None,
        on_epoch=lambda _epoch, _judge: None,
    )
    decoder = choose_scores(seen, judge(seen), settings.decoder)
    curves = Curves(judge(unseen), decoder)
    found = {r.name: curves.decode(r.name, decoder.macro_score, decoder.micro_score) for r in unseen}
    counts = count_subjects(unseen, found)["s3"]["macro"]
    assert counts.fn == 0
    assert counts.fp <= 1
    empty = Recording("empty", "s9", np.zeros((200, 10, 2), np.float32))
    assert not judge([empty])["empty"].any()


@pytest.mark.parametrize("method", ["hrpro", "tspnet"])
def test_a_second_stage_is_no_stream(tmp_path: Path, method: str) -> None:
    """``crossval`` gives it no live figures, and seed and settings alone make its results."""
    data = write_small(tmp_path / "data", subjects=4, frames=360)
    quick = TrainSettings.model_validate(
        {
            "epochs": 7,
            "min_steps": 1,
            "crop": 256,
            "choice": "pooled",
            "network": {"width": 8, "dilations": [1, 4]},
        }
    )
    variant = Variant.model_validate({"second_stage": method})
    once, again = (crossval(data, tmp_path / name, quick, method=variant) for name in ("a", "b"))
    assert once["live"] is None
    assert once["strict"] == again["strict"]
    for run in plan(load(data).subjects, quick):
        with (
            np.load(tmp_path / "a" / "folds" / f"{run.key}.npz") as x,
            np.load(tmp_path / "b" / "folds" / f"{run.key}.npz") as y,
        ):
            assert all(np.array_equal(x[name], y[name]) for name in x.files if name != "seconds")
            assert any(name.startswith("epoch5/") for name in x.files)
