"""Lines 3 to 8 of Algorithm 1, compiled: which tasks each BS discards, state after state; the only compiled code.

Discarding a task lowers the interference (3) in its cell, and with it every demand (18) and, upwards, every priority
there. Two things follow, so that line 6 need not look at every task again after each removal:

- A priority worked out earlier is a lower bound of today's. The lowest is found by working out again only the task
  that looks lowest, in a heap.
- A demand never falls below z v / (delta - d^c), what it would be if the uplink took no time. While even these least
  demands exceed what the BS has, somebody has to go, whatever the demands are.

What then remains are few tasks, and these are all looked at again after each removal, as the paper has it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from math import inf, log2

import numpy as np
from numba import njit
from numba.core import event

OPTIONS = {"error_model": "numpy", "nogil": True}
QUIET = 1e-3
"""Power that a BS still hears, as a share of the sum it was subtracted from, below which that sum is made afresh."""
SIGNATURE = (
    "void(int64[:, ::1], int8[:, ::1], int64[::1], int64[::1], float64[:, :, ::1], float64[:, :, ::1], float64[::1], "
    "int64[::1], boolean, boolean, int64[:, ::1], float64[:, ::1], float64[:, ::1])"
)


class _Notice(event.Listener):
    """Says once that something is compiled, which takes some seconds; code from disk is not."""

    told = False

    def on_start(self, event: event.Event) -> None:
        if not self.told:
            print("mecsim compiles Algorithm 1, which takes some seconds once.", file=sys.stderr, flush=True)
        self.told = True

    def on_end(self, event: event.Event) -> None:
        pass


def _cached(function: Callable) -> Callable:
    """Compiles a function for `SIGNATURE`, and keeps the machine code on disk where that can be written."""
    with event.install_listener("numba:compile", _Notice()):
        try:
            return njit(SIGNATURE, cache=True, **OPTIONS)(function)
        except (OSError, RuntimeError):
            return njit(SIGNATURE, **OPTIONS)(function)


@njit(inline="always", **OPTIONS)
def _standing(tasks, task, here, heard, alpha, stations, by_index):
    """Where a task of a cell stands in line 6 when the BSs hear a power `heard`; the tables are those of `fit`.

    Returns:
        Its key, lowest first: varrho > 0, or <= 0 for a task that cannot meet its deadline; and what it counts in
        (10): l, or what the actor asked for, infinite for a task that cannot meet its deadline.
    """
    received, size, cycles = tasks[task, 0], tasks[task, 1], tasks[task, 2]
    award, left, asked = tasks[task, 3], tasks[task, 4], tasks[task, 5]
    others = alpha * max(heard[here] - received, 0.0)
    rate = stations[here, 1] * log2(1.0 + received / (stations[here, 2] + others))
    slack = left - size / rate if rate > 0 else -inf
    required = cycles / slack if slack > 0 else inf
    if slack > 0 and required <= asked:
        return award / required, required if asked == inf else asked
    if by_index:
        return float(task - len(tasks)), inf
    return (asked / required if slack > 0 else slack) - 1.0, inf


@njit(inline="always", **OPTIONS)
def _comes_first(one, other, tier, key):
    """Is a task discarded before another: by tier, then key, then number?"""
    if tier[one] != tier[other]:
        return tier[one] < tier[other]
    return key[one] < key[other] or (key[one] == key[other] and one < other)


@njit(**OPTIONS)
def _sift(heap, size, place, tier, key):
    """Moves the entry at a place of a heap down to where it belongs."""
    entry = heap[place]
    while 2 * place + 1 < size:
        child = 2 * place + 1
        if child + 1 < size and _comes_first(heap[child + 1], heap[child], tier, key):
            child += 1
        if not _comes_first(heap[child], entry, tier, key):
            break
        heap[place] = heap[child]
        place = child
    heap[place] = entry


@njit(**OPTIONS)
def _heard(kept, received, first, end):
    """The power that a BS receives from the devices of its cell that transmit, added up afresh."""
    total = 0.0
    for task in range(first, end):
        if kept[task] >= 0:
            total += received[task]
    return total


@njit(**OPTIONS)
def _fit_one(kept, tier, cell, first, tasks, alpha, stations, bs, by_index, heard, removed, order, key, need):
    """Lines 4 to 8 for one BS of one state, which has seen `removed` removals before; returns how many it has then."""
    n_tasks, received = len(kept), tasks[:, 0]
    heap, size = np.empty(n_tasks, np.int64), 0
    least, total, shielded = np.empty(n_tasks), 0.0, 0.0
    capacity = stations[bs, 0]
    ceiling = 2.0 * capacity + 1.0
    for task in range(n_tasks):
        if kept[task] != bs:
            continue
        heap[size] = task
        size += 1
        cycles, left, asked = tasks[task, 2], tasks[task, 4], tasks[task, 5]
        least[task] = min(asked if asked < inf else cycles / left if left > 0 else inf, ceiling)
        total += least[task]
        if tier[task]:
            shielded += least[task]
        key[task], _ = _standing(tasks, task, cell[task], heard, alpha, stations, by_index)
    alive = heap[:size].copy()
    for place in range(size // 2 - 1, -1, -1):
        _sift(heap, size, place, tier, key)
    loudest = heard.copy()
    # Above 0 the least demands surely exceed F in spite of rounding, and so do those of tasks that are not shielded.
    excess = total - max(capacity, shielded) - size * size * 2.3e-16 * ceiling
    while excess > 0.0 and size:
        task = heap[0]
        here = cell[task]
        now, hz = _standing(tasks, task, here, heard, alpha, stations, by_index)
        if now > key[task]:
            key[task] = now
            _sift(heap, size, 0, tier, key)
            if heap[0] != task:
                continue
        size -= 1
        heap[0] = heap[size]
        _sift(heap, size, 0, tier, key)
        kept[task], order[task], key[task], need[task] = -1, removed, now, hz
        removed += 1
        excess -= least[task]
        heard[here] -= received[task]
        if heard[here] < QUIET * loudest[here]:
            heard[here] = loudest[here] = _heard(kept, received, first[here], first[here + 1])

    # The few that are left, each looked at again after each removal.
    for here in range(len(heard)):
        heard[here] = _heard(kept, received, first[here], first[here + 1])
    while True:
        total, lowest, lowest_hz = 0.0, -1, 0.0
        for task in alive:
            if kept[task] != bs:
                continue
            key[task], hz = _standing(tasks, task, cell[task], heard, alpha, stations, by_index)
            total += hz
            if lowest < 0 or _comes_first(task, lowest, tier, key):
                lowest, lowest_hz = task, hz
        if total <= capacity:
            return removed
        kept[lowest], order[lowest], need[lowest] = -1, removed, lowest_hz
        removed += 1
        here = cell[lowest]
        heard[here] = _heard(kept, received, first[here], first[here + 1])


@njit(**OPTIONS)
def _fit_once(kept, tier, capacity, bs, removed, order, key, need):
    """Lines 4 to 8 for one BS of one state, with the keys and demands of before the first removal."""
    members = np.flatnonzero(kept == bs)
    members = members[np.argsort(key[members], kind="mergesort")]
    members = members[np.argsort(tier[members], kind="mergesort")]
    total, last = 0.0, len(members)
    while last:
        total += need[members[last - 1]]
        if total > capacity:
            break
        last -= 1
    for task in members[:last]:
        kept[task], order[task] = -1, removed
        removed += 1
    return removed


@_cached
def fit(kept, tier, cell, first, tasks, stations, alpha, visits, one_shot, by_index, order, key, need):
    """Lines 3 to 8 in every state of a batch, in place.

    Args:
        kept: the BS of each task, (states, n_tasks); a discarded task becomes -1.
        tier: 0 for tasks to discard first, 1 for shielded ones, (states, n_tasks).
        cell: the serving BS of each task, ascending.
        first: the first task of each cell, and the number of tasks, (n_bs + 1,).
        tasks: p h in W, z in bit, z v in cycles, g, delta - d^c in s, and the CPU that the actor asked for in Hz,
            infinite where (18) decides, (states, n_tasks, 6).
        stations: F in Hz, B in Hz and B N0 in W of each BS, (states, n_bs, 3).
        alpha: the interference factor, (states,).
        visits: the BSs in the order of line 3.
        one_shot: are keys and demands those of before the first removal?
        by_index: do hopeless tasks go in the order of their number, rather than the worst slack first?
        order: -1 everywhere before; after it, of a task that was discarded the number of its removal.
        key, need: room for what line 6 saw of a task at its removal, see `_standing`, (states, n_tasks).
    """
    n_states, n_tasks = kept.shape
    heard = np.empty(len(first) - 1)
    for s in range(n_states):
        for bs in range(len(heard)):
            heard[bs] = _heard(kept[s], tasks[s, :, 0], first[bs], first[bs + 1])
        if one_shot:
            for task in range(n_tasks):
                key[s, task], need[s, task] = _standing(
                    tasks[s], task, cell[task], heard, alpha[s], stations[s], by_index
                )
        removed = 0
        for bs in visits:
            if one_shot:
                removed = _fit_once(
                    kept[s], tier[s], stations[s, bs, 0], bs, removed, order[s], key[s], need[s]
                )
            else:
                removed = _fit_one(
                    kept[s],
                    tier[s],
                    cell,
                    first,
                    tasks[s],
                    alpha[s],
                    stations[s],
                    bs,
                    by_index,
                    heard,
                    removed,
                    order[s],
                    key[s],
                    need[s],
                )
