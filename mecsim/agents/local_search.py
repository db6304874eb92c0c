"""Local search in one slot: a choice of tasks made better by adding, dropping and swapping a few at a time."""

from __future__ import annotations

import numpy as np

from mecsim.agents.greedy import Slot
from mecsim.packing import pack, settle
from mecsim.physics import Array, Bools, Ints

KINDS = ((1, 0), (0, 1), (1, 1), (1, 2), (2, 1))
"""How many tasks a move adds, and how many it drops."""
NEAREST = 24
"""Tasks that moves may add, of those that could be added alone the ones that pay most after their CPU; and tasks that
they may drop, those that pay least."""
CHECKED = 12
"""Moves that are worked out exactly in a step."""
MOST_STEPS = 20
"""Two are usual."""


def searched(slot: Slot) -> Ints:
    """Greedy's three steps, and the local search from there: the BS of each task, -1 where it is discarded."""
    placement = slot.chosen()
    improve(slot, placement)
    return placement


@np.errstate(invalid="ignore", over="ignore", divide="ignore")
def improve(slot: Slot, placement: Ints) -> None:
    """Makes a feasible placement better, in place, move by move, until no move that is looked at helps.

    What adding or dropping one task changes, for itself and through the interference (3) for the others of its cell,
    is worked out exactly; that of a move is taken for the sum over its tasks, and all CPU for one pool. The moves that
    promise most are then worked out exactly. The best of them is made for which the BSs have room.

    Args:
        slot: the tasks, and what they pay and need.
        placement: the BS of each task, -1 where it is discarded, (n_devices,).
    """
    (worth,) = slot.totals((placement >= 0)[None])[1]
    for _ in range(MOST_STEPS):
        tried = (placement >= 0) ^ _moves(slot, placement)
        needs, worths = slot.totals(tried)
        for number in np.argsort(-worths):
            if worths[number] <= worth * (1.0 + 1e-9):
                return
            placed = _placed(needs[number], tried[number], placement, slot.cpu_hz)
            if placed is not None:
                placement[:], worth = placed, worths[number]
                break
        else:
            return


def _moves(slot: Slot, placement: Ints) -> Bools:
    """The tasks that each of the moves that promise most adds or drops, (moves, n_devices)."""
    n = len(placement)
    pay, hz, room_hz = np.empty(n), np.empty(n), slot.cpu_hz.sum()
    for bs, tasks in enumerate(slot.members):
        pay[tasks], own_hz, others_hz, used = slot.changes(placement, bs, tasks)
        hz[tasks] = own_hz.min(axis=1) + others_hz.sum(axis=1)
        room_hz -= used.sum()
    taken = placement >= 0
    price = np.median(pay[taken] / hz[taken]) if taken.any() else 0.0
    by_profit = np.argsort(price * hz - pay)
    entering = by_profit[(~taken & (pay > 0) & np.isfinite(hz))[by_profit]][:NEAREST]
    leaving = by_profit[(taken & np.isfinite(hz))[by_profit]][:NEAREST]
    found = []
    for adds, drops in KINDS:
        coming, going = _groups(entering, adds), _groups(leaving, drops)
        gain = pay[coming].sum(axis=1)[:, None] + pay[going].sum(axis=1)
        need_hz = hz[coming].sum(axis=1)[:, None] + hz[going].sum(axis=1)
        gain = np.where(need_hz <= room_hz, gain, 0.0)
        best = np.argpartition(-gain, min(CHECKED, gain.size) - 1, axis=None)[:CHECKED]
        for row, column in zip(*np.unravel_index(best, gain.shape), strict=True):
            if gain[row, column] > 0:
                found.append((gain[row, column], np.append(coming[row], going[column])))
    found.sort(key=lambda move: -move[0])
    moves = np.zeros((min(len(found), CHECKED), n), dtype=bool)
    for move, (_, tasks) in zip(moves, found, strict=False):
        move[tasks] = True
    return moves


def _groups(tasks: Ints, size: int) -> Ints:
    """All groups of none, one or two of the tasks, (groups, size)."""
    if size < 2:
        return tasks.reshape(-1, size) if size else np.empty((1, 0), dtype=np.intp)
    return tasks[np.transpose(np.triu_indices(len(tasks), 1))]


def _placed(needs_hz: Array, taken: Bools, before: Ints, cpu_hz: Array) -> Ints | None:
    """A BS for each task, where it is already if that can be, (n_devices,); None if they find no room."""
    tasks = np.flatnonzero(taken)
    needs = needs_hz[tasks]
    at = before[tasks]
    moves = (at < 0) | np.isinf(needs[np.arange(len(tasks)), at])
    at[moves] = needs[moves].argmin(axis=1)
    if settle(needs, at, cpu_hz) <= 0:
        placement = np.full(len(taken), -1)
        placement[tasks] = at
        return placement
    placement, beyond_hz = pack(needs_hz, taken, cpu_hz, starts=1)
    return placement if beyond_hz <= 0 else None
