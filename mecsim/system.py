"""PhysicalSystem: the plant. It draws tasks, channels and harvests, and moves the energy queues by eq. (6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mecsim import physics
from mecsim.outcome import outcome, uplink
from mecsim.physics import Array
from mecsim.scenario import Scenario
from mecsim.sources import Draw, Sources
from mecsim.state import Action, Outcome, SystemState


class PhysicalSystem:
    """The collaborative MEC system of section III-A, slot by slot.

    Args:
        scenario: its parameters.
        seed: seed of its streams (devices, tasks, channel, harvest), 0 or more.
        perceive: how each slot's draws are seen; a twin puts its estimation errors here.

    Attributes:
        state: the system at the start of the current slot.
    """

    def __init__(
        self, scenario: Scenario, seed: int = 0, perceive: Callable[[Draw], Draw] = lambda draw: draw
    ) -> None:
        self.scenario = scenario
        self._sources = Sources(scenario, seed)
        self._perceive = perceive
        energy = np.full(scenario.n_devices, min(scenario.initial_energy_j, scenario.battery_j))
        self.state = self._arrive(0, energy, last_rate_bps=None)

    def step(self, action: Action) -> Outcome:
        """Carries out an action, moves every queue by (6) and lets the next slot begin."""
        result = outcome(self.scenario, self.state, action)
        energy = physics.next_energy_j(
            self.state.energy_j, self.state.harvest_j, result.spent_j, self.scenario.battery_j
        )
        self.state = self._arrive(self.state.slot + 1, energy, result.rate_bps)
        return result

    def snapshot(self) -> dict[str, Any]:
        """Everything that the future depends on, ready for JSON."""
        arrays = {name: value.tolist() for name, value in vars(self.state).items() if name != "slot"}
        return {"slot": self.state.slot, "arrays": arrays, "sources": self._sources.snapshot()}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Goes back to a snapshot of a system with the same scenario and seed."""
        arrays = {name: np.array(value) for name, value in snapshot["arrays"].items()}
        self.state = SystemState(slot=snapshot["slot"], **arrays)
        self._sources.restore(snapshot["sources"])

    def _arrive(self, slot: int, energy_j: Array, last_rate_bps: Array | None) -> SystemState:
        scenario, draw = self.scenario, self._perceive(self._sources.draw())
        state = SystemState(
            slot=slot,
            **draw._asdict(),
            energy_j=energy_j,
            rate_bps=np.zeros(scenario.n_devices),
            cpu_hz=scenario.per_bs("cpu_hz"),
            link_bps=scenario.link_rates_bps,
        )
        return with_rate(scenario, state, last_rate_bps)


def with_rate(scenario: Scenario, state: SystemState, last_rate_bps: Array | None) -> SystemState:
    """The state with its rate nu, which (3) makes depend on an action not yet taken (A7)."""
    if scenario.state_rate == "last-slot" and last_rate_bps is not None:
        rate = last_rate_bps
    elif scenario.state_rate == "all-transmit":
        rate = uplink(scenario, state, np.full(scenario.n_devices, True)).rate_bps
    else:
        bandwidth, noise = scenario.device_bandwidth_hz, scenario.noise_w_per_hz
        rate = physics.uplink_rate_bps(state.received_w, 0.0, bandwidth, noise)
    return SystemState(**{**vars(state), "rate_bps": rate})
