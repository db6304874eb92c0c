"""What each claim measures, from arrays of stored runs: margins that are above 0 where the claim holds.

Every function returns one row a seed and one column a part; a claim holds where all its parts do (see
`mecsim.experiments.statistics.weakest`). C4-C10 are in `trends`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from mecsim.experiments.statistics import trailing_mean, trend
from mecsim.physics import Array

BAND = 0.02
"""C2: a curve has converged where it stays within this share of its final level."""

CONVERGED = 200
"""Slots at the end of a training whose mean is its converged income."""


def falling_gaps(levels: Iterable[Array]) -> Array:
    """C1, C3: gap of each array (seeds,) to the next, as a share of the mean over all: above 0 where they fall."""
    stacked = np.stack(list(levels))
    return -np.diff(stacked, axis=0).T / stacked.mean()


def later(curves: Iterable[Array]) -> Array:
    """C2: slots by which each training curve (seeds, slots) converges later than the next."""
    return -np.diff(np.stack([converged_at(incomes) for incomes in curves]), axis=0).T


def converged_at(incomes: Array) -> Array:
    """The first slot from which the trailing mean stays within `BAND` of its final value, (..., slots) -> (...)."""
    curve = trailing_mean(incomes)
    outside = np.abs(curve / curve[..., -1:] - 1.0) > BAND
    after_last = incomes.shape[-1] - np.argmax(outside[..., ::-1], axis=-1)
    return np.where(outside.any(axis=-1), after_last, 0)


def all_rise(incomes: Mapping[str, Array]) -> Array:
    """C11-C14: the fitted change of each algorithm's income (seeds, points) over a sweep, as a share of its mean."""
    return np.stack([trend(series) for series in incomes.values()], axis=1)


def excess(incomes: Mapping[str, Array], best: str = "INTO") -> Array:
    """C15: by how much one algorithm earns more than each other at each point, as a share of the other's income."""
    others = [incomes[best] / series - 1.0 for name, series in incomes.items() if name != best]
    return np.concatenate(others, axis=1)


def wasted(idle_alone: Array, idle_together: Array) -> Array:
    """C16: idle share of the CPU without peer offloading minus that with it, mean over all points and BSs.

    Args:
        idle_alone, idle_together: (seeds, points, n_bs).
    """
    return (idle_alone - idle_together).mean(axis=(1, 2))[:, None]


def falls_behind(of_ddqn: Array, of_into: Array) -> Array:
    """C17: the fitted fall of DDQN's income over INTO's as devices are added, and what it lacks in the end.

    Args:
        of_ddqn, of_into: incomes, (seeds, points), from few devices to many.
    """
    ratio = of_ddqn / of_into
    return np.stack([-trend(ratio), 1.0 - ratio[:, -1]], axis=1)


def adapts(before: Array, after: Array, untrained_income: Array, trained_income: Array) -> Array:
    """C19: the rise in BS-1's offloading devices once its awards have risen, and what training on adds to the income.

    Args:
        before, after: offloading devices of BS-1 before and after the change, (seeds,).
        untrained_income: after the change, by the policy of before, (seeds,).
        trained_income: after the change, by the policy that went on training, (seeds,).
    """
    return np.stack([after / before - 1.0, trained_income / untrained_income - 1.0], axis=1)
