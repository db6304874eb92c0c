"""All tasks on, spread by priority: a control that learns nothing."""

from __future__ import annotations

import numpy as np

from mecsim import physics
from mecsim.agents.base import Agent, Offer
from mecsim.fleet_refinement import refine_discrete_batch
from mecsim.outcome import uplink
from mecsim.physics import Ints
from mecsim.refinement import keep_affordable, refine_discrete
from mecsim.state import Action, SystemState


class AllOn(Agent):
    """Offers every task that has the energy, dealt to the BSs in turn in the order of its priority.

    Algorithm 1 then discards what does not fit. A task whose turn falls on a BS without a link stays at home.
    """

    def act(self, state: SystemState) -> Action:
        return refine_discrete(self.scenario, state, self._offer(state), self.refinement)

    def act_batch(self, states: SystemState) -> Action:
        return refine_discrete_batch(self.scenario, states, self._offer(states), self.refinement)

    def offers(self, state: SystemState) -> list[Offer]:
        return [Offer(self._offer(state))]

    def _offer(self, state: SystemState) -> Ints:
        """The BS that each task is offered to, -1 without energy, (..., n_devices)."""
        scenario = self.scenario
        powered = keep_affordable(scenario, state, scenario.cell, self.refinement)
        able = powered >= 0
        slack = physics.slack_s(state.deadline_s, uplink(scenario, state, able).delay_s, 0.0)
        priority = physics.processing_priority(state.award, physics.required_cpu_hz(state.cycles, slack))
        ranked = np.argsort(np.where(able, -priority, np.inf), axis=-1, kind="stable")
        turns = np.broadcast_to(np.arange(scenario.n_devices) % scenario.n_bs, ranked.shape)
        dealt = np.empty_like(ranked)
        np.put_along_axis(dealt, ranked, turns, axis=-1)
        return np.where(able & (state.link_bps[scenario.cell, dealt] > 0), dealt, powered)
