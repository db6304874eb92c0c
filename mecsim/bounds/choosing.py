"""Which tasks to take and where to compute them when what each needs is fixed, and how to make the choice feasible."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from scipy.optimize import Bounds, milp
from scipy.sparse import block_array, csr_matrix, eye_array, vstack

from mecsim import physics
from mecsim.bounds.demands import Demands
from mecsim.physics import Array, Bools, Ints
from mecsim.scenario import Scenario
from mecsim.system import SystemState, feasible

SOLVER_TOLERANCE = 1e-6
"""Share by which a bound of the solver is raised, for its own feasibility tolerance."""


def choose_pooled(
    demands: Demands,
    needs_hz: Array,
    low_w: Array,
    high_w: Array,
    gap: float,
    time_limit_s: float,
    reserve: float = 0.0,
) -> tuple[float, Bools | None]:
    """The best set of tasks when all BSs are pooled into one and every task takes what it needs where it needs least.

    Any placement within the capacities is such a set, so that the bound holds for all placements.

    Args:
        demands: the tasks of one slot.
        needs_hz: (n_devices, n_bs), infinite where a task cannot be computed.
        low_w, high_w: the ends of S of each cell, (n_bs,).
        gap: relative gap at which the solver may stop.
        time_limit_s: seconds after which it must.
        reserve: share of the capacity to leave alone, which makes the set easier to place; the bound holds for 0.

    Returns:
        A bound on the awards, minus infinity if no set has its S in between; and the best set found, (n_devices,), None
        without one.
    """
    chosen = np.zeros(len(needs_hz), dtype=bool)
    tasks = np.flatnonzero(_allowed(demands, needs_hz, high_w).any(axis=1))
    if not len(tasks):
        return _nothing(chosen, low_w)
    pool = needs_hz[tasks].min(axis=1) / demands.cpu_hz.sum()
    power, power_low, power_high = _power_rows(demands, tasks, low_w, high_w)
    rows = vstack((csr_matrix(pool[None]), power))
    low, high = np.append(-np.inf, power_low), np.append(1.0 - reserve, power_high)
    upper, taken = _solve(demands.award[tasks], rows, low, high, gap, time_limit_s)
    if taken is None:
        return upper, None
    chosen[tasks[taken]] = True
    return upper, chosen


def choose_placed(
    demands: Demands, needs_hz: Array, low_w: Array, high_w: Array, gap: float, time_limit_s: float
) -> tuple[float, Ints | None]:
    """The best placement, (n_devices,), and a bound on the awards of all; see `choose_pooled`.

    Beside the choice of a BS each task has a variable that says whether it is taken at all, and the pooled capacity is
    a constraint of its own: without both, the solver tries alike BSs in every order.
    """
    placement, allowed = np.full(len(needs_hz), -1), _allowed(demands, needs_hz, high_w)
    tasks = np.flatnonzero(allowed.any(axis=1))
    if not len(tasks):
        return _nothing(placement, low_w)
    owner, bs = np.nonzero(allowed[tasks])
    n, pairs = len(tasks), np.arange(len(owner))
    share = needs_hz[tasks[owner], bs] / demands.cpu_hz[bs]
    pool = needs_hz[tasks].min(axis=1) / demands.cpu_hz.sum()
    power, power_low, power_high = _power_rows(demands, tasks, low_w, high_w)
    rows = block_array(
        [
            [-eye_array(n), csr_matrix((np.ones(len(owner)), (owner, pairs)))],
            [None, csr_matrix((share, (bs, pairs)), (demands.n_bs, len(owner)))],
            [csr_matrix(pool[None]), None],
            [power, None],
        ]
    )
    low = np.concatenate((np.zeros(n), np.full(demands.n_bs + 1, -np.inf), power_low))
    high = np.concatenate((np.zeros(n), np.ones(demands.n_bs + 1), power_high))
    award = np.append(demands.award[tasks], np.zeros(len(owner)))
    upper, taken = _solve(award, rows, low, high, gap, time_limit_s)
    if taken is None:
        return upper, None
    placement[tasks[owner[taken[n:]]]] = bs[taken[n:]]
    return upper, placement


def _allowed(demands: Demands, needs_hz: Array, high_w: Array) -> Bools:
    """Where each task can be computed, (n_devices, n_bs): at no BS if its device alone exceeds the S of its cell."""
    return np.isfinite(needs_hz) & (demands.received_w <= high_w[demands.cell])[:, None]


def _nothing(none: Any, low_w: Array) -> tuple[float, Any]:
    """The choice among no tasks: none, where S may be 0."""
    return (-np.inf, None) if (low_w > 0).any() else (0.0, none)


def _power_rows(
    demands: Demands, tasks: Ints, low_w: Array, high_w: Array
) -> tuple[csr_matrix, Array, Array]:
    """low <= S <= high for every cell with a limit, as shares of the upper end."""
    limited = np.flatnonzero(np.isfinite(high_w) & (high_w > 0))
    sent = (demands.cell[tasks] == limited[:, None]) * demands.received_w[tasks] / high_w[limited, None]
    return csr_matrix(sent), low_w[limited] / high_w[limited], np.ones(len(limited))


def _solve(
    award: Array, rows: Any, low: Array, high: Array, gap: float, time_limit_s: float
) -> tuple[float, Bools | None]:
    """The solver's bound, and its best solution; minus infinity where there is none at all."""
    options = {"mip_rel_gap": gap, "time_limit": max(time_limit_s, 0.01), "presolve": False}
    with _no_output():
        found = milp(
            -award, constraints=(rows, low, high), integrality=1, bounds=Bounds(0, 1), options=options
        )
    if found.status == 2:
        return -np.inf, None
    bound = np.inf if found.mip_dual_bound is None else -found.mip_dual_bound
    upper = min(bound, award.sum()) * (1.0 + SOLVER_TOLERANCE)
    return upper, None if found.x is None else found.x > 0.5


@contextmanager
def _no_output() -> Iterator[None]:
    """Discards what C code writes to standard output: HiGHS has a debugging line that no option turns off."""
    kept, sink = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(sink)


def repaired(scenario: Scenario, state: SystemState, demands: Demands, placement: Ints) -> Ints:
    """A feasible placement: tasks go out while a constraint is broken, then those that still fit come in.

    Out goes the task that pays least for what it needs, on a BS that has promised too much, or one that is impossible
    under the powers now sent. In comes the task of the highest award of all that fit with everything else.
    """
    placement = placement.copy()
    while not feasible(scenario, state, placement):
        taken = np.flatnonzero(placement >= 0)
        at = placement[taken]
        asked = demands.at(demands.sent_w(placement)).cpu_hz[taken, at]
        beyond = physics.cell_sum(asked, at, demands.n_bs) > state.cpu_hz * (1.0 - 1e-9)
        pay = np.where(beyond[at] | np.isinf(asked), demands.award[taken] / asked, np.inf)
        placement[taken[pay.argmin()]] = -1
    while True:
        possible = np.isfinite(demands.at(demands.sent_w(placement)).cpu_hz).any(axis=1)
        silent = np.flatnonzero((placement < 0) & possible)
        task, bs = np.repeat(silent, demands.n_bs), np.tile(np.arange(demands.n_bs), len(silent))
        tried = np.tile(placement, (len(task), 1))
        tried[np.arange(len(task)), task] = bs
        fits = feasible(scenario, state, tried)
        if not fits.any():
            return placement
        placement = tried[np.where(fits, demands.award[task], -1.0).argmax()]
