"""Weights made yours: begun from others, kept only if they judge recordings better that they have not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from streamspot.datasets.recording import Dataset, Instance, Recording
from streamspot.datasets.store import load
from streamspot.destinations import check_folder, check_result
from streamspot.errors import DataError, ModelError, SettingsError
from streamspot.evaluation.evaluate import evaluate
from streamspot.files import write_atomically
from streamspot.model.weights import Model
from streamspot.spotting.settings import SpotSettings
from streamspot.training.loop import OnShare, Trainer
from streamspot.training.resume import Unfinished, mark
from streamspot.training.settings import TrainSettings
from streamspot.training.train import described, judge, trained

_LEARNED = 0.6
"""Share of a recording that is learned from where there are too few recordings to hold some back."""

_BEGUN = "Begun from"
"""How a card begins below its title."""

ResultTable = dict[str, Any]
"""Counts and F1 for macro, micro and overall, as ``results.json`` has them."""


@dataclass(frozen=True, slots=True)
class Adapted:
    """What came of an adaptation.

    Attributes:
        model: The weights, learned from all recordings.
        before: How the weights it began from judge what was held back.
        after: How weights that learned from the rest judge it.
        labels: Expressions learned from in that comparison, and expressions held back.
    """

    model: Model
    before: ResultTable
    after: ResultTable
    labels: tuple[int, int]

    @property
    def better(self) -> bool:
        """Whether what was held back is judged better than before."""
        return bool(self.after["overall"]["f1"] > self.before["overall"]["f1"])


def adapt(
    data: Path,
    out: Path,
    settings: TrainSettings,
    *,
    device: str = "cpu",
    force: bool = False,
    on_step: OnShare | None = None,
) -> Adapted:
    """Train from the weights that the settings begin with, compare, and write weights and a card if they are better.

    The last third of the recordings with expressions is held back; of fewer than three, the last 40 % of each. The
    comparison is of weights that learned from the rest; those that are written learned from all. Interrupted, it goes
    on like ``train``.

    Args:
        data: Folder of the data set.
        out: The weights' file; its card stands beside it, ``.md``.
        settings: ``start`` names the weights to begin with.
        device: Where to compute.
        force: Write weights that are no better, too.
        on_step: Called after each step of both trainings.

    Raises:
        DataError: The data cannot be used, or too little is labelled to hold anything back.
        ModelError: The weights to begin with cannot be used, or the new ones are no better.
        SettingsError: ``out`` cannot be written, or the weights do not fit.
    """
    check_folder(out.parent)
    check_result(out, ".safetensors")
    _check_card(out)
    assert settings.start is not None  # noqa: S101 - what makes it an adaptation
    dataset = load(data, seed=settings.seed)
    learned, held = held_back(dataset.recordings)
    before = _table(Model.load(settings.start, layout=dataset.layout), dataset, held)
    about = described(dataset, settings) | {"start": settings.start}
    places = [
        Unfinished(out.with_suffix(ending), mark(recordings, dataset.layout, settings, {"device": device}))
        for ending, recordings in ((".compared", learned), (".unfinished", dataset.recordings))
    ]
    done = [place.read() for place in places]

    def taught(number: int, recordings: Sequence[Recording]) -> Model:
        trainer = Trainer(
            recordings, settings, layout=dataset.layout, name=out.stem, device=device, on_step=on_step
        )
        network = trained(trainer, places[number], done[number])
        return Model(network, about | {"partner": trainer.partner_name}, spotting=settings.spotting)

    after = _table(taught(0, learned), dataset, held)
    adapted = Adapted(taught(1, dataset.recordings), before, after, (_count(learned), _count(held)))
    written = adapted.better or force
    if written:
        _write(out, adapted, dataset, settings)
    for place in places:  # not before: what could not be written is there to go on from
        place.remove()
    if not written:
        raise ModelError(
            f"on what was held back (expressions: {adapted.labels[1]}) the new weights are no better than "
            f"{settings.start} (F1 {after['overall']['f1']:.2f}, before {before['overall']['f1']:.2f}), so {out} is "
            "not written; label more, or say --force"
        )
    return adapted


def _check_card(out: Path) -> None:
    """Refuse weights whose card would replace a file that is none."""
    card_at = out.with_suffix(".md")
    if card_at.exists() and f"\n\n{_BEGUN}" not in card_at.read_text(encoding="utf-8", errors="replace"):
        raise SettingsError(
            f"{card_at} is no card of weights and would be replaced by theirs; name another --out"
        )


def _write(out: Path, adapted: Adapted, dataset: Dataset, settings: TrainSettings) -> None:
    """Write the weights, with how what was held back is judged before and after, and their card."""
    held_back = {"before": adapted.before, "after": adapted.after, "labels": adapted.labels}
    provenance = {**adapted.model.provenance, "held_back": held_back}
    Model(adapted.model.network, provenance, spotting=settings.spotting).save(out)
    with write_atomically(out.with_suffix(".md")) as part:
        part.write_text(card(adapted, dataset, settings), encoding="utf-8")


def held_back(recordings: Sequence[Recording]) -> tuple[list[Recording], list[Recording]]:
    """Return the recordings to learn from and those to be judged by.

    Raises:
        DataError: One of the two would hold no expression.
    """
    shown = [one for one in recordings if one.instances]
    rest = [one for one in recordings if not one.instances]
    if len(shown) >= 3:
        count = len(shown) - max(len(shown) // 3, 1)
        learned, held = shown[:count], shown[count:]
    else:
        parts = [_cut(one) for one in shown]
        learned, held = [first for first, _ in parts], [last for _, last in parts]
    if not _count(learned) or not _count(held):
        raise DataError("too little is labelled to learn and to compare; give at least ten point labels")
    return learned + rest, held


def _cut(recording: Recording) -> tuple[Recording, Recording]:
    """Return a recording in two parts; no expression belongs to both unless there is no such place."""
    order = sorted(recording.instances, key=lambda one: one.stamp)
    wanted = max(round(_LEARNED * len(order)), 1)
    apart = [count for count in range(1, len(order)) if _end(order[:count]) < _begin(order[count:])]
    learned = min(apart, key=lambda count: abs(count - wanted), default=wanted)
    first, last = order[:learned], order[learned:]
    tick = (_end(first) + _begin(last)) // 2 if last else len(recording.motion)
    later = tuple(one.at(lambda at: max(at - tick, 0)) for one in last)
    return (
        replace(recording, motion=recording.motion[:tick], instances=tuple(first)),
        replace(recording, motion=recording.motion[tick:], instances=later),
    )


def _begin(instances: Sequence[Instance]) -> int:
    return min(one.onset for one in instances)


def _end(instances: Sequence[Instance]) -> int:
    return max(one.offset for one in instances)


def _count(recordings: Sequence[Recording]) -> int:
    return sum(len(one.instances) for one in recordings)


def _table(model: Model, dataset: Dataset, recordings: Sequence[Recording]) -> ResultTable:
    held = replace(dataset, recordings=tuple(recordings))
    decoder = SpotSettings.from_sensitivity(0.5, **model.spotting)
    results = evaluate(held.recordings, judge(model, held), decoder, look_ahead=model.config.look_ahead)
    return dict(results["strict"])


def card(adapted: Adapted, dataset: Dataset, settings: TrainSettings) -> str:
    """Return the model's card: what it learned from, and what that brought."""
    kinds: list[Instance] = [one for recording in dataset.recordings for one in recording.instances]
    macro = sum(one.kind == "macro" for one in kinds)
    rows = "\n".join(
        f"| {name} | {row['tp']} of {row['tp'] + row['fn']} | {row['fp']} | {row['f1']:.2f} |"
        for name, table in (("before", adapted.before), ("after", adapted.after))
        for row in (table["overall"],)
    )
    return f"""# {adapted.model.config.name}

{_BEGUN} {settings.start}, adapted to {dataset.name}: {len(dataset.recordings)} recordings of
{len(dataset.subjects)} people, {macro} macro- and {len(kinds) - macro} micro-expressions, one point label each.

On what was held back (expressions: {adapted.labels[1]}), by weights that learned from the other {adapted.labels[0]}
(these here learned from all):

| | found | false | F1 |
|---|---|---|---|
{rows}

Whoever is not among these people, or before another camera, may be judged worse than by {settings.start}.
"""
