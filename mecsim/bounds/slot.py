"""The most that one slot can earn: a bracket around the optimum, by branch and bound over the powers S of the cells."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from itertools import count
from time import perf_counter
from typing import NamedTuple

import numpy as np
from scipy.optimize import linprog

from mecsim.agents.greedy import Slot
from mecsim.agents.local_search import searched
from mecsim.bounds.cells import BucketedCell
from mecsim.bounds.choosing import choose_placed, choose_pooled, repaired
from mecsim.bounds.demands import TOLERANCE, Demands
from mecsim.packing import pack
from mecsim.physics import Array, Ints
from mecsim.scenario import Scenario
from mecsim.settings import SettingError
from mecsim.system import Action, SystemState, least_cpu_hz, outcome

EXACT = 3e-6
"""The least relative gap that can be asked for: it covers the tolerances of the solver and of `Demands`."""
BUCKETS = 128
"""Buckets of S in each cell of a box."""
SPLIT = 2e-6
"""Share of S by which a box is split below the S of a choice, above the solver's tolerance."""
RESERVES = (1e-4, 2e-3)
"""Shares of the CPU that a set of tasks leaves free so that it can be placed; the second if the first fails."""
FEW = 24
"""Possible tasks up to which a box is given to the mixed-integer solver at once."""
MOST_PRICINGS = 40
CLOSE = 2e-4
"""Share of the bound within which the prices are close enough to the best."""


@dataclass(frozen=True)
class Bracket:
    """An interval that holds the optimum of a slot.

    Attributes:
        lower: the income of `action`.
        upper: no action earns more.
        action: a feasible action, all of whose tasks are paid.
        boxes: boxes of S that were bounded.
    """

    lower: float
    upper: float
    action: Action
    boxes: int

    @property
    def gap(self) -> float:
        """(upper - lower) / lower; 0 where nothing can be earned."""
        return (self.upper - self.lower) / self.lower if self.lower else (np.inf if self.upper else 0.0)


def per_slot_bounds(
    scenario: Scenario, state: SystemState, gap: float = 0.03, time_limit_s: float = 60.0
) -> Bracket:
    """Bounds on the income that any action can earn in a state, eqs. (2)-(11).

    The choice is to discard each task or to compute it at a BS with f = l of (18), under (5), (10) and C4; it bounds
    every action of the system, since an action that promises more CPU than there is, or sends what it cannot pay for,
    earns no more than its completed tasks alone would.

    A box is an interval of S, the power that a BS receives in all, for every cell. Demands and energies at the lower
    end of an interval are no more than the true ones, so that the best choice under them bounds the box from above
    (prices of the CPU and weak duality, see `best_prices`, within which the intervals are cut into buckets); those at
    the upper end are no less, so that a choice whose S stays below it is feasible and bounds the optimum from below. A
    local search gives the first feasible choice (`mecsim.agents.local_search`). The box of the largest bound is split
    until the bracket is narrow enough. Boxes with few tasks, or so small that their bound hardly depends on S, are
    given to a mixed-integer solver with the demands of their lower end: its optimum either is feasible, and then the
    best of the box, or splits the box at its own S. Without interference there is one box, and it is solved at once if
    `gap` asks for more than the prices give.

    Both ends hold in floating point: deadlines, energies and capacities of the relaxation are widened by 1e-9, bounds
    of the prices are recomputed from the dual and raised by 1e-9, bounds of the solver are raised by 1e-6, and the
    lower end is the income that `outcome` pays.

    Args:
        scenario: parameters of the system.
        state: what is known of the slot.
        gap: (upper - lower) / lower at which to stop; below 3e-6 it is taken as that, which is exact but for rounding.
        time_limit_s: seconds after which the bracket is returned as it is.

    Raises:
        SettingError: a negative gap or time limit.
    """
    for name, value in (("gap", gap), ("time_limit_s", time_limit_s)):
        if not value >= 0:
            raise SettingError(f"{name} = {value!r} is not allowed: it should be 0 or more.")
    search = _BranchAndBound(scenario, state, max(gap, EXACT), perf_counter() + time_limit_s)
    search.run()
    return Bracket(search.lower, search.upper, search.action, search.boxes)


