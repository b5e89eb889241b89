"""LAC and HR-Pro: what their labels and losses promise, and how a configuration names them."""

from __future__ import annotations

from itertools import pairwise, product
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from small_networks import point_labels

from experiments.baselines.intervals import complete_interval, contrast, similar_interval
from experiments.baselines.lac import best_sequence, completeness_loss
from experiments.tables import configs
from experiments.variants import Variant, load_experiment
from streamspot.errors import SettingsError
from streamspot.model.network import Output
from streamspot.training.batches import PointLabels
from streamspot.training.method import NetworkMethod
from streamspot.training.settings import LabelSettings

PAPER = LabelSettings(kind="gim", clamp=None)


def test_lac_takes_the_interval_of_highest_contrast() -> None:
    """LAC completes an instance to where intensity inside and outside differ most."""
    a = torch.full((1, 200), 0.1)
    a[0, 92:118] = 0.9
    first, last = complete_interval(a, point_labels((0, 100, 0)), PAPER)
    assert (first.tolist(), last.tolist()) == ([92], [117])


def test_lac_completes_all_points_of_a_curve_together() -> None:
    """The best sequence ends expressions where the curve does, keeps them apart, and covers every tick once."""
    a = torch.full((300,), 0.1)
    a[80:110] = a[114:140] = a[240:252] = 0.9
    found = best_sequence(a, torch.tensor([95, 125, 245]), torch.tensor([32, 32, 16]))
    assert found.expressions.tolist() == [[80, 110], [114, 140], [240, 252]]
    assert found.neutral.tolist() == [[0, 80], [110, 114], [140, 240], [252, 300]]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.sets(st.integers(0, 13), min_size=1, max_size=3))
def test_lac_finds_the_best_of_all_sequences(seed: int, places: set[int]) -> None:
    """No sequence that agrees with the points is worth more than the one that is found."""
    a = torch.rand(14, generator=torch.Generator().manual_seed(seed))
    ticks, reach = torch.tensor(sorted(places)), torch.full((len(places),), 3)
    total = torch.nn.functional.pad(a.cumsum(0), (1, 0))

    def worth(spans: list[tuple[int, int]]) -> float:
        edges = [0, *(edge for span in spans for edge in span), len(a)]
        gaps = [pair for pair in zip(edges[::2], edges[1::2], strict=True) if pair[0] < pair[1]]
        value = sum(float(contrast(total, *torch.tensor([s]).unbind(1))) for s in spans)
        return value - sum(float(contrast(total, *torch.tensor([g]).unbind(1), max_margin=1)) for g in gaps)

    choices = [
        [(s, e + 1) for s in range(max(0, t - 3), t + 1) for e in range(t, min(14, t + 4))]
        for t in ticks.tolist()
    ]
    apart = [spans for spans in product(*choices) if all(x[1] < y[0] for x, y in pairwise(spans))]
    if apart:
        found = [tuple(span) for span in best_sequence(a, ticks, reach).expressions.tolist()]
        assert worth(found) == pytest.approx(max(worth(list(spans)) for spans in apart), abs=1e-5)


def test_hrpro_takes_what_resembles_the_class() -> None:
    """HR-Pro propagates a point to neighbours that resemble its class, and no farther than k_c/2."""
    x = torch.zeros(1, 200, 2)
    x[..., 0] = 1
    x[0, 94:105] = torch.tensor([0.0, 1.0])
    centres = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    points = point_labels((0, 100, 0), (0, 150, 1))
    first, last = similar_interval(x, points, centres, PAPER)
    assert (first.tolist(), last.tolist()) == ([94, 142], [105, 158])


def test_completeness_rewards_a_curve_that_stands_out_round_its_points() -> None:
    """LAC's losses are low for plateaus of like features round the points, and carry gradients to both."""
    inside = torch.ones(1, 300, dtype=torch.bool)
    points = PointLabels(
        *torch.tensor([[0, 80, 0, 70, 90], [0, 200, 0, 190, 210], [0, 290, 1, 288, 292]]).unbind(1)
    )

    def loss(high: float) -> tuple[float, torch.Tensor, torch.Tensor]:
        a = torch.full((1, 300), 0.02)
        features = torch.tensor([1.0, 0.0]).repeat(1, 300, 1)
        for point in (80, 200):
            a[0, point - 12 : point + 13] = high
            features[0, point - 12 : point + 13] = torch.tensor([0.0, 1.0])
        a.requires_grad_()
        features.requires_grad_()
        output = Output(a, torch.full((1, 300, 2), 0.5), features, features)
        value = completeness_loss(output, points, inside, LabelSettings())
        value.backward()
        assert a.grad is not None
        assert features.grad is not None
        return float(value.detach()), a.grad, features.grad

    plain, rise, features = loss(0.95)
    faint, _, _ = loss(0.3)
    assert plain < faint
    assert (rise[0, 70:90] < 0).all()
    assert torch.isfinite(features).all()
    outside = PointLabels(*torch.tensor([[0, 400, 0, 390, 410]]).unbind(1))
    output = Output(torch.full((1, 300), 0.3), *(torch.full((1, 300, 2), 0.5) for _ in range(3)))
    assert float(completeness_loss(output, outside, inside, LabelSettings())) == 0


def test_labels_are_intervals_from_stage_three_on():
    """Before, labels are those of the point alone; then LAC's interval is 1 and nothing else is."""
    a = torch.full((1, 200), 0.1)
    a[0, 92:118] = 0.9
    chosen, features = LabelSettings(kind="hard", stages=(1, 0)), torch.zeros(1, 200, 2)
    early, late = (
        Variant(labels="lac").labeller()(
            a,
            features,
            point_labels((0, 100, 0)),
            epoch=epoch,
            settings=chosen,
            generator=torch.Generator(),
        )
        for epoch in (0, 1)
    )
    assert early[0, 0].nonzero().flatten().tolist() == list(range(95, 106))
    assert late[0, 0].nonzero().flatten().tolist() == list(range(92, 118))
    assert not late[0, 1].any()


@pytest.mark.parametrize("name", sorted(configs()))
def test_every_configuration_of_the_tables_is_valid(name: str):
    """Every file loads and says in its first line what it is for."""
    path = configs()[name]
    chosen, _ = load_experiment(path)
    assert chosen.epochs >= 1
    assert path.read_text().startswith("# ")


def test_a_configuration_states_what_differs_from_another():
    """A section joins that of the other, and what is not named is as there."""
    (one, ours), (other, theirs) = (
        load_experiment(configs()[f"official-{name}"]) for name in ("samm-hard", "casme2")
    )
    assert one == other.model_copy(update={"labels": other.labels.model_copy(update={"kind": "hard"})})
    assert ours == theirs.model_copy(update={"official": 0.3})


def test_an_unknown_variant_is_refused(tmp_path: Path):
    """A key that no variant has is an error, and so is one of the settings beside it."""
    path = tmp_path / "mine.yaml"
    path.write_text("variant: {labels: mine}\n")
    with pytest.raises(ValidationError, match="labels"):
        load_experiment(path)
    path.write_text("variant: {labels: lac}\nepoch: 3\n")
    with pytest.raises(SettingsError, match="epoch"):
        load_experiment(path)
    path.write_text("variant: {neutral: 1}\n")
    with pytest.raises(SettingsError, match=r"the setting variant.neutral .* needs the transformer"):
        load_experiment(path)
    path.write_text("epochs: 3\n")
    assert isinstance(load_experiment(path)[1], NetworkMethod)
