"""Intervals over seeds and the verdict that an interval gives."""

from __future__ import annotations

from functools import cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from mecsim.training import WINDOW

Verdict = Literal["reproduced", "not reproduced", "no difference that matters", "inconclusive"]
CONFIDENCE = 0.95
LOOKS = (20, 40)
"""Seeds at which a claim is judged: at 40 only where 20 left it open."""
LOOK_CONFIDENCE = 1.0 - (1.0 - CONFIDENCE) / len(LOOKS)
"""Of the intervals of one look, so that both together err no more often than one at `CONFIDENCE` (Bonferroni)."""


class Interval(NamedTuple):
    """A mean over seeds with its confidence interval."""

    mean: float
    low: float
    high: float
    seeds: int


def interval(values: ArrayLike, confidence: float = CONFIDENCE) -> Interval:
    """Mean and Student interval (95 % by default) of independent values, one a seed.

    Raises:
        ValueError: fewer than two values, or one that is not finite.
    """
    array = np.asarray(values, float)
    if array.ndim != 1 or array.size < 2 or not np.isfinite(array).all():
        raise ValueError(
            f"values = {array.tolist()} are not allowed: an interval needs two or more finite numbers."
        )
    mean = float(array.mean())
    reach = float(_quantile(confidence, array.size) * (array.std(ddof=1) / np.sqrt(array.size)))
    return Interval(mean, mean - reach, mean + reach, array.size)


@cache
def _quantile(confidence: float, size: int) -> float:
    """Student's, at the upper end of an interval over so many values."""
    return float(stats.t.ppf((1 + confidence) / 2, size - 1))


def verdict(margin: Interval) -> Verdict:
    """A claim holds where its margin is surely above 0, fails where it is surely not above 0."""
    if margin.low > 0:
        return "reproduced"
    if margin.high <= 0:
        return "not reproduced"
    return "inconclusive"


def weakest(parts: ArrayLike, confidence: float = CONFIDENCE) -> Interval:
    """The interval that decides a claim of several parts, all of which must hold.

    That all hold is sure where each surely does, so the lower end is that of the part's own interval. That one of many
    fails happens by chance more often than that one does, so the upper end is that of the interval for all parts at
    once (Bonferroni).

    Args:
        parts: the margin of every part for every seed, (seeds, parts), NaN for a seed that a part lacks.
        confidence: of the interval.

    Returns:
        The interval of the part with the worst verdict, and among those of the smallest mean.
    """
    order: list[Verdict] = ["not reproduced", "inconclusive", "reproduced"]
    columns, at_once = _columns(parts, confidence)
    intervals = [interval(part, confidence)._replace(high=interval(part, at_once).high) for part in columns]
    return min(intervals, key=lambda part: (order.index(verdict(part)), part.mean))


def negligible(parts: ArrayLike, matters: ArrayLike, confidence: float = CONFIDENCE) -> Interval | None:
    """The interval of a part that surely makes no difference that matters, None where there is no such part.

    That one of many parts does happens by chance more often than that one does, so it must by the interval for all
    parts at once (Bonferroni). A part that holds by little is none of them.

    Args:
        parts: the margin of every part for every seed, (seeds, parts), NaN for a seed that a part lacks.
        matters: the smallest difference that matters, of each part or of all; 0 where there is none.
        confidence: of the interval.
    """
    columns, at_once = _columns(parts, confidence)
    for part, least in zip(columns, np.broadcast_to(matters, len(columns)), strict=True):
        found = interval(part, at_once)
        if -least <= found.low and found.high <= least and interval(part, confidence).low <= 0:
            return found
    return None


def _columns(parts: ArrayLike, confidence: float) -> tuple[list[NDArray], float]:
    """The margins of each part, and the confidence of an interval for all parts at once."""
    columns = [part[~np.isnan(part)] for part in np.asarray(parts, float).T]
    return columns, 1.0 - (1.0 - confidence) / len(columns)


def trend(series: ArrayLike) -> NDArray:
    """Fitted change over a sweep, as a share of its mean: least-squares slope times span, (..., points) -> (...)."""
    array = np.ascontiguousarray(
        series, float
    )  # the order of the sums, so their last bit, hangs on the layout
    steps = np.arange(array.shape[-1]) - (array.shape[-1] - 1) / 2
    slope = (array * steps).sum(axis=-1) / (steps**2).sum()
    return slope * (array.shape[-1] - 1) / array.mean(axis=-1)


def trailing_mean(incomes: NDArray, window: int = WINDOW) -> NDArray:
    """The average income curve of Fig. 3: the mean over the last `window` slots, fewer at the start (A18)."""
    sums = np.cumsum(np.concatenate([np.zeros((*incomes.shape[:-1], 1)), incomes], axis=-1), axis=-1)
    ends = np.arange(1, incomes.shape[-1] + 1)
    starts = np.maximum(ends - window, 0)
    return (sums[..., ends] - sums[..., starts]) / (ends - starts)
