"""GIM: what the pseudo-labels promise (Eq. 1-5 and their stages)."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import point_labels

from experiments.variants import Variant
from streamspot.training.batches import PointLabels
from streamspot.training.pseudo import find_apex, gaussians, half_length, theta
from streamspot.training.settings import LabelSettings

PAPER = LabelSettings(stretch=1.2, clamp=None, theta=(0.8, 0.5), theta_epochs=30, stages=(1, 4))


def _bump(ticks: int, at: int, width: float = 6.0) -> torch.Tensor:
    return torch.exp(-((torch.arange(ticks) - at) ** 2) / (2 * width**2))[None]


def _label(
    a: torch.Tensor,
    x: torch.Tensor,
    points: PointLabels,
    epoch: int,
    chosen: LabelSettings,
    **variant: str | None,
) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    labeller = Variant.model_validate(variant).labeller()
    return labeller(a, x, points, epoch=epoch, settings=chosen, generator=generator)


def test_theta_falls_linearly_and_stays() -> None:
    """θ falls from 0.8 to 0.5 over 30 epochs and remains there."""
    assert [round(theta(epoch, PAPER), 3) for epoch in (0, 10, 30, 99)] == [0.8, 0.7, 0.5, 0.5]


def test_the_apex_is_the_highest_intensity_nearby() -> None:
    """The pseudo-apex is the strongest tick within k_c/4 = 8 (macro) or 4 (micro) of the point, not farther."""
    a = _bump(200, 107, 20.0)
    a[0, 120] = 5.0
    assert find_apex(a, point_labels((0, 100, 0)), PAPER).tolist() == [107]
    assert find_apex(a, point_labels((0, 100, 1)), PAPER).tolist() == [104]
    assert find_apex(a, point_labels((0, 1, 0)), PAPER).tolist() == [9]


def test_the_length_is_the_stretched_count_above_theta() -> None:
    """δL/2 with L the ticks above θ within k_c/2 of the apex (Eq. 3); the clamps bound it as the official code."""
    a = torch.zeros(1, 200)
    a[0, 90:111] = 0.9  # 21 ticks
    points, apex = point_labels((0, 100, 0)), torch.tensor([100])
    assert half_length(a, points, apex, 0.5, PAPER).tolist() == [math.floor(1.2 * 21 / 2)]
    assert half_length(a * 0.1, points, apex, 0.5, PAPER).tolist() == [0]
    clamped = LabelSettings(kind="gim", clamp=((16, 36), (8, 16)))
    assert half_length(a * 0.1, points, apex, 0.5, clamped).tolist() == [8]
    assert half_length(torch.ones(1, 200), points, apex, 0.5, clamped).tolist() == [18]


def test_gaussian_is_one_at_the_apex_and_follows_the_feature_distance() -> None:
    """The label is 1 at the apex, falls with the distance of features, and its mean exponent is -1/2 (Eq. 4-5)."""
    x = torch.linspace(0, 1, 100)[None, :, None].repeat(1, 1, 3)
    crop, centre = torch.tensor([0]), torch.tensor([50])
    pieces = gaussians(x, crop, centre, x[0, 50][None], torch.tensor([10]))
    values = pieces.values[0]
    assert values[10] == 1
    assert (values[10:].diff() < 0).all()
    assert (values[:11].diff() > 0).all()
    assert float(values.log().mean()) == pytest.approx(-0.5, abs=0.01)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(["gim", "hard", "cosine", "window"]), st.integers(0, 40))
def test_labels_stay_in_range_and_near_their_points(seed: int, kind: str, epoch: int) -> None:
    """Labels lie in [0, 1], carry no gradient, and are 0 farther from every point than the longest instance."""
    generator = torch.Generator().manual_seed(seed)
    a = torch.rand(2, 150, generator=generator, requires_grad=True)
    x = torch.randn(2, 150, 4, generator=generator)
    points = point_labels((0, 3, 0), (0, 60, 1), (1, 149, 0), (1, 140, 1))
    variant = {"labels": "cosine"} if kind == "cosine" else {}
    chosen = LabelSettings.model_validate({"kind": "gim" if variant else kind})
    labels = _label(a, x, points, epoch, chosen, **variant)
    assert labels.shape == (2, 2, 150)
    assert not labels.requires_grad
    assert float(labels.min()) >= 0
    assert float(labels.max()) <= 1
    assert not labels[0, 0, 40:].any()
    assert not labels[0, 1, :40].any()


def test_stages_widen_from_hard_to_soft() -> None:
    """Stage 1 labels 1 within k_s1, stage 2 Gaussians within k_s2, both inclusive, stage 3 the whole instance."""
    a, x = _bump(200, 100, 12.0), torch.randn(1, 200, 4)
    points = point_labels((0, 100, 0))
    first, second, third = (_label(a, x, points, epoch, PAPER) for epoch in (0, 1, 5))
    assert (first == 1).sum() == 11
    assert (second > 0).sum() == 9
    assert float(second[0, 0, 100]) == 1
    assert (third > 0).sum() > 11


@pytest.mark.parametrize(
    ("overlap", "expected"), [("higher", "max"), ("lower", "min"), ("latest", "second"), (None, "either")]
)
def test_two_of_one_class_that_meet(overlap: str | None, expected: str) -> None:
    """Where labels of one class meet the tick keeps the one that the strategy of Table 4 names."""
    a = torch.maximum(_bump(200, 100), _bump(200, 112))
    x = torch.randn(1, 200, 4, generator=torch.Generator().manual_seed(1))
    chosen = LabelSettings(kind="gim", stages=(0, 0))
    one = _label(a, x, point_labels((0, 100, 0)), 5, chosen)[0, 0]
    two = _label(a, x, point_labels((0, 112, 0)), 5, chosen)[0, 0]
    both = _label(a, x, point_labels((0, 100, 0), (0, 112, 0)), 5, chosen, overlap=overlap)[0, 0]
    shared = (one > 0) & (two > 0)
    assert shared.any()
    options = {"max": torch.maximum(one, two), "min": torch.minimum(one, two), "second": two}
    if expected == "either":
        assert ((both == one) | (both == two))[shared].all()
        assert (both == one)[shared].any()
        assert (both == two)[shared].any()
    else:
        assert torch.equal(both[shared], options[expected][shared])


def test_two_classes_keep_their_own_labels() -> None:
    """A macro- and a micro-expression at the same ticks both keep their labels (appendix A.1)."""
    a, x = _bump(200, 100), torch.randn(1, 200, 4)
    both = _label(a, x, point_labels((0, 100, 0), (0, 102, 1)), 5, PAPER)
    assert torch.equal(both[0, 0], _label(a, x, point_labels((0, 100, 0)), 5, PAPER)[0, 0])
    assert torch.equal(both[0, 1], _label(a, x, point_labels((0, 102, 1)), 5, PAPER)[0, 1])


def test_full_supervision_labels_the_annotated_interval() -> None:
    """With full supervision every tick from onset to offset is 1, and nothing else."""
    labels = _label(
        torch.zeros(1, 200), torch.zeros(1, 200, 2), point_labels((0, 100, 0)), 0, LabelSettings(kind="full")
    )
    assert labels[0, 0].nonzero().flatten().tolist() == list(range(90, 113))
