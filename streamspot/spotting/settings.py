"""What decides that a rise of the curve is an expression, and of which kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from streamspot.errors import SettingsError
from streamspot.types import Kind

_GRID = 1 << 20


def on_grid(value: float) -> float:
    """Return the value clipped to [0, 1] on a grid of 2⁻²⁰, and 0 for anything that is not finite.

    Sums of such values are exact in double precision, so that neither the order of a summation nor the
    library that does it can change an event.
    """
    if 0.0 < value <= 1.0:
        return round(value * _GRID) / _GRID
    return 1.0 if 1.0 < value < float("inf") else 0.0


@dataclass(frozen=True, slots=True)
class SpotSettings:
    """How intensity curves are decoded; the defaults are those of the GIM paper unless a reason is given.

    At 30 ticks a second a run of n ticks lasts (n - 1) / 30 s from its first to its last tick.

    Attributes:
        thresholds: Intensities whose runs are proposed as expressions, ascending. The lowest one is the floor:
            where the curve does not exceed it, the face is neutral.
        class_floor: A run is proposed for each kind whose probability at the run's apex exceeds this.
        macro_ticks: Least and greatest length of a macro-expression. The greatest is also where a held
            expression is cut: it is reported once, and what follows until the curve next touches the floor or
            a trough is not an expression of its own. Sixty seconds, so that a long smile is one event; the
            paper's code uses 240.
        micro_ticks: The same for a micro-expression, "less than half a second": n ≤ 15, and one for the
            annotators' rounding (CAS(ME)² has micro-expressions of 16 frames). Where the two ranges overlap
            the class probability decides.
        macro_score: Least ``score + class_weight · class probability`` of a macro-expression.
        micro_score: The same of a micro-expression.
        class_weight: Weight γ of the class probability in that sum (0.2 in the paper's code).
        outer_margin: Width of each outer margin of the contrast, as a share of the length (1/4 in Eq. 15).
        outer_ticks: Widest margin. It bounds how long a closed expression waits for its outer right side.
        soft_nms_sigma: Width σ of Gaussian soft-NMS among proposals of one kind.
        overlap: Of two detections with a greater intersection over union the worse is dropped, whatever their
            kinds. 0: no two reported expressions overlap, as one user sees one face do one thing at a time;
            the paper's class-wise 0.5 reports nested runs several times.
        trough_share: A dip separates two expressions if it is at least this share of the lower peak deep …
        trough_depth: … and at least this deep.
        onset_level: The onset is announced once the curve …
        onset_ticks: … has exceeded this level for so many ticks and a kind is clear.
        apex_margin: The apex is announced once the curve has fallen by this much from its highest value.
        refractory: For so many ticks after a cancelled expression no onset is announced early; final events are
            never held back.
    """

    thresholds: tuple[float, ...] = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
    class_floor: float = 0.5
    macro_ticks: tuple[int, int] = (15, 1800)
    micro_ticks: tuple[int, int] = (6, 16)
    macro_score: float = 0.4
    micro_score: float = 0.4
    class_weight: float = 0.2
    outer_margin: float = 0.25
    outer_ticks: int = 8
    soft_nms_sigma: float = 0.3
    overlap: float = 0.0
    trough_share: float = 0.3
    trough_depth: float = 0.1
    onset_level: float = 0.4
    onset_ticks: int = 2
    apex_margin: float = 0.1
    refractory: int = 15

    def __post_init__(self) -> None:
        """Check every value.

        Raises:
            SettingsError: One is impossible.
        """
        object.__setattr__(self, "thresholds", tuple(on_grid(level) for level in self.thresholds))
        object.__setattr__(self, "onset_level", on_grid(self.onset_level))
        levels = self.thresholds
        if (
            not levels
            or levels[0] <= 0
            or levels[-1] >= 1
            or any(b <= a for a, b in zip(levels, levels[1:], strict=False))
        ):
            raise SettingsError(f"thresholds {levels} must ascend strictly between 0 and 1")
        for name in ("macro_ticks", "micro_ticks"):
            least, greatest = getattr(self, name)
            if not 1 <= least <= greatest:
                raise SettingsError(
                    f"{name} {least}, {greatest} must be two lengths, the least first and at least 1"
                )
        if self.micro_ticks[1] > self.macro_ticks[1]:
            raise SettingsError(
                f"micro_ticks end at {self.micro_ticks[1]}, beyond the longest macro-expression: raise macro_ticks"
            )
        for name in ("outer_ticks", "onset_ticks"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} {getattr(self, name)} must be at least 1")
        for name in (
            "soft_nms_sigma",
            "outer_margin",
            "trough_depth",
            "apex_margin",
            "macro_score",
            "micro_score",
        ):
            if not getattr(self, name) > 0:
                raise SettingsError(f"{name} {getattr(self, name)} must be greater than 0")
        for name in ("class_floor", "overlap", "trough_share", "onset_level"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingsError(f"{name} {getattr(self, name)} must lie between 0 and 1")

    @classmethod
    def from_sensitivity(cls, sensitivity: float, **overrides: Any) -> SpotSettings:
        """Map one number to thresholds, scores and the level of the early onset.

        Example:
            >>> SpotSettings.from_sensitivity(0.5) == SpotSettings()
            True

        Args:
            sensitivity: In [0, 1]: 0 reports only what is plain, 1 also what is faint, 0.5 gives the defaults. From
                0 to 1 every threshold sinks by 0.2, the least scores by 0.4 and the onset's level by 0.3.
            **overrides: Settings that are taken as they are.

        Raises:
            SettingsError: The sensitivity is not in [0, 1], or an override is unknown or impossible.
        """
        if not 0 <= sensitivity <= 1:
            raise SettingsError(f"the sensitivity {sensitivity} must lie between 0 and 1")
        unknown = sorted(set(overrides) - set(cls.__dataclass_fields__))
        if unknown:
            raise SettingsError(
                f"there is no spotting setting {unknown[0]!r}; see SpotSettings for the names"
            )
        plain, less = cls(), 0.5 - sensitivity
        mapped: dict[str, Any] = {
            "thresholds": tuple(level + 0.2 * less for level in plain.thresholds),
            "macro_score": plain.macro_score + 0.4 * less,
            "micro_score": plain.micro_score + 0.4 * less,
            "onset_level": plain.onset_level + 0.3 * less,
        }
        return cls(**(mapped | overrides))

    @property
    def floor(self) -> float:
        """The lowest threshold."""
        return self.thresholds[0]

    @property
    def longest(self) -> int:
        """Ticks at which a held expression is cut."""
        return self.macro_ticks[1]

    def margin(self, length: int) -> int:
        """Return how many ticks each outer margin of a run of that length has."""
        return min(max(1, round(self.outer_margin * length)), self.outer_ticks)

    def lengths(self, kind: Kind) -> tuple[int, int]:
        """Return the least and greatest length of a kind in ticks."""
        return self.macro_ticks if kind == "macro" else self.micro_ticks

    def least_score(self, kind: Kind) -> float:
        """Return the least score of a kind, its class probability weighed in."""
        return self.macro_score if kind == "macro" else self.micro_score

    def trough(self, peak: float, valley: float, now: float) -> bool:
        """Return whether the curve, down from a peak to a valley and now up again, shows two expressions."""
        lower = min(peak, now)
        return lower - valley >= max(self.trough_share * lower, self.trough_depth)
