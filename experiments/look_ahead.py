"""What the look-ahead costs a live user, from the curves that cross-validations left.

python -m experiments.look_ahead levels --data DIR [--data DIR] --runs RUNS    # early onsets, by their level
python -m experiments.look_ahead plot                             # the same, drawn: docs/look-ahead.png
python -m experiments.look_ahead stream --data DIR --runs RUNS    # a stream's decoder, look-ahead 8
python -m experiments.look_ahead streamed --data DIR --weights FILE [--weights FILE]    # step beside forward
python -m experiments.look_ahead touching --data DIR --runs RUNS  # expressions without a pause between them

RUNS holds the folders of ``python -m experiments.tables run --quick``, with their folds. What is measured goes to
``experiments/results/look_ahead.json``, which ``experiments.tables render`` reads.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from experiments.live_tables import MEASURED
from experiments.runs import run_name
from streamspot.datasets.recording import Dataset, Instance, Recording
from streamspot.datasets.store import load
from streamspot.evaluation.live import follow, live_figures
from streamspot.evaluation.results import protocols
from streamspot.evaluation.search import Scores
from streamspot.spotting import SpotSettings, decode, scores_of
from streamspot.training.folds import Job, plan
from streamspot.training.method import NetworkMethod
from streamspot.training.outcome import decoders_of
from streamspot.training.report import read_results
from streamspot.training.settings import TrainSettings

PLOT = Path(__file__).parents[1] / "docs" / "look-ahead.png"
RUN = {0: "look-ahead-0", 4: "look-ahead-4", 8: "casme2", 16: "look-ahead-16"}
LEVELS = (0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
DEPTHS = (0.2, 0.25, 0.3, 0.4)
DECODERS: tuple[dict[str, float], ...] = (
    {},
    {"macro_score": 0.4, "micro_score": 0.4, "trough_allowance": 0.1},
    {"trough_ticks": 1, "trough_allowance": 0.0},
    {"trough_share": 0.2},
)
"""What is tried as a stream's decoder; the first are the defaults."""

SEEDS = (0, 1, 2)
"""Seeds of the networks at look-ahead 8 by which a stream's decoder is judged."""

FOLDS = {"0 and 1": (0, 1), "2 to 4": (2, 3, 4)}
"""The folds by whose touching pairs the stream's decoder was chosen, and the others."""

SEEN = 0.4
"""Intensity that both peaks of a touching pair must exceed: else the network saw no second expression."""

STILL = 60
"""Neutral ticks before and after a pair of touching expressions."""

app = typer.Typer(no_args_is_help=True, add_completion=False)
Data = Annotated[Path, typer.Option(help="Folder with features.npz and annotations.csv.")]
Runs = Annotated[Path, typer.Option(help="Folder of the runs.")]


def _run(runs: Path, look_ahead: int, seed: int = 0, dataset: str = "casme2_flow") -> Path:
    return runs / run_name(RUN[look_ahead], dataset, seed, quick=True)


def _judged(run: Path, dataset: Dataset) -> tuple[dict[str, Scores], dict[str, SpotSettings]]:
    """Return the last epoch's scores of every recording of a finished run, and every subject's decoder."""
    results = read_results(run)
    settings = TrainSettings.model_validate(results["configuration"])
    epochs = Job(dataset, settings, NetworkMethod(), run / "folds").judged()
    return epochs[settings.epochs - 1], decoders_of(results, settings)


def _kept() -> dict[str, Any]:
    """Return what the commands have measured so far."""
    return json.loads(MEASURED.read_text(encoding="utf-8")) if MEASURED.exists() else {}


def _keep(name: str, value: Any) -> None:
    """Add what a command has measured, one measurement a line."""
    known = _kept() | {name: value}
    lines = [f"{json.dumps(key)}:{json.dumps(known[key], separators=(',', ':'))}" for key in sorted(known)]
    MEASURED.write_text("{" + ",\n".join(lines) + "}\n", encoding="utf-8")
    print(json.dumps(value))


@app.command()
def levels(
    *, data: Annotated[list[Path], typer.Option(help="Folder as for crossval; several at will.")], runs: Runs
) -> None:
    """Measure announcements before the apex and cancelled ones, by data set, look-ahead and level of the onset."""
    points: dict[str, dict[str, list[list[float]]]] = {}
    for dataset, ahead in itertools.product(map(load, data), RUN):
        run = _run(runs, ahead, dataset=dataset.name)
        if not (run / "results.json").exists():
            continue
        curves, decoders = _judged(run, dataset)
        found = points.setdefault(dataset.name, {})[str(ahead)] = []
        for level in LEVELS:
            phases = {
                r.name: follow(curves[r.name], replace(decoders[r.subject], onset_level=level))
                for r in dataset.recordings
            }
            row = live_figures(dataset.recordings, phases, ahead)["overall"]
            found.append([level, row["share_of_found"] or 0.0, row["cancelled_per_hour"]])
    _keep("trade_off", points)


