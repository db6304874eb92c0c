"""The study of INTO's decisions on the way: what a training offers, and what Algorithm 1 makes of it, slot by slot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from mecsim import physics
from mecsim.experiments.studies.study import Row, Study
from mecsim.refinement import keep_affordable, line_1
from mecsim.scenario import Scenario
from mecsim.system import Action, SystemState
from mecsim.training import Callback

if TYPE_CHECKING:
    from mecsim.agents.into import INTO


class Diary(Callback):
    """Notes what becomes of a learner's tasks.

    Attributes:
        rows: metric, slot and value of every slot so far.
    """

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def after_action(self, learner: INTO, state: SystemState, action: Action) -> None:
        """Notes what was on offer, and what is left of it after lines 2 and 8."""
        scenario, settings = learner.scenario, learner.refinement
        offered = line_1(learner.explored())
        powered = keep_affordable(scenario, state, offered, settings)
        counts = {"offered": np.sum(offered >= 0), "powered": np.sum(powered >= 0)}
        for bs in range(scenario.n_bs):
            counts[f"offered to BS-{bs + 1}"] = np.sum(offered == bs)
            counts[f"executed on BS-{bs + 1}"] = np.sum(action.placement == bs)
        cells = physics.cell_sum(action.offload, scenario.cell, scenario.n_bs)
        counts |= {f"offloading BS-{bs + 1}": count for bs, count in enumerate(cells)}
        self._note(state.slot, counts)

    def after_slot(self, incomes: list[float]) -> None:
        """Notes the income."""
        self._note(len(incomes) - 1, {"income": incomes[-1]})

    def _note(self, slot: int, found: Mapping[str, Any]) -> None:
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
    learner, diary = INTO(scenario, seed, settings=INTOSettings(**settings)), Diary()
    train(learner, DigitalTwin(scenario, seed), slots, progress=False, callback=diary)
    return diary.rows


DECISIONS = Study(measure_decisions, {"slots": 2000, "settings": {}}, 110.0, ("slot",), {"calibrated": 1})
