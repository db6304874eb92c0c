"""The most that any policy can earn over the slots of a world, whatever it knows of the future."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from scipy.sparse.csgraph import connected_components

from mecsim.bounds.demands import TOLERANCE, Demands, stacked
from mecsim.bounds.energy_prices import energy_prices
from mecsim.bounds.slots import slots_bound
from mecsim.physics import Array, Ints
from mecsim.scenario import Scenario
from mecsim.settings import SettingError
from mecsim.system import Action, PhysicalSystem, SystemState

AT_ONCE = 25
"""Slots that are bounded side by side: few enough that their tasks stay in the processor's cache."""


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


def long_run_bound(scenario: Scenario, states: Sequence[SystemState], iterations: int = 100) -> LongRunBound:
    """Bounds what any policy can earn per slot over given slots, even one that knows all of them beforehand.

    A device cannot spend more than it had at first and has harvested before the last slot, nor in any one slot more
    than its queue would hold had it never sent (6). The first is a budget; a price lambda >= 0 on each device's energy
    moves it into the income, and the slots come apart:

        sum_t r(t) <= sum_t max [ r(t) - sum_j lambda_j E_j(t) ] + sum_j lambda_j budget_j

    for every lambda and every path of decisions. The maximum of a slot is bounded like a box of `per_slot_bounds`, by
    a price of the CPU over buckets of the power S of each cell, with demands and energies at the lower end of each
    bucket; buckets that matter are cut until they are narrow. The BSs that links join are pooled into one, and every
    task needs what it needs where it needs least. What is left out is that energy must be there before it is spent,
    except for the queue of a single slot: so the bound is looser where the first slots, with their empty queues, are a
    large part of all; and what it costs to use another BS's CPU: so it is looser where links are few or slow.

    The bound holds on every path, not only on average, and in floating point (see `mecsim.bounds.demands.TOLERANCE`).
    How tight it is depends on how good the prices of energy are, which a subgradient method looks for.

    Args:
        scenario: parameters of the system.
        states: successive slots from the first on, as `idle_states` gives them; the queue of the first is the energy
            that there is at the beginning.
        iterations: steps of the search for the prices of energy.

    Raises:
        SettingError: no slots, slots with different links, or negative iterations.
    """
    if not len(states):
        raise SettingError("states = [] is not allowed: there should be at least one slot.")
    if iterations < 0:
        raise SettingError(f"iterations = {iterations!r} is not allowed: it should be 0 or more.")
    began = perf_counter()
    budget_j = states[0].energy_j + sum(state.harvest_j for state in states[:-1])
    parts = [
        Demands(scenario, stacked(states[first : first + AT_ONCE]))
        for first in range(0, len(states), AT_ONCE)
    ]
    groups = linked(states[0].link_bps)
    price_per_j, cpu_prices = energy_prices(parts, groups, budget_j, iterations)
    total = float(price_per_j @ budget_j) * (1.0 + TOLERANCE)
    for demands, prices in zip(parts, cpu_prices, strict=True):
        for group, price in zip(groups, prices, strict=True):
            total += float(slots_bound(demands, group, price_per_j, price).sum())
    return LongRunBound(total / len(states), len(states), price_per_j, perf_counter() - began)


def linked(link_bps: Array) -> list[Ints]:
    """The BSs that links join, directly or by way of others, one array a group."""
    count, of_bs = connected_components(link_bps > 0, directed=False)
    return [np.flatnonzero(of_bs == group) for group in range(count)]
