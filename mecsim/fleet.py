"""Fleet: many twins of one scenario, one seed each, stepped at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mecsim import physics
from mecsim.outcome import outcome
from mecsim.physics import Array
from mecsim.scenario import Scenario
from mecsim.settings import SettingError
from mecsim.sources import FleetSources
from mecsim.state import Action, Outcome, SystemState
from mecsim.system import with_rate


class Fleet:
    """Perfect twins of one scenario, stepped at once: the twin of seed s goes the way of `DigitalTwin(scenario, s)`.

    Args:
        scenario: their parameters.
        seeds: the seed of each, 0 or more.

    Attributes:
        state: all of them at the start of the current slot; device arrays have shape (n_twins, n_devices), F and C
            are the same for all and keep the shapes (n_bs,) and (n_bs, n_bs).

    Raises:
        SettingError: there is no seed.
    """

    def __init__(self, scenario: Scenario, seeds: Sequence[int]) -> None:
        if len(seeds) == 0:
            raise SettingError("seeds = [] is not allowed: a fleet should have at least one.")
        self.scenario = scenario
        self.n_twins = len(seeds)
        self._sources = FleetSources(scenario, seeds)
        stored = min(scenario.initial_energy_j, scenario.battery_j)
        self.state = self._arrive(0, np.full((self.n_twins, scenario.n_devices), stored), None)

    def step(self, action: Action) -> Outcome:
        """Carries out an action in each twin and moves all of them on to their next slot.

        Args:
            action: device arrays (n_twins, n_devices).

        Returns:
            The outcomes; the income has the shape (n_twins,), arrays have n_twins as their first axis.
        """
        result = outcome(self.scenario, self.state, action)
        state, battery = self.state, self.scenario.battery_j
        energy = physics.next_energy_j(state.energy_j, state.harvest_j, result.spent_j, battery)
        self.state = self._arrive(state.slot + 1, energy, result.rate_bps)
        return result

    def _arrive(self, slot: int, energy_j: Array, last_rate_bps: Array | None) -> SystemState:
        scenario = self.scenario
        state = SystemState(
            slot=slot,
            **self._sources.draw()._asdict(),
            energy_j=energy_j,
            rate_bps=np.zeros_like(energy_j),
            cpu_hz=scenario.per_bs("cpu_hz"),
            link_bps=scenario.link_rates_bps,
        )
        return with_rate(scenario, state, last_rate_bps)
