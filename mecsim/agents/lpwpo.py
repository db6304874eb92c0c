"""LPWPO: local priority with peer offloading (section V-B)."""

from __future__ import annotations

import numpy as np

from mecsim import physics
from mecsim.agents.base import Agent
from mecsim.physics import Bools, Ints
from mecsim.refinement import keep_affordable, refine_discrete
from mecsim.state import Action, SystemState


class LPWPO(Agent):
    """Each BS serves its own devices first; one that serves all of them helps the others (A16).

    The tasks that overloaded BSs had to discard are dealt to the helpers, those with most CPU to spare first. The BS
    that takes a guest keeps it only while there is room beside its own tasks.
    """

    def act(self, state: SystemState) -> Action:
        home = keep_affordable(self.scenario, state, self.scenario.cell)
        local = refine_discrete(self.scenario, state, home, self.refinement)
        overflow = (home >= 0) & ~local.offload
        helpers = self._helpers(state, local, overflow)
        if not overflow.any() or helpers.size == 0:
            return local
        placement = local.placement.copy()
        guests = np.flatnonzero(overflow)
        placement[guests] = helpers[np.arange(guests.size) % helpers.size]
        return refine_discrete(
            self.scenario, state, placement, self.refinement, shielded=placement == self.scenario.cell
        )

    def _helpers(self, state: SystemState, local: Action, overflow: Bools) -> Ints:
        """The BSs that serve all their own tasks, the one with most CPU to spare first."""
        scenario = self.scenario
        spare = state.cpu_hz - physics.cpu_used_hz(local.placement, local.cpu_hz, scenario.n_bs)
        overloaded = np.bincount(scenario.cell[overflow], minlength=scenario.n_bs) > 0
        order = np.argsort(-spare, kind="stable")
        return order[~overloaded[order]]
