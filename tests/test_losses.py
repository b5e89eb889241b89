"""Losses: the equations, by numbers that can be worked out on paper."""

from __future__ import annotations

import math

import pytest
import torch

from experiments.ablations import contrast_loss, lowest_neutral, norm_loss, smooth_loss
from experiments.variants import Variant
from streamspot.model.network import Output
from streamspot.training.batches import PointLabels
from streamspot.training.losses import (
    Targets,
    intensity_loss,
    joint_loss,
    known_neutral,
)
from streamspot.training.settings import LossSettings, TrainSettings

PAPER = LossSettings(intensity="mse", expression_weight=1, micro_weight=1, action=0, joint=1)
ALL = torch.ones(1, 4, dtype=torch.bool)


def _targets(macro: list[float], micro: list[float], neutral: list[bool]) -> Targets:
    return Targets(torch.tensor([[macro, micro]]), torch.tensor([neutral]), ALL)


def _output(a: torch.Tensor, classes: torch.Tensor | None = None) -> Output:
    features = torch.randn(*a.shape, 3, generator=torch.Generator().manual_seed(0))
    return Output(a, torch.full((*a.shape, 2), 0.5) if classes is None else classes, features, features)


def test_as_many_neutral_ticks_as_labelled_ones() -> None:
    """N_neut = min(N_exp, T - N_exp), the lowest intensities without a label (Eq. 6)."""
    a = torch.tensor([[0.9, 0.1, 0.5, 0.05, 0.3, 0.2]])
    labels = torch.zeros(1, 2, 6)
    labels[0, 0, 3] = labels[0, 1, 4] = 0.7
    chosen = lowest_neutral(a, labels, torch.ones(1, 6, dtype=torch.bool))
    assert chosen.tolist() == [[False, True, False, False, False, True]]
    labels[0, 0, :5] = 1
    assert lowest_neutral(a, labels, torch.ones(1, 6, dtype=torch.bool)).sum() == 1


def test_known_neutral_ticks_are_far_from_all_points() -> None:
    """Ticks that may belong to an expression are never called neutral; all others are."""
    points = PointLabels(*torch.tensor([[0, 20, 0, 10, 30], [0, 60, 1, 55, 65]]).unbind(1))
    reach = torch.tensor([[10, 15], [4, 5]])
    neutral = known_neutral(points, torch.ones(1, 100, dtype=torch.bool), reach)
    assert (~neutral[0]).nonzero().flatten().tolist() == [*range(10, 36), *range(56, 66)]


def test_mean_squared_error_over_all_labelled_ticks() -> None:
    """Eq. 9 with one normaliser for expression and neutral ticks; unlabelled ticks do not count."""
    a = torch.tensor([[0.5, 0.8, 0.1, 0.9]])
    loss = intensity_loss(a, _targets([1.0, 0.6, 0, 0], [0, 0, 0, 0], [False, False, True, False]), PAPER)
    assert float(loss) == pytest.approx((0.25 + 0.04 + 0.01) / 3)


def test_a_tick_of_two_classes_counts_both_halved() -> None:
    """Two soft labels of one tick are averaged (appendix A.1)."""
    a = torch.tensor([[0.5, 0.0, 0.0, 0.0]])
    loss = intensity_loss(a, _targets([1.0, 0, 0, 0], [0.7, 0, 0, 0], [False] * 4), PAPER)
    assert float(loss) == pytest.approx((0.25 + 0.04) / 2)


def test_cross_entropy_of_a_soft_label() -> None:
    """Table 2's BCE is not 0 even for a perfect soft label, MSE is."""
    a, targets = torch.tensor([[0.6, 0, 0, 0]]), _targets([0.6, 0, 0, 0], [0, 0, 0, 0], [False] * 4)
    assert float(intensity_loss(a, targets, PAPER)) == pytest.approx(0)
    bce = PAPER.model_copy(update={"intensity": "bce"})
    entropy = -0.6 * math.log(0.6) - 0.4 * math.log(0.4)
    assert float(intensity_loss(a, targets, bce)) == pytest.approx(entropy, abs=1e-5)


def test_norm_and_smoothness() -> None:
    """Eq. 10 as a mean and Eq. 11 with the absolute value the official code forgot."""
    a = torch.tensor([[0.0, 1.0, 0.0, 0.4]])
    assert float(norm_loss(a, ALL)) == pytest.approx(0.35)
    assert float(smooth_loss(a, ALL)) == pytest.approx((1 + 1 + 0.4) / 3)


def test_class_loss_judges_class_times_intensity() -> None:
    """Eq. 12-13 on one reliable expression tick and one neutral tick."""
    a = torch.tensor([[0.8, 0.2, 0.5, 0.5]])
    classes = torch.tensor([[[0.9, 0.1], [0.5, 0.4], [0.5, 0.5], [0.5, 0.5]]])
    targets = _targets([0.9, 0, 0.3, 0], [0, 0, 0, 0], [False, True, False, False])
    expected = -math.log(0.72) - (math.log(1 - 0.1) + math.log(1 - 0.08)) / 2
    assert float(joint_loss(_output(a, classes), targets)) == pytest.approx(expected, abs=1e-5)


def test_contrast_pulls_equals_together_and_intensity_weighs() -> None:
    """Eq. 7-8: low when ticks of one class are alike; a partner of another intensity is pulled less."""
    targets = _targets([0.9, 0.9, 0, 0], [0, 0, 0, 0], [False, False, True, True])
    generator = torch.Generator()
    good = torch.tensor([[[1.0, 0], [1.0, 0], [0, 1.0], [0, 1.0]]])
    bad = torch.tensor([[[1.0, 0], [0, 1.0], [1.0, 0], [0, 1.0]]])
    low, high = (float(contrast_loss(f, targets, generator)) for f in (good, bad))
    assert low < high
    # by hand: one partner of weight 1 and similarity 1/τ, two others of weight 0.9 and similarity 0
    partner, other = math.exp(1 / 0.5), 0.9
    assert low == pytest.approx(-math.log(partner / (partner + 2 * other)), abs=1e-4)


def test_a_batch_without_expression_is_no_problem() -> None:
    """All losses stay finite, and have gradients, where a batch shows no expression."""
    a = torch.full((1, 4), 0.3, requires_grad=True)
    targets = _targets([0] * 4, [0] * 4, [True] * 4)
    variant = Variant(smooth=0.1, norm=2.5, contrast=0.001)
    points = PointLabels(*torch.zeros(5, 0, dtype=torch.long))
    loss = variant.loss(TrainSettings(loss=PAPER), 0, _output(a), points, targets, torch.Generator())
    loss.backward()
    assert torch.isfinite(loss)
    assert a.grad is not None
    assert torch.isfinite(a.grad).all()
