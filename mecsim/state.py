"""What is known at the start of a slot, what is decided, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mecsim.physics import Array, Bools, Ints


@dataclass(frozen=True)
class SystemState:
    """The system at the start of slot t: tasks, channels, energy and resources (sections III-A and III-B).

    Device arrays have shape (n_devices,).
    """

    slot: int
    size_bits: Array
    density_cycles_per_bit: Array
    deadline_s: Array
    award: Array
    power_w: Array
    gain: Array
    harvest_j: Array
    energy_j: Array
    rate_bps: Array
    cpu_hz: Array
    link_bps: Array

    @property
    def received_w(self) -> Array:
        """p h, the power that the serving BS receives from each device, in W."""
        return self.power_w * self.gain

    @property
    def cycles(self) -> Array:
        """z v, the CPU cycles of each task."""
        return self.size_bits * self.density_cycles_per_bit


SHARED = ("slot", "cpu_hz", "link_bps")
"""Fields of a `SystemState` that all twins of a fleet share."""


@dataclass(frozen=True)
class Action:
    """A decision a(t) = (x, y, f) that satisfies C1-C3 by construction.

    Attributes:
        placement: BS that computes each task, -1 where the task is discarded, (n_devices,).
        cpu_hz: CPU that this BS gives to the task, (n_devices,), in Hz.
    """

    placement: Ints
    cpu_hz: Array

    @property
    def offload(self) -> Bools:
        """x of eq. (12), C1: which tasks are offloaded, (n_devices,)."""
        return self.placement >= 0

    def peer(self, n_bs: int) -> NDArray[np.bool_]:
        """y of eq. (7) as one-hot rows, (n_devices, n_bs); a row of zeros where the task is discarded."""
        return self.placement[:, None] == np.arange(n_bs)

    def allocated_hz(self, n_bs: int) -> Array:
        """f of eq. (9), (n_devices, n_bs), in Hz: 0 wherever y is 0."""
        return np.where(self.peer(n_bs), self.cpu_hz[:, None], 0.0)


@dataclass(frozen=True)
class Outcome:
    """What an action does in one slot; device arrays (n_devices,), with an axis of twins before them for a fleet.

    Attributes:
        income: r(t), eq. (11), a number, or (n_twins,) for a fleet.
        completed: tasks that are paid.
        powered: tasks whose device had the energy to send them, (5); True where nothing is sent.
        uplink_s, link_s, compute_s: the delays d^w, d^c and d^m of eqs. (4), (8), (9).
        rate_bps: uplink rates under the interference of this action, eqs. (2) and (3).
        spent_j: energy taken from the queue.
        cpu_used_hz: CPU in use at each BS, (n_bs,).
    """

    income: float | Array
    completed: Bools
    powered: Bools
    uplink_s: Array
    link_s: Array
    compute_s: Array
    rate_bps: Array
    spent_j: Array
    cpu_used_hz: Array

    @property
    def delay_s(self) -> Array:
        """d_ij = d^w + d^c + d^m, in s; 0 where nothing is offloaded."""
        return self.uplink_s + self.link_s + self.compute_s
