"""Prices of energy that make the long-run bound small: a subgradient method over all slots at once.

Nothing here has to hold for certain, as the bound holds for any prices: S stands for its bucket's middle.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mecsim.bounds.cells import cut
from mecsim.bounds.demands import Demands
from mecsim.bounds.pooled import PooledCell
from mecsim.physics import Array, Bools, Ints

BUCKETS = 20
FIRST_STEP = 0.5
"""Of the first step, as a share of a task's award for its energy."""
RESCAN = 10
"""Steps between two in which all buckets are looked at, and not those alone that are next to the best."""


def energy_prices(
    parts: Sequence[Demands], groups: Sequence[Ints], budget_j: Array, iterations: int
) -> tuple[Array, list[Array]]:
    """Prices of energy, averaged over the last half of the steps, and of the pooled CPU in each slot.

    A price rises where the tasks that the prices favour take more than there is, and falls where they take less.

    Args:
        parts: the tasks of successive slots, in parts.
        groups: BSs that share their CPU.
        budget_j: what each device may spend in all slots, (n_devices,).
        iterations: steps.

    Returns:
        The prices of energy, (n_devices,), in income per J, and those of each group's CPU for each part,
        (groups, slots), in income per Hz.
    """
    stacks = [_Stack(demands, groups) for demands in parts]
    scale = np.median(np.concatenate([one.award_per_j for one in stacks]), axis=0)
    price = np.zeros(len(budget_j))
    late, first_late = np.zeros_like(price), iterations // 2
    for step in range(iterations):
        shrink = FIRST_STEP / np.sqrt(1.0 + step)
        spent = sum(one.step(price, shrink, step >= first_late, step % RESCAN == 0) for one in stacks)
        excess = spent / np.maximum(budget_j, 1e-300) - 1.0
        price = np.maximum(price + 0.3 * shrink * scale * np.clip(excess, -1.0, 1.0), 0.0)
        if step >= first_late:
            late += price
    kept = max(iterations - first_late, 1)
    return late / kept, [one.late / kept if iterations else one.cpu_price for one in stacks]


class _Stack:
    """All cells in some slots, S in the middle of its buckets.

    Attributes:
        cpu_price: of each group's CPU in each slot, (groups, slots).
        late: sum of these prices over the steps that count.
        award_per_j: what each task pays for the energy that it takes at the least, (slots, n_devices).
    """

    def __init__(self, demands: Demands, groups: Sequence[Ints]) -> None:
        self._members, self._groups = demands.members, groups
        self._cells = [_in_the_middle(demands, bs) for bs in range(demands.n_bs)]
        self._best = [np.zeros(len(demands.award), dtype=np.intp) for _ in self._cells]
        self._capacity = np.array([demands.cpu_hz[:, group].sum(axis=1) for group in groups])
        quiet = [demands.of_cell(bs, np.zeros((len(demands.award), 1))) for bs in range(demands.n_bs)]
        needs = np.concatenate([of_cell[0].min(axis=-1)[:, 0] for of_cell in quiet], axis=1)
        energy = np.concatenate([of_cell[1][:, 0] for of_cell in quiet], axis=1)
        possible = np.isfinite(needs)
        self.award_per_j = demands.award / np.where(possible, energy, 1e9)
        self.cpu_price = np.array(
            [_price(demands.award, needs, possible & np.isin(demands.cell, group)) for group in groups]
        )
        self.late = np.zeros_like(self.cpu_price)

    def step(self, price_per_j: Array, shrink: float, counts: bool, everywhere: bool) -> Array:
        """Moves the prices of the CPU; returns the energy that the favoured tasks take of each device, (n_devices,)."""
        spent = np.empty(len(price_per_j))
        for number, group in enumerate(self._groups):
            used_hz, price = 0.0, self.cpu_price[number]
            for bs in group:
                cell, members = self._cells[bs], self._members[bs]
                near = self._near(bs, everywhere)
                found = cell.only(near).priced(price_per_j[members]).favoured(price)
                self._best[bs] = near[np.arange(len(near)), found.worth.argmax(axis=1)]
                used_hz += found.needs_hz
                spent[members] = found.energy_j.sum(axis=0)
            excess = np.clip(used_hz / self._capacity[number] - 1.0, -1.0, 1.0)
            self.cpu_price[number] = price * np.exp(shrink * excess)
        if counts:
            self.late += self.cpu_price
        return spent

    def _near(self, bs: int, everywhere: bool) -> Ints:
        """Which buckets of a cell to look at, (slots, some)."""
        count = self._cells[bs].low_w.shape[1]
        if everywhere:
            return np.broadcast_to(np.arange(count), (len(self._best[bs]), count))
        return np.clip(self._best[bs][:, None] + np.array([-1, 0, 1]), 0, count - 1)


def _price(award: Array, needs_hz: Array, possible: Bools) -> Array:
    """What the possible tasks pay for their CPU on average, (slots,)."""
    needs = np.where(possible, needs_hz, 0.0).sum(axis=1)
    return np.where(possible, award, 0.0).sum(axis=1) / np.maximum(needs, 1.0)


def _in_the_middle(demands: Demands, bs: int) -> PooledCell:
    """A cell with every S of a bucket taken for its middle."""
    most = demands.received_w[:, demands.members[bs]].sum(axis=1)
    if not demands.alpha:
        return PooledCell.of(demands, bs, np.zeros((len(most), 1)), np.full((len(most), 1), np.inf))
    edges = cut(demands.noise_w[bs] / demands.alpha, np.zeros_like(most), most, BUCKETS)
    low, high = edges[:, :-1], edges[:, 1:]
    return PooledCell.of(demands, bs, low, 0.5 * (low + high), 0.5 * (low + high))
