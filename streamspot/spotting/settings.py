"""What decides that a rise of the curve is an expression, and of which kind."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, get_type_hints

from streamspot.errors import SettingsError, cut, unknown
from streamspot.types import Kind

_GRID = 1 << 20

TROUGH_DEPTH = 0.1
"""Minimum depth of a dip that separates two expressions, in units of intensity, beside ``trough_share``."""

_SCORES = 1e-6, 2
_RANGES = (
    (("outer_ticks", "trough_ticks"), 1, 1000),
    (("soft_nms_sigma", "outer_margin", "apex_margin"), 1e-6, 10),
    (("power",), 0.1, 10),
    (("macro_score", "micro_score", "onset_level"), *_SCORES),
    (("class_floor", "class_weight", "overlap", "trough_share", "trough_allowance", "micro_floor"), 0, 1),
    (("refractory",), 0, 1_000_000),
    (("longest",), 1, 108_000),
)


def _as_score(value: float) -> float:
    """Return a shifted score, or the nearest that there is."""
    low, high = _SCORES
    return round(min(max(value, low), high), 6)


def on_grid(value: float) -> float:
    """Return the value clipped to [0, 1] on a grid of 2⁻²⁰, and 0 for anything that is not finite.

    Sums of such values are exact in double precision, so that neither the order of a summation nor the
    library that does it can change an event.
    """
    if 0.0 < value <= 1.0:
        return round(value * _GRID) / _GRID
    return 1.0 if 1.0 < value < float("inf") else 0.0


def _tuples(value: Any) -> Any:
    """Return a list, and the lists in it, as tuples."""
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _pair(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(map(_whole, value))


_Pair = tuple[int, int]

_FORMS: dict[object, tuple[Callable[[Any], bool], str]] = {
    bool: (lambda value: isinstance(value, bool), "true or false"),
    int: (_whole, "a whole number"),
    float: (_number, "a number"),
    float | None: (lambda value: value is None or _number(value), "a number"),
    _Pair: (_pair, "two whole numbers"),
    tuple[float, ...]: (
        lambda value: isinstance(value, tuple) and all(map(_number, value)),
        "a list of numbers",
    ),
    tuple[_Pair, _Pair] | None: (
        lambda value: (
            value is None or (isinstance(value, tuple) and len(value) == 2 and all(map(_pair, value)))
        ),
        "two pairs of whole numbers",
    ),
}
"""By the type of a setting, whether a value has that form, and the form in words."""


@dataclass(frozen=True, slots=True)
class SpotSettings:
    """How intensity curves are decoded; the defaults are those of the GIM paper unless a reason is given.

    At 30 ticks a second a run of n ticks lasts (n - 1) / 30 s from its first to its last tick.

    Attributes:
        thresholds: Intensities whose runs are proposed as expressions, ascending. The lowest one is the
            floor: where the curve does not exceed it, the face is neutral.
        power: Exponent of the intensity, which calibrates a curve that saturates.
        micro_power: Exponent of the intensity in the curve of micro-expressions, ``intensity · probability``, whose
            peaks are looked for; None takes ``power``. They are weak, so the power that calibrates a macro-expression
            hides them.
        micro_floor: A tick at which that curve exceeds this is not neutral, whatever its intensity.
        class_floor: A run is proposed for each kind whose probability at the run's apex exceeds this
            (0.5 in §3.6.3).
        usual: Ticks that a macro- and a micro-expression usually reach before and after its peak. If given,
            expressions are the peaks of intensity times class probability, as ``extent`` says, and not runs
            above the thresholds; only the lowest threshold, the floor, then counts.
        macro_ticks: Minimum and maximum length of a macro-expression. The minimum is 10 where the paper's code has
            15, because a run is shorter than its expression: it begins above the floor and may end at a trough.
            The maximum is also where a held expression is cut. It is then reported once, and what follows until
            the curve next touches the floor or a trough is not an expression of its own. The maximum is sixty
            seconds, so that a long smile is one event; the paper's code has 240 ticks.
        micro_ticks: Minimum and maximum length of a micro-expression, "less than half a second": n ≤ 15, and one
            more for the annotators' rounding (CAS(ME)² has micro-expressions of 16 frames). Where the two ranges
            overlap the class probability decides.
        macro_score: Minimum of ``score + class_weight · class probability`` for a macro-expression (0.5 in the
            paper's code on CAS(ME)²).
        micro_score: Minimum of the same sum for a micro-expression.
        class_weight: Weight of the class probability in that sum (0.2 in the paper's code).
        outer_margin: Width of each outer margin of the contrast, as a share of the length (1/4 in Eq. 15).
        outer_ticks: Maximum width of a margin. It bounds how long an ended expression waits for its right margin.
        soft_nms_sigma: Width of Gaussian soft-NMS among proposals of one kind (0.3 in the paper's code).
        overlap: Of two detections with a greater intersection over union the worse is dropped, whatever their
            kinds. With 0 no two reported expressions overlap, for one face does one thing at a time; the paper's
            code has 0.5 within each class, which reports nested runs several times.
        both_kinds: Whether that holds within each kind only, as in the paper's code, so that a micro-expression may
            be reported within a macro-expression: brows and mouth may do two things at a time.
        trough_share: Minimum depth of a dip that separates two expressions, as a share of the lower of the two peaks;
            it must also reach ``TROUGH_DEPTH``.
        trough_ticks: Minimum length of a macro-expression beside a trough (0.4 s). A shorter rise before a dip is
            one expression with what follows; a shorter one after a dip, as when a fading smile flickers, is none.
        trough_allowance: By how much the minimum scores are lower beside a trough. A run there takes in the slope
            down to the trough and has an outer margin on one side only, so it scores less than the same expression
            alone; and that the curve has fallen and risen again is evidence in itself.
        onset_level: Intensity that the curve must exceed for the onset to be announced early, for ``ONSET_TICKS``
            in a row; one kind must be likely, too.
        apex_margin: The apex is announced once the curve has fallen by this much from its highest value.
        refractory: For so many ticks after a cancelled expression no onset is announced early; final events
            are never held back.
    """

    thresholds: tuple[float, ...] = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
    usual: tuple[tuple[int, int], tuple[int, int]] | None = None
    power: float = 1.0
    micro_power: float | None = None
    micro_floor: float = 1.0
    class_floor: float = 0.5
    macro_ticks: tuple[int, int] = (10, 1800)
    micro_ticks: tuple[int, int] = (6, 16)
    macro_score: float = 0.5
    micro_score: float = 0.5
    class_weight: float = 0.2
    outer_margin: float = 0.25
    outer_ticks: int = 8
    soft_nms_sigma: float = 0.3
    overlap: float = 0.0
    both_kinds: bool = False
    trough_share: float = 0.25
    trough_ticks: int = 13
    trough_allowance: float = 0.25
    onset_level: float = 0.5
    apex_margin: float = 0.1
    refractory: int = 15

    def __post_init__(self) -> None:
        """Check every value.

        Raises:
            SettingsError: One is impossible.
        """
        self._check_forms()
        levels = (0.0, *self.thresholds, 1.0)
        if not 3 <= len(levels) <= 102 or any(low >= high for low, high in itertools.pairwise(levels)):
            what = cut(self.thresholds)
            raise SettingsError(f"thresholds {what} must ascend strictly between 0 and 1, 100 at most")
        for name in ("macro_ticks", "micro_ticks"):
            low, high = getattr(self, name)
            if not 1 <= low <= high <= self.longest:
                raise SettingsError(
                    f"{name} {low}, {high} must be a minimum and a maximum length between 1 and the "
                    f"longest macro-expression, {self.longest} ticks"
                )
        if self.usual is not None and not all(
            0 <= ticks <= self.longest for reach in self.usual for ticks in reach
        ):
            raise SettingsError(
                f"usual {self.usual} must give ticks before and after the peak of a macro- and of a "
                f"micro-expression, 0 to {self.longest}"
            )
        if self.micro_power is not None and not 0 <= self.micro_power <= 10:
            raise SettingsError(f"micro_power {self.micro_power} must lie between 0 and 10")
        for names, low, high in _RANGES:
            for name in names:
                if not low <= getattr(self, name) <= high:
                    raise SettingsError(
                        f"{name} {cut(getattr(self, name))} must lie between {low:g} and {high:g}"
                    )

    def _check_forms(self) -> None:
        for name, kind in _TYPES.items():
            form, said = _FORMS[kind]
            if not form(getattr(self, name)):
                raise SettingsError(
                    f"the spotting setting {name} is {cut(repr(getattr(self, name)))}; give {said}"
                )

    def on_curve(self, value: float) -> float:
        """Return the intensity of the curve that is ``value`` to the power of ``power``, as it is decoded."""
        return value if self.power == 1 else value ** (1 / self.power)

    @classmethod
    def from_sensitivity(cls, sensitivity: float, **overrides: Any) -> SpotSettings:
        """Map one number to thresholds, scores and the level of the early onset.

        Example:
            >>> SpotSettings.from_sensitivity(0.5) == SpotSettings()
            True

        Args:
            sensitivity: In [0, 1]: 0 reports only what is plain, 1 also what is faint, 0.5 gives the
                defaults. From 0 to 1 every threshold sinks by 0.2, the minimum scores by 0.4 and the onset's
                level by 0.3, as far as they stay possible. With ``usual`` the minimum scores sink to a quarter
                and the floor stays.
            **overrides: Settings at 0.5 that differ from the defaults, as a model or a file holds them.

        Raises:
            SettingsError: The sensitivity is not in [0, 1], or an override is unknown or impossible.
        """
        if not 0 <= sensitivity <= 1:
            raise SettingsError(f"the sensitivity {sensitivity} must lie between 0 and 1")
        for name in sorted(overrides.keys() - cls.__dataclass_fields__.keys()):
            raise unknown(name, cls.__dataclass_fields__, " among those of spotting")
        tuples: dict[str, Any] = {key: _tuples(value) for key, value in overrides.items()}
        plain, less = cls(**tuples), 0.5 - sensitivity
        level = _as_score(plain.onset_level + 0.3 * less)
        if plain.usual is not None:  # heights of peaks, of which some are small: they are halved or doubled
            macro, micro = (_as_score(score * 4**less) for score in (plain.macro_score, plain.micro_score))
            return replace(plain, macro_score=macro, micro_score=micro, onset_level=level)
        lowest, highest = plain.thresholds[0], plain.thresholds[-1]
        shift = min(max(0.2 * less, -lowest / 2), (1 - highest) / 2)
        return replace(
            plain,
            thresholds=tuple(round(level + shift, 6) for level in plain.thresholds),
            macro_score=_as_score(plain.macro_score + 0.4 * less),
            micro_score=_as_score(plain.micro_score + 0.4 * less),
            onset_level=level,
        )

    @property
    def levels(self) -> tuple[float, ...]:
        """The thresholds on the intensities' grid: a curve that equals one does not exceed it."""
        return tuple(map(on_grid, self.thresholds))

    @property
    def longest(self) -> int:
        """Ticks at which a held expression is cut."""
        return self.macro_ticks[1]

    def margin(self, length: int) -> int:
        """Return how many ticks each outer margin of a run of that length has."""
        return min(max(1, round(self.outer_margin * length)), self.outer_ticks)

    def lengths(self, kind: Kind, *, at_trough: bool = False) -> tuple[int, int]:
        """Return the minimum and maximum length of a kind in ticks, beside a trough or elsewhere."""
        if kind == "micro":
            return self.micro_ticks
        shortest, longest = self.macro_ticks
        return (min(max(shortest, self.trough_ticks), longest) if at_trough else shortest), longest

    def min_score(self, kind: Kind, *, at_trough: bool = False) -> float:
        """Return the minimum score of a kind, its class probability weighed in, beside a trough or elsewhere."""
        score = self.macro_score if kind == "macro" else self.micro_score
        return score - self.trough_allowance if at_trough else score

    def trough(self, peak: float, valley: float, now: float) -> bool:
        """Return whether the curve, down from a peak to a valley and now up again, shows two expressions."""
        lower = min(peak, now)
        return lower - valley >= max(self.trough_share * lower, TROUGH_DEPTH)


_TYPES = get_type_hints(SpotSettings)