@app.command()
def plot() -> None:
    """Draw what ``levels`` measured."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - an extra

    from experiments.plots import save_png  # noqa: PLC0415

    measured: dict[str, dict[str, list[list[float]]]] = _kept()["trade_off"]
    figure = Figure(figsize=(5 * len(measured), 3.6), layout="constrained")
    for axes, (dataset, points) in zip(
        np.atleast_1d(figure.subplots(1, len(measured))), measured.items(), strict=True
    ):
        for ahead, colour in zip(
            sorted(points, key=int), ("#4477aa", "#228833", "#cc6677", "#aa3377"), strict=False
        ):
            tried, share, cancelled = zip(*points[ahead], strict=True)
            axes.plot(cancelled, share, ".-", color=colour, label=f"{ahead} ticks ({int(ahead) / 30:.2f} s)")
            usual = tried.index(SpotSettings().onset_level)
            axes.plot(cancelled[usual], share[usual], "o", color=colour, markersize=9)
        axes.set(xlabel="cancelled announcements an hour", ylabel="announced before the apex")
        axes.set(ylim=(0, 1.02), title=dataset)
        axes.legend(title="look-ahead", fontsize=8)
    figure.suptitle(f"onset announced at levels {LEVELS[-1]} (left) to {LEVELS[0]}; large: the default")
    save_png(figure, PLOT)


@app.command()
def stream(*, data: Data, runs: Runs) -> None:
    """Judge the curves at look-ahead 8 as a stream decodes them, with each of DECODERS."""
    dataset = load(data)
    tables = []
    for seed, other in itertools.product(SEEDS, DECODERS):
        curves, _ = _judged(_run(runs, 8, seed), dataset)
        how = replace(SpotSettings(), **other)  # type: ignore[arg-type]
        phases = {r.name: follow(curves[r.name], how) for r in dataset.recordings}
        finals = {name: [d for d in found if d.phase == "offset"] for name, found in phases.items()}
        f1 = protocols(dataset.recordings, finals)["strict"]["overall"]["f1"]
        live = live_figures(dataset.recordings, phases, 8)
        tables.append({"settings": other, "seed": seed, "f1": f1, "live": live})
    _keep("stream", tables)


@app.command()
def streamed(
    *,
    data: Data,
    weights: Annotated[list[Path], typer.Option(help="Weights of `train`; may be given several times.")],
    every: Annotated[
        int, typer.Option(min=1, help="Take every n-th recording by length, the shortest first.")
    ] = 1,
) -> None:
    """Compare the scores of ``Model.step``, recordings side by side, with those of ``Model.forward``.

    Earlier rows of other encoders are kept.
    """
    import torch  # noqa: PLC0415 - slow to import

    from streamspot.model import Model  # noqa: PLC0415

    torch.set_num_threads(1)
    recordings = sorted(load(data).recordings, key=lambda r: -len(r.motion))[::-every][::-1]
    lengths = np.array([len(r.motion) for r in recordings])
    rows = {row["encoder"]: row for row in _kept().get("streamed", [])}
    for path in weights:
        model = Model.load(path, device="cpu")
        ahead = model.config.look_ahead
        steps = np.zeros((lengths[0] + ahead, len(recordings), 3), np.float32)
        state = model.new_state(len(recordings))
        for tick in range(len(steps)):
            alive = int((lengths + ahead > tick).sum())
            moved = [r.motion[tick] if tick < len(r.motion) else 0 * r.motion[0] for r in recordings[:alive]]
            steps[tick, :alive] = model.step(np.stack(moved), state, np.arange(alive))
        worst = np.zeros(3)
        for place, recording in enumerate(recordings):
            whole = model.forward(recording.motion[None]).scores[0].numpy()
            one_by_one = steps[ahead : ahead + len(whole), place]
            worst = np.maximum(worst, np.abs(one_by_one - whole).max(0))
        rows[model.config.encoder] = {
            "encoder": model.config.encoder,
            "width": model.config.width,
            "epochs": model.provenance["settings"]["epochs"],
            "subjects": model.provenance["subjects"],
            "recordings": len(recordings),
            "ticks": int(lengths.sum()),
            "intensity": float(worst[0]),
            "classes": float(worst[1:].max()),
        }
    _keep("streamed", [rows[name] for name in sorted(rows)])


@app.command()
def touching(*, data: Data, runs: Runs) -> None:
    """Let two real expressions of one unseen subject touch and count how often they come out as two."""
    import torch  # noqa: PLC0415 - slow to import

    from streamspot.training.loop import Trainer, predict  # noqa: PLC0415

    torch.set_num_threads(1)
    dataset = load(data)
    tables = []
    for seed, (named, numbers) in itertools.product(SEEDS, FOLDS.items()):
        settings = TrainSettings.model_validate(read_results(_run(runs, 8, seed))["configuration"])
        judged: list[tuple[Recording, tuple[int, int], Scores]] = []
        for number in numbers:
            held_out = plan(dataset.subjects, settings)[number].held_out
            seen = dataset.of([s for s in dataset.subjects if s not in held_out])
            pairs = list(_pairs(dataset, held_out))
            network = Trainer(seen, settings, layout=dataset.layout).run()
            scores = predict(network, [pair for pair, _ in pairs])
            judged += [(pair, apexes, scores[pair.name]) for pair, apexes in pairs]
        tables += [{"seed": seed, "folds": named, **_tally(judged, **other)} for other in DECODERS]
    _keep("touching", tables)


def _tally(judged: list[tuple[Recording, tuple[int, int], Scores]], **other: float) -> dict[str, Any]:
    """Return how many pairs came out as two and of how many, by minimum depth of the trough."""
    settings = replace(SpotSettings(), **other)  # type: ignore[arg-type]
    table: dict[str, Any] = {"settings": other, "pairs": len(judged)}
    for pair, apexes, scores in judged:
        found = _separated(scores, apexes, settings)
        for depth in DEPTHS if found else ():
            if found and found[0] >= depth:
                for how in (pair.name.split()[0], "all"):
                    right, all_ = table.setdefault(how, {}).get(f"{depth}", (0, 0))
                    table[how][f"{depth}"] = [right + found[1], all_ + 1]
    return table


def _pairs(dataset: Dataset, subjects: tuple[str, ...]) -> Iterator[tuple[Recording, tuple[int, int]]]:
    """Yield recordings of two macro-expressions of one subject that touch, each with its two apexes.

    Displacements are concatenated, or added where the expressions overlap (by a fifth to a half of the
    shorter), between neutral ticks of the same subject.
    """
    rng = np.random.default_rng(0)
    for subject in subjects:
        recordings = dataset.of([subject])
        still = next((s for r in recordings if (s := _neutral(r)) is not None), None)
        known = [
            (r.motion[i.onset : i.offset + 1], i)
            for r in recordings
            for i in r.instances
            if i.kind == "macro" and i.offset > i.apex > i.onset
        ]
        if still is None or len(known) < 2:
            continue
        for at in range(2 * len(known)):
            one, two = rng.choice(len(known), 2, replace=False)
            (first, a), (second, b) = known[one], known[two]
            shared = 0 if at % 2 else int(min(len(first), len(second)) * rng.uniform(0.2, 0.5))
            start = STILL + len(first) - shared
            motion = np.zeros((start + len(second) + STILL, *first.shape[1:]), np.float32)
            motion[:STILL], motion[-STILL:] = still[:STILL], still[STILL:]
            motion[STILL : STILL + len(first)] += first
            motion[start : start + len(second)] += second
            apexes = STILL + a.apex - a.onset, start + b.apex - b.onset
            if apexes[0] < apexes[1]:
                name = f"{'overlapped' if shared else 'concatenated'} {subject} {at}"
                yield Recording(name, subject, motion, ()), apexes


def _neutral(recording: Recording) -> np.ndarray[Any, Any] | None:
    """Return ticks far from every expression, None if there are too few in a row."""
    busy = [Instance("macro", 0, 0, 0), *recording.instances]
    for before in busy:
        first = before.offset + STILL
        stop = first + 2 * STILL
        clear = all(i.offset + STILL <= first or i.onset - STILL >= stop for i in recording.instances)
        if clear and stop <= len(recording.motion):
            return recording.motion[first:stop]
    return None


def _separated(scores: Scores, apexes: tuple[int, int], how: SpotSettings) -> tuple[float, bool] | None:
    """Return the depth of the trough and whether an event lies on either side; None without a touching pair.

    The trough is the lowest tick between the annotated apexes, the peaks are the highest ticks either side
    of it within the expressions. Both peaks must exceed ``SEEN`` and the trough the floor: else the network saw no
    second expression, or they do not touch.
    """
    curve = scores[:, 0]
    trough = apexes[0] + int(curve[apexes[0] : apexes[1] + 1].argmin())
    lower = float(min(curve[STILL : trough + 1].max(), curve[trough:-STILL].max()))
    if lower <= SEEN or curve[trough] <= how.levels[0]:
        return None
    found = decode(scores_of(*scores.T), how)
    sides = {d.apex is not None and d.apex > trough for d in found if d.apex != trough}
    return 1 - float(curve[trough]) / lower, sides == {False, True}


if __name__ == "__main__":
    app()
