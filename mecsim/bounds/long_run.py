"""The most that any policy can earn over the slots of a world, whatever it knows of the future."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np
from scipy.sparse.csgraph import connected_components

from mecsim.bounds.cells import BucketedCell
from mecsim.bounds.demands import TOLERANCE, Demands
from mecsim.physics import Array, Bools, Ints
from mecsim.scenario import Scenario
from mecsim.settings import SettingError, whole_number
from mecsim.system import Action, PhysicalSystem, SystemState

AT_ONCE = 25
"""Slots that are bounded side by side: few enough that their tasks stay in the processor's cache."""

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
MARGIN = 0.05
"""Share of the interval between two tangents that the next try keeps away from its ends."""
FIRST_REACH = 1.05
"""Factor of the first step away from the start; it is squared at each step on the same side."""

PRICING_BUCKETS = 20
"""Buckets of S of each cell while the prices of energy are looked for."""
FIRST_STEP = 0.5
"""Of the first step, as a share of a task's award for its energy."""
RESCAN = 10
"""Steps between two in which all buckets are looked at, and not those alone that are next to the best."""


@dataclass(frozen=True)
class LongRunBound:
    """An upper bound on the average income per slot over given slots.

    Attributes:
        income: no policy earns more per slot, on average over these slots.
        price_per_j: what each device's energy is worth, in income per J, (n_devices,): 0 where there is enough.
    """

    income: float
    price_per_j: Array


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
    iterations = whole_number("iterations", iterations)
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
    return LongRunBound(total / len(states), price_per_j)


def stacked(states: Sequence[SystemState]) -> SystemState:
    """Many slots as one state whose arrays have an axis of slots before all others; the links are those of the first.

    Raises:
        SettingError: the links are not the same in all slots.
    """
    links = states[0].link_bps
    for number, state in enumerate(states):
        if not np.array_equal(state.link_bps, links):
            raise SettingError(f"states[{number}].link_bps is not allowed: it should be that of states[0].")
    names = {field.name for field in fields(SystemState)} - {"slot", "link_bps"}
    arrays = {name: np.stack([getattr(state, name) for state in states]) for name in names}
    return SystemState(slot=states[0].slot, link_bps=links, **arrays)


def linked(link_bps: Array) -> list[Ints]:
    """The BSs that links join, directly or by way of others, one array a group."""
    count, of_bs = connected_components(link_bps > 0, directed=False)
    return [np.flatnonzero(of_bs == group) for group in range(count)]


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
    cells = [_CutCell(demands, bs, price_per_j) for bs in group]
    capacity_hz = demands.cpu_hz[:, group].sum(axis=1)
    bound, price = np.full(len(capacity_hz), np.inf), cpu_price
    for number in range(PASSES):
        if number:
            price = _better_price([cell.best_buckets() for cell in cells], capacity_hz, price)
        worth = sum(cell.narrowed(price) for cell in cells)
        bound = np.minimum(bound, price * capacity_hz + worth)
    return bound * (1.0 + TOLERANCE)


def _better_price(cells: Sequence[BucketedCell], capacity_hz: Array, start: Array) -> Array:
    """The price of the CPU under which some buckets bound the slots best, of those tried, (slots,)."""

    def tangent(price: Array) -> tuple[Array, Array]:
        found = [cell.favoured(price[:, None]) for cell in cells]
        value = price * capacity_hz + sum(one.worth.max(axis=1) for one in found)
        return value, capacity_hz - sum(one.needs_hz[:, 0] for one in found)

    return lowest(tangent, start, TRIES)


class _CutCell:
    """A cell whose buckets hold every S that its devices can make, and are cut where that matters."""

    def __init__(self, demands: Demands, bs: int, price_per_j: Array) -> None:
        self._demands, self._bs = demands, bs
        self._price_per_j = price_per_j[demands.members[bs]]
        self._cell = self._between(_edges_w(demands, bs, BUCKETS, 1.0 + TOLERANCE))
        self._worth = np.empty(0)

    def narrowed(self, cpu_price: Array) -> Array:
        """What the cell is worth at most under a price of the CPU, (slots,), once its best buckets have been cut."""
        self._worth = self._cell.favoured(cpu_price[:, None]).worth
        quiet_w = self._demands.quiet_w[self._bs]
        for _ in range(ROUNDS if self._demands.alpha else 0):
            low, high = quiet_w + self._cell.low_w, quiet_w + self._cell.high_w
            wide = high > (1.0 + NARROW) * low
            if not wide[np.arange(len(wide)), self._worth.argmax(axis=1)].any():
                break
            order = np.argsort(np.where(wide, -self._worth, np.inf), axis=1)
            self._cut(order[:, :CUT], order[:, CUT:], cpu_price)
        return self._worth.max(axis=1)

    def best_buckets(self) -> BucketedCell:
        """The cell with those of its buckets alone that are worth most."""
        return self._cell.only(np.argsort(-self._worth, axis=1)[:, :NEAR])

    def _cut(self, chosen: Ints, rest: Ints, cpu_price: Array) -> None:
        whole = self._cell.only(chosen)
        new = self._between(self._demands.edges_w(self._bs, whole.low_w, whole.high_w, PARTS))
        kept = np.take_along_axis(self._worth, rest, axis=1)
        self._worth = np.concatenate((kept, new.favoured(cpu_price[:, None]).worth), axis=1)
        self._cell = self._cell.only(rest).joined(new)

    def _between(self, edges_w: Array) -> BucketedCell:
        """The cell in buckets between successive edges, (slots, ..., edges)."""
        low, high = (ends.reshape(len(edges_w), -1) for ends in (edges_w[..., :-1], edges_w[..., 1:]))
        return BucketedCell.of(self._demands, self._bs, low, high, pooled=True).priced(self._price_per_j)


