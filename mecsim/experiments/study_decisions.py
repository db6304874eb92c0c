"""The study of INTO's decisions on the way: what a training offers, and what Algorithm 1 makes of it, slot by slot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from mecsim import physics
from mecsim.refinement import keep_affordable, line_1
from mecsim.scenario import Scenario
from mecsim.state import Action, SystemState

if TYPE_CHECKING:
    from mecsim.agents.into import INTO

Row = dict[str, Any]


class Diary:
    """A learner that notes what becomes of its tasks; to `mecsim.training.train` it is like the learner.

    Attributes:
        rows: metric, slot and value of every slot so far.
    """

    def __init__(self, learner: INTO) -> None:
        self.rows: list[Row] = []
        self._learner = learner

    def explore(self, state: SystemState) -> Action:
        """The learner's own exploration; notes what was on offer, and what is left of it after lines 2 and 8."""
        action = self._learner.explore(state)
        scenario, settings = self._learner.scenario, self._learner.refinement
        offered = line_1(self._learner.explored())
        powered = keep_affordable(scenario, state, offered, settings)
        counts = {"offered": np.sum(offered >= 0), "powered": np.sum(powered >= 0)}
        for bs in range(scenario.n_bs):
            counts[f"offered to BS-{bs + 1}"] = np.sum(offered == bs)
            counts[f"executed on BS-{bs + 1}"] = np.sum(action.placement == bs)
        cells = physics.cell_sum(action.offload, scenario.cell, scenario.n_bs)
        counts |= {f"offloading BS-{bs + 1}": count for bs, count in enumerate(cells)}
        self._note(state.slot, counts)
        return action

    def remember(self, state: SystemState, action: Action, income: float, next_state: SystemState) -> None:
        """The learner's own memory; notes the income."""
        self._note(state.slot, {"income": income})
        self._learner.remember(state, action, income, next_state)

    def learn(self) -> None:
        """The learner's own update."""
        self._learner.learn()

    def _note(self, slot: int, found: Mapping[str, float]) -> None:
        self.rows += [{"metric": name, "slot": slot, "value": float(value)} for name, value in found.items()]


def measure_decisions(preset: str, seed: int, slots: int, settings: Mapping[str, Any]) -> list[Row]:
    """Trains INTO in a perfect twin and notes its decisions, with their exploration, which changes no bit of it.

    Args:
        preset: the scenario.
        seed: seed of the agent and of the twin.
        slots: slots trained.
        settings: fields of the agent's settings that differ from Table II.

    Returns:
        Rows with metric, slot and value. Apart from "income" they are numbers of tasks: "offered" by line 1 of
        Algorithm 1, "powered" after line 2, "offered to BS-i", "executed on BS-i" after line 8, and "offloading BS-i",
        those executed that come from cell i.

    Raises:
        SettingError: the preset is not known, or a setting is not allowed.
    """
    import torch

    from mecsim.agents.into import INTO, INTOSettings
    from mecsim.training import train
    from mecsim.twin import DigitalTwin

    torch.set_num_threads(1)  # as in every run: the number of threads changes the bits of a matrix product
    scenario = Scenario.preset(preset)
    diary = Diary(INTO(scenario, seed, settings=INTOSettings(**settings)))
    train(diary, DigitalTwin(scenario, seed), slots, progress=False)
    return diary.rows
