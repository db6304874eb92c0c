"""What an action does in a state: eqs. (2)-(5), (8), (9) and (11) put together."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mecsim import physics
from mecsim.physics import Array, Bools
from mecsim.scenario import Scenario
from mecsim.state import Action, Outcome, SystemState


class Uplink(NamedTuple):
    """The radio side of a choice of transmitters, device arrays."""

    rate_bps: Array
    delay_s: Array
    energy_j: Array


def uplink(scenario: Scenario, state: SystemState, offload: Bools) -> Uplink:
    """Rates, delays and energies when the devices in `offload` transmit, eqs. (2)-(5)."""
    received = state.received_w
    heard = physics.interference_w(offload, received, scenario.cell, scenario.n_bs, scenario.interference)
    rate = physics.uplink_rate_bps(received, heard, scenario.device_bandwidth_hz, scenario.noise_w_per_hz)
    delay = physics.uplink_delay_s(state.size_bits, offload, rate)
    return Uplink(rate, delay, physics.uplink_energy_j(state.power_w, delay))


def outcome(scenario: Scenario, state: SystemState, action: Action) -> Outcome:
    """The outcome of an action, feasible or not, in a known state, or of many in as many states (leading axes).

    Algorithm 1 keeps an action within (5) and (10), so that the two rules below act only where a decision was made
    on a wrong estimate (A23): a device without the energy for its transmission (5) spends what it has and its task is
    lost; a BS that has promised more CPU than it has (10) cuts every share in the same proportion.
    """
    offload = action.offload
    radio = uplink(scenario, state, offload)
    powered = physics.affordable(radio.energy_j, state.energy_j)
    link = physics.link_delay_s(state.size_bits, action.placement, scenario.cell, state.link_bps)
    used = physics.cpu_used_hz(action.placement, action.cpu_hz, scenario.n_bs)
    cut = np.minimum(1.0, np.divide(state.cpu_hz, used, out=np.ones_like(used), where=used > 0))
    granted = action.cpu_hz * physics.at_bs(cut, action.placement)
    compute = physics.compute_delay_s(state.cycles, offload, granted)
    completed = offload & powered & physics.on_time(radio.delay_s + link + compute, state.deadline_s)
    return Outcome(
        income=physics.income(state.award, completed),
        completed=completed,
        powered=powered,
        uplink_s=radio.delay_s,
        link_s=link,
        compute_s=compute,
        rate_bps=radio.rate_bps,
        spent_j=np.minimum(radio.energy_j, state.energy_j),
        cpu_used_hz=used * cut,
    )
