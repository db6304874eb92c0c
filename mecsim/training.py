"""Algorithm 2's loop: an agent learns in a twin, slot by slot."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from tqdm.auto import tqdm

from mecsim.agents.learner import Learner
from mecsim.evaluation import WINDOW
from mecsim.memory import keep_freed_memory
from mecsim.physics import Array
from mecsim.twin import DigitalTwin


def train(
    learner: Learner,
    twin: DigitalTwin,
    slots: int,
    incomes: list[float] | None = None,
    progress: bool = True,
    after_slot: Callable[[list[float]], None] | None = None,
) -> Array:
    """Trains until `slots` slots are done and returns the income of each, (slots,).

    Args:
        learner: INTO or DDQN.
        twin: where it trains.
        slots: slots in all.
        incomes: the slots done before, when a training is resumed.
        progress: show a bar with the running income.
        after_slot: called with the incomes so far after each slot, to save a checkpoint.
    """
    keep_freed_memory()
    incomes = [] if incomes is None else incomes
    with tqdm(total=slots, initial=len(incomes), disable=not progress, unit="slot") as bar:
        for _ in range(len(incomes), slots):  # line 4 of Algorithm 2
            state = twin.state
            action = learner.explore(state)  # lines 5 and 6
            result = twin.step(action)  # line 7
            learner.remember(state, action, result.income, twin.state)  # line 8
            learner.learn()  # lines 9 to 13
            incomes.append(result.income)
            bar.update()
            bar.set_postfix(income=f"{np.mean(incomes[-WINDOW:]):.1f}", refresh=False)
            if after_slot is not None:
                after_slot(incomes)
    return np.array(incomes)
