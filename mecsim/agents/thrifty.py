"""Thrifty: greedy with a price on energy, for a device that spends its store cannot use it for a better task later."""

from __future__ import annotations

import numpy as np

from mecsim.agents.greedy import Greedy
from mecsim.physics import Array
from mecsim.refinement import Refinement
from mecsim.scenario import Scenario
from mecsim.state import SystemState


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
        self._mean_award = np.mean(scenario.award) * scenario.per_device("award_scale")

    def price_per_j(self, state: SystemState) -> Array:
        """g_mean / Q: what each device's energy is worth to later slots, in income per J, (n_devices,)."""
        with np.errstate(divide="ignore", over="ignore"):
            return self._mean_award / state.energy_j
