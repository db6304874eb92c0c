"""The study of INTO's drift: how the actor comes to offer every task, with the critic's own slopes.

Two readings are looked at. The critic may have learnt from executed actions that more ones mean more income. Or its
slope in every x lifts Q from its start near 0 to the discounted sum of rewards: (19) can raise every weight of an input
that is mostly above 0. The second needs no relation between actions and income at all, and would turn round where
rewards are below 0. So INTO is also trained on rewards that say nothing about the action, and on the same rewards less
a constant, with which every policy keeps its rank. Neither reading alone fits what came out: the experiment "rewards"
has more constants, and notebook 11 says what both show.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mecsim.experiments.studies.study import LONG, Row, Study
from mecsim.scenario import Scenario
from mecsim.settings import Settings
from mecsim.system import SystemState
from mecsim.training import Callback, train
from mecsim.twin import DigitalTwin

if TYPE_CHECKING:
    from mecsim.agents.into import INTO


class Variant(Settings):
    """What the replay memory of one training holds, see `INTOSettings`.

    Attributes:
        stored_action: the executed action or the proto-action (A11).
        scale, offset: the reward stored is scale r + offset.
    """

    stored_action: Literal["executed", "proto"] = "executed"
    scale: float = 1.0
    offset: float = 0.0


VARIANTS = {
    "executed": Variant(),
    "proto": Variant(stored_action="proto"),
    "same reward": Variant(scale=0.0, offset=0.5),
    "reward less 1": Variant(offset=-1.0),
}


SIZES = {
    "slots": 2000,
    "every": 50,
    "states": 16,
    "variants": {name: variant.model_dump() for name, variant in VARIANTS.items()},
    "settings": {},
}
"""What the study depends on beside preset and seed: Table II, and a look every 50 slots."""


def measure_drift(
    preset: str,
    seed: int,
    slots: int,
    every: int,
    states: int,
    variants: Mapping[str, Mapping[str, Any]],
    settings: Mapping[str, Any],
) -> list[Row]:
    """Trains INTO and looks at its actor, its critic and the truth on the way, which changes no bit of the training.

    Args:
        preset: the scenario.
        seed: seed of the agent and of the twin.
        slots: slots trained.
        every: slots between two looks. The agent learns from slot 64 on: a look before finds it untrained.
        states: how many of the latest states, and of the latest tuples of the replay memory, a look takes.
        variants: fields of a `Variant` by its name.
        settings: fields of the agent's settings that differ from Table II.

    Returns:
        Rows with metric, variant, slot and value. "X > 0" and "X < 0" are shares of devices (and states) between 0 and
        1; a metric of a group is left out where the group is empty, and a correlation where one side does not vary.

        - income: earned a slot since the last look, with exploration.
        - x, largest y, f: means of the actor's output, of y only that of the best BS; x > 1/2; offered: share of
          devices with x + max y > 1. Algorithm 1 ignores f by default (A10).
        - Q: of the actor's own actions. This and every slope is divided by the reward's scale, so that the unit is
          that of an income.
        - dQ/dx, dQ/dy, dQ/df: the critic's slopes at the actor's own actions, which (20) follows. "dQ/dx, kept" and
          "dQ/dx, discarded" are those of the devices whose task Algorithm 1 keeps, or discards, where it is on offer
          and all others are as the actor says.
        - dQ/dx, stored: the same at the latest actions of the replay memory.
        - effect: the truth, income of the slot with a task on offer (x = 1) less that without (x = 0), all others as
          the actor says; also kept and discarded; kept: share of devices whose task on offer is kept. What the energy
          spent would earn in later slots is left out.
        - same sign: share of the devices with an effect for which dQ/dx has its sign; rank correlation: Spearman's, of
          dQ/dx and effect.
        - x and reward: correlation of the sum of the stored x, the number of ones in an executed action, and the
          stored reward over the replay memory; "given the state": of what a linear regression on the means over
          devices of z, v, delta, g, nu and Q leaves of both.

    Raises:
        SettingError: the preset is not known, or a setting is not allowed.
    """
    import torch

    from mecsim.agents.into import INTO, INTOSettings

    torch.set_num_threads(1)  # as in every run: the number of threads changes the bits of a matrix product
    scenario, rows = Scenario.preset(preset), []
    for name, fields in variants.items():
        variant = Variant(**fields)
        known = INTOSettings(
            **settings,
            stored_action=variant.stored_action,
            reward_slope=variant.scale,
            reward_offset=variant.offset,
        )
        learner = INTO(scenario, seed, settings=known)
        watch = Watch(learner, DigitalTwin(scenario, seed), every, states)
        train(learner, watch.twin, slots, progress=False, callback=watch)
        rows += [{"variant": name, **row} for row in watch.rows]
    return rows


class Watch(Callback):
    """Looks at the learner now and then; see `measure_drift`.

    Attributes:
        rows: slot, metric and value of every look so far.
    """

    def __init__(self, learner: INTO, twin: DigitalTwin, every: int, states: int) -> None:
        self.learner, self.twin, self.every, self.states = learner, twin, every, states
        self.latest, self.rows = deque[SystemState](maxlen=states), list[Row]()

    def after_slot(self, incomes: list[float]) -> None:
        """Keeps the state, and looks if it is time to."""
        from mecsim.experiments.studies.probes import probe, probe_replay

        self.latest.append(self.twin.state)
        if len(incomes) % self.every == 0:
            found = {"income": np.mean(incomes[-self.every :]), **probe(self.learner, self.latest)}
            found |= probe_replay(self.learner, self.states)
            self.rows += [
                {"slot": len(incomes), "metric": name, "value": float(value)} for name, value in found.items()
            ]


DRIFT = Study(measure_drift, SIZES, 600.0, ("variant", "slot"), LONG)
