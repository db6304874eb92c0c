"""The most that any policy can earn over the slots of a world, whatever it knows of the future."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from mecsim.optimum.cells import Cell, bucket_edges
from mecsim.optimum.demands import TOLERANCE, Demands
from mecsim.optimum.energy_prices import energy_prices
from mecsim.optimum.prices import Priced, best_prices
from mecsim.physics import Array
from mecsim.scenario import Scenario
from mecsim.settings import SettingError
from mecsim.state import Action, SystemState
from mecsim.system import PhysicalSystem

BUCKETS = 48
"""Buckets of S of each cell at first."""
ROUNDS = 3
"""How often the buckets that matter are cut again, each into four."""
NEAR = 0.02
"""Share of a cell's best worth within which a bucket matters."""


@dataclass(frozen=True)
class LongRunBound:
    """An upper bound on the average income per slot over given slots.

    Attributes:
        income: no policy earns more per slot, on average over these slots.
        slots: how many they are.
        price_per_j: what each device's energy is worth, in income per J, (n_devices,): 0 where there is enough.
        seconds: time taken.
    """

    income: float
    slots: int
    price_per_j: Array
    seconds: float


def idle_states(scenario: Scenario, seed: int, slots: int) -> list[SystemState]:
    """The first slots of a world as a system meets them that never transmits, so that its queues are fullest.

    The tasks, channels and harvests are those that every policy meets there (common random numbers).
    """
    system, found = PhysicalSystem(scenario, seed), []
    nothing = Action(np.full(scenario.n_devices, -1), np.zeros(scenario.n_devices))
    for _ in range(slots):
        found.append(system.state)
        system.step(nothing)
    return found


def long_run_bound(scenario: Scenario, states: Sequence[SystemState], iterations: int = 60) -> LongRunBound:
    """Bounds what any policy can earn per slot over given slots, even one that knows all of them beforehand.

    A device cannot spend more than it had at first and has harvested before the last slot, nor in any one slot more
    than its queue would hold had it never sent (6). The first is a budget; a price lambda >= 0 on each device's energy
    moves it into the income, and the slots come apart:

        sum_t r(t) <= sum_t max [ r(t) - sum_j lambda_j E_j(t) ] + sum_j lambda_j budget_j

    for every lambda and every path of decisions. The maximum of a slot is bounded like a box of `per_slot_bounds`, by
    prices of the CPU over buckets of the power S of each cell, with demands and energies at the lower end of each
    bucket; buckets that matter are cut until they are narrow. What is left out is that energy must be there before it
    is spent, except for the queue of a single slot: so the bound is looser where the first slots, with their empty
    queues, are a large part of all.

    The bound holds on every path, not only on average, and in floating point (see `mecsim.optimum.demands.TOLERANCE`).
    How tight it is depends on how good the prices of energy are, which a subgradient method looks for.

    Args:
        scenario: parameters of the system.
        states: successive slots from the first on, as `idle_states` gives them; the queue of the first is the energy
            that there is at the beginning.
        iterations: steps of the search for the prices of energy.

    Raises:
        SettingError: no slots, or negative iterations.
    """
    if not len(states):
        raise SettingError("states = [] is not allowed: there should be at least one slot.")
    if iterations < 0:
        raise SettingError(f"iterations = {iterations!r} is not allowed: it should be 0 or more.")
    began = perf_counter()
    budget_j = states[0].energy_j + sum(state.harvest_j for state in states[:-1])
    slots = [Demands(scenario, state) for state in states]
    price_per_j, cpu_price = energy_prices(slots, budget_j, iterations)
    total = float(price_per_j @ budget_j) * (1.0 + TOLERANCE)
    for demands, price in zip(slots, cpu_price, strict=True):
        total += slot_bound(demands, price_per_j, np.full(demands.n_bs, price)).upper
    return LongRunBound(total / len(slots), len(slots), price_per_j, perf_counter() - began)


def slot_bound(demands: Demands, price_per_j: Array, price: Array) -> Priced:
    """Bounds the income of a slot less what its energy costs.

    Args:
        demands: the slot.
        price_per_j: of energy, (n_devices,).
        price: of the CPU of each BS to begin with, (n_bs,).
    """
    cells = []
    for bs, members in enumerate(demands.members):
        high = demands.received_w[members].sum() * (1.0 + TOLERANCE) if demands.alpha else np.inf
        edges = bucket_edges(demands, bs, 0.0, high, BUCKETS)
        cell = Cell.of(demands, bs, edges, price_per_j[members])
        for _ in range(ROUNDS if demands.alpha else 0):
            worth = cell.bound(price)
            near = worth >= (1.0 - NEAR) * worth.max()
            low, high_w = cell.low_w[near, None], cell.high_w[near, None]
            edges = np.union1d(edges, (low + (high_w - low) * np.array([0.25, 0.5, 0.75])).ravel())
            cell = Cell.of(demands, bs, edges, price_per_j[members])
        cells.append(cell)
    return best_prices(demands.cpu_hz, cells, price, -np.inf)
