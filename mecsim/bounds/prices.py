"""The least upper bound that prices of the CPU give, by cutting planes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import linprog

from mecsim.bounds.cells import Cell
from mecsim.bounds.demands import TOLERANCE
from mecsim.physics import Array

MOST_PRICINGS = 40
CLOSE = 2e-4
"""Share of the bound within which the prices are close enough to the best."""


class Priced(NamedTuple):
    """What prices of the CPU say about a slot.

    Attributes:
        upper: an upper bound on the income.
        price: the prices, (n_bs,), in income per Hz.
        worth: `Cell.bound` of every cell under them, each (buckets,).
        mix: for every cell the buckets between which the relaxation is torn, and the weight of each.
    """

    upper: float
    price: Array
    worth: list[Array]
    mix: list[dict[int, float]]


def best_prices(cpu_hz: Array, cells: list[Cell], price: Array, cutoff: float) -> Priced:
    """Looks for the prices mu >= 0 with the least bound sum_k mu_k F_k + sum_c max_b (worth of cell c in bucket b).

    The bound holds for any prices: an action whose S lies in the buckets b_c earns at most what its tasks are worth
    under the prices plus what its CPU costs, which is at most mu F by (10). It is convex in mu, and every evaluation
    adds a plane below the function; the next prices are the lowest point of all planes (Kelley).

    Args:
        cpu_hz: F, (n_bs,).
        cells: the cells, each with one bucket at least.
        price: where to begin, (n_bs,).
        cutoff: a bound that is low enough to stop.
    """
    n_bs, scale = len(cpu_hz), float(cpu_hz.mean())
    objective = np.concatenate((cpu_hz / scale, np.ones(len(cells))))
    rows, limits, columns = [], [], []
    best: Priced | None = None
    weights = np.empty(0)
    for _ in range(MOST_PRICINGS):
        worth = [cell.bound(price) for cell in cells]
        upper = float(price @ cpu_hz + sum(of_cell.max() for of_cell in worth)) * (1.0 + TOLERANCE)
        if best is None or upper < best.upper:
            best = Priced(upper, price, worth, [])
        if best.upper <= cutoff:
            break
        for number, (cell, of_cell) in enumerate(zip(cells, worth, strict=True)):
            bucket = int(of_cell.argmax())
            award, used = cell.choice(price, bucket)
            rows.append(np.concatenate((-used / scale, -np.eye(len(cells))[number])))
            limits.append(-award)
            columns.append((number, bucket))
        lowest = linprog(objective, np.array(rows), limits, bounds=(0, None), method="highs")
        if lowest.x is None:
            break
        weights, price = -lowest.ineqlin.marginals, lowest.x[:n_bs] / scale
        if best.upper - lowest.fun <= CLOSE * best.upper:
            break
    return best._replace(mix=_mix(len(cells), columns, weights, best.worth))


def _mix(
    n_cells: int, columns: list[tuple[int, int]], weights: Array, worth: list[Array]
) -> list[dict[int, float]]:
    """The weight of each bucket in the relaxation; the best bucket alone where there are no weights."""
    mix: list[dict[int, float]] = [{} for _ in range(n_cells)]
    for (number, bucket), weight in zip(columns, weights, strict=False):
        if weight > 1e-9:
            mix[number][bucket] = mix[number].get(bucket, 0.0) + float(weight)
    return [of_cell or {int(worth[number].argmax()): 1.0} for number, of_cell in enumerate(mix)]
