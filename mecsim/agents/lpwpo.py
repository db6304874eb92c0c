"""LPWPO: local priority with peer offloading (section V-B)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mecsim import physics
from mecsim.agents.base import Agent, Offer
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

    def offers(self, state: SystemState) -> list[Offer]:
        at_home = Offer(self.scenario.cell)
        home = self._home(state)
        local = refine_discrete(self.scenario, state, home, self.refinement)
        placement, guest = self._dealt(state, home, local)
        if not guest.any():
            return [at_home]
        return [at_home, Offer(placement, shielded=placement == self.scenario.cell)]

    def _decide(self, state: SystemState, refine: Callable[..., Action]) -> Action:
        """The decision for states of any leading axes that `refine` can take."""
        scenario = self.scenario
        home = self._home(state)
        local = refine(scenario, state, home, self.refinement)
        placement, guest = self._dealt(state, home, local)
        if not guest.any():
            return local
        shared = refine(scenario, state, placement, self.refinement, shielded=placement == scenario.cell)
        moved = guest.any(axis=-1, keepdims=True)
        return Action(
            np.where(moved, shared.placement, local.placement), np.where(moved, shared.cpu_hz, local.cpu_hz)
        )

    def _home(self, state: SystemState) -> Ints:
        """Every task at its own BS, those without the energy discarded, (..., n_devices)."""
        return keep_affordable(self.scenario, state, self.scenario.cell, self.refinement)

    def _dealt(self, state: SystemState, home: Ints, local: Action) -> tuple[Ints, Bools]:
        """The placement with the guests at their helpers, and which tasks are guests, (..., n_devices)."""
        overflow = (home >= 0) & ~local.offload
        helper, helped = self._helper(state, local, overflow)
        guest = overflow & helped[..., None]
        return np.where(guest, helper, local.placement), guest

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
