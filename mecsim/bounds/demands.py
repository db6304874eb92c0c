"""What each task asks for when its cell transmits a given power, with the limits widened by a rounding tolerance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np

from mecsim import physics
from mecsim.physics import Array, Ints
from mecsim.scenario import Scenario
from mecsim.settings import SettingError
from mecsim.system import SystemState

TOLERANCE = 1e-9
"""Share by which a bound widens deadlines, energies and capacities, and the income at the end.

It is far above the rounding that eqs. (5), (10) and (11) allow in `mecsim.system` (1e-12) and that sums of a few
hundred doubles suffer, so that no action of the system is outside the relaxation by a rounding.
"""


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


class Demands:
    """The tasks of one slot, or of many (see `stacked`), as functions of the powers that the BSs receive.

    Args:
        scenario: parameters of the system.
        state: what is known of the slot; an axis of slots comes first where there is one.

    Attributes:
        n_bs: number of BSs.
        alpha: interference factor of (3).
        award, received_w: of each device, (..., n_devices).
        cell: the serving BS of each device.
        members: the devices of each cell.
        noise_w: B N0 of each cell, (n_bs,).
        cpu_hz: F, widened, (..., n_bs).
    """

    def __init__(self, scenario: Scenario, state: SystemState) -> None:
        self.n_bs, self.alpha, self.cell = scenario.n_bs, scenario.interference, scenario.cell
        self.award, self.received_w = state.award, state.received_w
        self.members = [np.flatnonzero(scenario.cell == bs) for bs in range(scenario.n_bs)]
        self.noise_w = scenario.per_bs("bandwidth_hz") * scenario.noise_w_per_hz
        self.cpu_hz = state.cpu_hz * (1.0 + TOLERANCE)
        self._state = replace(
            state,
            deadline_s=state.deadline_s * (1.0 + TOLERANCE),
            energy_j=state.energy_j * (1.0 + TOLERANCE),
        )
        self._bandwidth_hz, self._noise_w_per_hz = scenario.device_bandwidth_hz, scenario.noise_w_per_hz
        everywhere = np.broadcast_to(np.arange(self.n_bs)[:, None], (self.n_bs, scenario.n_devices))
        link_s = physics.link_delay_s(state.size_bits[..., None, :], everywhere, self.cell, state.link_bps)
        self._link_s = np.swapaxes(link_s, -1, -2)

    def of_cell(self, bs: int, heard_w: Array) -> tuple[Array, Array]:
        """Demands and energies of a cell's tasks for each power S that its BS may receive in all.

        A device is part of S where it transmits, so that its interference is alpha max(S - p h, 0): of two powers the
        lower gives the lower demand and energy, whether or not S reaches the device's own power.

        Args:
            bs: the cell.
            heard_w: S, (..., buckets).

        Returns:
            The CPU (18) that the task needs at each BS, (..., members, n_bs), in Hz, infinite where it cannot be done
            there: by its deadline, with the device's energy (5) and the BS's CPU; and the energy that its
            transmission takes, (..., members), in J; "..." includes the buckets.
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
        delay = physics.uplink_delay_s(size, np.True_, rate)
        delay = np.broadcast_to(delay, (*heard_w.shape, len(tasks)))
        energy = physics.uplink_energy_j(power, delay)
        link = self._link_s[..., None, tasks, :]
        slack = physics.slack_s(deadline[..., None], delay[..., None], link)
        needs = physics.required_cpu_hz(cycles[..., None], slack)
        possible = (energy <= limit_j)[..., None] & (needs <= self.cpu_hz[..., None, None, :])
        return np.where(possible, needs, np.inf), energy

    def at(self, heard_w: Array) -> Array:
        """Demands of one slot's tasks when each BS receives the power S given, (n_bs,) -> (n_devices, n_bs), in Hz."""
        return np.concatenate([self.of_cell(bs, heard_w[bs : bs + 1])[0][0] for bs in range(self.n_bs)])

    def sent_w(self, placement: Ints) -> Array:
        """S of every cell under a placement, (n_bs,), in W."""
        return physics.cell_sum(np.where(placement >= 0, self.received_w, 0.0), self.cell, self.n_bs)
