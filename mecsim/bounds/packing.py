"""From a set of tasks to an action: every task to a BS, what does not fit out, what still fits in."""

from __future__ import annotations

import numpy as np

from mecsim.bounds.demands import Demands
from mecsim.physics import Array, Bools, Ints
from mecsim.reference.lookup import feasible, least_cpu_hz
from mecsim.scenario import Scenario
from mecsim.system import Action, SystemState

STARTS = 12
"""Orders in which the tasks are dealt to the BSs before the best attempt is taken as it is."""
MOST_MOVES = 100


def pack(needs_hz: Array, chosen: Bools, cpu_hz: Array) -> tuple[Ints, float]:
    """A BS for each chosen task, such that the BSs are promised as little CPU beyond their own as can be found.

    The largest tasks are dealt first, each to the BS with the most room; then single tasks move and pairs of tasks
    swap while that helps. If something is left over, it starts again from another order.

    Args:
        needs_hz: (n_devices, n_bs), infinite where a task cannot be computed.
        chosen: the tasks, (n_devices,), each of which some BS can compute.
        cpu_hz: F, (n_bs,).

    Returns:
        The placement, (n_devices,), and the CPU promised beyond F, in Hz: 0 if every BS has room.
    """
    tasks = np.flatnonzero(chosen)
    needs, rng = needs_hz[tasks], np.random.default_rng(0)
    size = np.where(np.isfinite(needs), needs, 0.0).max(axis=1)
    best, least = np.full(len(tasks), -1), np.inf
    for start in range(STARTS):
        at = _deal(needs, np.argsort(-size * (1.0 + 0.1 * start * rng.random(len(size)))), cpu_hz)
        over = _swap(needs, at, cpu_hz)
        if over < least:
            best, least = at, over
        if least <= 0:
            break
    placement = np.full(len(chosen), -1)
    placement[tasks] = best
    return placement, float(least)


def _deal(needs: Array, order: Ints, cpu_hz: Array) -> Ints:
    """Each task in turn to the BS that has most room left with it."""
    room, at = cpu_hz.copy(), np.empty(len(needs), dtype=np.intp)
    for task in order:
        at[task] = np.argmax(room - needs[task])
        room[at[task]] -= needs[task, at[task]]
    return at


def _swap(needs: Array, at: Ints, cpu_hz: Array) -> float:
    """Moves and swaps tasks in place while the CPU promised beyond F falls; returns what is left of it."""
    for _ in range(MOST_MOVES):
        load = np.bincount(at, weights=needs[np.arange(len(at)), at], minlength=len(cpu_hz))
        over = np.maximum(load - cpu_hz, 0.0)
        if over.sum() <= 0:
            return 0.0
        gain, move = max(
            (
                _best_swap(needs, at, load, cpu_hz, int(bs), other)
                for bs in np.flatnonzero(over)
                for other in range(len(cpu_hz))
            ),
            key=lambda found: found[0],
        )
        if gain <= 1e-12 * cpu_hz.sum():
            break
        for task, target in move:
            at[task] = target
    return float(over.sum())


def _best_swap(
    needs: Array, at: Ints, load: Array, cpu_hz: Array, bs: int, other: int
) -> tuple[float, list[tuple[int, int]]]:
    """The move of a task from one BS to another, or the swap with one of its tasks, that saves most."""
    if bs == other:
        return 0.0, []
    mine, others = np.flatnonzero(at == bs), np.flatnonzero(at == other)
    here, back = np.append(needs[others, bs], 0.0), np.append(needs[others, other], 0.0)
    here_load = load[bs] - needs[mine, bs][:, None] + here
    other_load = load[other] + needs[mine, other][:, None] - back
    over = np.maximum(here_load - cpu_hz[bs], 0.0) + np.maximum(other_load - cpu_hz[other], 0.0)
    now = max(load[bs] - cpu_hz[bs], 0.0) + max(load[other] - cpu_hz[other], 0.0)
    row, column = np.unravel_index(over.argmin(), over.shape)
    swap = [(int(mine[row]), other)] + ([(int(others[column]), bs)] if column < len(others) else [])
    return float(now - over[row, column]), swap


def repaired(scenario: Scenario, state: SystemState, demands: Demands, placement: Ints) -> Ints:
    """A feasible placement: tasks go out while a constraint is broken, then those that still fit come in.

    Out goes the task that pays least for what it needs, on a BS that has promised too much, or one that is impossible
    under the powers now sent. In comes the task of the highest award of all that fit with everything else.
    """
    placement = placement.copy()
    while not feasible(scenario, state, placement):
        needs = demands.at(demands.sent_w(placement))
        taken = np.flatnonzero(placement >= 0)
        asked = needs[taken, placement[taken]]
        load = np.bincount(placement[taken], weights=asked, minlength=demands.n_bs)
        beyond = load > state.cpu_hz * (1.0 - 1e-9)
        pay = np.where(beyond[placement[taken]] | np.isinf(asked), demands.award[taken] / asked, np.inf)
        placement[taken[pay.argmin()]] = -1
    return filled(scenario, state, demands, placement)


def filled(scenario: Scenario, state: SystemState, demands: Demands, placement: Ints) -> Ints:
    """A feasible placement with tasks added, the highest award first, while one fits."""
    while True:
        silent = np.flatnonzero(
            (placement < 0) & np.isfinite(demands.at(demands.sent_w(placement))).any(axis=1)
        )
        task, bs = np.repeat(silent, demands.n_bs), np.tile(np.arange(demands.n_bs), len(silent))
        tried = np.tile(placement, (len(task), 1))
        tried[np.arange(len(task)), task] = bs
        fits = feasible(scenario, state, tried)
        if not fits.any():
            return placement
        placement = tried[np.where(fits, demands.award[task], -1.0).argmax()]


def action_of(scenario: Scenario, state: SystemState, placement: Ints) -> Action:
    """The action that computes tasks where they are placed, with f = l of (18)."""
    return Action(placement, least_cpu_hz(scenario, state, placement))
