"""Agents that follow a rule: the baselines of section V-B, and the control that offers everything."""

from __future__ import annotations

from typing import Literal

import numpy as np

from mecsim import physics
from mecsim.agents.base import Agent, Offer
from mecsim.physics import Bools, Ints
from mecsim.refinement import Refinement, keep_affordable, refine_discrete
from mecsim.scenario import Scenario, ScenarioStack
from mecsim.settings import Settings
from mecsim.system import Action, SystemState, uplink


class OLNPO(Agent):
    """Every task is proposed to its own BS, which keeps those of the highest processing priority (A16)."""

    vectorized = True

    def act(self, state: SystemState) -> Action:
        return refine_discrete(self.scenario, state, self.scenario.cell, self.refinement)

    def offers(self, state: SystemState) -> list[Offer]:
        return [Offer(self.scenario.cell)]


class LPWPOSettings(Settings):
    """What the paper leaves open in LPWPO.

    Attributes:
        overload: which tasks that a BS had to discard of its own bar it from helping: any, or savable ones alone, whose
            uplink would leave time to compute, beside the devices of the cell that are served (A41)? Only such a task
            is then dealt to a helper.
    """

    overload: Literal["any task", "savable tasks"] = "any task"


class LPWPO(Agent):
    """Each BS serves its own devices first; one that serves all of them helps the others (A16).

    The tasks that overloaded BSs had to discard are dealt to the helpers, those with most CPU to spare first. The BS
    that takes a guest keeps it only while there is room beside its own tasks. Until that is refused it sends, and its
    interference may cost its own cell a task.
    """

    vectorized = True
    Settings = LPWPOSettings

    def __init__(
        self,
        scenario: Scenario | ScenarioStack,
        seed: int = 0,
        refinement: Refinement | None = None,
        settings: LPWPOSettings | None = None,
    ) -> None:
        super().__init__(scenario, seed, refinement)
        self.settings = LPWPOSettings.of(settings)

    def act(self, state: SystemState) -> Action:
        scenario = self.scenario
        home = self._home(state)
        local = refine_discrete(scenario, state, home, self.refinement)
        placement, guest = self._dealt(state, home, local)
        if not guest.any():
            return local
        own = placement == scenario.cell
        shared = refine_discrete(scenario, state, placement, self.refinement, shielded=own)
        moved = guest.any(axis=-1, keepdims=True)
        return Action(
            np.where(moved, shared.placement, local.placement), np.where(moved, shared.cpu_hz, local.cpu_hz)
        )

    def offers(self, state: SystemState) -> list[Offer]:
        at_home = Offer(self.scenario.cell)
        home = self._home(state)
        local = refine_discrete(self.scenario, state, home, self.refinement)
        placement, guest = self._dealt(state, home, local)
        if not guest.any():
            return [at_home]
        return [at_home, Offer(placement, shielded=placement == self.scenario.cell)]

    def _home(self, state: SystemState) -> Ints:
        """Every task at its own BS, those without the energy discarded, (..., n_devices)."""
        return keep_affordable(self.scenario, state, self.scenario.cell, self.refinement)

    def _dealt(self, state: SystemState, home: Ints, local: Action) -> tuple[Ints, Bools]:
        """The placement with the guests at their helpers, and which tasks are guests, (..., n_devices)."""
        overflow = (home >= 0) & ~local.offload
        if self.settings.overload == "savable tasks":
            rate_bps = uplink(self.scenario, state, local.offload).rate_bps
            overflow &= physics.uplink_delay_s(state.size_bits, True, rate_bps) < state.deadline_s
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


class AllOn(Agent):
    """Offers every task that has the energy, dealt to the BSs in turn in the order of its priority.

    Algorithm 1 then discards what does not fit. A task whose turn falls on a BS without a link stays at home.
    """

    vectorized = True

    def act(self, state: SystemState) -> Action:
        return refine_discrete(self.scenario, state, self._offer(state), self.refinement)

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
        return np.where(
            able & (physics.link_rate_bps(state.link_bps, scenario.cell, dealt) > 0), dealt, powered
        )
