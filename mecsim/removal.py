"""Lines 5 to 8 of Algorithm 1 on one BS: who is discarded, under interference that falls with every discard.

Discarding a task lowers the interference in its cell, and with it every delay, demand (18) and, upwards, every
priority there. A priority worked out earlier is therefore a lower bound of today's, so that the lowest one is found by
working out again only the tasks that look lowest (a lazy heap), not the whole cell after every removal. Demands worked
out earlier are upper bounds: the heap runs past the last removal that (10) asks for, and a search over the last few
finds it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from itertools import accumulate, pairwise
from math import ceil, inf, log2

import numpy as np

from mecsim.contest import Contest
from mecsim.physics import Array, Bools, Ints

FIRST_LOOK = 8
"""Removals that the search looks at in one go, before it doubles."""
QUIET = 1e-3
"""Power that a BS still hears, as a share of the sum it was subtracted from, below which that sum is made afresh."""


def discarded(contest: Contest, live: LiveKeys, kept: Ints, bs: int, members: Ints) -> Ints:
    """The tasks that lines 5 to 8 discard on one BS.

    Args:
        contest: the tasks and their state.
        live: the same, one task at a time.
        kept: the placement before the first removal.
        bs: the BS.
        members: the tasks on it, ascending.
    """
    capacity = float(contest.cpu_hz[bs])
    heard = contest.heard_w(kept >= 0)
    order = np.array(removal_order(contest, live, heard, members, capacity), dtype=np.intp)
    enough = least_removals(contest, kept, members, order, capacity)
    live.speak(order[enough:].tolist())
    return order[:enough]


def removal_order(
    contest: Contest, live: LiveKeys, heard_w: Array, members: Ints, capacity_hz: float
) -> list[int]:
    """The tasks of one BS in the order in which line 6 discards them, at least as many as (10) asks for.

    Args:
        contest: the tasks and their state.
        live: the same, one task at a time.
        heard_w: power that each BS receives before the first removal, (n_bs,).
        members: the tasks on the BS, all of them transmitting.
        capacity_hz: F of the BS.
    """
    keys, demands = contest.standing(heard_w, members)
    tasks = members.tolist()
    heap = list(zip(contest.tier[members].tolist(), keys.tolist(), tasks, strict=True))
    heapq.heapify(heap)
    demand = dict(zip(tasks, _whole_hz(keys, demands), strict=True))
    hopeless, total = int((keys <= 0).sum()), sum(demand.values())
    live.listen(heard_w)
    order: list[int] = []
    while heap and (hopeless or total > capacity_hz):
        tier, key, task = heap[0]
        fresh, needs = live.key(task)
        hopeless -= key <= 0
        total -= demand[task]
        if fresh > key:
            heapq.heapreplace(heap, (tier, fresh, task))
            demand[task] = ceil(needs) if fresh > 0 else 0
            total += demand[task]
            hopeless += fresh <= 0
        else:
            heapq.heappop(heap)
            live.silence(task)
            order.append(task)
    return order


def least_removals(contest: Contest, kept: Ints, members: Ints, order: Ints, capacity_hz: float) -> int:
    """How many of the tasks in `order` go before the BS satisfies (10) and every task left meets its deadline.

    Args:
        contest: the tasks and their state.
        kept: the placement before the first removal.
        members: the tasks on the BS.
        order: those of them that may go, see `removal_order`; when all of them are gone the BS satisfies (10).
        capacity_hz: F of the BS.
    """
    silent = kept.copy()
    silent[order] = -1
    staying, heard = members[silent[members] >= 0], contest.heard_w(silent >= 0)
    enough, look = len(order), FIRST_LOOK
    while enough:
        fewest = max(enough - look, 0)
        heard = _heard_before(contest, heard, order[fewest:enough])
        tasks = np.concatenate((staying, order[fewest:]))
        there = np.arange(len(tasks)) - len(staying) >= np.arange(enough - fewest)[:, None]
        there[:, : len(staying)] = True
        keys, demands = contest.standing(heard, tasks)
        used = np.where(there, demands, 0.0).sum(axis=1)
        fits = ((keys > 0) | ~there).all(axis=1) & (used <= capacity_hz)
        if not fits[0]:
            return fewest + int(np.append(fits, True).argmax())
        enough, heard, look = fewest, heard[0], 2 * look
    return 0


def _heard_before(contest: Contest, heard_w: Array, tasks: Ints) -> Array:
    """Power that each BS receives before the removal of each task, in order; `heard_w` after the last one."""
    sent = np.zeros((len(tasks), contest.n_bs))
    sent[np.arange(len(tasks)), contest.scenario.cell[tasks]] = contest.received_w[tasks]
    return heard_w + sent[::-1].cumsum(axis=0)[::-1]


def _whole_hz(keys: Array, demands: Array) -> list[int]:
    """Demands rounded up to whole Hz, 0 for hopeless tasks: sums of integers lose no digits, however large."""
    return [
        ceil(demand) if key > 0 else 0 for key, demand in zip(keys.tolist(), demands.tolist(), strict=True)
    ]


class LiveKeys:
    """`Contest.standing` for one task at a time, in plain numbers, while devices fall silent.

    Args:
        contest: the tasks and their state.
        offload: which devices transmit at first.
    """

    def __init__(self, contest: Contest, offload: Bools) -> None:
        scenario, state = contest.scenario, contest.state
        columns = (
            scenario.cell,
            contest.received_w,
            scenario.device_bandwidth_hz,
            scenario.device_bandwidth_hz * scenario.noise_w_per_hz,
            state.size_bits,
            contest.cycles,
            state.award,
            contest.left_s,
            np.full(scenario.n_devices, inf) if contest.asked_hz is None else contest.asked_hz,
        )
        self._tasks = list(zip(*(column.tolist() for column in columns), strict=True))
        self._sent = np.where(offload, contest.received_w, 0.0).tolist()
        self._cells = list(pairwise(accumulate(scenario.devices, initial=0)))
        self._alpha, self._by_index = scenario.interference, contest.by_index
        self._heard: list[float] = []
        self._summed: list[float] = []

    def listen(self, heard_w: Array) -> None:
        """Starts from the power that each BS receives now, (n_bs,)."""
        self._heard = heard_w.tolist()
        self._summed = heard_w.tolist()

    def silence(self, task: int) -> None:
        """Takes a device off the air."""
        cell, own, *_ = self._tasks[task]
        self._sent[task] = 0.0
        self._heard[cell] -= own
        if (
            self._heard[cell] < QUIET * self._summed[cell]
        ):  # what is left has lost its digits in the difference
            first, end = self._cells[cell]
            self._heard[cell] = self._summed[cell] = sum(self._sent[first:end])

    def speak(self, tasks: Iterable[int]) -> None:
        """Puts devices on the air again; `listen` comes next."""
        for task in tasks:
            self._sent[task] = self._tasks[task][1]

    def key(self, task: int) -> tuple[float, float]:
        """The key of a task now, and its demand in (10) where the key is positive."""
        cell, own, bandwidth, noise, size, cycles, award, left, asked = self._tasks[task]
        others = self._alpha * max(self._heard[cell] - own, 0.0)
        rate = bandwidth * log2(1.0 + own / (noise + others))
        slack = left - size / rate if rate > 0 else -inf
        required = cycles / slack if slack > 0 else inf
        if slack > 0 and required <= asked:
            return award / required, required if asked == inf else asked
        if self._by_index:
            return float(task - len(self._tasks)), 0.0
        return (asked / required if slack > 0 else slack) - 1.0, 0.0
