"""Which BS computes which task, once it is settled what tasks are computed and what each needs at each BS."""

from __future__ import annotations

from itertools import product

import numpy as np

from mecsim import physics
from mecsim.physics import Array, Bools, Ints

STARTS = 12
"""Orders in which `pack` deals the tasks to the BSs by default."""
MOST_MOVES = 100


def pack(needs_hz: Array, chosen: Bools, cpu_hz: Array, starts: int = STARTS) -> tuple[Ints, float]:
    """A BS for each chosen task, such that the BSs are promised as little CPU beyond their own as can be found.

    The largest tasks are dealt first, each to the BS with the most room; then single tasks move and pairs of tasks
    swap while that helps. If something is left over, it starts again from another order.

    Args:
        needs_hz: (n_devices, n_bs), infinite where a task cannot be computed.
        chosen: the tasks, (n_devices,), each of which some BS can compute.
        cpu_hz: F, (n_bs,).
        starts: orders in which the tasks are dealt before the best attempt is taken as it is.

    Returns:
        The placement, (n_devices,), and the CPU promised beyond F, in Hz: 0 if every BS has room.
    """
    tasks = np.flatnonzero(chosen)
    needs, rng = needs_hz[tasks], np.random.default_rng(0)
    size = np.where(np.isfinite(needs), needs, 0.0).max(axis=1)
    best, least = np.full(len(tasks), -1), np.inf
    for start in range(starts):
        at = _deal(needs, np.argsort(-size * (1.0 + 0.1 * start * rng.random(len(size)))), cpu_hz)
        over = settle(needs, at, cpu_hz)
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


def settle(needs: Array, at: Ints, cpu_hz: Array) -> float:
    """Moves and swaps tasks in place while the CPU promised beyond F falls; returns what is left of it.

    Args:
        needs: of each task at each BS, (tasks, n_bs), infinite where it cannot be computed.
        at: the BS of each task, (tasks,), at which it can.
        cpu_hz: F, (n_bs,).
    """
    over, n_bs = np.inf, len(cpu_hz)
    for _ in range(MOST_MOVES):
        load = physics.cell_sum(needs[np.arange(len(at)), at], at, n_bs)
        beyond = np.maximum(load - cpu_hz, 0.0)
        over = float(beyond.sum())
        if over <= 0:
            return 0.0
        moves = (
            _best_swap(needs, at, load, cpu_hz, int(bs), other)
            for bs, other in product(np.flatnonzero(beyond), range(n_bs))
        )
        gain, move = max(moves, key=lambda found: found[0])
        if gain <= 1e-12 * cpu_hz.sum():
            break
        for task, target in move:
            at[task] = target
    return over


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
