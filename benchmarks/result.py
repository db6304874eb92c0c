"""What a measure gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True)
class Result:
    """A ratio that was measured several times.

    Attributes:
        repeats: the ratio in each repeat.
        figures: absolute figures by a name that carries the unit, medians over the repeats.
    """

    repeats: list[float]
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def median(self) -> float:
        """The ratio that counts."""
        return median(self.repeats)

    @property
    def low(self) -> float:
        """The lowest repeat."""
        return min(self.repeats)

    @property
    def high(self) -> float:
        """The highest repeat."""
        return max(self.repeats)
