"""LPWPO: local priority with peer offloading (section V-B)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mecsim import physics
from mecsim.agents.base import Agent
from mecsim.fleet_refinement import refine_discrete_batch
from mecsim.physics import Bools, Ints
from mecsim.refinement import keep_affordable, refine_discrete
from mecsim.state import Action, SystemState


class LPWPO(Agent):
    """Each BS serves its own devices first; one that serves all of them helps the others (A16).

    The tasks that overloaded BSs had to discard are dealt to the helpers, those with most CPU to spare first. The BS
    that takes a guest keeps it only while there is room beside its own tasks.
    """

    def act(self, state: SystemState) -> Action:
        return self._decide(state, refine_discrete)

    def act_batch(self, states: SystemState) -> Action:
        return self._decide(states, refine_discrete_batch)

    def _decide(self, state: SystemState, refine: Callable[..., Action]) -> Action:
        """The decision for states of any leading axes that `refine` can take."""
        scenario = self.scenario
        home = keep_affordable(scenario, state, scenario.cell, self.refinement)
        local = refine(scenario, state, home, self.refinement)
        overflow = (home >= 0) & ~local.offload
        helper, helped = self._helper(state, local, overflow)
        guest = overflow & helped[..., None]
        if not guest.any():
            return local
        placement = np.where(guest, helper, local.placement)
        shared = refine(scenario, state, placement, self.refinement, shielded=placement == scenario.cell)
        moved = guest.any(axis=-1, keepdims=True)
        return Action(
            np.where(moved, shared.placement, local.placement), np.where(moved, shared.cpu_hz, local.cpu_hz)
        )

    def _helper(self, state: SystemState, local: Action, overflow: Bools) -> tuple[Ints, Bools]:
        """The BS that each task would be dealt to, (..., n_devices), and whether any BS helps, (...).

        A BS helps where it serves all its own tasks; the one with most CPU to spare comes first.
        """
        n_bs = self.scenario.n_bs
        spare = state.cpu_hz - physics.cpu_used_hz(local.placement, local.cpu_hz, n_bs)
        overloaded = physics.cell_sum(overflow, self.scenario.cell, n_bs) > 0
        order = np.argsort(np.where(overloaded, np.inf, -spare), axis=-1, kind="stable")
        helpers = np.count_nonzero(~overloaded, axis=-1)
        turn = (np.cumsum(overflow, axis=-1) - 1) % np.maximum(helpers, 1)[..., None]
        return np.take_along_axis(order, turn, axis=-1), helpers > 0
