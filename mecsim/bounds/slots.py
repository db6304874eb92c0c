"""A bound on what each of many slots can earn when energy has a price: a price of the CPU over buckets of power."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mecsim.bounds.cells import cut
from mecsim.bounds.demands import TOLERANCE, Demands
from mecsim.bounds.pooled import PooledCell
from mecsim.bounds.tangents import Tangents
from mecsim.physics import Array, Ints

BUCKETS = 32
"""Buckets of S of each cell at first."""
PASSES = 3
"""How often the buckets are cut; between two passes the price is looked for."""
ROUNDS = 3
"""How often in a pass the best of the buckets that are not narrow yet are cut."""
CUT, PARTS = 8, 4
"""How many buckets are cut at a time, and into how many parts."""
NARROW = 2e-3
"""Growth of noise and interference within a bucket from which on it is narrow."""
NEAR = 16
"""The best buckets of each cell, among which the price is looked for; the bound is that over all buckets."""
TRIES = 8
"""Prices that are tried between two passes."""


def slots_bound(demands: Demands, group: Ints, price_per_j: Array, cpu_price: Array) -> Array:
    """Bounds the income of some cells' tasks in each slot, less what their energy costs.

    Whatever the price mu >= 0 of the CPU, it is at most mu F + sum_c max_b (worth of cell c in bucket b), as by (10)
    all tasks together take no more than F. This is convex in mu.

    Args:
        demands: the tasks of many slots.
        group: the cells; their tasks can be computed at their BSs alone.
        price_per_j: of energy, (n_devices,).
        cpu_price: of the CPU to begin with, (slots,).

    Returns:
        The bounds, (slots,).
    """
    cells = [_Cell(demands, bs, price_per_j) for bs in group]
    capacity_hz = demands.cpu_hz[:, group].sum(axis=1)
    bound, price = np.full(len(capacity_hz), np.inf), cpu_price
    for number in range(PASSES):
        if number:
            price = _better_price([cell.best_buckets() for cell in cells], capacity_hz, price)
        worth = sum(cell.narrowed(price) for cell in cells)
        bound = np.minimum(bound, price * capacity_hz + worth)
    return bound * (1.0 + TOLERANCE)


def _better_price(cells: Sequence[PooledCell], capacity_hz: Array, price: Array) -> Array:
    """The price of the CPU under which some buckets bound the slots best, of those tried, (slots,)."""
    search = Tangents(price)
    for _ in range(TRIES):
        found = [cell.favoured(search.at) for cell in cells]
        value = search.at * capacity_hz + sum(one.worth.max(axis=1) for one in found)
        search.add(value, capacity_hz - sum(one.needs_hz for one in found))
    return search.best_at


class _Cell:
    """A cell whose buckets hold every S that its devices can make, and are cut where that matters."""

    def __init__(self, demands: Demands, bs: int, price_per_j: Array) -> None:
        self._demands, self._bs = demands, bs
        self._price_per_j = price_per_j[demands.members[bs]]
        self._quiet_w = demands.noise_w[bs] / demands.alpha if demands.alpha else np.inf
        most = demands.received_w[:, demands.members[bs]].sum(axis=1) * (1.0 + TOLERANCE)
        if demands.alpha:
            self._cell = self._between(cut(self._quiet_w, np.zeros_like(most), most, BUCKETS))
        else:
            self._cell = self._between(np.stack((np.zeros_like(most), np.full_like(most, np.inf)), axis=1))
        self._worth = np.empty(0)

    def narrowed(self, cpu_price: Array) -> Array:
        """What the cell is worth at most under a price of the CPU, (slots,), once its best buckets have been cut."""
        self._worth = self._cell.favoured(cpu_price).worth
        for _ in range(ROUNDS if self._demands.alpha else 0):
            low, high = self._quiet_w + self._cell.low_w, self._quiet_w + self._cell.high_w
            wide = high > (1.0 + NARROW) * low
            if not wide[np.arange(len(wide)), self._worth.argmax(axis=1)].any():
                break
            order = np.argsort(np.where(wide, -self._worth, np.inf), axis=1)
            self._cut(order[:, :CUT], order[:, CUT:], cpu_price)
        return self._worth.max(axis=1)

    def best_buckets(self) -> PooledCell:
        """The cell with those of its buckets alone that are worth most."""
        return self._cell.only(np.argsort(-self._worth, axis=1)[:, :NEAR])

    def _cut(self, chosen: Ints, rest: Ints, cpu_price: Array) -> None:
        whole = self._cell.only(chosen)
        new = self._between(cut(self._quiet_w, whole.low_w, whole.high_w, PARTS))
        kept = np.take_along_axis(self._worth, rest, axis=1)
        self._worth = np.concatenate((kept, new.favoured(cpu_price).worth), axis=1)
        self._cell = self._cell.only(rest).joined(new)

    def _between(self, edges_w: Array) -> PooledCell:
        """The cell in buckets between successive edges, (slots, ..., edges)."""
        low, high = (ends.reshape(len(edges_w), -1) for ends in (edges_w[..., :-1], edges_w[..., 1:]))
        return PooledCell.of(self._demands, self._bs, low, high).priced(self._price_per_j)
