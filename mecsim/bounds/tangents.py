"""The least value of a convex function of one number, found between tangents, in many slots at once."""

from __future__ import annotations

import numpy as np

from mecsim.physics import Array

MARGIN = 0.05
"""Share of the interval between two tangents that the next try keeps away from its ends."""
FIRST_REACH = 1.05
"""Factor of the first step away from the start; it is squared at each step on the same side."""


class Tangents:
    """The lowest point met so far, and where to look next: where the tangents on either side of the least value cross.

    Args:
        start: where to begin, above 0, (slots,).

    Attributes:
        at: where to look next, (slots,).
        best_at: where the lowest value was found, (slots,).
        best: that value, infinite before the first one.
    """

    def __init__(self, start: Array) -> None:
        self.at, self.best_at = start, start
        self.best = np.full_like(start, np.inf)
        unknown = np.full_like(start, np.nan)
        self._falling = np.array([np.zeros_like(start), unknown, unknown])
        self._rising = np.array([np.full_like(start, np.inf), unknown, unknown])
        self._reach = FIRST_REACH

    def add(self, value: Array, slope: Array) -> None:
        """Takes in the value and a slope at `at`, and moves `at`."""
        better = value < self.best
        self.best, self.best_at = np.where(better, value, self.best), np.where(better, self.at, self.best_at)
        found = np.array([self.at, value, slope])
        self._rising = np.where(slope >= 0, found, self._rising)
        self._falling = np.where(slope >= 0, self._falling, found)
        self.at = self._next()
        self._reach = min(self._reach**2, 4.0)

    def _next(self) -> Array:
        (low, low_value, low_slope), (high, high_value, high_slope) = self._falling, self._rising
        with np.errstate(invalid="ignore"):
            crossing = (low_value - high_value + high_slope * high - low_slope * low) / (
                high_slope - low_slope
            )
            margin = MARGIN * (high - low)
            between = np.clip(crossing, low + margin, high - margin)
        one_sided = np.where(np.isinf(high), low * self._reach, high / self._reach)
        return np.where(np.isfinite(crossing), between, one_sided)