class Dual(NamedTuple):
    """What prices of the CPU say about a box.

    Attributes:
        upper: an upper bound on the income.
        price: the prices, (n_bs,), in income per Hz.
        worth: `Favoured.worth` of every cell under them, each (buckets,).
        mix: for every cell the buckets between which the relaxation is torn, and the weight of each.
    """

    upper: float
    price: Array
    worth: list[Array]
    mix: list[dict[int, float]]


def best_prices(cpu_hz: Array, cells: list[BucketedCell], price: Array, cutoff: float) -> Dual:
    """Looks for the prices mu >= 0 with the least bound sum_k mu_k F_k + sum_c max_b (worth of cell c in bucket b).

    The bound holds for any prices: an action whose S lies in the buckets b_c earns at most what its tasks are worth
    under the prices plus what its CPU costs, which is at most mu F by (10). It is convex in mu, and every evaluation
    adds a plane below the function; the next prices are the lowest point of all planes (Kelley).

    Args:
        cpu_hz: F, (n_bs,).
        cells: the cells, each with one bucket at least that S can reach.
        price: where to begin, (n_bs,).
        cutoff: a bound that is low enough to stop.
    """
    n_bs, n_cells, scale = len(cpu_hz), len(cells), float(cpu_hz.mean())
    objective = np.append(cpu_hz / scale, np.ones(n_cells))
    planes, heights, buckets = [], [], []
    best, weights = Dual(np.inf, price, [], []), np.empty(0)
    for _ in range(MOST_PRICINGS):
        found = [cell.favoured(price) for cell in cells]
        upper = float(price @ cpu_hz + sum(one.worth.max() for one in found)) * (1.0 + TOLERANCE)
        if upper < best.upper:
            best = Dual(upper, price, [one.worth for one in found], [])
        if best.upper <= cutoff:
            break
        for number, one in enumerate(found):
            planes.append(np.append(-one.needs_hz / scale, -np.eye(n_cells)[number]))
            heights.append(-float(one.value))
            buckets.append((number, int(one.bucket)))
        lowest = linprog(objective, np.array(planes), heights, bounds=(0, None), method="highs")
        if lowest.x is None:
            break
        weights, price = -lowest.ineqlin.marginals, lowest.x[:n_bs] / scale
        if best.upper - lowest.fun <= CLOSE * best.upper:
            break
    mix: list[dict[int, float]] = [{} for _ in cells]
    for (number, bucket), weight in zip(buckets, weights, strict=False):
        if weight > 1e-9:
            mix[number][bucket] = mix[number].get(bucket, 0.0) + float(weight)
    alone = [{int(worth.argmax()): 1.0} for worth in best.worth]
    return best._replace(mix=[of_cell or one for of_cell, one in zip(mix, alone, strict=True)])


class _Box(NamedTuple):
    """An interval of S for every cell, and what is known of it; boxes are ordered by their bounds, largest first."""

    minus_upper: float
    number: int
    low_w: Array
    high_w: Array
    cells: list[BucketedCell]
    dual: Dual

    @property
    def upper(self) -> float:
        """No action whose S lies in the box earns more."""
        return -self.minus_upper


