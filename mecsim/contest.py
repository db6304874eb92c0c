"""The tasks that compete for the CPU of a slot: who can still meet its deadline, at what price, and who goes first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from mecsim import physics
from mecsim.physics import Array, Bools, Ints
from mecsim.scenario import Scenario
from mecsim.state import SystemState

if TYPE_CHECKING:
    from mecsim.refinement import Refinement

EVERY = slice(None)


class Standing(NamedTuple):
    """Where tasks stand in line 6 of Algorithm 1.

    Attributes:
        key: the order of discarding, lowest first: varrho > 0, or <= 0 for a task that cannot meet its deadline.
        demand_hz: what the task counts in (10): l, or what the actor asked for.
    """

    key: Array
    demand_hz: Array


@dataclass(frozen=True)
class Contest:
    """The tasks of one slot as Algorithm 1 sees them; device arrays (n_devices,).

    Attributes:
        received_w: p h.
        left_s: delta - d^c, the time left for the uplink and computing.
        asked_hz: CPU that the actor asked for; None where (18) decides.
        tier: 0 for tasks to discard first, 1 for shielded ones.
        by_index: do hopeless tasks go in the order of their index (A9)?
    """

    scenario: Scenario
    state: SystemState
    received_w: Array
    cycles: Array
    left_s: Array
    asked_hz: Array | None
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
        asked = asked_hz(state, placement, cpu_share) if settings.cpu == "actor" else None
        tier = np.zeros(scenario.n_devices, dtype=np.intp) if shielded is None else shielded.astype(np.intp)
        left, by_index = state.deadline_s - link, settings.hopeless == "lowest index"
        return cls(scenario, state, state.received_w, state.cycles, left, asked, tier, by_index)

    @property
    def n_bs(self) -> int:
        """Number of BSs."""
        return self.scenario.n_bs

    @property
    def cpu_hz(self) -> Array:
        """F, the CPU of each BS, in Hz."""
        return self.state.cpu_hz

    def heard_w(self, offload: Bools) -> Array:
        """Power that each BS receives from its cell when the devices in `offload` transmit, (n_bs,)."""
        return physics.cell_sum(np.where(offload, self.received_w, 0.0), self.scenario.cell, self.n_bs)

    def slack_s(self, heard_w: Array, tasks: Ints | slice = EVERY) -> Array:
        """delta - d^w - d^c of some tasks, each transmitting, when the BSs hear a power `heard_w`, (..., tasks)."""
        scenario, received = self.scenario, self.received_w[tasks]
        others = physics.others_w(heard_w[..., scenario.cell[tasks]], received, scenario.interference)
        bandwidth = scenario.device_bandwidth_hz[tasks]
        rate = physics.uplink_rate_bps(received, others, bandwidth, scenario.noise_w_per_hz)
        return self.left_s[tasks] - physics.uplink_delay_s(self.state.size_bits[tasks], True, rate)

    def required_hz(self, heard_w: Array, tasks: Ints | slice = EVERY) -> Array:
        """l of eq. (18) of some tasks, in Hz; see `slack_s`."""
        return physics.required_cpu_hz(self.cycles[tasks], self.slack_s(heard_w, tasks))

    def standing(self, heard_w: Array, tasks: Ints | slice = EVERY) -> Standing:
        """Keys and demands of some tasks; see `slack_s`.

        Every key rises, or stays, when another device of the cell falls silent.
        """
        slack = self.slack_s(heard_w, tasks)
        required = physics.required_cpu_hz(self.cycles[tasks], slack)
        asked = None if self.asked_hz is None else self.asked_hz[tasks]
        index = np.arange(len(self.tier))[tasks] - float(len(self.tier)) if self.by_index else None
        key = keys(slack, required, self.state.award[tasks], asked, index)
        return Standing(key, required if asked is None else asked)


def keys(
    slack_s: Array, required_hz: Array, award: Array, asked_hz: Array | None, index: Array | None
) -> Array:
    """The key of `Standing`, (...): varrho where a task can meet its deadline.

    Args:
        slack_s: delta - d^w - d^c.
        required_hz: l of (18).
        award: g.
        asked_hz: CPU that the actor asked for; None where (18) decides.
        index: negative numbers in the order in which hopeless tasks go (A9); None for the worst slack first.
    """
    able, hopeless = slack_s > 0, slack_s - 1.0
    if asked_hz is not None:
        hopeless = np.where(able, asked_hz / required_hz, slack_s) - 1.0
        able = able & (required_hz <= asked_hz)
    if index is not None:
        hopeless = index
    return np.where(able, physics.processing_priority(award, required_hz), hopeless)


def asked_hz(state: SystemState, placement: Ints, cpu_share: Array | None) -> Array:
    """CPU that an actor asks for its tasks, within C4, (..., n_devices), in Hz.

    Raises:
        ValueError: there is no `cpu_share`.
    """
    if cpu_share is None:
        raise ValueError("cpu_share is missing: Refinement.cpu = 'actor' needs the actor's f.")
    share = np.take_along_axis(cpu_share, np.maximum(placement, 0)[..., None], axis=-1)[..., 0]
    return np.clip(share, 0.0, 1.0) * state.cpu_hz[placement]
