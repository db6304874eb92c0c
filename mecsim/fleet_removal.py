"""Lines 5 to 8 of Algorithm 1 on one BS of many twins at once, in lockstep: each pass discards one task in each twin.

A pass as the paper has it works out every key and demand again. Most passes can do with less: demands never fall below
what they would be if all others on the BS were silent, and while even these are more than the BS has, somebody has to
go; and since keys only rise, the lowest is found by working out again only the task that looks lowest. The cost grows
with the square of the tasks on a BS: from thousands on, `mecsim.removal` is faster, one twin at a time.
"""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np

from mecsim import physics
from mecsim.contest import asked_hz, keys
from mecsim.physics import Array, Bools, Ints
from mecsim.refinement import Refinement
from mecsim.scenario import Scenario
from mecsim.state import SystemState

CROWDED = 0.75
"""Share of the twins at work that are over their capacity, below which the others are dropped."""
QUIET = 1e-3
"""Power that a BS still hears, as a share of the sum it was subtracted from, below which that sum is made afresh."""


class Tasks(NamedTuple):
    """What lines 3 to 8 know of some tasks, tables of (n_twins, n_devices) or of a part of it.

    Attributes:
        labels: number of the device; number of the serving BS when those of all twins are counted through.
        numbers: bandwidth in Hz, z in bit, z v in cycles, g, p h in W, and delta - d^c in s, the time left for the
            uplink and computing; then, where (18) does not decide, the CPU that the actor asked for in Hz.
        shielded: tasks to discard only after all others; None where no task is.
    """

    scenario: Scenario
    settings: Refinement
    labels: Ints
    numbers: Array
    shielded: Bools | None

    @classmethod
    def of(
        cls,
        scenario: Scenario,
        state: SystemState,
        placement: Ints,
        settings: Refinement,
        cpu_share: Array | None,
        shielded: Bools | None,
    ) -> Self:
        """Every task of every twin under a discrete action."""
        station = np.arange(len(placement))[:, None] * scenario.n_bs + scenario.cell
        labels = np.broadcast_arrays(np.arange(scenario.n_devices), station)
        link = physics.link_delay_s(state.size_bits, placement, scenario.cell, state.link_bps)
        bandwidth = np.broadcast_to(scenario.device_bandwidth_hz, placement.shape)
        left = state.deadline_s - link
        numbers = [bandwidth, state.size_bits, state.cycles, state.award, state.received_w, left]
        if settings.cpu == "actor":
            numbers.append(asked_hz(state, placement, cpu_share))
        return cls(scenario, settings, np.stack(labels), np.stack(numbers), shielded)

    @property
    def index(self) -> Ints:
        """Number of the device."""
        return self.labels[0]

    @property
    def station(self) -> Ints:
        """Number of the serving BS when those of all twins are counted through."""
        return self.labels[1]

    @property
    def cycles(self) -> Array:
        """z v."""
        return self.numbers[2]

    @property
    def received_w(self) -> Array:
        """p h."""
        return self.numbers[4]

    @property
    def left_s(self) -> Array:
        """delta - d^c."""
        return self.numbers[5]

    @property
    def asked_hz(self) -> Array:
        """CPU that the actor asked for, where `settings.cpu` is "actor"."""
        return self.numbers[6]

    def at(self, twin: Ints, task: Ints) -> Self:
        """The tasks at some places of these tables."""
        flat = twin * self.index.shape[1] + task
        shielded = None if self.shielded is None else self.shielded.take(flat)
        labels, numbers = (
            table.reshape(len(table), -1).take(flat, axis=1) for table in (self.labels, self.numbers)
        )
        return self._replace(labels=labels, numbers=numbers, shielded=shielded)

    def rows(self, twins: Ints) -> Self:
        """The tasks of some of the twins."""
        shielded = None if self.shielded is None else self.shielded[twins]
        return self._replace(labels=self.labels[:, twins], numbers=self.numbers[:, twins], shielded=shielded)

    def heard_w(self, sending: Bools) -> Array:
        """Power that each BS receives from its cell, (n_twins * n_bs,), where these are all tasks."""
        first = np.cumsum((0, *self.scenario.devices[:-1]))
        return np.add.reduceat(self.received_w * sending, first, axis=1).ravel()

    def others_w(self, heard_w: Array) -> Array:
        """The interference of (3) that each task meets when it is sent, from what the BSs hear."""
        return physics.others_w(heard_w.take(self.station), self.received_w, self.scenario.interference)

    def standing(self, others_w: Array) -> tuple[Array, Array]:
        """Where the tasks stand in line 6 under some interference.

        Returns:
            The key, lowest first: varrho > 0, or <= 0 for a task that cannot meet its deadline; and what the task
            counts in (10): l, or what the actor asked for, infinite for a task that cannot meet its deadline.
        """
        bandwidth, size, cycles, award, received, left, *actor = self.numbers
        rate = physics.uplink_rate_bps(received, others_w, bandwidth, self.scenario.noise_w_per_hz)
        slack = left - physics.uplink_delay_s(size, True, rate)
        required = physics.required_cpu_hz(cycles, slack)
        (asked,) = actor or (None,)
        by_index = self.settings.hopeless == "lowest index"
        index = self.index - float(self.scenario.n_devices) if by_index else None
        key = keys(slack, required, award, asked, index)
        return key, required if asked is None else np.where(key > 0, asked, np.inf)


