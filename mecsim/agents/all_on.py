"""All tasks on, spread by priority: a control that learns nothing."""

from __future__ import annotations

import numpy as np

from mecsim import physics
from mecsim.agents.base import Agent
from mecsim.outcome import uplink
from mecsim.refinement import keep_affordable, refine_discrete
from mecsim.state import Action, SystemState


class AllOn(Agent):
    """Offers every task that has the energy, dealt to the BSs in turn in the order of its priority.

    Algorithm 1 then discards what does not fit. A task whose turn falls on a BS without a link stays at home.
    """

    def act(self, state: SystemState) -> Action:
        scenario = self.scenario
        powered = keep_affordable(scenario, state, scenario.cell)
        slack = physics.slack_s(state.deadline_s, uplink(scenario, state, powered >= 0).delay_s, 0.0)
        priority = physics.processing_priority(state.award, physics.required_cpu_hz(state.cycles, slack))
        able = np.flatnonzero(powered >= 0)
        ranked = able[np.argsort(-priority[able], kind="stable")]
        placement = powered.copy()
        placement[ranked] = np.arange(ranked.size) % scenario.n_bs
        linked = state.link_bps[scenario.cell, placement] > 0
        return refine_discrete(scenario, state, np.where(linked, placement, powered), self.refinement)