def _edges_w(demands: Demands, bs: int, buckets: int, widened: float = 1.0) -> Array:
    """Ends of buckets that hold every S that a cell's devices can make in each slot, (slots, buckets + 1)."""
    most = demands.received_w[:, demands.members[bs]].sum(axis=1) * widened
    high = most if demands.alpha else np.full_like(most, np.inf)
    return demands.edges_w(bs, np.zeros_like(most), high, buckets)


def lowest(tangent: Callable[[Array], tuple[Array, Array]], start: Array, tries: int) -> Array:
    """Where convex functions of one number above 0 are lowest, of the points tried, (slots,).

    Each try is where the tangents on either side of the least value cross; on the way to the first one on the other
    side the steps grow.

    Args:
        tangent: value and slope of the function of each slot at (slots,) points.
        start: where to begin, above 0, (slots,).
        tries: how many points are tried.
    """
    at, best_at, best, reach = start, start, np.full_like(start, np.inf), FIRST_REACH
    unknown = np.full_like(start, np.nan)
    falling = np.array([np.zeros_like(start), unknown, unknown])
    rising = np.array([np.full_like(start, np.inf), unknown, unknown])
    for _ in range(tries):
        value, slope = tangent(at)
        best, best_at = np.where(value < best, value, best), np.where(value < best, at, best_at)
        found = np.array([at, value, slope])
        rising, falling = np.where(slope >= 0, found, rising), np.where(slope >= 0, falling, found)
        (low, low_value, low_slope), (high, high_value, high_slope) = falling, rising
        with np.errstate(invalid="ignore"):
            shift = low_value - high_value + high_slope * high - low_slope * low
            crossing = shift / (high_slope - low_slope)
            margin = MARGIN * (high - low)
            between = np.clip(crossing, low + margin, high - margin)
        one_sided = np.where(np.isinf(high), low * reach, high / reach)
        at, reach = np.where(np.isfinite(crossing), between, one_sided), min(reach**2, 4.0)
    return best_at


def energy_prices(
    parts: Sequence[Demands], groups: Sequence[Ints], budget_j: Array, iterations: int
) -> tuple[Array, list[Array]]:
    """Prices of energy, averaged over the last half of the steps, and of the pooled CPU in each slot.

    A price rises where the tasks that the prices favour take more than there is, and falls where they take less
    (subgradient method over all slots at once). Nothing here has to hold for certain, as the bound holds for any
    prices: S stands for its bucket's middle.

    Args:
        parts: the tasks of successive slots, in parts.
        groups: BSs that share their CPU.
        budget_j: what each device may spend in all slots, (n_devices,).
        iterations: steps.

    Returns:
        The prices of energy, (n_devices,), in income per J, and those of each group's CPU for each part,
        (groups, slots), in income per Hz.
    """
    slots = [_PricedSlots(demands, groups) for demands in parts]
    scale = np.median(np.concatenate([part.award_per_j for part in slots]), axis=0)
    price = np.zeros(len(budget_j))
    late, first_late = np.zeros_like(price), iterations // 2
    for step in range(iterations):
        shrink = FIRST_STEP / np.sqrt(1.0 + step)
        spent = sum(part.step(price, shrink, step >= first_late, step % RESCAN == 0) for part in slots)
        excess = spent / np.maximum(budget_j, 1e-300) - 1.0
        price = np.maximum(price + 0.3 * shrink * scale * np.clip(excess, -1.0, 1.0), 0.0)
        if step >= first_late:
            late += price
    kept = max(iterations - first_late, 1)
    return late / kept, [part.late / kept if iterations else part.cpu_price for part in slots]


class _PricedSlots:
    """All cells in some slots, S in the middle of its buckets, and the prices of their CPU.

    Attributes:
        cpu_price: of each group's CPU in each slot, (groups, slots).
        late: sum of these prices over the steps that count.
        award_per_j: what each task pays for the energy that it takes at the least, (slots, n_devices).
    """

    def __init__(self, demands: Demands, groups: Sequence[Ints]) -> None:
        self._members, self._groups, slots = demands.members, groups, len(demands.award)
        self._cells = [_in_the_middle(demands, bs) for bs in range(demands.n_bs)]
        self._best = [np.zeros(slots, dtype=np.intp) for _ in self._cells]
        self._capacity = np.array([demands.cpu_hz[:, group].sum(axis=1) for group in groups])
        quiet = demands.at(np.zeros((slots, demands.n_bs)))
        needs = quiet.cpu_hz.min(axis=-1)
        possible = np.isfinite(needs)
        self.award_per_j = demands.award / np.where(possible, quiet.energy_j, 1e9)
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
                near, members = self._near(bs, everywhere), self._members[bs]
                found = self._cells[bs].only(near).priced(price_per_j[members]).favoured(price[:, None])
                self._best[bs] = near[np.arange(len(near)), found.bucket]
                used_hz += found.needs_hz[:, 0]
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


def _in_the_middle(demands: Demands, bs: int) -> BucketedCell:
    """A cell with every S of a bucket taken for its middle."""
    edges = _edges_w(demands, bs, PRICING_BUCKETS)
    middle = 0.5 * (edges[:, :-1] + edges[:, 1:])
    return BucketedCell.of(demands, bs, edges[:, :-1], middle, at_w=middle, pooled=True)
