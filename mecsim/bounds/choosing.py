"""Which tasks to take and where to compute them when what each task needs is fixed: mixed-integer programmes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_matrix, eye_array, hstack, vstack

from mecsim.bounds.demands import Demands
from mecsim.physics import Array, Bools, Ints

SOLVER_TOLERANCE = 1e-6
"""Share by which a bound of the solver is raised, for its own feasibility tolerance."""


class Choice(NamedTuple):
    """What the solver found: a bound on the awards, and the tasks of its best solution, None without one."""

    upper: float
    chosen: Bools | None
    placement: Ints | None


def choose_pooled(
    demands: Demands,
    needs_hz: Array,
    low_w: Array,
    high_w: Array,
    gap: float,
    time_limit_s: float,
    reserve: float = 0.0,
) -> Choice:
    """The best set of tasks when all BSs are pooled into one and every task takes what it needs where it needs least.

    Any placement within the capacities is such a set, so that the bound holds for all placements.

    Args:
        demands: the tasks.
        needs_hz: (n_devices, n_bs), infinite where a task cannot be computed.
        low_w, high_w: the ends of S of each cell, (n_bs,).
        gap: relative gap at which the solver may stop.
        time_limit_s: seconds after which it must.
        reserve: share of the capacity to leave alone, which makes the set easier to place; the bound holds for 0.
    """
    least = needs_hz.min(axis=1)
    tasks = np.flatnonzero(np.isfinite(least) & (demands.received_w <= high_w[demands.cell]))
    if not len(tasks):
        return _nothing(len(least), low_w)
    scale = demands.cpu_hz.sum()
    power, power_low, power_high = _power_rows(demands, tasks, low_w, high_w)
    rows = vstack((csr_matrix(least[None, tasks] / scale), power))
    limits = LinearConstraint(rows, np.append(-np.inf, power_low), np.append(1.0 - reserve, power_high))
    upper, taken = _solve(demands.award[tasks], limits, gap, time_limit_s)
    if taken is None:
        return Choice(upper, None, None)
    chosen = np.zeros(len(least), dtype=bool)
    chosen[tasks[taken]] = True
    return Choice(upper, chosen, None)


def choose_placed(
    demands: Demands, needs_hz: Array, low_w: Array, high_w: Array, gap: float, time_limit_s: float
) -> Choice:
    """The best set of tasks with the BS of each; see `choose_pooled` for the arguments.

    Beside the choice of a BS each task has a variable that says whether it is taken at all, and the pooled capacity is
    a constraint of its own: without both, the solver tries alike BSs in every order.
    """
    allowed = np.isfinite(needs_hz) & (demands.received_w <= high_w[demands.cell])[:, None]
    tasks = np.flatnonzero(allowed.any(axis=1))
    if not len(tasks):
        return _nothing(len(needs_hz), low_w)
    owner, bs = np.nonzero(allowed[tasks])
    pairs, n = np.arange(len(owner)), len(tasks)
    one_bs = hstack((-eye_array(n), csr_matrix((np.ones(len(owner)), (owner, pairs)), (n, len(owner)))))
    share = needs_hz[tasks[owner], bs] / demands.cpu_hz[bs]
    capacity = hstack(
        (csr_matrix((demands.n_bs, n)), csr_matrix((share, (bs, pairs)), (demands.n_bs, len(owner))))
    )
    pool = np.concatenate((needs_hz[tasks].min(axis=1), np.zeros(len(owner)))) / demands.cpu_hz.sum()
    power, power_low, power_high = _power_rows(demands, tasks, low_w, high_w)
    power = hstack((power, csr_matrix((power.shape[0], len(owner)))))
    rows = vstack((one_bs, capacity, csr_matrix(pool[None]), power))
    low = np.concatenate((np.zeros(n), np.full(demands.n_bs + 1, -np.inf), power_low))
    high = np.concatenate((np.zeros(n), np.ones(demands.n_bs + 1), power_high))
    award = np.concatenate((demands.award[tasks], np.zeros(len(owner))))
    upper, taken = _solve(award, LinearConstraint(rows, low, high), gap, time_limit_s)
    if taken is None:
        return Choice(upper, None, None)
    placement = np.full(len(needs_hz), -1)
    at = taken[n:]
    placement[tasks[owner[at]]] = bs[at]
    return Choice(upper, placement >= 0, placement)


def _nothing(n_devices: int, low_w: Array) -> Choice:
    """The choice among no tasks: none, where S may be 0."""
    if (low_w > 0).any():
        return Choice(-np.inf, None, None)
    return Choice(0.0, np.zeros(n_devices, dtype=bool), np.full(n_devices, -1))


def _power_rows(
    demands: Demands, tasks: Ints, low_w: Array, high_w: Array
) -> tuple[csr_matrix, Array, Array]:
    """low <= S <= high for every cell with a limit, as shares of the upper end."""
    limited = np.flatnonzero(np.isfinite(high_w) & (high_w > 0))
    sent = (demands.cell[tasks] == limited[:, None]) * demands.received_w[tasks] / high_w[limited, None]
    return csr_matrix(sent), low_w[limited] / high_w[limited], np.ones(len(limited))


def _solve(
    award: Array, limits: LinearConstraint, gap: float, time_limit_s: float
) -> tuple[float, Bools | None]:
    """The solver's bound, and its best solution; minus infinity where there is none at all."""
    options = {"mip_rel_gap": gap, "time_limit": max(time_limit_s, 0.01), "presolve": False}
    with _no_output():
        found = milp(-award, constraints=limits, integrality=1, bounds=Bounds(0, 1), options=options)
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
