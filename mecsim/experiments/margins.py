"""What each claim measures, from arrays: margins that are above 0 where the claim holds.

A function gives one row a seed and one column a part; a claim holds where all its parts do (see
`mecsim.experiments.statistics.weakest`). Only C20 has no seeds to compare, and its function gives the interval itself.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from scipy import stats

from mecsim.experiments.statistics import CONFIDENCE, Interval, trailing_mean, trend
from mecsim.experiments.studies.lookup import ALGORITHM_1, LOOK_UP
from mecsim.physics import Array
from mecsim.scenario import Scenario

BAND = 0.02
"""C2: a curve has converged where it stays within this share of its final level."""
FLAT = 0.05
"""C8 and C10: a total counts as flat where the last step of the sweep moves it by less than this share."""
PAPER_DEVICES = Scenario().n_devices
"""C18: the devices of section V in all cells."""
RARE = 1e-3
"""C20: with no violation seen, the rate of violations must surely lie below this."""


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


def all_rise(series: Array) -> Array:
    """C7, C9, C11-C14: the fitted change over a sweep as a share of the mean, (seeds, points, parts).

    The parts are the offloading devices of the BSs (C7, C9) or the incomes of the algorithms (C12-C14; C11: minus it).
    """
    return trend(np.swapaxes(series, 1, 2))


def first_rises_others_fall(counts: Array) -> Array:
    """C4, C6: the fitted rise of BS-1's offloading devices and fall of the others', (seeds, points, n_bs)."""
    rise = all_rise(counts)
    return np.concatenate([rise[:, :1], -rise[:, 1:]], axis=1)


def ordered(counts: Array) -> Array:
    """C5: gaps between neighbouring BSs at each point, as a share of the mean, from counts (seeds, points, n_bs)."""
    by_seed = counts.reshape(len(counts), -1)
    return np.diff(counts, axis=2).reshape(len(counts), -1) / by_seed.mean(axis=1, keepdims=True)


def flattens(counts: Array) -> Array:
    """C8, C10: `FLAT` minus the share by which the last step moves the total of counts (seeds, points, n_bs)."""
    total = counts.sum(axis=2)
    return FLAT - np.abs(total[:, -1:] / total[:, -2:-1] - 1.0)


def excess(best: Array, others: Array) -> Array:
    """C15: the share by which an income (seeds, points) exceeds each other (seeds, points, agents)."""
    return (best[..., None] / others - 1.0).reshape(len(best), -1)


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


def slower(table: pd.DataFrame, tau_s: float) -> Array:
    """C18: by how much the look-up takes longer than a slot at the paper's size, and Algorithm 1 less.

    In powers of ten. For the look-up of the nearest feasible action alone (kappa 1), log10 of its seconds is fitted by
    least squares over the numbers of devices of a seed, and extrapolated.

    Args:
        table: the study "lookup" of one preset.
        tau_s: the slot of the preset, in s.
    """
    slot = np.log10(tau_s)
    parts = []
    for seed in sorted(set(table["seed"])):
        of_seed = table.loc[table["seed"] == seed]
        look_up, algorithm_1 = (
            of_seed.loc[of_seed["metric"] == metric, ["devices", "value"]].to_numpy()
            for metric in (LOOK_UP, ALGORITHM_1)
        )
        line = np.polyfit(look_up[:, 0], np.log10(look_up[:, 1]), 1)
        at_paper_size = algorithm_1[algorithm_1[:, 0] == PAPER_DEVICES, 1].item()
        parts.append((np.polyval(line, PAPER_DEVICES) - slot, slot - np.log10(at_paper_size)))
    return np.array(parts)


def adapts(before: Array, after: Array, untrained_income: Array, trained_income: Array) -> Array:
    """C19: the rise in BS-1's offloading devices once its awards have risen, and what training on adds to the income.

    Args:
        before, after: offloading devices of BS-1 before and after the change, (seeds,).
        untrained_income: after the change, by the policy of before, (seeds,).
        trained_income: after the change, by the policy that went on training, (seeds,).
    """
    return np.stack([after / before - 1.0, trained_income / untrained_income - 1.0], axis=1)


def always_feasible(table: pd.DataFrame) -> Interval:
    """C20: what is left of `RARE` above the rate of refined actions that break a constraint.

    The rate is that over the actions of all seeds, with its exact interval (Clopper and Pearson). The paper says
    "every": a single action that breaks a constraint refutes it, so that the margin is then at most 0.

    Args:
        table: the study "guarantees" of one preset.
    """
    violations, actions = (
        int(table.loc[table["metric"] == metric, "value"].to_numpy().sum()) for metric in ("any", "actions")
    )
    rate = stats.binomtest(violations, actions).proportion_ci(CONFIDENCE, method="exact")
    margin = RARE - np.array([violations / actions, rate.high, rate.low])
    mean, low, high = (np.minimum(margin, 0.0) if violations else margin).tolist()
    return Interval(mean, low, high, len(set(table["seed"])))
