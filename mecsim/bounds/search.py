"""Branch and bound over boxes of the powers S; see `mecsim.bounds.slot.per_slot_bounds` for why its bounds hold."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from itertools import count
from time import perf_counter

import numpy as np

from mecsim.bounds.cells import Cell, bucket_edges
from mecsim.bounds.choosing import Choice, choose_placed, choose_pooled
from mecsim.bounds.demands import TOLERANCE, Demands
from mecsim.bounds.packing import action_of, pack, repaired
from mecsim.bounds.prices import Priced, best_prices
from mecsim.physics import Array, Bools, Ints
from mecsim.scenario import Scenario
from mecsim.system import SystemState, outcome

BUCKETS = 128
"""Buckets of S in each cell of a box."""
SPLIT = 2e-6
"""Share of S by which a box is split below the S of a choice, above the solver's tolerance."""
RESERVES = (1e-4, 2e-3)
"""Shares of the CPU that a set of tasks leaves free so that it can be placed; the second if the first fails."""
TINIEST = 1e-300
FEW = 24
"""Possible tasks up to which a box is given to the mixed-integer solver at once."""


@dataclass(order=True)
class _Box:
    """An interval of S for every cell, and what is known of it."""

    key: tuple[float, int]
    low_w: Array = field(compare=False)
    high_w: Array = field(compare=False)
    priced: Priced = field(compare=False)
    cells: list[Cell] = field(compare=False)

    @property
    def upper(self) -> float:
        return -self.key[0]


