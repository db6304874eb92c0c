"""Who goes next when a BS is over its capacity: priorities under interference that falls as tasks are discarded.

Discarding a task lowers the interference in its cell, and with it every delay, demand (18) and, upwards, every
priority there. A priority worked out earlier is therefore a lower bound of today's, so that the lowest one is found by
working out again only the tasks that look lowest (a lazy heap), not the whole cell after every removal.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from math import inf, log2
from typing import TYPE_CHECKING, Self

import numpy as np

from mecsim import physics
from mecsim.outcome import uplink
from mecsim.physics import Array, Bools, Ints
from mecsim.scenario import Scenario
from mecsim.state import SystemState

if TYPE_CHECKING:
    from mecsim.refinement import Refinement


@dataclass(frozen=True)
class Contest:
    """The tasks that compete for CPU in one slot; device arrays (n_devices,).

    Attributes:
        left_s: delta - d^c, the time left for the uplink and computing.
        asked_hz: CPU that the actor asked for; infinite where (18) decides.
        tier: 0 for tasks to discard first, 1 for shielded ones.
        by_index: do hopeless tasks go in the order of their index (A9)?
    """

    scenario: Scenario
    state: SystemState
    left_s: Array
    asked_hz: Array
    tier: Ints
    by_index: bool

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
        """The contest that a discrete action opens."""
        link = physics.link_delay_s(state.size_bits, placement, scenario.cell, state.link_bps)
        asked = np.full(scenario.n_devices, inf)
        if settings.cpu == "actor":
            if cpu_share is None:
                raise ValueError("cpu_share is missing: Refinement.cpu = 'actor' needs the actor's f.")
            share = np.clip(np.take_along_axis(cpu_share, placement[:, None], axis=1)[:, 0], 0.0, 1.0)
            asked = share * state.cpu_hz[placement]
        tier = np.zeros(scenario.n_devices, dtype=np.intp) if shielded is None else shielded.astype(np.intp)
        return cls(scenario, state, state.deadline_s - link, asked, tier, settings.hopeless == "lowest index")

    @property
    def n_bs(self) -> int:
        """Number of BSs."""
        return self.scenario.n_bs

    @property
    def cpu_hz(self) -> Array:
        """F, the CPU of each BS, in Hz."""
        return self.state.cpu_hz

    def slack_s(self, offload: Bools) -> Array:
        """delta - d^w - d^c when the devices in `offload` transmit."""
        return self.left_s - uplink(self.scenario, self.state, offload).delay_s

    def required(self, offload: Bools) -> Array:
        """l of eq. (18) when the devices in `offload` transmit, in Hz."""
        return physics.required_cpu_hz(self.state.cycles, self.slack_s(offload))

    def demand_hz(self, offload: Bools) -> Array:
        """What each task counts in (10): l, or what the actor asked for."""
        return np.where(np.isinf(self.asked_hz), self.required(offload), self.asked_hz)

    def keys(self, offload: Bools) -> Array:
        """The order of discarding, lowest first: varrho > 0, or <= 0 for a task that cannot meet its deadline.

        Every key rises, or stays, when another device of the cell falls silent.
        """
        slack = self.slack_s(offload)
        required = physics.required_cpu_hz(self.state.cycles, slack)
        able = (slack > 0) & (required <= self.asked_hz)
        if self.by_index:
            hopeless = np.arange(len(slack)) - float(len(slack))
        else:
            granted = np.divide(self.asked_hz, required, out=slack.copy(), where=(slack > 0) & ~able)
            hopeless = granted - 1.0
        return np.where(able, physics.processing_priority(self.state.award, required), hopeless)

    def fits(self, kept: Ints, bs: int) -> bool:
        """Does a BS satisfy (10), with every task on it able to meet its deadline?"""
        members = kept == bs
        offload = kept >= 0
        return bool(
            (self.keys(offload)[members] > 0).all()
            and self.demand_hz(offload)[members].sum() <= self.cpu_hz[bs]
        )


def removal_order(contest: Contest, kept: Ints, members: Ints) -> list[int]:
    """The tasks of one BS in the order in which line 6 discards them, at least as many as (10) asks for.

    Args:
        contest: the tasks and their state.
        kept: the placement before the first removal.
        members: the tasks on the BS, ascending.
    """
    if len(members) == 0:
        return []
    offload = kept >= 0
    capacity = float(contest.cpu_hz[kept[members[0]]])
    keys, demands = contest.keys(offload)[members], contest.demand_hz(offload)[members]
    demand = dict(zip(members.tolist(), np.where(keys > 0, demands, 0.0).tolist(), strict=True))
    heap = list(zip(contest.tier[members].tolist(), keys.tolist(), members.tolist(), strict=True))
    heapq.heapify(heap)
    hopeless = int((keys <= 0).sum())
    live = _LiveKeys(contest, offload)
    order: list[int] = []
    while heap and (hopeless or sum(demand.values()) > capacity):  # a running total would lose digits
        tier, key, task = heap[0]
        fresh, needs = live.key(task)
        hopeless -= key <= 0
        if fresh > key:
            heapq.heapreplace(heap, (tier, fresh, task))
            demand[task] = needs if fresh > 0 else 0.0
            hopeless += fresh <= 0
            continue
        heapq.heappop(heap)
        del demand[task]
        live.silence(task)
        order.append(task)
    return order


class _LiveKeys:
    """`Contest.keys` for one task at a time, in plain numbers, while devices fall silent."""

    def __init__(self, contest: Contest, offload: Bools) -> None:
        scenario, state = contest.scenario, contest.state
        received = np.where(offload, state.received_w, 0.0)
        self._heard = physics.cell_sum(received, scenario.cell, scenario.n_bs).tolist()
        self._cell = scenario.cell.tolist()
        self._received = received.tolist()
        self._bandwidth = scenario.device_bandwidth_hz.tolist()
        self._noise = (scenario.device_bandwidth_hz * scenario.noise_w_per_hz).tolist()
        self._alpha = scenario.interference
        self._size, self._cycles = state.size_bits.tolist(), state.cycles.tolist()
        self._award, self._left = state.award.tolist(), contest.left_s.tolist()
        self._asked, self._by_index = contest.asked_hz.tolist(), contest.by_index

    def silence(self, task: int) -> None:
        """Takes a device off the air."""
        self._heard[self._cell[task]] -= self._received[task]

    def key(self, task: int) -> tuple[float, float]:
        """The key of a task now, and its demand in (10)."""
        own = self._received[task]
        heard = self._alpha * max(self._heard[self._cell[task]] - own, 0.0)
        rate = self._bandwidth[task] * log2(1.0 + own / (self._noise[task] + heard))
        slack = self._left[task] - self._size[task] / rate if rate > 0 else -inf
        asked = self._asked[task]
        required = self._cycles[task] / slack if slack > 0 else inf
        if slack > 0 and required <= asked:
            return self._award[task] / required, required if asked == inf else asked
        if self._by_index:
            return float(task - len(self._cell)), 0.0
        return (asked / required if slack > 0 else slack) - 1.0, 0.0
