"""Two strong rules: greedy goes by pay for CPU and interference, thrifty also puts a price on energy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mecsim import physics
from mecsim.agents.base import Agent, Offer
from mecsim.physics import Array, Bools, Ints
from mecsim.refinement import Refinement, refine_discrete
from mecsim.scenario import Scenario
from mecsim.system import Action, SystemState, check_shapes

LIMITS = 32
"""Limits on the power of a cell that are tried."""
PRICINGS = 8
"""Halvings of the interval that holds the price of the CPU."""
CHEAP = 0.01
"""Share of what the worst task pays for its CPU, at which the CPU is as good as free."""
MARGIN = 1e-9
"""Share of each BS's CPU that is left alone, and of each limit that is added, for rounding."""


class Greedy(Agent):
    """What a practitioner would write: it learns nothing and looks at one slot alone.

    By (3) a task's rate, its energy (5) and the CPU that it needs (18) depend on the others of its cell only through
    S, the power that its BS receives in all. With the demands that hold at a limit on S, any tasks that keep to the
    limit are feasible. So the agent takes three steps:

    1. Prices. Under a price of the CPU each cell takes the tasks that pay most per watt, after their CPU, up to the
       best of several limits. The price is that at which all CPU is just sold.
    2. All tasks, those first that pay most for their CPU and watts at these prices, go to the BS with most room for
       them, as long as there is room and the cell keeps to its limit.
    3. Cells stay below their limits, so that demands are lower than assumed. The state that the agent is given, the
       twin's, tells what each other task would really cost: its own CPU, and what its interference adds to the CPU
       of others. The one that pays most for this total is added, until none fits.

    The action then goes through lines 2-8 of Algorithm 1 like every agent's. They find nothing to discard, whatever
    their reading, and give out the CPU (A10). Energy is a limit, but has no price: it is not saved for later slots. An
    agent that saves it gives it one (`price_per_j`); what a task pays is then its award less its energy's price.
    """

    def act(self, state: SystemState) -> Action:
        return refine_discrete(self.scenario, state, self._offer(state), self.refinement)

    def offers(self, state: SystemState) -> list[Offer]:
        return [Offer(self._offer(state))]

    def _offer(self, state: SystemState) -> Ints:
        """The BS of each task after the three steps, -1 where it is discarded, (n_devices,)."""
        check_shapes(self.scenario, state)
        return self._chosen(Slot(self.scenario, state, self.price_per_j(state)))

    def _chosen(self, slot: Slot) -> Ints:
        return slot.chosen()

    def price_per_j(self, state: SystemState) -> Array:
        """What each device's energy is worth to later slots, in income per J, (n_devices,): nothing."""
        return np.zeros(self.scenario.n_devices)


class _LimitedCell(NamedTuple):
    """A cell's tasks, limits on its S, (limits,), and the least CPU and the pay of each task, (limits, tasks)."""

    tasks: Ints
    limits_w: Array
    least_hz: Array
    pay: Array