class _BranchAndBound:
    """Branch and bound, the box of the largest bound first; see `per_slot_bounds` for why its bounds hold.

    Args:
        scenario: parameters of the system.
        state: what is known of the slot.
        gap: relative gap at which to stop, above the tolerances.
        until: when to stop, as `perf_counter` tells it.

    Attributes:
        action: the best action found.
        lower: its income.
        boxes: boxes that were bounded.
    """

    def __init__(self, scenario: Scenario, state: SystemState, gap: float, until: float) -> None:
        self._scenario, self._state, self._gap = scenario, state, gap
        self._demands, self._until = Demands(scenario, state), until
        self.action = Action(np.full(scenario.n_devices, -1), np.zeros(scenario.n_devices))
        self.lower, self._closed = 0.0, 0.0
        self._open: list[_Box] = []
        self.boxes, self._number = 0, count()

    def run(self) -> None:
        """Narrows the bracket until it is narrow enough or the time is up."""
        demands, none = self._demands, np.zeros(self._demands.n_bs)
        needs = demands.at(none).cpu_hz
        possible = np.any(np.isfinite(needs), axis=1)
        self._few = possible.sum() <= FEW
        most = demands.sent_w(np.where(possible, 0, -1)) * (1.0 + TOLERANCE)
        high = most if demands.alpha else np.full_like(most, np.inf)
        asked = needs.min(axis=1)[possible].sum()
        price = np.full(demands.n_bs, demands.award[possible].sum() / max(asked, 1.0))
        self._bound(none, high, np.inf, price)
        self._take(self._searched())
        while self._open and self._open[0].upper > self._cutoff and self._left_s > 0:
            self._branch(heapq.heappop(self._open))

    @property
    def upper(self) -> float:
        """No action earns more."""
        return max(self._closed, self.lower, *(box.upper for box in self._open))

    @property
    def _cutoff(self) -> float:
        """The bound below which a box needs no more work."""
        return self.lower * (1.0 + self._gap)

    @property
    def _left_s(self) -> float:
        return self._until - perf_counter()

    def _bound(self, low_w: Array, high_w: Array, upper: float, price: Array) -> None:
        """Bounds a box, cuts off what of it cannot be better than the cutoff, and keeps the rest open."""
        while True:
            cells = self._cells(low_w, high_w, BUCKETS)
            if not all(cell.reached.any() for cell in cells):
                return
            self.boxes += 1
            dual = best_prices(self._demands.cpu_hz, cells, price, self._cutoff)
            upper, price = min(upper, dual.upper), dual.price
            if upper <= self._cutoff:
                self._close(upper)
                return
            new_low, new_high = self._survivors(cells, dual)
            shrunk = new_high - new_low < 0.5 * (high_w - low_w)
            low_w, high_w = new_low, new_high
            if not shrunk.any():
                break
        heapq.heappush(self._open, _Box(-upper, next(self._number), low_w, high_w, cells, dual))

    def _cells(self, low_w: Array, high_w: Array, buckets: int) -> list[BucketedCell]:
        """The cells of a box with S in at most so many buckets each."""
        cells = []
        for bs, ends in enumerate(zip(low_w, high_w, strict=True)):
            edges = np.unique(self._demands.edges_w(bs, *ends, buckets))
            n = max(len(edges) - 1, 1)
            cells.append(BucketedCell.of(self._demands, bs, edges[:n], edges[-n:]))
        return cells

    def _survivors(self, cells: list[BucketedCell], dual: Dual) -> tuple[Array, Array]:
        """The ends of S between the buckets that may hold an action above the cutoff."""
        rest = dual.price @ self._demands.cpu_hz + sum(worth.max() for worth in dual.worth)
        low, high = np.empty(len(cells)), np.empty(len(cells))
        for bs, (cell, worth) in enumerate(zip(cells, dual.worth, strict=True)):
            total = (rest - worth.max() + worth) * (1.0 + TOLERANCE)
            alive = (total > self._cutoff) | (worth == worth.max())
            self._close(float(np.where(alive, 0.0, total).max()))
            low[bs], high[bs] = cell.low_w[alive].min(), cell.high_w[alive].max()
        return low, high

    def _close(self, upper: float) -> None:
        """Notes that all that is left out of the search earns at most `upper`."""
        self._closed = max(self._closed, upper)

    def _branch(self, box: _Box) -> None:
        """Looks for a better action in a box, and splits it or solves it."""
        self._improve(box)
        if box.upper <= self._cutoff:
            self._close(box.upper)
        elif self._few or self._thin(box):
            self._solve(box)
        else:
            self._split(box, *self._widest(box), box.upper)

    def _improve(self, box: _Box) -> None:
        """Actions with the powers that the relaxation of a box likes best, and with ever less than those."""
        liked = [max(mix, key=mix.__getitem__) for mix in box.dual.mix]
        high = np.array([cell.high_w[bucket] for cell, bucket in zip(box.cells, liked, strict=True)])
        while self._left_s > 0:
            if not self._take(self._placed_below(high)):
                return
            sent = self._demands.sent_w(self.action.placement)
            if not self._demands.alpha or (sent >= high).all():
                return
            high = sent

    def _searched(self) -> Ints:
        """What the planner would choose if energy were free."""
        return searched(Slot(self._scenario, self._state, np.zeros(self._scenario.n_devices)))

    def _placed_below(self, high_w: Array) -> Ints:
        """A placement whose S stays below the given powers, of nearly the most income that they allow."""
        needs, none = self._demands.at(high_w).cpu_hz, np.zeros(len(high_w))
        best, least = np.full(len(needs), -1), np.inf
        for reserve in RESERVES:
            gap, limit_s = max(0.1 * self._gap, 1e-4), min(self._left_s, 5.0)
            _, chosen = choose_pooled(self._demands, needs, none, high_w, gap, limit_s, reserve)
            if chosen is not None:
                placement, over_hz = pack(needs, chosen, self._state.cpu_hz)
                if over_hz < least:
                    best, least = placement, over_hz
            if least <= 0:
                break
        return best

    def _take(self, placement: Ints) -> bool:
        """Makes a placement feasible and keeps it if it earns more than any before."""
        placement = repaired(self._scenario, self._state, self._demands, placement)
        action = Action(placement, least_cpu_hz(self._scenario, self._state, placement))
        income = float(outcome(self._scenario, self._state, action).income)
        if income <= self.lower:
            return False
        self.lower, self.action = income, action
        return True

    def _thin(self, box: _Box) -> bool:
        """Does the bound of a box hardly depend on S within it?"""
        cells = self._cells(box.low_w, box.high_w, 1)
        whole = best_prices(self._demands.cpu_hz, cells, box.dual.price, self._cutoff).upper
        return whole - self._cutoff <= 2.0 * (box.upper - self._cutoff)

    def _solve(self, box: _Box) -> None:
        """The optimum of a box under the demands of its lower end: the best of the box, or a reason to split it."""
        upper, placement = self._choose(box)
        upper = min(upper, box.upper)
        if upper <= self._cutoff:
            self._close(upper)
            return
        alpha = self._demands.alpha
        if placement is None:
            if alpha:
                self._split(box, *self._widest(box), upper)
            else:
                self._close(upper)
            return
        self._take(placement)
        sent = self._demands.sent_w(placement)
        beyond = sent - box.low_w
        bs = int((beyond / (sent + self._demands.quiet_w)).argmax())
        if upper <= self._cutoff or not alpha or beyond[bs] <= 2 * SPLIT * sent[bs]:
            self._close(max(upper, self.lower))
        else:
            self._split(box, bs, sent[bs] * (1.0 - SPLIT), upper)

    def _choose(self, box: _Box) -> tuple[float, Ints | None]:
        """A bound on a box and its best placement: of the pooled BSs if their tasks can be placed, else of the BSs."""
        needs = self._demands.at(box.low_w).cpu_hz
        limit_s = self._left_s / 4 if self._demands.alpha else self._left_s
        where = (self._demands, needs, box.low_w, box.high_w, 0.1 * self._gap)
        pooled = np.inf
        if not self._few:
            pooled, chosen = choose_pooled(*where, limit_s / 2)
            if pooled <= self._cutoff:
                return pooled, None
            if chosen is not None:
                placement, over_hz = pack(needs, chosen, self._demands.cpu_hz)
                if over_hz <= 0:
                    return pooled, placement
        upper, placement = choose_placed(*where, limit_s)
        return min(upper, pooled), placement

    def _widest(self, box: _Box) -> tuple[int, float]:
        """The cell between whose buckets the relaxation is torn most, or else the one of most S, and where to split."""
        best, where = -1.0, (0, 0.0)
        for bs, (cell, mix) in enumerate(zip(box.cells, box.dual.mix, strict=True)):
            quiet = self._demands.quiet_w[bs]
            used, weight = list(mix), list(mix.values())
            middle = np.log(quiet + 0.5 * (cell.low_w + cell.high_w))[used]
            torn = float(np.ptp(middle))
            ends = np.log(quiet + np.array([box.low_w[bs], box.high_w[bs]]))
            at = float(np.average(middle, weights=weight)) if torn else float(ends.mean())
            score = torn + 0.1 * float(np.ptp(ends))
            if score > best:
                best, where = score, (bs, float(np.exp(at) - quiet))
        return where

    def _split(self, box: _Box, bs: int, at_w: float, upper: float) -> None:
        """Cuts a box in two at a power of one cell, and bounds both."""
        if not box.low_w[bs] < at_w < box.high_w[bs]:
            self._close(upper)
            return
        below, above = box.high_w.copy(), box.low_w.copy()
        below[bs] = above[bs] = at_w
        self._bound(box.low_w, below, upper, box.dual.price)
        self._bound(above, box.high_w, upper, box.dual.price)
