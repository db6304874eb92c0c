"""What each task asks for when its cell transmits a given power, with the limits widened by a rounding tolerance."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from mecsim import physics
from mecsim.physics import Array, Ints
from mecsim.scenario import Scenario
from mecsim.system import SystemState

TOLERANCE = 1e-9
"""Share by which a bound widens deadlines, energies and capacities, and the income at the end.

It is far above the rounding that eqs. (5), (10) and (11) allow in `mecsim.system` (1e-12) and that sums of a few
hundred doubles suffer, so that no action of the system is outside the relaxation by a rounding.
"""


class Demand(NamedTuple):
    """What tasks ask for.

    Attributes:
        cpu_hz: the CPU (18) that each needs at each BS, (..., tasks, n_bs), infinite where it cannot be done there: by
            its deadline, with the device's energy (5) and the BS's CPU.
        energy_j: the energy that its transmission takes, (..., tasks).
    """

    cpu_hz: Array
    energy_j: Array


class Demands:
    """The tasks of one slot, or of many, as functions of the powers S that the BSs receive.

    Args:
        scenario: parameters of the system.
        state: what is known of the slot; an axis of slots comes first where there are many.

    Attributes:
        n_bs: number of BSs.
        alpha: interference factor of (3).
        award, received_w: of each device, (..., n_devices).
        cell: the serving BS of each device.
        members: the devices of each cell.
        quiet_w: the S whose interference is as much as the noise, B N0 / alpha, (n_bs,); infinite without interference.
        cpu_hz: F, widened, (..., n_bs).
    """

    def __init__(self, scenario: Scenario, state: SystemState) -> None:
        self.n_bs, self.alpha, self.cell = scenario.n_bs, scenario.interference, scenario.cell
        self.award, self.received_w = state.award, state.received_w
        self.members = scenario.devices_of
        noise_w = scenario.per_bs("bandwidth_hz") * scenario.noise_w_per_hz
        self.quiet_w = noise_w / self.alpha if self.alpha else np.full(self.n_bs, np.inf)
        self.cpu_hz = state.cpu_hz * (1.0 + TOLERANCE)
        self._state = replace(
            state,
            deadline_s=state.deadline_s * (1.0 + TOLERANCE),
            energy_j=state.energy_j * (1.0 + TOLERANCE),
        )
        self._bandwidth_hz, self._noise_w_per_hz = scenario.device_bandwidth_hz, scenario.noise_w_per_hz
        self._link_s = physics.link_delays_s(state.size_bits, self.cell, state.link_bps)

    def of_cell(self, bs: int, heard_w: Array) -> Demand:
        """Demands of a cell's tasks for each power S that its BS may receive in all.

        A device is part of S where it transmits, so that its interference is alpha max(S - p h, 0): of two powers the
        lower gives the lower demand and energy, whether or not S reaches the device's own power.

        Args:
            bs: the cell.
            heard_w: S, (..., buckets).

        Returns:
            Arrays (..., buckets, members), see `Demand`.
        """
        tasks, state = self.members[bs], self._state
        own, size, power, limit_j, deadline, cycles = (
            values[..., None, tasks]
            for values in (
                self.received_w,
                state.size_bits,
                state.power_w,
                state.energy_j,
                state.deadline_s,
                state.cycles,
            )
        )
        others = physics.others_w(heard_w[..., None], own, self.alpha) if self.alpha else 0.0
        rate = physics.uplink_rate_bps(own, others, self._bandwidth_hz[tasks], self._noise_w_per_hz)
        delay = physics.uplink_delay_s(size, True, rate)
        delay = np.broadcast_to(delay, (*heard_w.shape, len(tasks)))
        energy = physics.uplink_energy_j(power, delay)
        link = self._link_s[..., None, tasks, :]
        slack = physics.slack_s(deadline[..., None], delay[..., None], link)
        needs = physics.required_cpu_hz(cycles[..., None], slack)
        possible = (energy <= limit_j)[..., None] & (needs <= self.cpu_hz[..., None, None, :])
        return Demand(np.where(possible, needs, np.inf), energy)

    def at(self, heard_w: Array) -> Demand:
        """Demands of all tasks when each BS receives the power S given, (..., n_bs); arrays (..., n_devices)."""
        cells = [self.of_cell(bs, heard_w[..., bs : bs + 1]) for bs in range(self.n_bs)]
        needs = np.concatenate([cell.cpu_hz[..., 0, :, :] for cell in cells], axis=-2)
        return Demand(needs, np.concatenate([cell.energy_j[..., 0, :] for cell in cells], axis=-1))

    def sent_w(self, placement: Ints) -> Array:
        """S of every cell under a placement, (n_bs,), in W."""
        return physics.cell_sum(np.where(placement >= 0, self.received_w, 0.0), self.cell, self.n_bs)

    def edges_w(self, bs: int, low_w: Array, high_w: Array, parts: int) -> Array:
        """Ends of parts between two powers of a cell, (...) -> (..., parts + 1).

        Noise and interference grow alike in each. Without interference, where nothing depends on S, there is one part.
        """
        ends = low_w[..., None], high_w[..., None]
        if not self.alpha:
            return np.concatenate(ends, axis=-1)
        growth = (self.quiet_w[bs] + high_w) / (self.quiet_w[bs] + low_w)
        inside = (self.quiet_w[bs] + ends[0]) * growth[..., None] ** (np.arange(1, parts) / parts)
        inside = np.clip(inside - self.quiet_w[bs], *ends)
        return np.concatenate((ends[0], inside, ends[1]), axis=-1)