class Slot:
    """The tasks of one slot, what they pay and what they cost.

    Attributes:
        cpu_hz: F of each BS but for a margin, (n_bs,).
        members: the tasks of each cell.
    """

    def __init__(self, scenario: Scenario, state: SystemState, price_per_j: Array) -> None:
        self._scenario, self._state, self._n_bs = scenario, state, scenario.n_bs
        self._price_per_j = price_per_j
        self._received_w, self._cycles = state.received_w, state.cycles
        self.cpu_hz = state.cpu_hz * (1.0 - MARGIN)
        self.members = scenario.devices_of
        link_s = physics.link_delays_s(state.size_bits, scenario.cell, state.link_bps)
        self._left_s = state.deadline_s[:, None] - link_s

    def chosen(self) -> Ints:
        """The three steps of `Greedy`: the BS of each task, -1 where it is discarded, (n_devices,)."""
        with np.errstate(invalid="ignore", over="ignore"):
            placement = self.filled(*self.prices())
            self.add(placement)
        return placement

    def terms(self, tasks: Ints, heard_w: Array) -> tuple[Array, Array]:
        """What tasks need, and what they pay.

        Args:
            tasks: who sends.
            heard_w: S of each one's cell, itself included; it broadcasts to (..., tasks).

        Returns:
            l of (18) at each BS, (..., tasks, n_bs), in Hz, infinite where it cannot be by the deadline, with the
            energy and the BS's CPU, or pays nothing; and the award less the price of the energy, (..., tasks), 0 where
            the energy is not there or costs more.
        """
        state, scenario, own = self._state, self._scenario, self._received_w[tasks]
        others = physics.others_w(heard_w, own, scenario.interference)
        bandwidth = scenario.device_bandwidth_hz[tasks]
        rate = physics.uplink_rate_bps(own, others, bandwidth, scenario.noise_w_per_hz)
        delay = physics.uplink_delay_s(state.size_bits[tasks], True, rate)
        energy = physics.uplink_energy_j(state.power_w[tasks], delay)
        slack = self._left_s[tasks] - delay[..., None]
        needs = physics.required_cpu_hz(self._cycles[tasks, None], slack)
        pay = state.award[tasks] - self._price_per_j[tasks] * energy
        worth = physics.affordable(energy, state.energy_j[tasks]) & (pay > 0)
        possible = worth[..., None] & (needs <= self.cpu_hz)
        return np.where(possible, needs, np.inf), np.where(worth, pay, 0.0)

    def prices(self) -> tuple[float, Array, Array]:
        """The price of the CPU, in income per Hz; the limit on S, and the price of a watt, of each cell, (n_bs,)."""
        cells = [self._cell(tasks) for tasks in self.members]
        pays = np.concatenate([(cell.pay / cell.least_hz).max(axis=0) for cell in cells])
        able = pays[pays > 0] if pays.any() else np.ones(1)
        low, high = np.log(CHEAP * able.min()), np.log(able.max())
        price, choices = 0.0, []
        for _ in range(PRICINGS):
            middle = 0.5 * (low + high)
            price = float(np.exp(middle))
            choices = [self._choice(cell, price) for cell in cells]
            scarce = sum(used_hz for *_, used_hz in choices) > self.cpu_hz.sum()
            low, high = (middle, high) if scarce else (low, middle)
        limit_w, price_w, _ = np.array(choices).T
        return price, limit_w, price_w

    def _cell(self, tasks: Ints) -> _LimitedCell:
        """A cell, with what its quietest 1, 2, ... devices send as limits."""
        sums = np.sort(self._received_w[tasks]).cumsum() * (1.0 + MARGIN)
        limits = sums[np.linspace(0, len(sums) - 1, min(LIMITS, len(sums))).astype(int)]
        below = self._received_w[tasks] <= limits[:, None]
        needs, pay = self.terms(tasks, limits[:, None])
        return _LimitedCell(tasks, limits, np.where(below, needs.min(axis=-1), np.inf), pay)

    def _choice(self, cell: _LimitedCell, price: float) -> tuple[float, float, float]:
        """What a cell takes at a price of the CPU: its limit on S, what the next watt would pay, and the CPU it needs.

        The limit is that under which its tasks are worth most after their CPU, those first that pay most per watt.
        """
        own = self._received_w[cell.tasks]
        worth = np.maximum(cell.pay - price * cell.least_hz, 0.0)
        per_w = np.divide(worth, own, out=np.zeros_like(worth), where=worth > 0)
        order = np.argsort(-per_w, axis=1)
        fits = own[order].cumsum(axis=1) <= cell.limits_w[:, None]
        ranked = np.where(fits, np.take_along_axis(worth, order, axis=1), 0.0)
        best = int(ranked.sum(axis=1).argmax())
        taken, left_out = order[best, ranked[best] > 0], order[best, ~fits[best]]
        next_w = per_w[best, left_out[0]] if len(left_out) else 0.0
        return cell.limits_w[best], next_w, cell.least_hz[best, taken].sum()

    def filled(self, price: float, limit_w: Array, price_w: Array) -> Ints:
        """The BS of each task, -1 where it is discarded, (n_devices,), step 2; see `prices` for the arguments."""
        cell, own = self._scenario.cell, self._received_w
        needs, pay = self.terms(np.arange(len(cell)), limit_w[cell])
        score = pay / (price * needs.min(axis=1) + price_w[cell] * own)
        best_first = np.argsort(-score)[: np.count_nonzero(score > 0)]
        placement, room, left = np.full(len(cell), -1), self.cpu_hz.tolist(), limit_w.tolist()
        columns = (values[best_first].tolist() for values in (cell, own, needs))
        for task, home, sent, needed in zip(best_first, *columns, strict=True):
            spare, bs = max((room[bs] - hz, bs) for bs, hz in enumerate(needed))
            if spare >= 0 and sent <= left[home]:
                placement[task], room[bs] = bs, spare
                left[home] -= sent
        return placement

    def add(self, placement: Ints) -> None:
        """Adds tasks to a feasible placement, in place, while one fits: step 3."""
        cell, n, n_bs = self._scenario.cell, len(placement), self._n_bs
        pay, own, others, used = np.zeros(n), np.zeros((n, n_bs)), np.zeros((n, n_bs)), np.zeros((n_bs, n_bs))
        changed = list(range(n_bs))
        while True:
            for bs in changed:
                members = self.members[bs]
                silent = members[placement[members] < 0]
                pay[members] = 0.0
                pay[silent], own[silent], others[silent], used[bs] = self.changes(placement, bs, silent)
            room = self.cpu_hz - used.sum(axis=0) - others
            spare = room - own
            at = spare.argmax(axis=1)
            fits = (pay > 0) & (room.min(axis=1) >= 0) & (spare.max(axis=1) >= 0)
            if not fits.any():
                return
            cost = others.sum(axis=1) + own[np.arange(n), at]
            best = np.where(fits, pay / cost, -1.0).argmax()
            placement[best] = at[best]
            changed = [cell[best]]

    def totals(self, taken: Bools) -> tuple[Array, Array]:
        """What sets of tasks need, and what each set pays in all.

        Args:
            taken: the tasks of each set, (sets, n_devices).

        Returns:
            l of (18) of each task at each BS when the set is sent, (sets, n_devices, n_bs), see `terms`; and the sum
            of what the set pays, minus infinity where one of its tasks cannot be or all BSs as one pool have not the
            CPU, (sets,).
        """
        cell = self._scenario.cell
        heard = physics.cell_sum(self._received_w * taken, np.broadcast_to(cell, taken.shape), self._n_bs)
        needs, pay = self.terms(np.arange(len(cell)), heard[..., cell])
        least_hz = np.where(taken, needs.min(axis=-1), 0.0).sum(axis=-1)
        return needs, np.where(least_hz <= self.cpu_hz.sum(), np.where(taken, pay, 0.0).sum(axis=-1), -np.inf)

    def changes(self, placement: Ints, bs: int, tasks: Ints) -> tuple[Array, Array, Array, Array]:
        """What changes if one task of a cell is added, or dropped where it is taken, for each of some tasks.

        Args:
            placement: the BS of each task, -1 where it is discarded, (n_devices,).
            bs: the cell.
            tasks: of this cell, (tasks,).

        Returns:
            What each would pay, less what its interference makes the others spend on energy, or the reverse, (tasks,);
            what it needs at a BS, 0 where it is dropped, (tasks, n_bs), in Hz; what it adds to the CPU that the cell
            uses at a BS now, (tasks, n_bs); and this CPU, (n_bs,).
        """
        members = self.members[bs]
        sending = members[placement[members] >= 0]
        at, heard = placement[sending], self._received_w[sending].sum()
        dropped = placement[tasks] >= 0
        then = heard + np.where(dropped, -1.0, 1.0) * self._received_w[tasks]
        now_hz, now_pay = self.terms(sending, heard)
        then_hz, then_pay = self.terms(sending, then[:, None])
        own_hz, own_pay = self.terms(tasks, then)
        own_hz[dropped], own_pay[dropped] = 0.0, 0.0
        number = np.arange(len(sending))
        used, then_hz = now_hz[number, at], then_hz[:, number, at]
        gone = tasks[:, None] == sending
        then_hz[gone], then_pay[gone] = 0.0, 0.0
        others = physics.cell_sum(then_hz - used, at, self._n_bs)
        pay = own_pay - (now_pay - then_pay).sum(axis=1)
        return pay, own_hz, others, physics.cell_sum(used, at, self._n_bs)


class Thrifty(Greedy):
    """Greedy's three steps, with the award g of each task replaced by g - g_mean E / Q.

    E is the energy of its transmission (5) under the power S that is assumed, Q what the device has stored. To empty
    the store costs g_mean, the award of one average task: about what the device forgoes while it harvests again. With
    plenty stored the price is next to nothing, and the rule is greedy. It learns no price and looks at one slot alone.
    In step 3 a task also pays for the energy that its interference costs others.

    g_mean is what the scenario, as the agent knows it, pays for a device's tasks on average, with the award scale of
    its cell. The mean award of the state would be the same in a large system; in a small one, the award of a task would
    change its own price.
    """

    def __init__(self, scenario: Scenario, seed: int = 0, refinement: Refinement | None = None) -> None:
        super().__init__(scenario, seed, refinement)
        self._mean_award = np.mean(self.scenario.award) * self.scenario.per_device("award_scale")

    def price_per_j(self, state: SystemState) -> Array:
        """g_mean / Q: what each device's energy is worth to later slots, in income per J, (n_devices,)."""
        with np.errstate(divide="ignore", over="ignore"):
            return self._mean_award / state.energy_j
