"""Prices of energy that make the long-run bound small: a subgradient method over all slots at once.

Nothing here has to hold for certain, as the bound holds for any prices: S stands for its bucket's middle, and the BSs
are pooled into one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mecsim.optimum.cells import bucket_edges, fractional
from mecsim.optimum.demands import Demands
from mecsim.physics import Array

BUCKETS = 20
FIRST_STEP = 0.5
"""Of the first step, as a share of a task's award for its energy."""


def energy_prices(slots: Sequence[Demands], budget_j: Array, iterations: int) -> tuple[Array, Array]:
    """Prices of energy, averaged over the last half of the steps, and of the pooled CPU in each slot.

    A price rises where the tasks that the prices favour take more than there is, and falls where they take less.

    Args:
        slots: the tasks of each slot.
        budget_j: what each device may spend in all slots, (n_devices,).
        iterations: steps.

    Returns:
        The prices of energy, (n_devices,), in income per J, and of the CPU, (slots,), in income per Hz.
    """
    cells = [_Stack(slots, bs) for bs in range(slots[0].n_bs)]
    capacity = np.array([demands.cpu_hz.sum() for demands in slots])
    cpu_price = np.array([first_cpu_price(demands) for demands in slots])
    price = np.zeros(len(budget_j))
    scale = np.concatenate([cell.award_per_j for cell in cells])
    kept = []
    for step in range(iterations):
        used_hz, spent = np.zeros(len(slots)), []
        for cell, members in zip(cells, slots[0].members, strict=True):
            of_cell_hz, of_cell_j = cell.favoured(price[members], cpu_price)
            used_hz += of_cell_hz
            spent.append(of_cell_j)
        excess = np.concatenate(spent) / np.maximum(budget_j, 1e-300) - 1.0
        shrink = FIRST_STEP / np.sqrt(1.0 + step)
        price = np.maximum(price + 0.3 * shrink * scale * np.clip(excess, -1.0, 1.0), 0.0)
        cpu_price = cpu_price * np.exp(shrink * np.clip(used_hz / capacity - 1.0, -1.0, 1.0))
        kept.append((price, cpu_price))
    late = kept[len(kept) // 2 :] or [(price, cpu_price)]
    return np.mean([of_step for of_step, _ in late], axis=0), np.mean(
        [of_step for _, of_step in late], axis=0
    )


def first_cpu_price(demands: Demands) -> float:
    """What the possible tasks pay for their CPU on average, in income per Hz."""
    needs = demands.at(np.zeros(demands.n_bs)).min(axis=1)
    possible = np.isfinite(needs)
    return float(demands.award[possible].sum() / max(needs[possible].sum(), 1.0))


class _Stack:
    """One cell in all slots, S in the middle of its buckets.

    Attributes:
        award_per_j: what the tasks of each device pay for their energy, in the middle of all slots, (members,).
    """

    def __init__(self, slots: Sequence[Demands], bs: int) -> None:
        members = slots[0].members[bs]
        needs, energy, limit = [], [], []
        for demands in slots:
            high = float(demands.received_w[members].sum()) if demands.alpha else np.inf
            edges = bucket_edges(demands, bs, 0.0, high, BUCKETS)
            middle = 0.5 * (edges[:-1] + edges[1:])
            asked_hz, asked_j = demands.of_cell(bs, middle if demands.alpha else np.zeros(1))
            needs.append(asked_hz.min(axis=-1))
            energy.append(asked_j)
            limit.append(middle)
        self._needs_hz, self._energy_j, self._limit_w = np.array(needs), np.array(energy), np.array(limit)
        self._possible = np.isfinite(self._needs_hz)
        self._needs_hz[~self._possible] = 0.0
        self._energy_j[~self._possible] = 0.0
        self._award = np.array([demands.award[members] for demands in slots])[:, None]
        self._received_w = np.array([demands.received_w[members] for demands in slots])[:, None]
        taken = np.where(self._possible[:, 0], self._energy_j[:, 0], np.inf)
        self.award_per_j = np.median(self._award[:, 0] / np.minimum(taken, 1e9), axis=0)

    def favoured(self, price_per_j: Array, cpu_price: Array) -> tuple[Array, Array]:
        """The CPU that the favoured tasks take in each slot, (slots,), and the energy of each device in all."""
        cost = price_per_j * self._energy_j + cpu_price[:, None, None] * self._needs_hz
        worth = np.where(self._possible, self._award - cost, 0.0)
        bound, share = fractional(worth, self._received_w, self._limit_w)
        best = bound.argmax(axis=1)[:, None, None]
        share = np.take_along_axis(share, best, axis=1)[:, 0]
        needs, energy = (
            np.take_along_axis(of, best, axis=1)[:, 0] for of in (self._needs_hz, self._energy_j)
        )
        return (share * needs).sum(axis=1), (share * energy).sum(axis=0)