class Search:
    """Branch and bound, the box of the largest bound first.

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
        self._demands = Demands(scenario, state)
        self._until = until
        self.action = action_of(scenario, state, np.full(scenario.n_devices, -1))
        self.lower, self._closed = 0.0, 0.0
        self._open: list[_Box] = []
        self.boxes, self._number = 0, count()
        self._quiet_w = self._demands.noise_w / self._demands.alpha if self._demands.alpha else np.inf

    def run(self) -> None:
        """Narrows the bracket until it is narrow enough or the time is up."""
        demands = self._demands
        possible = np.isfinite(demands.at(np.zeros(demands.n_bs))).any(axis=1)
        self._few = possible.sum() <= FEW
        most = demands.sent_w(np.where(possible, 0, -1)) * (1.0 + TOLERANCE)
        high = most if demands.alpha else np.full(demands.n_bs, np.inf)
        self._bound(np.zeros(demands.n_bs), high, np.inf, self._first_price(possible))
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

    def _first_price(self, possible: Bools) -> Array:
        """What the possible tasks pay for their CPU on average: the prices to begin with, (n_bs,)."""
        needs = self._demands.at(np.zeros(self._demands.n_bs)).min(axis=1)[possible]
        return np.full(self._demands.n_bs, self._demands.award[possible].sum() / max(needs.sum(), 1.0))

    def _bound(self, low_w: Array, high_w: Array, upper: float, price: Array) -> None:
        """Bounds a box, cuts off what of it cannot be better than the cutoff, and keeps the rest open."""
        while True:
            cells = self._cells(low_w, high_w, BUCKETS)
            if not all(len(cell.low_w) for cell in cells):
                return
            self.boxes += 1
            priced = best_prices(self._demands.cpu_hz, cells, price, self._cutoff)
            upper, price = min(upper, priced.upper), priced.price
            if upper <= self._cutoff:
                self._close(upper)
                return
            new_low, new_high = self._survivors(cells, priced)
            shrunk = new_high - new_low < 0.5 * (high_w - low_w)
            low_w, high_w = new_low, new_high
            if not shrunk.any():
                break
        heapq.heappush(self._open, _Box((-upper, next(self._number)), low_w, high_w, priced, cells))

    def _cells(self, low_w: Array, high_w: Array, buckets: int) -> list[Cell]:
        """The cells of a box with S in so many buckets each."""
        edges = [
            bucket_edges(self._demands, bs, low, high, buckets)
            for bs, (low, high) in enumerate(zip(low_w, high_w, strict=True))
        ]
        return [Cell.of(self._demands, bs, of_cell) for bs, of_cell in enumerate(edges)]

    def _survivors(self, cells: list[Cell], priced: Priced) -> tuple[Array, Array]:
        """The ends of S between the buckets that may hold an action above the cutoff."""
        rest = priced.price @ self._demands.cpu_hz + sum(worth.max() for worth in priced.worth)
        low, high = np.empty(len(cells)), np.empty(len(cells))
        for bs, (cell, worth) in enumerate(zip(cells, priced.worth, strict=True)):
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
            self._split(box, *self._widest(box))

    def _improve(self, box: _Box) -> None:
        """Actions with the powers that the relaxation of a box likes best, and with ever less than those."""
        high = np.array(
            [
                cell.high_w[max(mix, key=mix.__getitem__)]
                for cell, mix in zip(box.cells, box.priced.mix, strict=True)
            ]
        )
        while self._left_s > 0:
            if not self._take(self._placed_below(high)):
                return
            sent = self._demands.sent_w(self.action.placement)
            if not self._demands.alpha or (sent >= high).all():
                return
            high = sent

    def _placed_below(self, high_w: Array) -> Ints:
        """A placement whose S stays below the given powers, of nearly the most income that they allow."""
        needs, none = self._demands.at(high_w), np.zeros(len(high_w))
        best, least = np.full(len(needs), -1), np.inf
        for reserve in RESERVES:
            gap, limit_s = max(0.1 * self._gap, 1e-4), min(self._left_s, 5.0)
            found = choose_pooled(self._demands, needs, none, high_w, gap, limit_s, reserve)
            if found.chosen is not None:
                placement, over_hz = pack(needs, found.chosen, self._state.cpu_hz)
                if over_hz < least:
                    best, least = placement, over_hz
            if least <= 0:
                break
        return best

    def _take(self, placement: Ints) -> bool:
        """Makes a placement feasible and keeps it if it earns more than any before."""
        placement = repaired(self._scenario, self._state, self._demands, placement)
        action = action_of(self._scenario, self._state, placement)
        income = float(outcome(self._scenario, self._state, action).income)
        if income <= self.lower:
            return False
        self.lower, self.action = income, action
        return True

    def _thin(self, box: _Box) -> bool:
        """Does the bound of a box hardly depend on S within it?"""
        cells = self._cells(box.low_w, box.high_w, 1)
        whole = best_prices(self._demands.cpu_hz, cells, box.priced.price, self._cutoff).upper
        return whole - self._cutoff <= 2.0 * (box.upper - self._cutoff)

    def _solve(self, box: _Box) -> None:
        """The optimum of a box under the demands of its lower end: the best of the box, or a reason to split it."""
        needs = self._demands.at(box.low_w)
        found = self._choose(needs, box)
        upper = min(found.upper, box.upper)
        if upper <= self._cutoff:
            self._close(upper)
            return
        if found.placement is None:
            if self._demands.alpha:
                self._split(box, *self._widest(box), upper)
            else:
                self._close(upper)
            return
        self._take(found.placement)
        sent = self._demands.sent_w(found.placement)
        beyond = sent - box.low_w
        bs = int((beyond / np.maximum(sent + self._quiet_w, TINIEST)).argmax())
        if upper <= self._cutoff or not self._demands.alpha or beyond[bs] <= 2 * SPLIT * sent[bs]:
            self._close(max(upper, self.lower))
        else:
            self._split(box, bs, sent[bs] * (1.0 - SPLIT), upper)

    def _choose(self, needs_hz: Array, box: _Box) -> Choice:
        """The best choice in a box under given demands: of the pooled BSs if it can be placed, else of the BSs."""
        limit_s = self._left_s / 4 if self._demands.alpha else self._left_s
        where = (self._demands, needs_hz, box.low_w, box.high_w, 0.1 * self._gap)
        pooled = Choice(np.inf, None, None)
        if not self._few:
            pooled = choose_pooled(*where, limit_s / 2)
            if pooled.upper <= self._cutoff:
                return pooled
            if pooled.chosen is not None:
                placement, over_hz = pack(needs_hz, pooled.chosen, self._demands.cpu_hz)
                if over_hz <= 0:
                    return pooled._replace(placement=placement)
        placed = choose_placed(*where, limit_s)
        return placed._replace(upper=min(placed.upper, pooled.upper))

    def _widest(self, box: _Box) -> tuple[int, float]:
        """The cell between whose buckets the relaxation is torn most, or else the one of most S, and where to split."""
        best, where = -1.0, (0, 0.0)
        for bs, (cell, mix) in enumerate(zip(box.cells, box.priced.mix, strict=True)):
            middle = np.log(self._quiet_w[bs] + 0.5 * (cell.low_w + cell.high_w))
            used, weight = np.array(list(mix)), np.array(list(mix.values()))
            torn = float(np.ptp(middle[used]))
            ends = np.log(self._quiet_w[bs] + np.array([box.low_w[bs], box.high_w[bs]]))
            at = float(np.average(middle[used], weights=weight)) if torn else float(ends.mean())
            score = torn + 0.1 * float(np.ptp(ends))
            if score > best:
                best, where = score, (bs, float(np.exp(at) - self._quiet_w[bs]))
        return where

    def _split(self, box: _Box, bs: int, at_w: float, upper: float | None = None) -> None:
        """Cuts a box in two at a power of one cell, and bounds both."""
        upper = box.upper if upper is None else upper
        if not box.low_w[bs] < at_w < box.high_w[bs]:
            self._close(upper)
            return
        below, above = box.high_w.copy(), box.low_w.copy()
        below[bs] = above[bs] = at_w
        self._bound(box.low_w, below, upper, box.priced.price)
        self._bound(above, box.high_w, upper, box.priced.price)
