"""OLNPO: only local, no peer offloading (section V-B)."""

from __future__ import annotations

from mecsim.agents.base import Agent, Offer
from mecsim.fleet_refinement import refine_discrete_batch
from mecsim.refinement import refine_discrete
from mecsim.state import Action, SystemState


class OLNPO(Agent):
    """Every task is proposed to its own BS, which keeps those of the highest processing priority (A16)."""

    def act(self, state: SystemState) -> Action:
        return refine_discrete(self.scenario, state, self.scenario.cell, self.refinement)

    def act_batch(self, states: SystemState) -> Action:
        return refine_discrete_batch(self.scenario, states, self.scenario.cell, self.refinement)

    def offers(self, state: SystemState) -> list[Offer]:
        return [Offer(self.scenario.cell)]