class Lockstep:
    """Lines 4 to 8 for one BS of many twins.

    Args:
        everyone: all tasks of the twins.
        kept: the placement, in which discarded tasks become -1.
        bs: the BS.
        cpu_hz: F of the BS.
    """

    def __init__(self, everyone: Tasks, kept: Ints, bs: int, cpu_hz: float) -> None:
        self._everyone, self._kept, self._bs, self._cpu_hz = everyone, kept, bs, float(cpu_hz)
        self._ceiling_hz = 2.0 * self._cpu_hz + 1.0
        self._twin = np.arange(len(kept))
        members, self._gone = members_of(kept, bs)
        self._tasks = everyone.at(self._twin[:, None], members)
        self._listen()

    def fit(self) -> None:
        """Discards tasks of the lowest key until the BS satisfies (10) in every twin."""
        self._discard_certain()
        while True:
            key, demand = self._tasks.standing(self._tasks.others_w(self._heard))
            over = np.flatnonzero(np.where(self._gone, 0.0, demand).sum(axis=1) > self._cpu_hz)
            if over.size == 0:
                return
            lowest = np.where(self._spared(), np.inf, key).argmin(axis=1)[over]
            self._gone[over, lowest] = True
            self._silence(self._twin[over], self._tasks.labels[:, over, lowest])
            if over.size < CROWDED * self._twin.size:
                self._twin, self._gone, self._tasks = (
                    self._twin[over],
                    self._gone[over],
                    self._tasks.rows(over),
                )

    def _discard_certain(self) -> None:
        """Discards tasks while those left would ask for too much even if they did not hear each other."""
        tasks, gone, least = self._tasks, self._gone, self._least_hz()
        key, _ = tasks.standing(tasks.others_w(self._heard))
        key[self._spared()] = np.inf
        excess, rows, each = self._excess_hz(least), self._twin, self._twin
        while True:
            over = excess > 0.0
            count = np.count_nonzero(over)
            if count == 0:
                return
            if count < CROWDED * rows.size:
                key, excess, rows, over, each = key[over], excess[over], rows[over], over[over], each[:count]
            lowest = key.argmin(axis=1)
            task = tasks.at(rows, lowest)
            key[each, lowest], _ = task.standing(task.others_w(self._heard))
            out = np.flatnonzero(over & (key.argmin(axis=1) == lowest))
            row, lowest = rows[out], lowest[out]
            key[out, lowest] = np.inf
            excess[out] -= least[row, lowest]
            gone[row, lowest] = True
            self._silence(row, task.labels[:, out])

    def _least_hz(self) -> Array:
        """What each task would count in (10) if no other on the BS were sent; more than F is as good as infinite."""
        outside = self._everyone.heard_w((self._kept >= 0) & (self._kept != self._bs))
        others = physics.others_w(outside.take(self._tasks.station), 0.0, self._tasks.scenario.interference)
        _, demand = self._tasks.standing(others)
        return np.where(self._gone, 0.0, np.minimum(demand, self._ceiling_hz))

    def _excess_hz(self, least_hz: Array) -> Array:
        """How far a sum of demands is surely above F and above what shielded tasks ask for, in spite of rounding."""
        reserved, shielded = self._cpu_hz, self._tasks.shielded
        if shielded is not None:
            reserved = np.maximum(reserved, (least_hz * shielded).sum(axis=1))
        rounding = least_hz.shape[1] ** 2 * np.finfo(float).eps * self._ceiling_hz
        return least_hz.sum(axis=1) - reserved - rounding

    def _silence(self, twin: Ints, labels: Ints) -> None:
        """Line 7, for at most one task of each twin."""
        index, station = labels
        self._kept[twin, index] = -1
        left_w = self._heard[station] - self._everyone.received_w[twin, index]
        self._heard[station] = left_w
        if (left_w < QUIET * self._loudest[station]).any():
            self._listen()

    def _listen(self) -> None:
        self._heard = self._everyone.heard_w(self._kept >= 0)
        self._loudest = self._heard.copy()

    def _spared(self) -> Bools:
        """Tasks that line 6 does not look at: those gone, and shielded ones while some other is left."""
        gone, shielded = self._gone, self._tasks.shielded
        if shielded is None:
            return gone
        return gone | (shielded & (~gone & ~shielded).any(axis=1, keepdims=True))


def members_of(kept: Ints, bs: int) -> tuple[Ints, Bools]:
    """The tasks on one BS, ascending, (n_twins, most), filled up with others; and which are filling."""
    twin, device = np.nonzero(kept == bs)
    count = np.bincount(twin, minlength=len(kept))
    members = np.zeros((len(kept), count.max()), dtype=np.intp)
    members[twin, np.arange(twin.size) - np.repeat(np.cumsum(count) - count, count)] = device
    return members, np.arange(members.shape[1]) >= count[:, None]
