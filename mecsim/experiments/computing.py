"""Computes one run: trains the agent, evaluates it frozen, and stores what was measured."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mecsim.agents import Agent, make_agent
from mecsim.experiments import store
from mecsim.experiments.provenance import provenance
from mecsim.experiments.runs import EVALUATION_WORLDS, LEARNERS, Run
from mecsim.system import PhysicalSystem, SystemState, outcome
from mecsim.training import Rollout, rollout, states_met
from mecsim.twin import DigitalTwin

CHECKPOINT_EVERY = 1000
WORK = store.ROOT / "build" / "checkpoints"

REFERENCE_EVERY = 50
"""Slots of the evaluation world between two reference states."""


def path_of(run: Run, folder: Path) -> Path:
    """Where a run's result is stored."""
    return folder / f"{run.key}.parquet"


def not_stored(runs: Iterable[Run], folder: Path) -> list[Run]:
    """The runs whose results are missing in a folder."""
    return [run for run in runs if not path_of(run, folder).exists()]


def compute(run: Run, folder: Path) -> None:
    """Trains, evaluates and stores one run; a training that was cut off goes on from its last checkpoint."""
    checkpoint = WORK / f"{run.key}.safetensors"
    store.write_atomically(path_of(run, folder), measure(run, checkpoint))
    checkpoint.unlink(missing_ok=True)


def measure(run: Run, checkpoint: Path | None = None) -> bytes:
    """Trains and evaluates one run.

    Args:
        run: what to measure.
        checkpoint: where the training is saved on its way, and from where it goes on; by default it is not saved.

    Returns:
        The content of the run's result file, to be stored here or elsewhere.
    """
    made_by = provenance(run.model_dump(mode="json"))
    agent = run.make_agent()
    incomes = _train(run, agent, checkpoint) if run.agent in LEARNERS and run.slots else np.empty(0)
    plant, seen = PhysicalSystem(run.shifted(), EVALUATION_WORLDS + run.seed), None
    if not run.perfect_twin:
        seen = DigitalTwin(run.shifted(), EVALUATION_WORLDS + run.seed, run.twin_deviation())
    record = rollout(agent, plant, run.evaluation_slots, seen)
    return store.table_bytes(_tidy(run, incomes, record, _in_reference(run, agent)), made_by)


def reference_states(run: Run) -> Iterator[SystemState]:
    """States of the evaluation world that do not depend on the run's agent: those that all-on meets."""
    plant = PhysicalSystem(run.shifted(), EVALUATION_WORLDS + run.seed)
    states = states_met(make_agent("all-on", run.shifted()), plant)
    return islice(states, REFERENCE_EVERY - 1, run.evaluation_slots, REFERENCE_EVERY)


def _in_reference(run: Run, agent: Agent) -> dict[int, float]:
    """The income of a frozen agent in each reference state, by slot; none where a twin stands between it and them."""
    if not run.perfect_twin:
        return {}
    return {
        state.slot: float(outcome(run.shifted(), state, agent.act(state)).income)
        for state in reference_states(run)
    }


def _train(run: Run, learner: Any, checkpoint: Path | None) -> np.ndarray:
    import torch

    from mecsim.experiments.checkpoints import resume, save_checkpoint
    from mecsim.training import Callback, train

    torch.set_num_threads(1)  # the number of threads changes the bits of a matrix product
    twin = DigitalTwin(run.scenario(), run.seed, run.twin_deviation())
    resumed = checkpoint is not None and checkpoint.exists()
    incomes = resume(checkpoint, learner, twin, run.key) if resumed else []

    class Keep(Callback):
        def after_slot(self, incomes: list[float]) -> None:
            if checkpoint and len(incomes) % CHECKPOINT_EVERY == 0 and len(incomes) < run.slots:
                save_checkpoint(checkpoint, learner, twin, incomes, run.key)

    keep = Keep()
    if run.shift:
        train(learner, twin, run.shift_at, incomes, progress=False, callback=keep)
        before, twin = twin.snapshot(), DigitalTwin(run.shifted(), run.seed, run.twin_deviation())
        twin.restore(before)
    return train(learner, twin, run.slots, incomes, progress=False, callback=keep)


def averages(record: Rollout) -> dict[str, float]:
    """What is told of an evaluation: means over its slots, by metric."""
    stations = range(1, record.offloading.shape[1] + 1)
    return {
        "income": record.income.mean(),
        "completed": record.completed.mean(),
        "helped": record.helped.mean(),
        **{f"offloading BS-{bs}": record.offloading[:, bs - 1].mean() for bs in stations},
        **{f"idle CPU BS-{bs}": record.idle_cpu[:, bs - 1].mean() for bs in stations},
    }


def _tidy(run: Run, incomes: np.ndarray, record: Rollout, in_reference: dict[int, float]) -> pd.DataFrame:
    """One row a number, slot -1 for a mean over the evaluation slots."""
    means = averages(record)
    parts = [
        pd.DataFrame({"metric": "training income", "slot": np.arange(len(incomes)), "value": incomes}),
        pd.DataFrame({"metric": list(means), "slot": -1, "value": list(means.values())}),
        pd.DataFrame(
            {"metric": "reference income", "slot": in_reference.keys(), "value": in_reference.values()}
        ),
    ]
    frame = pd.concat(parts, ignore_index=True).astype({"slot": "int32", "value": "float32"})
    shift = {"shift": run.shift} if run.shift else {}
    deviation = {"deviation": run.deviation} if run.deviation else {}
    changed = {**run.changes, **run.settings, **run.refinement, **shift, **deviation}
    frame = frame.assign(
        run=run.key,
        agent=run.agent,
        preset=run.preset,
        changes=json.dumps(changed, sort_keys=True),
        seed=np.int32(run.seed),
    )
    return frame[["run", "agent", "preset", "changes", "seed", "metric", "slot", "value"]].astype(
        dict.fromkeys(("run", "agent", "preset", "changes", "metric"), "category")
    )
